"""What stands in notifier's database after what it has heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from services.notifier.commands import Outcome, RecordDelivery
from shared.contracts.base import Event
from shared.contracts.receipts import Outcome as Erasure
from tests.builders import ANNA, BEN, Person
from tests.notifier.conftest import Notifier
from tests.notifier.facts import cancelled, contact_of, ordered, possible_for, settled

BOTH = ["cancellation-received", "cancellation-completed"]


async def record(notifier: Notifier, *outcomes: Outcome) -> None:
    """Record outcomes, one after the other, for Anna's first message that has not gone out."""
    rows = await notifier.room.rows("messages")
    row = next(row for row in rows if row["account_id"] == ANNA.account_id and not row["sent"])
    for outcome in outcomes:
        await notifier.room.does(RecordDelivery(account_id=row["account_id"], message_id=row["id"], outcome=outcome))


async def test_the_newest_contact_stays_in_any_order_and_twice(notifier: Notifier) -> None:
    one, two, three = (contact_of(ANNA, version, f"v{version}@mail.example") for version in (1, 2, 3))
    await notifier.room.hears_at_once(two, three, one)
    await notifier.room.hears(two, one, contact_of(ANNA, 3, "other@mail.example"))
    [row] = await notifier.room.rows("contacts")
    assert (row["version"], row["email"]) == (3, "v3@mail.example")


async def test_messages_are_queued_in_the_order_in_which_they_were_heard(notifier: Notifier) -> None:
    await notifier.room.hears_at_once(possible_for(ANNA), cancelled(BEN), cancelled(ANNA))
    rows = [row for row in await notifier.room.rows("messages") if row["account_id"] == ANNA.account_id]
    kinds = [(row["kind"], row["contact_version"]) for row in rows]
    assert kinds == [("cancellation-possible", None), ("cancellation-received", 1)]


async def test_a_cancelled_account_is_not_erased_here_before_all_others_have_erased(
    notifier: Notifier,
) -> None:
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA))
    assert await notifier.room.held_of(ANNA.account_id) == {"contacts": 1, "messages": 1, "notices": 1}
    assert await notifier.receipts() == []


async def test_an_order_to_others_is_none_to_notifier(notifier: Notifier) -> None:
    await notifier.room.hears(ordered(ANNA, "device"))
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_the_last_message_is_queued_once_however_often_it_is_asked_for(notifier: Notifier) -> None:
    await notifier.room.hears_at_once(settled(ANNA), ordered(ANNA, "notifier"), settled(ANNA))
    await notifier.room.hears(ordered(ANNA, "device", "notifier"))
    received, last = await notifier.room.rows("messages")
    assert (received["kind"], received["order_id"]) == ("cancellation-received", None)
    assert (last["kind"], last["order_id"]) == ("cancellation-completed", ANNA.order_id)
    assert received["parameters"] == last["parameters"] == {"references": ["REF-1"]}
    assert received["contact_version"] == last["contact_version"] == 1


async def test_an_order_alone_is_enough_for_the_last_message(notifier: Notifier) -> None:
    await notifier.room.hears(ordered(ANNA, "notifier"))
    assert await notifier.queued() == BOTH


@pytest.mark.parametrize("facts", [(cancelled, settled), (settled, cancelled), (cancelled, cancelled, settled)])
async def test_the_cancellation_is_received_once_and_before_the_last_message_in_any_order(
    notifier: Notifier, facts: Sequence[Callable[[Person], Event]]
) -> None:
    await notifier.room.hears(*(of(ANNA) for of in facts))
    assert await notifier.queued() == BOTH


async def test_of_many_settled_at_once_each_is_told_what_is_still_missing(notifier: Notifier) -> None:
    await notifier.room.hears(cancelled(ANNA))
    await notifier.room.hears_at_once(settled(ANNA), settled(BEN))
    rows = await notifier.room.rows("messages")
    for person in (ANNA, BEN):
        assert [row["kind"] for row in rows if row["account_id"] == person.account_id] == BOTH


