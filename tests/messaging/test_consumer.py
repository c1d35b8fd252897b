"""What becomes of each message of a poll: handled once, parked, dropped, waited for. Without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.account.repository import installments as account_repository
from services.notifier import repository as notifier_repository
from services.requests.repository import feedback as repository
from shared.contracts.account import AccountCancelled, AddressRegisteredAgain, CancellationPossible, Origin
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.requests import ErasureOrdered
from shared.contracts.topics import ACCOUNTS, FEEDBACK, INSTALLMENTS, TELEMETRY
from shared.errors import NotNow
from shared.messaging import consumer as consumer_module
from shared.messaging import dead_letters
from tests.builders import ANNA, BEN, CARLA, NEXT_MONTH, Person, fact, named, raw_record, record_of
from tests.commands import erased
from tests.devices import reading_of, with_bound_device
from tests.rooms import OpenRoom, Room

NOT_NAMED = b"{"


def feedback(person: Person, text: str = "Too loud") -> FeedbackSubmitted:
    return fact(FeedbackSubmitted, person, text=text)


def owed(person: Person, number: int = 1) -> InstallmentOwed:
    return fact(InstallmentOwed, person, installment_id=named("owed", number), lapses_at=NEXT_MONTH)


def naming(person: Person) -> bytes:
    """Write a message that lacks all but the account that it is about."""
    return json.dumps({"type": "InstallmentOwed", "account_id": str(person.account_id)}).encode()


def ordered(person: Person) -> ErasureOrdered:
    return fact(ErasureOrdered, person, order_id=person.order_id, owners=("device", "requests"), contact_version=1)


async def parked(room: Room) -> list[tuple[Any, str]]:
    return [(row["account_id"], row["reason"]) for row in await room.rows("dead_letters")]


async def written(room: Room) -> set[str]:
    return {row["text"] for row in await room.rows("feedback")}


async def owing(room: Room) -> list[Any]:
    """List the instalments that are open."""
    return [row["installment_id"] for row in await room.rows("installments") if not row["settled_at"]]


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[dict[str, int]]:
    """Count statements and commits."""
    counts = {"before_cursor_execute": 0, "commit": 0}

    def counter(name: str) -> Any:  # noqa: ANN401 - takes whatever the event passes
        def count(*_: object) -> None:
            counts[name] += 1

        return count

    listeners = {name: counter(name) for name in counts}
    for name, listener in listeners.items():
        engine_event.listen(engine.sync_engine, name, listener)
    yield counts
    for name, listener in listeners.items():
        engine_event.remove(engine.sync_engine, name, listener)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "FIRST_PAUSE", 0.0)


class Failing:
    """Lets a function of a repository fail so many times, or for what it is called with."""

    def __init__(self, real: Any, error: Exception, words: str = "", times: int = 10**6) -> None:  # noqa: ANN401
        self._real = real
        self._error = error
        self._words = words
        self._times = times
        self.calls = 0

    async def __call__(self, connection: Any, commands: Sequence[Any], *more: Any) -> object:  # noqa: ANN401 - as real
        self.calls += 1
        if self.calls <= self._times and self._words in repr(commands):
            raise self._error
        return await self._real(connection, commands, *more)


# Batches


async def test_a_poll_of_five_hundred_is_one_transaction_with_as_many_statements_as_a_poll_of_ten(
    room: OpenRoom,
) -> None:
    requests = await room("requests")
    effort = []
    for size in (10, 500):
        with counted(requests.engine) as counts:
            await requests.hears_at_once(*(feedback(ANNA) for _ in range(size)))
        effort.append(counts)

    assert effort[1]["commit"] == 1
    assert effort[1] == effort[0]
    assert len(await requests.rows("feedback")) == 510


async def test_a_poll_of_readings_is_one_transaction_too(room: OpenRoom) -> None:
    device, binding = await with_bound_device(room)

    with counted(device.engine) as counts:
        await device.hears_at_once(*(reading_of(ANNA, binding, number) for number in range(500)))

    assert counts["commit"] == 1
    assert len(await device.rows("readings")) == 500


async def test_one_message_that_fails_costs_only_itself(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = await room("requests")
    failing = Failing(repository.add_feedback, RuntimeError("no"), words="the bad one")
    monkeypatch.setattr(repository, "add_feedback", failing)

    await requests.hears_at_once(feedback(ANNA, "a"), feedback(BEN, "the bad one"), feedback(CARLA, "c"))

    assert await written(requests) == {"a", "c"}
    assert await parked(requests) == [(BEN.account_id, "failed")]


async def test_a_repeat_within_one_poll_and_in_a_later_one_has_no_second_effect(room: OpenRoom) -> None:
    notifier = await room("notifier")
    possible = fact(CancellationPossible, ANNA)

    await notifier.reads(ACCOUNTS, record_of(possible, 0), record_of(possible, 1))
    await notifier.reads(ACCOUNTS, record_of(possible, 7, partition=2))

    assert [row["kind"] for row in await notifier.rows("messages")] == ["cancellation-possible"]


# Messages that cannot be read


HOSTILE = {
    "broken JSON": b"{",
    "no JSON": b"\x00\xff\xfe",
    "nothing": None,
    "an empty text": b"",
    "a list": b"[]",
    "a text": b'"InstallmentOwed"',
    "null": b"null",
    "a number": b"1e400",
    "a missing field": b'{"type": "InstallmentOwed"}',
    "1 MB": b'{"type": "' + b"x" * 1_000_000 + b'"}',
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "an unpaired surrogate": b'{"type": "\\ud800"}',
    "a type that is no text": b'{"type": {"a": 1}}',
    "an account that is no id": b'{"account_id": {"a": 1}}',
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_cannot_be_read_is_parked_and_the_rest_of_the_poll_is_handled(
    room: OpenRoom, value: bytes | None
) -> None:
    account = await room("account")

    await account.reads(
        INSTALLMENTS, record_of(owed(ANNA, 1)), raw_record(INSTALLMENTS, value, b"\xff\xfe"), record_of(owed(BEN, 2))
    )

    assert await parked(account) == [(None, "unreadable")]
    assert len(await account.rows("installments")) == 2


async def test_unreadable_bytes_at_two_places_are_two_messages_and_a_repeat_of_one_is_none(room: OpenRoom) -> None:
    account = await room("account")

    for offset in (1, 2, 1):
        await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, NOT_NAMED, offset=offset))

    assert len(await parked(account)) == 2


async def test_a_fact_on_a_topic_that_is_not_its_sources_is_parked(room: OpenRoom) -> None:
    account = await room("account")

    await account.hears(owed(ANNA).model_copy(update={"source": "device"}))

    assert await parked(account) == [(ANNA.account_id, "wrong-source")]
    assert await account.rows("installments") == []


async def test_a_fact_of_an_unknown_type_is_passed_over(room: OpenRoom) -> None:
    account = await room("account")
    unknown = json.loads(owed(ANNA).model_dump_json()) | {"type": "InstallmentDeferred"}

    await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, json.dumps(unknown).encode()))

    assert await parked(account) == []
    assert len(await account.rows("inbox")) == 1


# Parking behind


async def test_later_messages_of_the_account_in_that_topic_park_behind_and_others_do_not(
    room: OpenRoom,
) -> None:
    account = await room("account")

    await account.reads(
        INSTALLMENTS, raw_record(INSTALLMENTS, naming(ANNA)), record_of(owed(ANNA, 1)), record_of(owed(BEN, 2))
    )
    await account.hears(owed(ANNA, 3))

    assert await parked(account) == [
        (ANNA.account_id, "unreadable"),
        (ANNA.account_id, "waits-behind"),
        (ANNA.account_id, "waits-behind"),
    ]
    assert [row["account_id"] for row in await account.rows("installments")] == [BEN.account_id]


async def test_erasure_never_parks_behind_another_message_and_takes_what_is_parked_with_it(
    room: OpenRoom,
) -> None:
    requests = await room("requests")
    unreadable = b'{"account_id": "%s"}' % str(ANNA.account_id).encode()
    await requests.reads(ACCOUNTS, raw_record(ACCOUNTS, unreadable, source="account"))
    await requests.reads(FEEDBACK, raw_record(FEEDBACK, unreadable))
    assert len(await parked(requests)) == 2

    await requests.hears(
        fact(AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1)
    )

    assert await parked(requests) == []
    assert "DataErased" in await requests.types_announced()


async def test_a_reading_that_cannot_be_read_parks_alone(room: OpenRoom) -> None:
    device, binding = await with_bound_device(room)

    await device.reads(TELEMETRY, raw_record(TELEMETRY, naming(ANNA), offset=0))
    await device.hears(reading_of(ANNA, binding, 1))

    assert await parked(device) == [(ANNA.account_id, "unreadable")]
    assert len(await device.rows("readings")) == 1


@pytest.mark.parametrize("value", [naming(ANNA), b"{"], ids=["unreadable body", "broken body, good key"])
async def test_an_unreadable_message_of_a_closed_account_is_dropped(room: OpenRoom, value: bytes) -> None:
    requests = await room("requests")
    await requests.does(erased(ANNA))

    await requests.reads(FEEDBACK, raw_record(FEEDBACK, value, str(ANNA.account_id).encode()))

    assert await parked(requests) == []


# Redrive


async def letters(room: Room) -> list[dead_letters.DeadLetterView]:
    async with room.engine.connect() as connection:
        return await dead_letters.listing(connection)


async def with_three_parked(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Park an instalment, its payment and a second instalment, by a release that cannot add instalments."""
    account = await room("account")
    with monkeypatch.context() as broken:
        failing = Failing(account_repository.add_installments, RuntimeError("a bad release"))
        broken.setattr(account_repository, "add_installments", failing)
        paid = fact(InstallmentPaid, ANNA, installment_id=named("owed", 1))
        await account.hears(owed(ANNA, 1), paid, owed(ANNA, 2))
    assert [reason for _, reason in await parked(account)] == ["failed", "waits-behind", "waits-behind"]
    return account


