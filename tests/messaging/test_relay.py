"""From the outbox to the real broker: in order and complete, whatever fails, by one relay at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from sqlalchemy import text

from shared.contracts.account import ContactChanged, SessionEnded
from shared.contracts.base import AccountEvent
from shared.contracts.topics import ACCOUNTS, MAX_MESSAGE_BYTES, Topic
from shared.database import SOLE_HOLDER_SPACE
from shared.messaging import outbox
from shared.messaging.kafka import Kafka
from shared.messaging.outbox import EventTooLarge
from shared.messaging.relay import Relay
from tests.builders import ANNA, BEN, CARLA, Person, fact
from tests.commands import erased
from tests.lines import Broker, until
from tests.rooms import OpenRoom, Room

OwnTopic = Callable[[Topic], Awaitable[Topic]]
EVERYBODY = (ANNA, BEN, CARLA)
_PUT = text(
    "INSERT INTO outbox (topic, key, type, event_id, body)"
    " SELECT :topic, who, 'Numbered', gen_random_uuid(), convert_to(number::text, 'UTF8')"
    " FROM generate_series(:start, :stop - 1) AS number, unnest(CAST(:people AS text[])) AS who"
    " ORDER BY number, who"
)
_HOLDERS = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :space"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


async def put(room: Room, topic: Topic, numbers: range) -> None:
    """Leave numbered rows of everybody in the outbox, interleaved."""
    people = [str(person.account_id) for person in EVERYBODY]
    values = {"topic": topic.name, "start": numbers.start, "stop": numbers.stop, "people": people}
    async with room.engine.begin() as connection:
        await connection.execute(_PUT, values)


async def empty(room: Room) -> bool:
    return not await room.rows("outbox")


@asynccontextmanager
async def relaying(room: Room, broker: Broker) -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.ensure_future(Relay(room.engine, Kafka(broker.servers), room.bus.written).run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def arrived(broker: Broker, topic: Topic) -> dict[str, list[int]]:
    """Read what has arrived: of each person the numbers, each where it first stood."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in await broker.everything(topic):
        key, number = (record.key or b"").decode(), int(record.value or b"")
        if number not in found[key]:
            found[key].append(number)
    return found


def complete(numbers: range) -> dict[str, list[int]]:
    return {str(person.account_id): list(numbers) for person in EVERYBODY}


class Unreliable:
    """Lets batches fail by a plan: never sent, or sent and the acknowledgement lost."""

    def __init__(self, plan: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._plan = list(plan)
        self._send = AIOKafkaProducer.send_batch
        real = self

        async def send_batch(producer: AIOKafkaProducer, *args: Any, **options: Any) -> Any:  # noqa: ANN401
            return await real.send(producer, *args, **options)

        monkeypatch.setattr(AIOKafkaProducer, "send_batch", send_batch)

    async def send(self, producer: AIOKafkaProducer, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        fate = self._plan.pop(0) if self._plan else "arrives"
        if fate != "is never sent":
            future = await self._send(producer, *args, **options)
            if fate == "arrives":
                return future
            await future
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(KafkaTimeoutError())
        return failed


PLANS = {
    "the first batch of a round is never sent": ["is never sent", "arrives", "arrives"],
    "the second batch of a round is never sent": ["arrives", "is never sent"],
    "an acknowledgement is lost": ["arrives", "arrives", "loses its acknowledgement"],
    "again and again": ["is never sent", "loses its acknowledgement", "arrives", "is never sent"] * 2,
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
async def test_each_accounts_events_arrive_complete_and_in_order_although_batches_fail(
    room: OpenRoom,
    broker: Broker,
    own_topic: OwnTopic,
    monkeypatch: pytest.MonkeyPatch,
    plan: list[str],
) -> None:
    # Given more rows than fit one batch, and a connection that fails
    account, topic = await room("account"), await own_topic(ACCOUNTS)
    monkeypatch.setattr("shared.messaging.relay.MAX_BATCH_BYTES", 4000)
    Unreliable(plan, monkeypatch)
    await put(account, topic, range(100))

    # When they are relayed
    async with relaying(account, broker):
        await until(lambda: empty(account))

    # Then nobody's events have overtaken each other
    assert await arrived(broker, topic) == complete(range(100))


async def test_rows_that_come_while_the_relay_runs_are_sent_too(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    account, topic = await room("account"), await own_topic(ACCOUNTS)

    async with relaying(account, broker):
        for start in (0, 10, 20):
            await put(account, topic, range(start, start + 10))
            await until(lambda: empty(account))

    assert await arrived(broker, topic) == complete(range(30))


async def test_of_two_relays_one_is_active_and_the_other_takes_over(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    # Given two processes of one service
    account, topic = await room("account"), await own_topic(ACCOUNTS)
    async with relaying(account, broker) as first, relaying(account, broker):
        # When there is something to send
        await put(account, topic, range(100))
        await until(lambda: empty(account))

        # Then one of them holds the relay, and sends each row once
        async with account.engine.connect() as connection:
            assert await connection.scalar(_HOLDERS, {"space": SOLE_HOLDER_SPACE}) == 1
        assert len(await broker.everything(topic)) == 300

        # And when one of them is gone, the other goes on
        first.cancel()
        await put(account, topic, range(100, 110))
        await until(lambda: empty(account))

    assert await arrived(broker, topic) == complete(range(110))


async def announce(room: Room, event: AccountEvent) -> None:
    async with room.bus.work() as work:
        await work.lock([erased(ANNA)])
        work.announce(event)


async def test_an_event_that_the_broker_would_not_take_is_refused_where_it_is_announced(
    room: OpenRoom,
) -> None:
    account = await room("account")
    before = await account.state()
    huge = fact(ContactChanged, ANNA, version=1, email="a" * MAX_MESSAGE_BYTES, language="en")

    with pytest.raises(EventTooLarge):
        await announce(account, huge)

    assert await account.state() == before


async def test_what_cannot_be_announced_has_not_happened(room: OpenRoom) -> None:
    requests = await room("requests")
    before = await requests.state()
    huge = fact(ContactChanged, ANNA, version=1, email="a" * MAX_MESSAGE_BYTES, language="en")

    async def erase_and_say_too_much() -> None:
        async with requests.bus.work() as work:
            await work.lock([erased(ANNA)])
            await requests.bus.carry_out(work, [erased(ANNA)])
            work.announce(huge)

    with pytest.raises(EventTooLarge):
        await erase_and_say_too_much()

    assert await requests.state() == before


async def test_the_largest_event_that_is_taken_reaches_the_broker(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic
) -> None:
    account, topic = await room("account"), await own_topic(ACCOUNTS)
    plain = fact(ContactChanged, ANNA, version=1, email="", language="en")
    email = "a" * (MAX_MESSAGE_BYTES - len(plain.model_dump_json()))
    async with account.engine.begin() as connection:
        await outbox.add(connection, [plain.model_copy(update={"email": email})])
    await account.run("UPDATE outbox SET topic = :topic", topic=topic.name)

    async with relaying(account, broker):
        await until(lambda: empty(account))

    (record,) = await broker.everything(topic)
    assert len(record.value or b"") == MAX_MESSAGE_BYTES


async def test_an_event_cannot_be_announced_without_its_accounts_lock(room: OpenRoom) -> None:
    account = await room("account")
    ended = fact(SessionEnded, ANNA, session_id=uuid4())

    async with account.bus.work() as work:
        await work.lock([erased(Person("somebody else"))])
        with pytest.raises(RuntimeError, match="without its account's lock"):
            work.announce(ended)