async def test_that_the_cancellation_was_received_stays_known_until_the_erasure(notifier: Notifier) -> None:
    await notifier.room.hears(cancelled(ANNA))
    await record(notifier, Outcome.DELIVERED)
    await notifier.room.hears(cancelled(ANNA), settled(ANNA), cancelled(ANNA))
    rows = [(row["kind"], row["sent"]) for row in await notifier.room.rows("messages")]
    assert rows == [("cancellation-received", True), ("cancellation-completed", False)]
    await record(notifier, Outcome.DELIVERED)
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_after_the_last_message_all_of_the_person_is_gone_and_nobody_else_is(
    notifier: Notifier,
) -> None:
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), possible_for(BEN), settled(ANNA))
    await record(notifier, Outcome.DELIVERED)
    assert await notifier.room.held_of(ANNA.account_id) == {"contacts": 1, "messages": 2, "notices": 1}
    assert await notifier.receipts() == []
    await record(notifier, Outcome.DELIVERED)
    assert await notifier.room.held_of(ANNA.account_id) == {}
    assert await notifier.room.held_of(BEN.account_id) == {"contacts": 1, "messages": 1, "notices": 1}
    [receipt] = await notifier.receipts()
    assert (receipt.account_id, receipt.order_id, receipt.remark) == (ANNA.account_id, ANNA.order_id, None)
    assert {item.category: (item.outcome, item.count) for item in receipt.items} == {
        "consent": (Erasure.NOTHING_HELD, 0),
        "contact": (Erasure.ERASED, 1),
        "messages": (Erasure.ERASED, 3),
        "unhandled-messages": (Erasure.NOTHING_HELD, 0),
    }


async def test_the_receipt_says_that_the_last_message_was_undeliverable(notifier: Notifier) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await record(notifier, Outcome.DELIVERED)
    await record(notifier, Outcome.UNDELIVERABLE)
    assert [receipt.remark for receipt in await notifier.receipts()] == ["undeliverable"]
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_the_receipt_says_nothing_of_an_earlier_message_that_was_undeliverable(notifier: Notifier) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await record(notifier, Outcome.UNDELIVERABLE)
    assert await notifier.receipts() == []
    await record(notifier, Outcome.DELIVERED)
    assert [receipt.remark for receipt in await notifier.receipts()] == [None]


async def test_what_comes_after_the_erasure_brings_nobody_back(notifier: Notifier) -> None:
    await notifier.room.hears(settled(ANNA))
    await record(notifier, Outcome.DELIVERED)
    await record(notifier, Outcome.DELIVERED)
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA), possible_for(ANNA))
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_asked_again_after_the_erasure_notifier_gives_its_receipt_again(notifier: Notifier) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await record(notifier, Outcome.DELIVERED)
    await record(notifier, Outcome.DELIVERED)
    await notifier.room.hears(ordered(ANNA, "notifier"))
    first, again = await notifier.receipts()
    assert (first.order_id, first.items) == (again.order_id, again.items)
    assert first.id != again.id
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_a_deferred_message_stays_and_waits_longer_each_time(notifier: Notifier) -> None:
    await notifier.room.hears(possible_for(ANNA))
    pauses = []
    for _ in range(3):
        await record(notifier, Outcome.DEFERRED)
        [row] = await notifier.room.rows("messages")
        pauses.append((row["next_attempt_at"] - notifier.room.clock.now).total_seconds())
    assert pauses == [1, 2, 4]


async def test_a_delivery_recorded_twice_or_too_late_changes_nothing(notifier: Notifier) -> None:
    await notifier.room.hears(settled(ANNA))
    await record(notifier, Outcome.DELIVERED, Outcome.DELIVERED, Outcome.DEFERRED, Outcome.UNDELIVERABLE)
    assert await notifier.queued() == ["cancellation-completed"]
    await record(notifier, Outcome.DELIVERED, Outcome.DELIVERED, Outcome.DEFERRED, Outcome.UNDELIVERABLE)
    assert await notifier.room.held_of(ANNA.account_id) == {}
    assert [receipt.remark for receipt in await notifier.receipts()] == [None]
