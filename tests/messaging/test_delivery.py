"""Delivery over the real broker: acknowledged after the commit, once in effect, from the earliest, whatever comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from faststream.kafka.message import KafkaAckableMessage
from sqlalchemy import event as engine_event

from shared.contracts.app import FeedbackSubmitted
from shared.contracts.billing import InstallmentOwed
from shared.contracts.topics import FEEDBACK, INSTALLMENTS, TELEMETRY, Topic
from shared.messaging.consumer import Consumer
from shared.messaging.positions import Record
from tests.builders import ANNA, BEN, NEXT_MONTH, fact, named
from tests.devices import reading_of, with_bound_device
from tests.lines import Broker, group_of, reader_of, reading, until
from tests.races import COMMIT, held_before
from tests.rooms import OpenRoom, Room

OwnTopic = Callable[[Topic], Awaitable[Topic]]


def owed(number: int) -> InstallmentOwed:
    return fact(InstallmentOwed, ANNA, installment_id=named("owed", number), lapses_at=NEXT_MONTH)


async def table_has(room: Room, table: str, number: int) -> bool:
    return len(await room.rows(table)) == number


async def acknowledged(broker: Broker, room: Room, topic: Topic, number: int) -> None:
    """Wait until the group has acknowledged so many."""

    async def all_of_them() -> bool:
        return await broker.committed(group_of(room, topic)) == number

    await until(all_of_them)


async def test_a_message_is_acknowledged_after_the_commit_and_never_before(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    # Given an instalment published before anybody ever read the topic
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    await broker.publish(topic, owed(1))

    # When its transaction is held right before it commits
    with held_before(account.engine, COMMIT) as held:
        async with reading(broker, account, reader_of(account, INSTALLMENTS, topic, broker.topic_ids)):
            await held.reached.wait()
            before = await broker.committed(group_of(account, topic))
            held.let_go()

            # Then it is acknowledged, but was not before
            await acknowledged(broker, account, topic, 1)

    assert before == 0
    assert await table_has(account, "installments", 1)


async def test_a_process_killed_between_commit_and_acknowledgement_has_its_effect_once(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a reader that is killed when it has committed, and before it acknowledges
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    await broker.publish(topic, owed(1), owed(2))
    await broker.flushed()
    dying = asyncio.Event()

    async def die(_: KafkaAckableMessage) -> None:
        dying.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(KafkaAckableMessage, "ack", die)
        async with reading(broker, account, reader_of(account, INSTALLMENTS, topic, broker.topic_ids)):
            await dying.wait()
    once = await account.state()

    # When the next one reads the same messages
    taken = Taken(reader_of(account, INSTALLMENTS, topic, broker.topic_ids), monkeypatch)
    async with reading(broker, account, taken.consumer):
        await acknowledged(broker, account, topic, 2)

    # Then they had their effect once
    assert taken.records == 2
    assert await account.state() == once
    assert await table_has(account, "installments", 2)


class Taken:
    """Counts what a consumer takes."""

    def __init__(self, consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer = consumer
        self.polls = self.records = 0
        take = consumer.take

        async def counted(records: Sequence[Record]) -> None:
            self.polls += 1
            self.records += len(records)
            await take(records)

        monkeypatch.setattr(consumer, "take", counted)


async def test_five_hundred_waiting_messages_are_one_poll_and_one_transaction(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    await broker.publish(topic, *(owed(number) for number in range(500)))
    await broker.flushed()
    commits: list[object] = []
    engine_event.listen(account.engine.sync_engine, "commit", commits.append)

    taken = Taken(reader_of(account, INSTALLMENTS, topic, broker.topic_ids), monkeypatch)
    async with reading(broker, account, taken.consumer):
        await acknowledged(broker, account, topic, 500)

    # The broker may hand over a waiting partition in a few portions; each is one transaction.
    assert taken.records == 500
    assert len(commits) == taken.polls
    assert taken.polls <= 5


async def test_whatever_is_published_the_partition_goes_on(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    # Given everything that a careless or hostile client can publish, and one good message behind it
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    good = owed(1)
    await broker.send(topic, b"{", key=b"\xff\xfe")
    await broker.send(topic, b"\xff\xfe", headers=[("\N{SNOWMAN}", b"\xff\xfe")])
    await broker.send(topic, None, key=b"tombstone")
    await broker.send(topic, b"x" * 1_000_000)
    await broker.send(topic, b"[" * 500_000)
    await broker.send(topic, b'{"type": {}}')
    await broker.send(
        topic, good.model_copy(update={"source": "device", "account_id": BEN.account_id}).model_dump_json().encode()
    )
    await broker.publish(topic, good)
    await broker.flushed()

    # When they are read
    async with reading(broker, account, reader_of(account, INSTALLMENTS, topic, broker.topic_ids)):
        await acknowledged(broker, account, topic, 8)

    # Then each is parked, and the good one handled
    reasons = [row["reason"] for row in await account.rows("dead_letters")]
    assert reasons == ["unreadable"] * 6 + ["wrong-source"]
    assert await table_has(account, "installments", 1)


async def test_headers_that_are_no_text_cost_nothing(room: OpenRoom, broker: Broker, own_topic: OwnTopic) -> None:
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    good = owed(1)
    await broker.send(
        topic, good.model_dump_json().encode(), b"\xff", headers=[("ce_type", b"\xff"), ("ce_id", b"\x80")]
    )
    await broker.flushed()

    async with reading(broker, account, reader_of(account, INSTALLMENTS, topic, broker.topic_ids)):
        await acknowledged(broker, account, topic, 1)

    assert await table_has(account, "installments", 1)


async def test_readings_that_are_published_twice_are_stored_once(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    device, binding = await with_bound_device(room)
    topic = await own_topic(TELEMETRY)
    readings = [reading_of(ANNA, binding, number) for number in range(100)]
    await broker.publish(topic, *readings, *readings)
    await broker.flushed()

    async with reading(broker, device, reader_of(device, TELEMETRY, topic, broker.topic_ids)):
        await acknowledged(broker, device, topic, 200)

    assert await table_has(device, "readings", 100)


async def test_a_topic_that_was_recreated_is_read_from_its_start(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    # Given a topic of which two messages were read
    requests, topic = await room("requests"), await own_topic(FEEDBACK)
    await broker.publish(topic, *(fact(FeedbackSubmitted, ANNA, text=text) for text in ("a", "b")))
    await broker.flushed()
    async with reading(broker, requests, reader_of(requests, FEEDBACK, topic, broker.topic_ids)):
        await acknowledged(broker, requests, topic, 2)

    # When another one takes its name, with one message
    await broker.delete(topic)
    await broker.create(topic)
    await broker.publish(topic, fact(FeedbackSubmitted, ANNA, text="c"))
    await broker.flushed()

    # Then that is read too
    async def all_three() -> bool:
        return await table_has(requests, "feedback", 3)

    async with reading(broker, requests, reader_of(requests, FEEDBACK, topic, broker.topic_ids)):
        await until(all_three)
