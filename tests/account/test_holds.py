"""What may not be erased yet declines a cancellation in the app; of a request it alone is kept, to its end."""

from __future__ import annotations

from typing import Any

import pytest

from services.account.commands import SettleInstallment
from services.account.domain.cancellations import PARKED_PAYMENT_LAPSES, Declined
from services.account.due import due
from services.account.repository import installments
from shared.contracts.account import AccountCancelled
from shared.contracts.base import Event, reader
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.catalogue import facts_on
from shared.contracts.receipts import DataErased, Outcome
from shared.contracts.topics import ACCOUNTS, INSTALLMENTS, RECEIPTS
from shared.messaging import dead_letters
from tests.builders import A_MINUTE, ANNA, BEN, NEXT_MONTH, NOON, Person, fact, named, raw_record, record_of
from tests.commands import (
    cancellation_continued,
    cancellation_started,
    cancelled_by_request,
    cancelled_in_app,
    logged_in,
    registered,
)
from tests.rooms import OpenRoom, Room

OWED = named("owed")
UNREADABLE = b'{"type": "InstallmentOwed", "account_id": "%s"}' % str(ANNA.account_id).encode()


def owes(person: Person) -> InstallmentOwed:
    return fact(InstallmentOwed, person, installment_id=OWED, lapses_at=NEXT_MONTH)


def pays(person: Person) -> InstallmentPaid:
    return fact(InstallmentPaid, person, installment_id=OWED)


async def account_of(room: OpenRoom, *people: Person) -> Room:
    account = await room("account")
    for person in people:
        for command in registered(person):
            await account.does(command)
        await account.does(logged_in(person))
    await account.run("DELETE FROM outbox")
    return account


async def receipts(room: Room) -> list[DataErased]:
    """Read the receipts in the outbox."""
    read = reader(*facts_on(RECEIPTS))
    events = [read(row["body"]) for row in await room.rows("outbox") if row["type"] == "DataErased"]
    return [event for event in events if isinstance(event, DataErased)]


def told(receipt: DataErased) -> dict[str, tuple[Any, ...]]:
    """Say what a receipt says of each category that was held or there."""
    return {
        item.category: (item.outcome, item.count, item.ground, item.until)
        for item in receipt.items
        if item.outcome is not Outcome.NOTHING_HELD
    }


async def hears_unreadable_payment(account: Room) -> None:
    await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, UNREADABLE))