async def test_redrive_handles_all_of_the_account_in_that_topic_in_order(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await with_three_parked(room, monkeypatch)
    last = (await letters(account))[-1]

    handled = await account.consumer(INSTALLMENTS).redrive(last)

    assert handled == 3
    assert await parked(account) == []
    assert await owing(account) == [named("owed", 2)]


async def test_what_is_redriven_is_told_in_the_order_in_which_it_happened(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = await room("notifier")
    with monkeypatch.context() as broken:
        broken.setattr(
            notifier_repository, "queue", Failing(notifier_repository.queue, RuntimeError("a bad release"))
        )
        await notifier.hears(fact(CancellationPossible, ANNA), fact(AddressRegisteredAgain, ANNA))

    await notifier.consumer(ACCOUNTS).redrive((await letters(notifier))[0])

    told = [row["kind"] for row in await notifier.rows("messages")]
    assert told == ["cancellation-possible", "address-registered-again"]


async def test_a_redrive_that_fails_anywhere_leaves_everything_parked(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await with_three_parked(room, monkeypatch)
    failing = Failing(account_repository.settle_installments, RuntimeError("still"))
    monkeypatch.setattr(account_repository, "settle_installments", failing)
    before = await account.state()

    with pytest.raises(RuntimeError, match="still"):
        await account.consumer(INSTALLMENTS).redrive((await letters(account))[0])

    assert failing.calls == 1
    assert await account.state() == before


async def test_a_redriven_message_of_a_closed_account_is_dropped(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a letter that somebody looks at while the account is erased
    account = await with_three_parked(room, monkeypatch)
    letter = (await letters(account))[0]
    async with account.bus.work() as work:
        await work.lock([erased(ANNA)])
        await account.owner.erase(work, [erased(ANNA)])

    assert await account.consumer(INSTALLMENTS).redrive(letter) == 0
    assert await account.held_of(ANNA.account_id) == {}


# The brake, and what passes


async def test_many_valid_messages_that_fail_in_a_row_stop_the_consumer(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a release under which nothing can be handled
    requests = await room("requests")
    monkeypatch.setattr(repository, "add_feedback", Failing(repository.add_feedback, RuntimeError("bad")))
    consumer = requests.consumer(FEEDBACK)
    consumer.brake_after = 3

    # When one poll brings messages of five people, two of each: the second waits behind the first
    people = [Person(name) for name in ("anna", "ben", "carla", "dora", "emil")]
    messages = [feedback(person) for person in people for _ in range(2)]
    taking = asyncio.ensure_future(requests.hears_at_once(*messages))
    while not (consumer.braked or taking.done()):  # noqa: ASYNC110 - nothing would tell
        await asyncio.sleep(0.001)

    # Then no more than those before the brake are parked, and the poll is never acknowledged
    assert [reason for _, reason in await parked(requests)] == ["failed", "waits-behind"] * 2
    assert not taking.done()
    taking.cancel()


async def test_garbage_never_stops_the_consumer(room: OpenRoom) -> None:
    account = await room("account")
    account.consumer(INSTALLMENTS).brake_after = 3

    for _ in range(5):
        await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, NOT_NAMED))

    assert len(await parked(account)) == 5
    assert not account.consumer(INSTALLMENTS).braked


async def test_failures_with_successes_between_them_do_not_stop_the_consumer(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = await room("requests")
    failing = Failing(repository.add_feedback, RuntimeError("bad"), words="the bad one")
    monkeypatch.setattr(repository, "add_feedback", failing)
    requests.consumer(FEEDBACK).brake_after = 2

    for _ in range(4):
        await requests.hears(feedback(ANNA, "the bad one"), feedback(BEN))

    assert len(await parked(requests)) == 4


PASSING = {"not now": NotNow("away"), "broker away": OSError("away")}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING.keys())
async def test_what_passes_by_itself_is_tried_again_and_never_parked(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    requests = await room("requests")
    requests.consumer(FEEDBACK).brake_after = 2
    failing = Failing(repository.add_feedback, error, times=5)
    monkeypatch.setattr(repository, "add_feedback", failing)

    await requests.hears(feedback(ANNA))

    assert failing.calls == 6
    assert await written(requests) == {"Too loud"}
    assert await parked(requests) == []


@pytest.mark.usefixtures("no_pauses")
async def test_a_connection_that_the_server_ends_is_made_anew_and_the_poll_handled(room: OpenRoom) -> None:
    requests = await room("requests")
    killed: list[str] = []

    def end_the_session(connection: Any, _: object, statement: str, *__: object) -> None:  # noqa: ANN401
        if "INSERT INTO feedback" in statement and not killed:
            killed.append(statement)
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    engine_event.listen(requests.engine.sync_engine, "before_cursor_execute", end_the_session)
    await requests.hears(feedback(ANNA))

    assert len(killed) == 1
    assert await written(requests) == {"Too loud"}
    assert await parked(requests) == []


# Positions


async def test_readings_that_come_again_are_stored_once_wherever_they_stand(room: OpenRoom) -> None:
    device, binding = await with_bound_device(room)

    await device.reads(
        TELEMETRY, record_of(reading_of(ANNA, binding, 1), 0), record_of(reading_of(ANNA, binding, 2), 1)
    )
    await device.reads(
        TELEMETRY, record_of(reading_of(ANNA, binding, 1), 0), record_of(reading_of(ANNA, binding, 1), 5)
    )

    assert len(await device.rows("readings")) == 2
    assert [row["next_offset"] for row in await device.rows("positions")] == [6]


async def test_what_stands_before_the_stored_position_is_passed_over(room: OpenRoom) -> None:
    device, binding = await with_bound_device(room)

    await device.reads(TELEMETRY, record_of(reading_of(ANNA, binding, 1), 5))
    await device.reads(TELEMETRY, record_of(reading_of(ANNA, binding, 2), 4))

    assert len(await device.rows("readings")) == 1


async def test_a_recreated_topic_is_read_from_its_start(room: OpenRoom) -> None:
    device, binding = await with_bound_device(room)
    await device.reads(TELEMETRY, record_of(reading_of(ANNA, binding, 1), 5))

    device.topic_ids.recreate(TELEMETRY.name)
    await device.reads(TELEMETRY, record_of(reading_of(ANNA, binding, 2), 0))

    assert len(await device.rows("readings")) == 2
    assert [row["next_offset"] for row in await device.rows("positions")] == [1]


async def test_an_owner_that_is_not_admitted_takes_no_personal_data(room: OpenRoom) -> None:
    requests = await room("requests")
    consumer = requests.consumer(FEEDBACK)
    consumer.admitted = asyncio.Event()

    taking = asyncio.ensure_future(requests.hears(feedback(ANNA)))
    await requests.hears(ordered(ANNA))  # what is not personal is taken meanwhile
    assert not taking.done()
    assert await requests.rows("feedback") == []

    consumer.admitted.set()
    await taking
    assert await requests.rows("closed_accounts") != []
