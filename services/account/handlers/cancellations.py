"""What account does when a person leaves: load all that a list of commands names, decide each, save, announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

from services.account.commands import (
    CancelAccount,
    ContinueCancellation,
    GoOnWithoutPackage,
    KeepAccount,
    ScheduleCancellation,
    SpendTry,
    StartCancellation,
)
from services.account.domain.cancellations import (
    PARKED_PAYMENT_LAPSES,
    Cancelled,
    Declined,
    Ok,
    Scheduled,
    State,
    decide_cancel,
    decide_continue,
    decide_keep,
    decide_schedule,
    decide_start,
    decide_try,
    due_without_package,
)
from services.account.handlers.registry import handlers
from services.account.models import OWNER
from services.account.repository import cancellations, installments, registrations
from services.account.settings import Settings
from shared.bus import Work, closed_among
from shared.commands import Command, EraseAccount, Refusal
from shared.contracts.account import (
    AccountCancelled,
    CancellationDeclined,
    CancellationScheduled,
    CancellationUndone,
    DeclineReason,
)
from shared.personal_data import Category, Hold


@handlers.of(StartCancellation)
async def start_cancellation(work: Work, commands: Sequence[StartCancellation]) -> list[Ok | Declined | Refusal]:
    """Give out reference and token, or decline and say why."""
    known = await states(work, commands)
    outcomes = []
    for command in commands:
        outcome = decide_start(known.get(command.account_id))
        if isinstance(outcome, Ok):
            values = {
                "reference": command.reference,
                "account_id": command.account_id,
                "token_digest": command.token_digest,
                "started_at": work.now,
                "expires_at": command.expires_at,
                "package_first": command.package_first,
            }
            await cancellations.add_cancellation(work.connection, values)
        outcomes.append(outcome)
    await _announce_declined(work, commands, outcomes)
    return outcomes


@handlers.of(ContinueCancellation)
async def continue_cancellation(work: Work, commands: Sequence[ContinueCancellation]) -> list[Ok | Refusal]:
    """Note that the person has seen what will go."""
    known = await states(work, commands)
    outcomes = [decide_continue(known.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Ok):
            await cancellations.change_cancellation(work.connection, command.reference, continued=True)
    return outcomes


@handlers.of(SpendTry)
async def spend_try(work: Work, commands: Sequence[SpendTry]) -> list[str | Scheduled | Refusal]:
    """Count a try and hand out what to check the password against."""
    known = await states(work, commands)
    outcomes = [decide_try(known.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        started = known[command.account_id].with_token(command.token_digest) if isinstance(outcome, str) else None
        if started:
            await cancellations.change_cancellation(work.connection, command.reference, tries=started.tries + 1)
    return outcomes


@handlers.of(ScheduleCancellation)
async def schedule_cancellation(
    work: Work, commands: Sequence[ScheduleCancellation]
) -> list[Scheduled | Declined | Refusal]:
    """Hold the cancellation back for the cooling-off period."""
    known = await states(work, commands)
    outcomes = [decide_schedule(known.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Scheduled) and not known[command.account_id].scheduled:
            await cancellations.change_cancellation(work.connection, outcome.reference, due_at=outcome.due_at)
            work.announce(CancellationScheduled(**work.stamp(command), **vars(outcome)))
    await _announce_declined(work, commands, outcomes)
    return outcomes


@handlers.of(GoOnWithoutPackage)
async def go_on_without_package(work: Work, commands: Sequence[GoOnWithoutPackage]) -> None:
    """Have what waited for a package be due: the clock finds it."""
    known = await states(work, commands)
    cooling_off = timedelta(days=cast("Settings", work.settings).cooling_off_days)
    for command in commands:
        if due := due_without_package(known.get(command.account_id), cooling_off, work.now):
            changed = {"due_at": due.due_at, "package_first": False}
            await cancellations.change_cancellation(work.connection, due.reference, **changed)


@handlers.of(KeepAccount)
async def keep_account(work: Work, commands: Sequence[KeepAccount]) -> list[Ok | Refusal]:
    """Take back what was scheduled."""
    known = await states(work, commands)
    outcomes = [decide_keep(known.get(c.account_id), c) for c in commands]
    kept = [c for c, outcome in zip(commands, outcomes, strict=True) if isinstance(outcome, Ok)]
    await cancellations.unschedule(work.connection, [command.account_id for command in kept])
    for command in kept:
        work.announce(CancellationUndone(**work.stamp(command), reference=command.reference))
    return outcomes


@handlers.of(CancelAccount)
async def cancel_accounts(work: Work, commands: Sequence[CancelAccount]) -> list[Cancelled | Declined | Refusal]:
    """Carry out the pivot: erase what account holds, and have everybody else erase; or decline, and erase nothing."""
    known = dict(await states(work, commands))
    outcomes: list[Cancelled | Declined | Refusal] = []
    gone: list[tuple[State, EraseAccount]] = []
    for command in commands:
        outcome = decide_cancel(known.get(command.account_id), command, work.now)
        outcomes.append(outcome)
        if isinstance(outcome, Cancelled):
            order = EraseAccount(account_id=command.account_id, caused_by=command.caused_by, order_id=uuid4())
            gone.append((known.pop(command.account_id), order))
            work.announce(_announcement(work, command, outcome, order))
    await _answer_later_confirmations(work, gone)
    holds = {order.account_id: held_now for state, order in gone if (held_now := held(work, state))}
    if holds:
        await installments.forget_settled(work.connection, holds)
    await registrations.drop_registrations(work.connection, [order.account_id for _, order in gone])
    await OWNER.erase(work, [order for _, order in gone], holds)
    await _withdraw_declined_schedules(work, commands, outcomes)
    await _announce_declined(work, commands, outcomes)
    return outcomes


def _announcement(work: Work, command: CancelAccount, outcome: Cancelled, order: EraseAccount) -> AccountCancelled:
    return AccountCancelled(
        **work.stamp(command),
        order_id=order.order_id,
        origin=command.origin,
        references=outcome.references,
        contact_version=outcome.contact_version,
    )


@handlers.of(EraseAccount)
async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
    """Answer a repeated order with the receipt that was given: account erases when it cancels."""
    closed = await closed_among(work, [command.account_id for command in commands])
    await OWNER.erase(work, [command for command in commands if command.account_id in closed])


async def states(work: Work, commands: Sequence[Command]) -> Mapping[UUID, State]:
    """Load what decides about the cancellation of each account."""
    return await cancellations.load(work.connection, {command.account_id for command in commands})


def held(work: Work, state: State) -> dict[Category, Hold]:
    """Tell what may not be erased yet; only a request cancels with something held."""
    holds = {}
    if state.installments:
        until = max(state.installments.values())
        holds[Category.INSTALLMENTS] = Hold(DeclineReason.UNPAID_INSTALLMENTS, until, len(state.installments))
    if state.parked_payments:
        until = work.now + PARKED_PAYMENT_LAPSES
        reason, count = DeclineReason.PAYMENT_MESSAGE_UNREADABLE, state.parked_payments
        holds[Category.UNHANDLED_MESSAGES] = Hold(reason, until, count)
    return holds


async def _answer_later_confirmations(work: Work, gone: Sequence[tuple[State, EraseAccount]]) -> None:
    tokens = [
        {
            "token_digest": each.token_digest,
            "reference": each.reference,
            "order_id": order.order_id,
            "used_at": work.now,
        }
        for state, order in gone
        for each in state.started
    ]
    await cancellations.keep_used_tokens(work.connection, tokens)


async def _withdraw_declined_schedules(
    work: Work, commands: Sequence[CancelAccount], outcomes: Sequence[object]
) -> None:
    declined = [c.account_id for c, o in zip(commands, outcomes, strict=True) if isinstance(o, Declined)]
    if declined:
        await cancellations.unschedule(work.connection, declined)


async def _announce_declined(work: Work, commands: Sequence[Command], outcomes: Sequence[object]) -> None:
    declined = [(c, o) for c, o in zip(commands, outcomes, strict=True) if isinstance(o, Declined)]
    for command, outcome in declined:
        work.announce(CancellationDeclined(**work.stamp(command), declines=outcome.declines))
    if declined:
        await cancellations.decline(work.connection, [command.account_id for command, _ in declined])
