"""A consumer that has something to do and does nothing is noticed; one that has nothing to do is left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaTimeoutError

from shared.contracts.app import FeedbackSubmitted
from shared.contracts.topics import FEEDBACK, ORDERS, Topic
from shared.messaging.consumer import Consumer
from shared.messaging.kafka import Kafka
from shared.messaging.liveness import NOTHING_WAITS, Hangs, Liveness, state_of
from tests.builders import ANNA, fact
from tests.lines import Broker, group_of, reader_of, reading, until
from tests.rooms import OpenRoom, Room

OwnTopic = Callable[[Topic], Awaitable[Topic]]
SOON, LATER = 0.4, 2.0
NEVER_COMES_ROUND = """
import asyncio, time
from shared.messaging.kafka import Kafka
from shared.messaging.liveness import Liveness

async def main():
    looking = asyncio.create_task(Liveness([], Kafka("nowhere.example:9092"), 2).run())
    await asyncio.sleep(0.1)
    time.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def this_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody end the tests themselves when they do not come round in time."""
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: None)


async def hangs(broker: Broker, *consumers: Consumer) -> None:
    """Watch them until a hang is noticed."""
    with pytest.raises(ExceptionGroup) as caught:
        await Liveness(consumers, Kafka(broker.servers), SOON).run()
    assert caught.value.subgroup(Hangs)


async def are_left_alone(broker: Broker, *consumers: Consumer) -> None:
    """Watch them for so long that a hang would be noticed."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5 * LATER):
            await Liveness(consumers, Kafka(broker.servers), LATER).run()


async def publish(broker: Broker, topic: Topic, number: int = 1) -> None:
    await broker.publish(topic, *(fact(FeedbackSubmitted, ANNA, text="Too loud") for _ in range(number)))
    await broker.flushed()


def hang(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have it begin a batch and never end it; the event tells when it has begun."""
    begun = asyncio.Event()

    async def never_ends(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(consumer, "_handle", never_ends)
    return begun


@pytest.fixture
async def line(room: OpenRoom, broker: Broker, own_topic: OwnTopic) -> tuple[Room, Topic, Consumer]:
    requests, topic = await room("requests"), await own_topic(FEEDBACK)
    return requests, topic, reader_of(requests, FEEDBACK, topic, broker.topic_ids)


Line = tuple[Room, Topic, Consumer]


@pytest.fixture
async def pair(
    broker: Broker, line: Line, own_topic: OwnTopic, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Consumer, Consumer]]:
    """Have two consumers of a service read, of which the first one gets no answer from the broker."""
    requests, _, unanswered = line
    other = reader_of(requests, ORDERS, await own_topic(ORDERS), broker.topic_ids)

    async def no_answer(*_: object) -> None:
        raise KafkaTimeoutError

    async with reading(broker, requests, unanswered), reading(broker, requests, other):
        monkeypatch.setattr(unanswered.polls.consumer, "end_offsets", no_answer)
        yield unanswered, other


async def test_a_consumer_that_never_ends_a_batch_hangs(
    broker: Broker, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, topic, consumer = line
    begun = hang(consumer, monkeypatch)
    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await begun.wait()
        await hangs(broker, consumer)


async def test_a_consumer_that_does_not_poll_what_waits_hangs(broker: Broker, line: Line) -> None:
    requests, topic, consumer = line
    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await until(lambda: _committed(broker, group_of(requests, topic), 1))
        for task in consumer.polls.tasks:
            task.cancel()
        await publish(broker, topic)
        await hangs(broker, consumer)


async def test_a_consumer_that_has_fallen_out_of_its_group_hangs(broker: Broker, line: Line) -> None:
    requests, topic, consumer = line
    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await until(lambda: _committed(broker, group_of(requests, topic), 1))
        consumer.polls.consumer.unsubscribe()
        await hangs(broker, consumer)


async def test_a_replica_without_partitions_is_left_alone_though_the_one_that_has_them_does_not_move(
    broker: Broker, room: OpenRoom, own_topic: OwnTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, topic = await room("requests"), await own_topic(replace(FEEDBACK, partitions=1))
    replicas = [reader_of(requests, FEEDBACK, topic, broker.topic_ids) for _ in range(2)]
    async with reading(broker, requests, replicas[0]), reading(broker, requests, replicas[1]):
        await until(lambda: _is_shared_by(broker, group_of(requests, topic), 2))
        (spare,) = (each for each in replicas if not each.polls.consumer.assignment())
        (busy,) = (each for each in replicas if each is not spare)
        begun = hang(busy, monkeypatch)
        await publish(broker, topic)
        await begun.wait()
        await are_left_alone(broker, spare)


async def test_where_all_that_one_has_is_stopped_nothing_is_said_of_the_broker(
    broker: Broker, pair: tuple[Consumer, Consumer]
) -> None:
    unanswered, stopped = pair
    client = stopped.polls.consumer
    client.pause(*client.assignment())
    await are_left_alone(broker, unanswered, stopped)


async def test_a_consumer_that_alone_gets_no_answer_hangs_and_with_all_others_is_left_alone(
    broker: Broker, pair: tuple[Consumer, Consumer]
) -> None:
    unanswered, other = pair
    await are_left_alone(broker, unanswered)
    await hangs(broker, unanswered, other)


async def test_a_consumer_that_has_read_all_is_left_alone(broker: Broker, line: Line) -> None:
    requests, topic, consumer = line
    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await until(lambda: _committed(broker, group_of(requests, topic), 1))
        await are_left_alone(broker, consumer)
        assert await state_of(consumer, Kafka(broker.servers)) == NOTHING_WAITS


async def test_a_consumer_that_tries_again_and_again_is_left_alone(
    broker: Broker, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, topic, consumer = line
    begun = asyncio.Event()

    async def away(_: object) -> None:
        begun.set()
        raise ConnectionError

    monkeypatch.setattr(consumer, "_handle", away)
    monkeypatch.setattr("shared.messaging.consumer.LONGEST_PAUSE", 0.1)
    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await begun.wait()
        await are_left_alone(broker, consumer)
        assert consumer.tries > 1


async def test_a_consumer_that_was_stopped_on_purpose_is_left_alone(
    broker: Broker, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, topic, consumer = line

    async def fails(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(consumer, "_handle", fails)
    consumer.brake_after = 1

    async def braked() -> bool:
        return consumer.braked

    async with reading(broker, requests, consumer):
        await publish(broker, topic)
        await until(braked)
        await are_left_alone(broker, consumer)


async def test_an_owner_that_is_not_admitted_yet_is_left_alone(broker: Broker, line: Line) -> None:
    requests, topic, consumer = line
    consumer.admitted = asyncio.Event()
    async with reading(broker, requests, consumer, records=1):
        await publish(broker, topic, 3)
        await are_left_alone(broker, consumer)
    assert await requests.rows("feedback") == []


def test_a_process_that_does_not_come_round_at_all_is_ended_and_shows_where_it_was() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NEVER_COMES_ROUND], capture_output=True, text=True, check=False, timeout=100
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "line 9 in main" in ended.stderr


async def _committed(broker: Broker, group: str, up_to: int) -> bool:
    return await broker.committed(group) >= up_to


async def _is_shared_by(broker: Broker, group: str, members: int) -> bool:
    with suppress(GroupCoordinatorNotAvailableError):  # on a fresh broker, for a moment
        ((_, _, state, _, _, found, *_),) = (await broker.admin.describe_consumer_groups([group]))[0].groups
        return state == "Stable" and len(found) == members
    return False
