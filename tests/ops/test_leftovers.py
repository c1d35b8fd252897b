"""The search finds what is left wherever it is, and names the place; and finds nothing where nothing is."""

from __future__ import annotations

import os
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from sqlalchemy.engine import make_url

from ops.demo.leftovers import (
    Marks,
    Search,
    connected,
    raw_residue,
    rows_about,
    search,
    search_databases,
    search_files,
    search_topics,
    take_statistics,
)
from ops.demo.plants import planted
from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.installation import SERVICES, Installation
from ops.provision import provide_topics
from shared.messaging.kafka import Kafka
from tests.databases import Databases

MARK = "k7zq0wv3xxh2mdt9"
MARKS = Marks(MARK)


def forms() -> list[bytes]:
    raw = MARK.encode()
    embedded = [b"." * before + raw + b"." * after for before in range(3) for after in range(3)]
    return [
        b"Ada." + raw + b"@people.example",
        raw.upper(),
        raw.hex().encode(),
        b"\\x2e" + raw.hex().upper().encode(),
        *map(b64encode, embedded),
        *map(urlsafe_b64encode, embedded),
    ]


@pytest.mark.parametrize("content", forms())
def test_a_mark_is_found_in_every_form(content: bytes) -> None:
    assert MARKS.within(b"something " + content + b" something")


def test_what_is_like_a_mark_is_none() -> None:
    assert not MARKS.within(MARK[:-1].encode() + b" " + MARK[1:].encode())


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[dict[str, str]]:
    """Make an empty database, by the name of a service."""
    name = f"leftovers_{uuid4().hex}"
    async with connected(postgres.admin_url) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        yield {"device": make_url(postgres.admin_url).set(database=name).render_as_string(hide_password=False)}
        await admin.execute(f"DROP DATABASE {name}")


async def searched(urls: dict[str, str]) -> Search:
    result = Search(MARKS)
    await search_databases(result, urls)
    return result


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", f"so {MARK} wrote"),
        ("bytea", f"\0{MARK}".encode()),
        ("jsonb", f'{{"said": ["{MARK}"]}}'),
        ("text[]", ["nothing", MARK]),
    ],
)
async def test_a_row_is_found_by_its_table(database: dict[str, str], kind: str, value: object) -> None:
    async with connected(database["device"]) as connection:
        await connection.execute(f"CREATE TABLE kept (id int, it {kind}); CREATE TABLE clean (it text)")
        await connection.execute("INSERT INTO kept VALUES (1, $1), (2, NULL)", value)
    result = await searched(database)
    assert result.leftovers == ["device.kept"]
    assert result.records == 2


async def test_the_planners_memory_of_deleted_rows_is_found(database: dict[str, str]) -> None:
    async with connected(database["device"]) as connection:
        await connection.execute("CREATE TABLE gone (word text)")
        await connection.execute("INSERT INTO gone SELECT $1 FROM generate_series(1, 3)", MARK)
        await take_statistics(database)
        await connection.execute("DELETE FROM gone")
    assert (await searched(database)).leftovers == ["device.statistics.gone.word"]


async def test_a_serial_of_a_known_product_is_no_leftover(database: dict[str, str]) -> None:
    async with connected(database["device"]) as connection:
        await connection.execute("CREATE TABLE products (serial text)")
        await connection.execute("INSERT INTO products VALUES ($1)", f"SN-{MARK}")
    result = await searched(database)
    assert result.found == {"device.products"}
    assert result.leftovers == []


async def test_rows_about_somebody_are_told_from_the_others(database: dict[str, str]) -> None:
    async with connected(database["device"]) as connection:
        await connection.execute("CREATE TABLE kept (id int, it text)")
        await connection.executemany("INSERT INTO kept VALUES ($1, $2)", [(1, MARK), (2, f"a\n{MARK}"), (3, "b")])
    rows = await rows_about(database, MARKS)
    assert set(rows) == {("device.kept", f"1\t{MARK}".encode()), ("device.kept", rf"2	a\n{MARK}".encode())}


@pytest.fixture
async def topic(kafka: EmbeddedKafka) -> AsyncIterator[str]:
    """Make a topic of its own."""
    name = f"leftovers-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def found_in_topics(kafka: EmbeddedKafka) -> list[str]:
    result = Search(MARKS)
    await search_topics(result, Kafka(kafka.bootstrap_servers))
    return result.leftovers


@pytest.mark.parametrize("part", ["key", "value", "headers"])
async def test_a_message_is_found_by_its_topic_until_it_is_purged(
    kafka: EmbeddedKafka, topic: str, part: str
) -> None:
    message = {"value": b"clean"} | {part: [("name", MARK.encode())] if part == "headers" else MARK.encode()}
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        sent = await producer.send_and_wait(topic, partition=1, **message)
    assert await found_in_topics(kafka) == [f"topic {topic}"]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(before_offset=sent.offset + 1)})
    await admin.close()
    assert await found_in_topics(kafka) == []


def test_files_are_found_but_not_the_mailbox_nor_what_the_engines_keep(tmp_path: Path) -> None:
    for name in ("logs/device.log", f"{MARK}.txt", "mailbox/1.eml", "kafka/data/t-0/0.log", "postgres/data/base/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("clean" if MARK in name else f"a line\nsays {MARK}\n")
    result = Search(MARKS)
    search_files(result, tmp_path)
    assert result.leftovers == [f"file {MARK}.txt", "file logs/device.log"]


def test_what_the_engines_files_keep_is_counted_where_it_can_be(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    segments = tmp_path / "kafka" / "data" / "topic-0"
    segments.mkdir(parents=True)
    for name, written in (("old.log", now - timedelta(days=1)), ("new.log", now)):
        (segments / name).write_text(f"{MARK}{MARK}")
        os.utime(segments / name, (written.timestamp(), written.timestamp()))
    counted = {raw.what: (raw.occurrences, raw.files) for raw in raw_residue(tmp_path, [MARK], now)}
    assert counted["log segments of the broker"] == (2, 1)
    assert counted["write-ahead log of the databases"] == (0, 0)


@pytest.fixture
async def installation(tmp_path: Path, kafka: EmbeddedKafka, databases: Databases) -> AsyncIterator[Installation]:
    """Make everything that the services need, without the services."""
    names = {service: await databases.fresh(service) for service in SERVICES}
    await provide_topics(Kafka(kafka.bootstrap_servers))
    urls = {f"{service.upper()}_DATABASE_URL": databases.url(name) for service, name in names.items()}
    made = Installation(tmp_path, urls | {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers})
    made.create()
    (made.logs / "device.log").write_text("started\n")
    yield made
    for service, name in names.items():
        await databases.take_back(service, name)


async def test_a_plant_in_every_kind_of_place_is_found_there_and_taken_out_again(installation: Installation) -> None:
    async with planted(installation, MARK) as plants:
        assert (await search(installation, MARKS)).leftovers == sorted(plants.values())
    after = await search(installation, MARKS)
    assert after.leftovers == []
    assert all(after.places[kind] for kind in ("tables", "topics", "files"))
    assert (installation.logs / "device.log").read_text() == "started\n"
