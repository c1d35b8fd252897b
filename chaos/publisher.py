"""Publishes what app backends state, until the broker has it; faults change that. Reads what stands in a topic."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.base import Event
from shared.contracts.topics import Topic

PAUSE_SECONDS = 0.3
POLL_MS = 100
AT_ONCE = 500


@dataclass(frozen=True)
class Raw:
    """A message as any Kafka client may send it."""

    topic: str
    key: bytes | None
    value: bytes | None


def raw(event: Event, topic: Topic | None = None) -> Raw:
    """Write an event down as its owner publishes it."""
    name = (topic or event.topic).name_for(event.source)
    return Raw(name, event.key.encode(), event.model_dump_json().encode())


@dataclass
class Publisher:
    """What is wrong with what it publishes is set by faults; what it did is counted."""

    producer: AIOKafkaProducer
    rng: random.Random
    doubles: bool = False
    newer: bool = False
    counted: Counter[str] = field(default_factory=Counter)

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish, in order, until all have arrived."""
        messages = [self._as_newer(raw(event)) for event in events]
        if self.doubles:
            messages = [each for message in messages for each in (message, message)]
            self.counted["doubled"] += len(events)
        await self.send(messages)

    def _as_newer(self, message: Raw) -> Raw:
        if not self.newer:
            return message
        self.counted["newer"] += 1
        body = json.loads(message.value or b"") | {"added_later": {"as": ["a", "newer", "version"]}}
        return Raw(message.topic, message.key, json.dumps(body).encode())

    async def send(self, messages: Sequence[Raw]) -> None:
        """Send as it is; what the broker has not acknowledged is sent again."""
        rest = list(messages)
        while rest:
            now, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            failed = await self._attempt(now)
            self.counted.update(message.topic for message in now)
            if failed:
                self.counted["sent again"] += len(failed)
                await asyncio.sleep(PAUSE_SECONDS)
            rest = failed + rest

    async def _attempt(self, messages: Sequence[Raw]) -> list[Raw]:
        outcomes = await asyncio.gather(*map(self._send_one, messages), return_exceptions=True)
        failed = []
        for message, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, KafkaError):
                failed.append(message)
            elif isinstance(outcome, BaseException):
                raise outcome
        return failed

    async def _send_one(self, message: Raw) -> None:
        await self.producer.send_and_wait(message.topic, message.value, message.key)


@asynccontextmanager
async def publishing(servers: str, rng: random.Random) -> AsyncIterator[Publisher]:
    """Open a publisher for as long as the context lasts."""
    async with AIOKafkaProducer(bootstrap_servers=servers, request_timeout_ms=10_000, linger_ms=5) as producer:
        yield Publisher(producer, rng)


async def all_of(kafka: str, topic: Topic) -> list[Raw]:
    """Read what stands in a topic, partition by partition in its order."""
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    found: list[Raw] = []
    async with AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                found += [Raw(record.topic, record.key, record.value) for record in records]
    return found


def new_id(rng: random.Random) -> UUID:
    """Draw an id by the seed."""
    return UUID(int=rng.getrandbits(128), version=4)
