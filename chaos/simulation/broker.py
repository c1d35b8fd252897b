"""A broker in memory: topics, how far each group has read, and clients that look like the real ones."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaConnectionError

from shared.clock import Clock
from shared.contracts.topics import ALL_TOPICS, PARTITIONS, Topic
from shared.messaging.positions import Place, Record
from shared.messaging.topic_ids import TopicIds

Fault = Callable[[str], bool]
"""Asked at a place that can fail, by its name: whether it fails this time."""
BATCH_ROWS = 5
"""So few fit into one batch here, so that a relay needs several rounds."""


@dataclass
class Log:
    """What all topics hold."""

    clock: Clock
    records: dict[Place, list[Record]] = field(default_factory=lambda: defaultdict(list))
    """What is left of each partition, in order."""
    ends: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    history: list[Record] = field(default_factory=list)
    """All that was ever taken, in one order; no reader sees it."""

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> Record:
        """Take a record, by the clock of the broker."""
        place = (topic, partition)
        at = int(self.clock().timestamp() * 1000)
        record: Record = ConsumerRecord(
            topic, partition, self.ends[place], at, 1, key, value, None, len(key or b""), len(value or b""), ()
        )
        self.ends[place] += 1
        self.records[place].append(record)
        self.history.append(record)
        return record

    def behind(self, place: Place, offset: int) -> list[Record]:
        """Read a partition from there on."""
        kept = self.records[place]
        first = self.ends[place] - len(kept)
        return kept[max(0, offset - first) :]

    def delete_before(self, place: Place, offset: int) -> None:
        """Forget what stands before that place."""
        self.records[place] = self.behind(place, offset)

    def expire(self) -> None:
        """Forget what was kept for its time."""
        now = self.clock().timestamp() * 1000
        for (name, partition), records in self.records.items():
            kept = topic_of(name).longest.total_seconds() * 1000
            self.records[name, partition] = [each for each in records if each.timestamp + kept > now]


def topic_of(name: str) -> Topic:
    """Find a topic by its name."""
    return next(topic for topic in ALL_TOPICS if topic.name == name)


@dataclass
class Message:
    """A poll's records, as FastStream hands them over."""

    raw_message: tuple[Record, ...]
    group: Group

    async def ack(self) -> None:
        """Acknowledge: the group goes on behind them."""
        for record in self.raw_message:
            self.group.positions[record.topic, record.partition] = record.offset + 1


@dataclass
class Group:
    """Who reads some topics together, and how far they are; outlives its processes."""

    name: str
    topics: tuple[str, ...]
    positions: dict[Place, int] = field(default_factory=lambda: defaultdict(int))

    @cached_property
    def places(self) -> list[Place]:
        """Name the partitions that it reads."""
        return [(topic, partition) for topic in self.topics for partition in range(PARTITIONS)]


class Reader:
    """What FastStream calls a subscriber: it is given the function that takes messages."""

    consumer = None

    def __init__(self, group: Group, log: Log) -> None:
        self.group = group
        self._log = log
        self._take: Callable[[Any], Awaitable[None]] | None = None

    def __call__(self, take: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        self._take = take
        return take

    @property
    def waiting(self) -> list[Place]:
        """Name the partitions that have something to read."""
        ends, positions, records = self._log.ends, self.group.positions, self._log.records
        return [place for place in self.group.places if ends[place] > positions[place] and records[place]]

    async def poll(self, places: Sequence[Place], most: int) -> int:
        """Hand over what stands in these partitions; returns how much."""
        records = [
            record for place in places for record in self._log.behind(place, self.group.positions[place])[:most]
        ]
        if records and self._take:
            await self._take(Message(tuple(records), self.group))
        return len(records)


class Broker:
    """The broker as services see it."""

    def __init__(self, clock: Clock) -> None:
        self.log = Log(clock)
        self.groups: dict[str, Group] = {}
        self.fails: Fault = lambda _: False

    def subscribing(self) -> Subscriber:
        """Connect one process."""
        return Subscriber(self)


class Subscriber:
    """The broker as FastStream shows it to one process."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.readers: list[Reader] = []

    def subscriber(self, *names: str, pattern: str | None, group_id: str, **_: object) -> Reader:
        """Join a group."""
        topics = names or tuple(each.name for each in ALL_TOPICS if pattern and re.match(pattern, each.name))
        group = self._broker.groups.setdefault(group_id, Group(group_id, topics))
        self.readers.append(Reader(group, self._broker.log))
        return self.readers[-1]


class Batch(list[tuple[bytes, bytes]]):
    """Records on their way to one partition."""

    def append(self, *, key: bytes, value: bytes, **_: object) -> object:  # type: ignore[override]
        """Add a record; none where it does not fit."""
        if len(self) == BATCH_ROWS:
            return None
        super().append((key, value))
        return self


class Producer:
    """The producer that a relay sends by."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def create_batch(self) -> Batch:
        return Batch()

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(topic_of(topic).partitions))

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        """Send a batch. By a fault it does not arrive, or it arrives and the answer is lost."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost = self._broker.fails("batch lost")
        if not lost:
            for key, value in batch:
                self._broker.log.append(topic, partition, key, value)
        if lost or self._broker.fails("answer lost"):
            answer.set_exception(KafkaConnectionError())
            answer.exception()  # whoever crashes now never asks, and that is no news
        else:
            answer.set_result(None)
        return answer


class Admin:
    """The client that a purge deletes by."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def delete_records(self, wanted: Mapping[Any, Any]) -> None:
        for each, until in wanted.items():
            place = (each.topic, each.partition)
            all_of_it = until.before_offset < 0  # as a broker reads -1
            self._log.delete_before(place, self._log.ends[place] if all_of_it else until.before_offset)


class KnownTopics(TopicIds):
    """Which topic of a name it is: always the same here."""

    async def of(self, topics: Iterable[str], *, anew: bool = False) -> Mapping[str, UUID]:  # noqa: ARG002 - as the real one
        return {name: uuid5(NAMESPACE_URL, name) for name in topics}
