"""A confirmed cancellation can be held back, undone, and is carried out when it is due."""

from __future__ import annotations

from datetime import timedelta

from services.account.app import PARTS
from services.account.commands import (
    AddInstallment,
    CancelAccount,
    ConfirmRegistration,
    ContinueCancellation,
    KeepAccount,
    Register,
    ScheduleCancellation,
    SpendTry,
    StartCancellation,
)
from services.account.domain.cancellations import (
    MOST_STARTED,
    PASSWORD_TRIES,
    STARTED_TOO_OFTEN,
    TOKEN_INVALID,
    Declined,
    Ok,
    Scheduled,
)
from services.account.repository.cancellations import due_cancellations
from shared.contracts.account import Origin
from shared.retention import sweep
from tests.builders import NOON, named
from tests.rooms import OpenRoom, Room

ADA = named("Ada")
DUE = NOON + timedelta(days=3)


async def _a_scheduled_cancellation(open_room: OpenRoom) -> Room:
    account = await open_room("account")
    register = Register(
        account_id=ADA,
        email="ada@people.example",
        password_hash="hash",
        region="DE",
        language="en",
        policy_version="1",
        code="1",
        code_digest="digest",
        expires_at=DUE,
    )
    await account.does(register)
    await account.does(ConfirmRegistration(account_id=ADA, code_digest="digest"))
    start = StartCancellation(
        account_id=ADA, reference="ref", token_digest="token", expires_at=NOON + timedelta(minutes=10)
    )
    await account.does(start)
    await account.does(ContinueCancellation(account_id=ADA, reference="ref", token_digest="token"))
    schedule = ScheduleCancellation(account_id=ADA, reference="ref", token_digest="token", due_at=DUE)
    scheduled = await account.does(schedule)
    assert scheduled == [Scheduled("ref", DUE)]
    return account


async def _due(account: Room) -> list[object]:
    async with account.engine.connect() as connection:
        return list(await due_cancellations(connection, account.clock()))


async def test_a_scheduled_cancellation_is_carried_out_only_when_it_is_due(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)
    cancel = CancelAccount(account_id=ADA, origin=Origin.APP)

    account.clock.now = DUE - timedelta(seconds=1)
    assert await _due(account) == []
    await account.does(cancel)
    assert "AccountCancelled" not in await account.types_announced()

    account.clock.now = DUE
    assert await _due(account) == [ADA]
    await account.does(cancel)
    assert await account.held_of(ADA) == {}
    assert (await account.types_announced())[-2:] == ["AccountCancelled", "DataErased"]


async def test_who_keeps_the_account_in_time_keeps_all_of_it(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)

    assert await account.does(KeepAccount(account_id=ADA, reference="ref")) == [Ok()]

    account.clock.now = DUE
    assert await _due(account) == []
    await account.does(CancelAccount(account_id=ADA, origin=Origin.APP))
    assert await account.held_of(ADA) == {"accounts": 1, "agreements": 1}
    assert (await account.types_announced())[-1] == "CancellationUndone"


async def test_confirming_again_while_it_is_held_back_keeps_its_first_date(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)

    again = ScheduleCancellation(
        account_id=ADA, reference="ref", token_digest="token", due_at=DUE + timedelta(days=9)
    )

    assert await account.does(again) == [Scheduled("ref", DUE)]
    assert (await account.types_announced()).count("CancellationScheduled") == 1


async def test_a_debt_that_arises_meanwhile_declines_it_when_it_is_due_and_says_so_once(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)
    await account.does(
        AddInstallment(account_id=ADA, installment_id=named("fridge"), lapses_at=DUE + timedelta(days=30))
    )

    account.clock.now = DUE
    (outcome,) = await account.does(CancelAccount(account_id=ADA, origin=Origin.APP))

    assert isinstance(outcome, Declined)
    assert await _due(account) == []
    assert (await account.types_announced()).count("CancellationDeclined") == 1
    assert "AccountCancelled" not in await account.types_announced()


async def test_what_is_scheduled_is_told_again_by_its_token_whatever_time_and_tries(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)
    ask = SpendTry(account_id=ADA, reference="ref", token_digest="token")

    for _ in range(PASSWORD_TRIES + 1):
        assert await account.does(ask) == [Scheduled("ref", DUE)]
    account.clock.now = NOON + timedelta(days=1)
    assert await account.does(ask) == [Scheduled("ref", DUE)]


async def test_what_was_started_and_not_confirmed_is_forgotten_in_a_day_and_what_is_scheduled_is_not(
    room: OpenRoom,
) -> None:
    account = await _a_scheduled_cancellation(room)
    await account.run(
        "INSERT INTO cancellations (reference, account_id, token_digest, started_at, expires_at, continued, tries)"
        " VALUES ('other', :ada, 'other', :noon, :noon, false, 0)",
        ada=ADA,
        noon=NOON,
    )

    await sweep(account.engine, PARTS.retention, NOON + timedelta(hours=23))
    assert len(await account.rows("cancellations")) == 2

    await sweep(account.engine, PARTS.retention, NOON + timedelta(hours=25))
    assert [row["reference"] for row in await account.rows("cancellations")] == ["ref"]


async def test_a_token_continues_only_its_own_cancellation(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)

    foreign = ContinueCancellation(account_id=ADA, reference="another", token_digest="token")

    assert await account.does(foreign) == [TOKEN_INVALID]


async def test_nobody_holds_more_references_than_one_event_can_name(room: OpenRoom) -> None:
    account = await _a_scheduled_cancellation(room)
    await account.does(KeepAccount(account_id=ADA, reference="ref"))

    outcomes = [
        outcome
        for number in range(MOST_STARTED + 1)
        for outcome in await account.does(
            StartCancellation(account_id=ADA, reference=f"{number}", token_digest=f"{number}", expires_at=DUE)
        )
    ]

    assert outcomes == [*[Ok()] * MOST_STARTED, STARTED_TOO_OFTEN]
