"""Personal topics on the real broker are emptied up to the stored position, and no other topic of that name is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from shared.contracts.app import FeedbackSubmitted
from shared.contracts.topics import EXPORTS, FEEDBACK, Topic, exports_of
from shared.messaging import positions
from shared.messaging.kafka import Kafka
from shared.messaging.purge import Purge
from tests.builders import ANNA, fact
from tests.lines import Broker
from tests.rooms import OpenRoom, Room

OwnTopic = Callable[[Topic], Awaitable[Topic]]


async def publish(broker: Broker, topic: Topic, number: int) -> None:
    await broker.publish(topic, *(fact(FeedbackSubmitted, ANNA, text="Too loud") for _ in range(number)))
    await broker.flushed()


async def store_position_behind(room: Room, broker: Broker, topic: Topic, number: int) -> None:
    """Store that the first so many messages have had their effect."""
    records = [each for each in await broker.everything(topic) if each.offset < number]
    async with room.engine.begin() as connection:
        await positions.advance(connection, records, broker.topic_ids)


async def purge(room: Room, broker: Broker, topic: Topic) -> None:
    sweeper = Purge(room.engine, Kafka(broker.servers), [topic], broker.topic_ids)
    async with room.engine.begin() as connection:
        await sweeper.once(connection, broker.admin)


def told_of(topic: Topic) -> tuple[float | None, float | None]:
    """Tell what the metrics say of partition 0: up to where it is taken in, and up to where it is purged."""
    labels = {"topic": topic.name, "partition": "0"}
    names = "adieu_taken_in_offset", "adieu_purged_offset"
    taken_in, purged = (REGISTRY.get_sample_value(name, labels) for name in names)
    return taken_in, purged


async def test_a_personal_topic_is_emptied_up_to_the_stored_position_and_no_further(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    requests, topic = await room("requests"), await own_topic(FEEDBACK)
    await publish(broker, topic, 5)
    await store_position_behind(requests, broker, topic, 3)

    await purge(requests, broker, topic)

    assert await broker.bounds(topic) == (3, 5)
    assert told_of(topic) == (3, 3)


async def test_the_topics_of_a_pattern_are_emptied_too_and_one_that_is_gone_holds_nobody_up(
    room: OpenRoom, broker: Broker
) -> None:
    requests = await room("requests")
    gone, left = (exports_of(f"{owner}-{uuid4().hex[:8]}") for owner in ("diary", "garden"))
    for topic in (gone, left):
        await broker.create(topic)
        await publish(broker, topic, 2)
        await store_position_behind(requests, broker, topic, 2)
    await broker.delete(gone)

    await purge(requests, broker, EXPORTS)

    assert await broker.bounds(left) == (2, 2)
    assert told_of(gone) == (None, None)


async def test_one_that_cannot_be_emptied_is_told_from_the_first_try_on_and_keeps_no_other_one_full(
    room: OpenRoom, broker: Broker
) -> None:
    # Given topics of which the broker deletes nothing, before and behind one in which it does
    requests = await room("requests")
    first, other, last = (exports_of(f"{owner}-{uuid4().hex[:8]}") for owner in ("diary", "garden", "orchard"))
    await broker.create(first, cleanup_policy="compact")
    await broker.create(other)
    await broker.create(last, cleanup_policy="compact")
    for topic in (first, other, last):
        await publish(broker, topic, 2)
        await store_position_behind(requests, broker, topic, 2)

    with pytest.raises(KafkaError):
        await purge(requests, broker, EXPORTS)

    assert await broker.bounds(other) == (2, 2)
    assert [told_of(topic) for topic in (first, other, last)] == [(2, 0), (2, 2), (2, 0)]


async def test_what_nobody_has_read_is_never_purged(room: OpenRoom, broker: Broker, own_topic: OwnTopic) -> None:
    requests, topic = await room("requests"), await own_topic(FEEDBACK)
    await publish(broker, topic, 2)

    await purge(requests, broker, topic)

    assert await broker.bounds(topic) == (0, 2)


async def test_a_recreated_topic_is_not_purged_by_the_position_of_the_one_before(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    # Given a position in a topic that is gone since, and another topic of its name
    requests, topic = await room("requests"), await own_topic(FEEDBACK)
    await publish(broker, topic, 5)
    await store_position_behind(requests, broker, topic, 3)
    await broker.delete(topic)
    await broker.create(topic)
    await publish(broker, topic, 5)

    await purge(requests, broker, topic)
    assert await broker.bounds(topic) == (0, 5)

    # When that one is read, it is purged by its own position
    await store_position_behind(requests, broker, topic, 2)
    await purge(requests, broker, topic)
    assert await broker.bounds(topic) == (2, 5)