async def test_an_unpaid_instalment_declines_in_the_app_and_erases_nothing(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await account.does(cancellation_started(ANNA), cancellation_continued(ANNA))
    await account.hears(owes(ANNA))

    (outcome,) = await account.does(cancelled_in_app(ANNA))

    assert isinstance(outcome, Declined)
    assert await account.types_announced() == ["CancellationDeclined"]
    assert len(await account.rows("accounts")) == 1


async def test_who_was_declined_is_told_once_when_all_is_paid(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    other = fact(InstallmentOwed, ANNA, installment_id=named("other"), lapses_at=NEXT_MONTH)
    await account.hears(owes(ANNA), other)
    await account.does(cancellation_started(ANNA))

    await account.hears(pays(ANNA))
    assert await account.types_announced() == ["CancellationDeclined"]

    await account.hears(fact(InstallmentPaid, ANNA, installment_id=named("other")), pays(ANNA))
    assert await account.types_announced() == ["CancellationDeclined", "CancellationPossible"]


async def test_a_request_keeps_the_instalment_alone_and_says_so_in_the_receipt(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await account.hears(owes(ANNA))

    await account.does(cancelled_by_request(ANNA))

    assert await account.held_of(ANNA.account_id) == {"installments": 1}
    (receipt,) = await receipts(account)
    assert told(receipt)["installments"] == (Outcome.KEPT, 1, "unpaid-installments", NEXT_MONTH)
    assert told(receipt)["email"][0] is Outcome.ERASED


async def test_payment_ends_the_hold_with_one_supplement(room: OpenRoom) -> None:
    account = await account_of(room, ANNA, BEN)
    await account.hears(owes(ANNA), owes(BEN))
    await account.does(cancelled_by_request(ANNA))

    await account.hears(pays(ANNA), pays(ANNA))

    assert await account.held_of(ANNA.account_id) == {}
    assert (await account.held_of(BEN.account_id))["installments"] == 1
    first, supplement = await receipts(account)
    assert supplement.supplement
    assert supplement.order_id == first.order_id
    assert told(supplement) == {"installments": (Outcome.ERASED, 1, None, None)}


async def test_a_payment_that_failed_to_be_handled_is_not_lost_with_the_account_but_ends_the_hold_when_redriven(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await account_of(room, ANNA)
    await account.hears(owes(ANNA))
    await account.does(cancelled_by_request(ANNA))
    with monkeypatch.context() as bad_release:
        bad_release.setattr(installments, "erase_settled", None)
        await account.hears(pays(ANNA))
    async with account.engine.connect() as connection:
        (letter,) = await dead_letters.listing(connection)

    await account.consumer(INSTALLMENTS).redrive(letter)

    assert await account.held_of(ANNA.account_id) == {}
    assert [told(receipt) for receipt in (await receipts(account))[1:]] == [
        {"installments": (Outcome.ERASED, 1, None, None)},
        {"unhandled-messages": (Outcome.ERASED, 1, None, None)},
    ]


async def test_the_latest_end_of_an_instalment_ends_the_hold_by_itself(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await account.hears(owes(ANNA))
    await account.does(cancelled_by_request(ANNA))
    assert await due(account) == []  # type: ignore[arg-type] # has the clock, the engine and the bus of a service

    account.clock.now = NEXT_MONTH
    commands = await due(account)  # type: ignore[arg-type] # as above
    await account.does(*commands)

    assert [type(command) for command in commands] == [SettleInstallment]
    assert await account.held_of(ANNA.account_id) == {}
    assert (await receipts(account))[-1].supplement


async def test_an_instalment_that_comes_after_the_account_is_closed_is_not_kept(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await account.does(cancelled_by_request(ANNA))

    await account.hears(owes(ANNA))

    assert await account.held_of(ANNA.account_id) == {}


async def test_a_payment_message_that_cannot_be_read_declines_in_the_app(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await hears_unreadable_payment(account)

    (outcome,) = await account.does(cancellation_started(ANNA))

    assert isinstance(outcome, Declined)
    assert [each.reason for each in outcome.declines] == ["payment-message-unreadable"]


async def test_of_a_request_an_unreadable_payment_message_is_kept_until_its_latest_end(room: OpenRoom) -> None:
    # Given a payment message that nobody can read
    account = await account_of(room, ANNA)
    await hears_unreadable_payment(account)

    # When a request cancels the account
    await account.does(cancelled_by_request(ANNA))

    # Then that message alone is kept, with its end
    until = account.clock.now + PARKED_PAYMENT_LAPSES
    assert await account.held_of(ANNA.account_id) == {"dead_letters": 1}
    (receipt,) = await receipts(account)
    assert told(receipt)["unhandled-messages"] == (Outcome.KEPT, 1, "payment-message-unreadable", until)

    # And when its end has come, it goes too
    await account.run("UPDATE dead_letters SET parked_at = :noon", noon=NOON)  # by the database's clock till now
    account.clock.now = until + A_MINUTE
    await account.does(*await due(account))  # type: ignore[arg-type] # as above
    assert await account.held_of(ANNA.account_id) == {}
    assert told((await receipts(account))[-1]) == {"unhandled-messages": (Outcome.ERASED, 1, None, None)}


async def test_payment_ends_a_hold_although_an_unreadable_message_stands_before_it(room: OpenRoom) -> None:
    # Given an instalment, and behind it a message that nobody can read, both held of a closed account
    account = await account_of(room, ANNA)
    await account.hears(owes(ANNA))
    await hears_unreadable_payment(account)
    await account.does(cancelled_by_request(ANNA))

    # When the payment comes, in one poll with another message that nobody can read
    await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, UNREADABLE), record_of(pays(ANNA)))

    # Then the instalment is gone, and only the message that was held stays
    assert await account.held_of(ANNA.account_id) == {"dead_letters": 1}


async def test_a_held_payment_message_that_is_discarded_is_told_to_the_certificate(room: OpenRoom) -> None:
    account = await account_of(room, ANNA)
    await hears_unreadable_payment(account)
    await account.does(cancelled_by_request(ANNA))

    async with account.engine.connect() as connection:
        (letter,) = await dead_letters.listing(connection)
    await account.consumer(INSTALLMENTS).discard(letter)
    await account.consumer(INSTALLMENTS).discard(letter)

    assert await account.held_of(ANNA.account_id) == {}
    _, supplement = await receipts(account)
    assert told(supplement) == {"unhandled-messages": (Outcome.ERASED, 1, None, None)}


async def test_a_held_payment_message_that_is_handled_anew_leaves_nothing_and_says_so(room: OpenRoom) -> None:
    # Given a payment message that was held of a closed account, and can be read by now
    account = await account_of(room, ANNA)
    await hears_unreadable_payment(account)
    await account.does(cancelled_by_request(ANNA))
    body = owes(ANNA).model_dump_json().encode()
    await account.run("UPDATE dead_letters SET body = :body", body=body)

    # When it is handled
    async with account.engine.connect() as connection:
        (letter,) = await dead_letters.listing(connection)
    await account.consumer(INSTALLMENTS).redrive(letter)

    # Then the account is closed, so nothing is kept, and the certificate hears of it
    assert await account.held_of(ANNA.account_id) == {}
    assert len(await receipts(account)) == 2


async def test_the_supplement_reaches_the_certificate(room: OpenRoom) -> None:
    # Given an order that was completed with something kept
    account, requests = await account_of(room, ANNA), await room("requests")
    await account.hears(owes(ANNA))
    await account.does(cancelled_by_request(ANNA))
    cancelled, kept = await outbox_of(account)
    order_id = kept.order_id if isinstance(kept, DataErased) else None
    others = [
        fact(DataErased, ANNA, source=owner, order_id=order_id, items=())
        for owner in ("device", "requests", "notifier")
    ]
    await requests.hears(cancelled, kept, *others)
    (before,) = await requests.rows("orders")
    await account.run("DELETE FROM outbox")

    # When the hold ends
    await account.hears(pays(ANNA))
    await requests.hears(*await outbox_of(account))

    # Then the certificate says both, and is still of the day of its completion
    (after,) = await requests.rows("orders")
    assert after["certificate"] is not None
    entries = {each["owner"]: each["items"] for each in after["certificate"]["owners"]}
    of_installments = [each["outcome"] for each in entries["account"] if each["category"] == "installments"]
    assert of_installments == ["kept", "erased"]
    assert before["certificate"]["sha256"] != after["certificate"]["sha256"]
    assert before["completed_at"] == after["completed_at"]
    assert [row["type"] for row in await requests.rows("outbox")].count("ErasureCompleted") == 1


async def outbox_of(room: Room) -> list[Event]:
    """Read what a room has announced, as events."""
    read = reader(AccountCancelled, *facts_on(RECEIPTS), *facts_on(ACCOUNTS)[1:])
    return [read(row["body"]) for row in await room.rows("outbox")]
