"""Instalments as billing tells of them: in any order, and until something ends them."""

from __future__ import annotations

from datetime import timedelta

from services.account.app import PARTS
from services.account.due import due
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.topics import LONGEST_RETENTION
from shared.messaging import dead_letters
from shared.retention import sweep
from tests.builders import ANNA, NEXT_MONTH, fact, named
from tests.commands import cancellation_started, cancelled_by_request, registered
from tests.rooms import OpenRoom, Room

OWED = fact(InstallmentOwed, ANNA, installment_id=named("fan"), lapses_at=NEXT_MONTH)
PAID = fact(InstallmentPaid, ANNA, installment_id=named("fan"))
OTHER = fact(InstallmentOwed, ANNA, installment_id=named("filter"), lapses_at=NEXT_MONTH)


async def annas(open_room: OpenRoom) -> Room:
    account = await open_room("account")
    for command in registered(ANNA):
        await account.does(command)
    await account.run("DELETE FROM outbox")
    return account


async def test_what_is_paid_before_it_is_heard_to_be_owed_is_paid(room: OpenRoom) -> None:
    account = await annas(room)

    await account.hears(PAID, OWED)
    await account.does(cancellation_started(ANNA))

    assert await account.types_announced() == []


async def test_that_it_is_paid_is_remembered_only_while_a_topic_could_repeat_that_it_is_owed(room: OpenRoom) -> None:
    account = await annas(room)
    await account.hears(OWED, PAID)

    await sweep(account.engine, PARTS.retention, account.clock() + LONGEST_RETENTION)
    assert len(await account.rows("installments")) == 1

    await sweep(account.engine, PARTS.retention, account.clock() + LONGEST_RETENTION + timedelta(days=1, seconds=1))
    assert await account.rows("installments") == []


async def test_a_request_keeps_what_is_open_and_nothing_of_what_is_paid(room: OpenRoom) -> None:
    account = await annas(room)
    await account.hears(OWED, PAID, OTHER)

    await account.does(cancelled_by_request(ANNA))

    assert [row["installment_id"] for row in await account.rows("installments")] == [named("filter")]


async def test_who_was_declined_is_told_also_when_the_reason_ends_by_hand(room: OpenRoom) -> None:
    account = await annas(room)
    await account.run(
        'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
        " VALUES ('billing.installments.v1', 0, 0, now(), :anna, 'unreadable', '', 'x')",
        anna=ANNA.account_id,
    )
    await account.does(cancellation_started(ANNA))
    assert await due(account) == []  # type: ignore[arg-type] # has the clock and the engine of a service

    async with account.engine.begin() as connection:
        (letter,) = await dead_letters.listing(connection)
        await dead_letters.remove(connection, [letter.id])
    await account.does(*await due(account))  # type: ignore[arg-type] # as above

    assert await account.types_announced() == ["CancellationDeclined", "CancellationPossible"]
    assert await due(account) == []  # type: ignore[arg-type] # as above


async def test_an_unread_payment_message_postpones_a_living_account_only_until_its_latest_end(room: OpenRoom) -> None:
    account = await annas(room)
    await account.run(
        'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
        " VALUES ('billing.installments.v1', 0, 0, now(), :anna, 'unreadable', '', 'x')",
        anna=ANNA.account_id,
    )
    await account.does(cancellation_started(ANNA))
    assert await account.types_announced() == ["CancellationDeclined"]

    await account.run("UPDATE dead_letters SET parked_at = now() - interval '31 days'")
    await account.does(*await due(account))  # type: ignore[arg-type] # has the clock and the engine of a service

    assert await account.types_announced() == ["CancellationDeclined", "CancellationPossible"]
