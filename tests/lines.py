"""A topic of the test's own on the real broker, with what writes it, what reads it, and how far it was read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError
from faststream.kafka import KafkaBroker

from shared.contracts.base import Event
from shared.contracts.topics import Topic
from shared.errors import NotNow
from shared.messaging.consumer import Consumer, subscribe
from shared.messaging.kafka import Kafka
from shared.messaging.polling import start_carefully
from shared.messaging.positions import Record
from shared.messaging.topic_ids import TopicIds
from tests.rooms import Room

LOOK_AGAIN = 0.02
Headers = Sequence[tuple[str, bytes]]


@dataclass
class Broker:
    """The clients that a test talks to the real broker with."""

    servers: str
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    topic_ids: TopicIds

    async def create(self, topic: Topic, **settings: str) -> None:
        """Make a topic, if so with other settings than its own, and wait until everybody would find it."""
        new = NewTopic(topic.name, topic.partitions, 1, topic_configs=settings_of(topic, **settings))
        await self.admin.create_topics([new])
        await until(lambda: self._is_there(topic.name, there=True))

    async def delete(self, topic: Topic) -> None:
        """Delete a topic, and wait until it is gone."""
        await self.admin.delete_topics([topic.name])
        await until(lambda: self._is_there(topic.name, there=False))

    async def _is_there(self, name: str, *, there: bool) -> bool:
        try:
            await self.topic_ids.of([name], anew=True)
        except NotNow:
            return not there
        return there

    async def publish(self, topic: Topic, *events: Event) -> None:
        """Publish facts, all to partition 0, in order."""
        for each in events:
            await self.send(topic, each.model_dump_json().encode(), each.key.encode())

    async def send(
        self, topic: Topic, value: bytes | None, key: bytes = b"", headers: Headers = (), partition: int = 0
    ) -> None:
        """Publish any bytes, to partition 0 unless another one is named."""
        await self.producer.send(topic.name, value, key, partition=partition, headers=list(headers))

    async def send_compressed(self, topic: Topic, event: Event, compression: str) -> None:
        """Publish a fact as a client does that compresses."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, compression_type=compression)
        await producer.start()
        await producer.send_and_wait(topic.name, event.model_dump_json().encode(), event.key.encode())
        await producer.stop()

    async def flushed(self) -> None:
        """Wait until the broker has everything."""
        await self.producer.flush()

    async def committed(self, group: str) -> int:
        """Tell up to where a group has acknowledged, over all partitions."""
        return sum((await self.committed_in(group)).values())

    async def committed_in(self, group: str) -> dict[int, int]:
        """Tell up to where a group has acknowledged in each partition."""
        while True:
            try:
                offsets = await self.admin.list_consumer_group_offsets(group)
            except GroupCoordinatorNotAvailableError:  # on a fresh broker, for a moment
                await asyncio.sleep(LOOK_AGAIN)
            else:
                return {place.partition: max(0, each.offset) for place, each in offsets.items()}

    async def bounds(self, topic: Topic) -> tuple[int, int]:
        """Tell where partition 0 begins and ends."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers)
        await consumer.start()
        try:
            place = TopicPartition(topic.name, 0)
            return (
                (await consumer.beginning_offsets([place]))[place],
                (await consumer.end_offsets([place]))[place],
            )
        finally:
            await consumer.stop()

    async def everything(self, topic: Topic) -> list[Record]:
        """Read all that a topic holds; of one key it is in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, enable_auto_commit=False)
        await consumer.start()
        found: list[Record] = []
        try:
            places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
        finally:
            await consumer.stop()
        return found


@asynccontextmanager
async def talking_to(servers: str) -> AsyncIterator[Broker]:
    """Connect to the broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=1_100_000)
    topic_ids = TopicIds(Kafka(servers))
    await admin.start()
    await producer.start()
    await topic_ids.start([])
    yield Broker(servers, admin, producer, topic_ids)
    await topic_ids.close()
    await producer.stop()
    await admin.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds; the test's own time limit ends the wait."""
    while not await holds():  # noqa: ASYNC110 - nothing would tell
        await asyncio.sleep(LOOK_AGAIN)


def settings_of(topic: Topic, **others: str) -> dict[str, str]:
    """Say how a topic is kept, but for these: `cleanup_policy` for `cleanup.policy`."""
    return topic.kafka_config | {name.replace("_", "."): value for name, value in others.items()}


def renamed(topic: Topic) -> Topic:
    """Name a topic of this test alone, otherwise the same."""
    return replace(topic, name=f"{topic.name}.{uuid4().hex[:8]}")


def reader_of(room: Room, original: Topic, topic: Topic, topic_ids: TopicIds) -> Consumer:
    """Make what reads `topic` as the service reads the one that it stands for."""
    subscription = next(each for each in room.subscriptions if each.topic == original)
    return Consumer(replace(subscription, topic=topic), room.bus, topic_ids, room.owner.admitted)


@asynccontextmanager
async def reading(broker: Broker, room: Room, consumer: Consumer, records: int = 500) -> AsyncIterator[None]:
    """Have the consumer read as it does in a service; leaving is as rude as a kill."""
    client = KafkaBroker(broker.servers, consumer_only=True, apply_types=False, logger=None, graceful_timeout=None)
    subscribe(client, room.service, consumer, room.settings.model_copy(update={"batch_records": records}))
    await start_carefully(client)
    try:
        yield
    finally:
        await client.stop()


def group_of(room: Room, topic: Topic) -> str:
    """Name the group in which a room's service reads a topic."""
    return topic.group_of(room.service)
