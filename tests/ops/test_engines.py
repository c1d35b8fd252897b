"""The embedded engines serve, survive a kill, refuse to run twice, and do not outlive who started them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.engines import EmbeddedKafka, EmbeddedPostgres, EngineError
from ops.engines import jars as kafka_jars
from ops.engines import kafka as kafka_module
from tests.people import PATIENCE_SECONDS

STARTS_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from ops.engines import EmbeddedKafka, EmbeddedPostgres

async def main():
    engines = EmbeddedKafka(Path(sys.argv[1])), EmbeddedPostgres(Path(sys.argv[2]))
    await asyncio.gather(*(engine.start() for engine in engines))
    print(*(engine.pid for engine in engines), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    engine = EmbeddedKafka(tmp_path / "kafka")
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    engine = EmbeddedPostgres(tmp_path / "postgres")
    await engine.start()
    yield engine
    await engine.stop()


async def create_topic(servers: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()


async def produce(servers: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, value)
    await producer.stop()


async def consume(servers: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, group_id=topic, auto_offset_reset="earliest")
    await consumer.start()
    values = [(await consumer.getone()).value for _ in range(count)]
    await consumer.stop()
    return values


async def connect(engine: EmbeddedPostgres) -> asyncpg.Connection:
    return await asyncpg.connect(engine.admin_url.replace("+asyncpg", ""))


async def test_kafka_keeps_what_it_acknowledged_through_a_kill(own_kafka: EmbeddedKafka) -> None:
    servers = own_kafka.bootstrap_servers
    await create_topic(servers, "kept")
    await produce(servers, "kept", b"before")
    own_kafka.kill()
    await own_kafka.start()
    assert own_kafka.bootstrap_servers == servers
    await produce(servers, "kept", b"after")
    assert await consume(servers, "kept", 2) == [b"before", b"after"]


async def test_kafka_is_not_started_on_a_full_disk_where_it_would_delete_what_it_holds(
    own_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_kafka.kill()
    with monkeypatch.context() as full:
        full.setattr(kafka_module, "ROOM_BYTES", 1 << 60)
        with pytest.raises(EngineError, match="full disk"):
            await own_kafka.start()
    await own_kafka.start()
    assert own_kafka.running


async def test_kafka_creates_no_topic_by_itself(kafka: EmbeddedKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    described = await admin.describe_topics(["nobody-made-it"])
    await admin.close()
    assert described[0]["error_code"] != 0


async def test_kafka_starts_with_a_broken_ahead_of_time_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.aot"
    broken.write_bytes(b"not a cache")
    monkeypatch.setattr(kafka_module, "_cache_file", lambda: broken)
    engine = EmbeddedKafka(tmp_path / "kafka")
    await engine.start()
    assert engine.running
    await engine.stop()


async def test_a_failing_start_ends_with_the_last_lines_of_the_log(tmp_path: Path) -> None:
    engine = EmbeddedPostgres(tmp_path / "postgres", settings={"shared_buffers": "nonsense"})
    with pytest.raises(EngineError, match="shared_buffers"):
        await engine.start()
    assert not engine.running


async def test_postgres_keeps_what_it_committed_through_a_kill(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.admin_url
    session = await connect(own_postgres)
    await session.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.kill()
    await own_postgres.start()
    session.terminate()
    assert own_postgres.admin_url == url
    session = await connect(own_postgres)
    assert await session.fetchval("SELECT one FROM kept") == 1
    await session.close()


async def test_postgres_writes_no_values_of_a_failing_statement_to_its_log(
    own_postgres: EmbeddedPostgres,
) -> None:
    session = await connect(own_postgres)
    with pytest.raises(asyncpg.PostgresError):
        await session.execute("SELECT 'mara@people.example'::uuid")
    await session.close()
    assert "mara@people.example" not in own_postgres.log.read_text()


async def test_postgres_takes_nobody_without_the_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=postgres.port, user="postgres", password="guessed")


async def test_an_engine_is_not_started_twice_in_one_directory(own_postgres: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(own_postgres.directory)
    with pytest.raises(EngineError, match="already running"):
        await second.start()
    assert own_postgres.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them at once; elsewhere the next start does")
async def test_engines_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_AND_WAITS, tmp_path / "k", tmp_path / "p", stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout
    pids = [int(pid) for pid in (await starter.stdout.readline()).split()]
    engines = [psutil.Process(pid) for pid in pids]
    engines += [child for engine in engines for child in engine.children(recursive=True)]
    starter.kill()
    await starter.communicate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, engines, PATIENCE_SECONDS)
    assert not alive


async def test_an_engine_left_by_a_process_that_is_gone_is_ended_by_the_next_start(
    own_postgres: EmbeddedPostgres,
) -> None:
    # As where the system does not end it: the record names an owner that does not exist any more.
    record = own_postgres.directory / "process.json"
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    record.write_text(record.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {gone.pid}'))
    old = own_postgres.pid
    assert old
    heir = EmbeddedPostgres(own_postgres.directory, own_postgres.port)
    await heir.start()
    assert heir.pid != old
    await heir.stop()


async def test_a_jar_with_another_digest_than_the_locked_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = next(jar for jar in kafka_jars.read_lock() if "slf4j-simple" in jar.coordinate)
    forged = kafka_jars.Jar(jar.coordinate, jar.size, "0" * 64)
    monkeypatch.setattr(kafka_jars, "read_lock", lambda: [forged])
    monkeypatch.setattr(kafka_jars, "cache_directory", lambda: tmp_path)
    with pytest.raises(EngineError, match="is locked with 0000"):
        await asyncio.to_thread(kafka_jars.locked_jars)
    assert not list(tmp_path.rglob("*.jar"))


async def test_kafka_ends_in_order_when_asked(own_kafka: EmbeddedKafka) -> None:
    assert own_kafka.pid
    os.kill(own_kafka.pid, signal.SIGTERM)
    await own_kafka.stop()
    assert own_kafka.pid is None
