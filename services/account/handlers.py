"""What account does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from services.account import repository
from services.account.commands import (
    AddInstallment,
    CancelAccount,
    ChangeAvatar,
    ChangeNickname,
    ConfirmRegistration,
    ContinueCancellation,
    DropHeldPayments,
    EndSession,
    KeepAccount,
    OpenSession,
    RefreshSession,
    Register,
    ScheduleCancellation,
    SettleInstallment,
    SpendTry,
    StartCancellation,
    TellPossible,
)
from services.account.domain import (
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
)
from services.account.models import OWNER
from shared.bus import Handlers, Work, closed_among
from shared.commands import ACCOUNT_CLOSED, Command, EraseAccount, Refusal
from shared.contracts.account import (
    AccountCancelled,
    AccountRegistered,
    CancellationDeclined,
    CancellationPossible,
    CancellationScheduled,
    CancellationUndone,
    ConfirmationRequested,
    ContactChanged,
    DeclineReason,
    SessionEnded,
)
from shared.contracts.receipts import Item, Outcome
from shared.personal_data import Category, Hold

handlers = Handlers()
CODE_WRONG = Refusal("code-wrong")


@handlers.of(Register)
async def register(work: Work, commands: Sequence[Register]) -> None:
    """Keep the registration and have its code mailed; a known address gets neither, and the same answer."""
    for command in commands:
        if not await repository.email_known(work.connection, command.email):
            await repository.add_registration(work.connection, command)
            work.announce(
                ConfirmationRequested(
                    **work.stamp(command),
                    email=command.email,
                    language=command.language,
                    code=command.code,
                    expires_at=command.expires_at,
                )
            )


@handlers.of(ConfirmRegistration)
async def confirm_registration(work: Work, commands: Sequence[ConfirmRegistration]) -> list[Ok | Refusal]:
    """Make the account, and tell where its messages go."""
    return [await _confirm(work, command) for command in commands]


async def _confirm(work: Work, command: ConfirmRegistration) -> Ok | Refusal:
    registration = await repository.take_registration(work.connection, command, work.now)
    if not registration or registration.code_digest != command.code_digest:
        return CODE_WRONG
    if not await repository.open_account(work.connection, registration, work.now):
        return CODE_WRONG
    work.announce(AccountRegistered(**work.stamp(command)))
    work.announce(
        ContactChanged(**work.stamp(command), version=1, email=registration.email, language=registration.language)
    )
    return Ok()


@handlers.of(OpenSession)
async def open_session(work: Work, commands: Sequence[OpenSession]) -> list[Ok | Refusal]:
    """Keep the log-in, if the account is still there."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        there = await repository.account_exists(work.connection, command.account_id)
        if there:
            values = {
                "id": command.session_id,
                "account_id": command.account_id,
                "refresh_digest": command.refresh_digest,
                "logged_in_at": work.now,
                "expires_at": command.expires_at,
            }
            await repository.add_session(work.connection, values)
        outcomes.append(Ok() if there else ACCOUNT_CLOSED)
    return outcomes


@handlers.of(RefreshSession)
async def refresh_session(work: Work, commands: Sequence[RefreshSession]) -> list[Ok | Refusal]:
    """Exchange the token, once."""
    rotated = [
        await repository.rotate_refresh(work.connection, command.refresh_digest, command.next_digest)
        for command in commands
    ]
    return [Ok() if done else Refusal("refresh-token-used") for done in rotated]


@handlers.of(EndSession)
async def end_session(work: Work, commands: Sequence[EndSession]) -> None:
    """End the session here at once, and tell the others."""
    for command in commands:
        if await repository.end_session(work.connection, command.account_id, command.session_id):
            work.announce(SessionEnded(**work.stamp(command), session_id=command.session_id))


@handlers.of(ChangeNickname)
async def change_nickname(work: Work, commands: Sequence[ChangeNickname]) -> None:
    """Set or clear it."""
    for command in commands:
        await repository.change(work.connection, command.account_id, nickname=command.nickname)


@handlers.of(ChangeAvatar)
async def change_avatar(work: Work, commands: Sequence[ChangeAvatar]) -> None:
    """Set or clear it."""
    for command in commands:
        await repository.change(work.connection, command.account_id, avatar=command.avatar)


@handlers.of(AddInstallment)
async def add_installments(work: Work, commands: Sequence[AddInstallment]) -> None:
    """Note what is owed, also before the account is heard of."""
    await repository.add_installments(work.connection, commands)


@handlers.of(SettleInstallment)
async def settle_installments(work: Work, commands: Sequence[SettleInstallment]) -> None:
    """End the holds; who was declined is told, and of a closed account the held rows are gone now."""
    closed = await closed_among(work, [command.account_id for command in commands])
    await repository.settle_installments(
        work.connection, [command for command in commands if command.account_id not in closed], work.now
    )
    await tell_possible(work, commands)
    held = {command.account_id: command for command in commands if command.account_id in closed}
    erased = await repository.erase_settled(work.connection, [c for c in commands if c.account_id in closed])
    for account_id, count in erased.items():
        item = Item(category=Category.INSTALLMENTS, outcome=Outcome.ERASED, count=count)
        await OWNER.supplement(work, held[account_id], [item])


@handlers.of(TellPossible)
async def tell_possible(work: Work, commands: Sequence[Command]) -> None:
    """Tell who was declined that nothing postpones a cancellation any more, once."""
    by_account = {command.account_id: command for command in commands}
    for account_id in await repository.no_longer_declined(work.connection, list(by_account)):
        work.announce(CancellationPossible(**work.stamp(by_account[account_id])))


@handlers.of(DropHeldPayments)
async def drop_held_payments(work: Work, commands: Sequence[DropHeldPayments]) -> None:
    """Erase what was held unread, and say so."""
    dropped = await repository.drop_payments(work.connection, [command.account_id for command in commands])
    for command in commands:
        if count := dropped.get(command.account_id, 0):
            item = Item(category=Category.UNHANDLED_MESSAGES, outcome=Outcome.ERASED, count=count)
            await OWNER.supplement(work, command, [item])


@handlers.of(StartCancellation)
async def start_cancellation(work: Work, commands: Sequence[StartCancellation]) -> list[Ok | Declined | Refusal]:
    """Give out reference and token, or decline and say why."""
    states = await _states(work, commands)
    outcomes = []
    for command in commands:
        outcome = decide_start(states.get(command.account_id))
        if isinstance(outcome, Ok):
            values = {
                "reference": command.reference,
                "account_id": command.account_id,
                "token_digest": command.token_digest,
                "started_at": work.now,
                "expires_at": command.expires_at,
            }
            await repository.add_cancellation(work.connection, values)
        outcomes.append(outcome)
    await _announce_declined(work, commands, outcomes)
    return outcomes


@handlers.of(ContinueCancellation)
async def continue_cancellation(work: Work, commands: Sequence[ContinueCancellation]) -> list[Ok | Refusal]:
    """Note that the person has seen what will go."""
    states = await _states(work, commands)
    outcomes = [decide_continue(states.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Ok):
            await repository.change_cancellation(work.connection, command.reference, continued=True)
    return outcomes


@handlers.of(SpendTry)
async def spend_try(work: Work, commands: Sequence[SpendTry]) -> list[str | Scheduled | Refusal]:
    """Count a try and hand out what to check the password against."""
    states = await _states(work, commands)
    outcomes = [decide_try(states.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        started = states[command.account_id].with_token(command.token_digest) if isinstance(outcome, str) else None
        if started:
            await repository.change_cancellation(work.connection, command.reference, tries=started.tries + 1)
    return outcomes


@handlers.of(ScheduleCancellation)
async def schedule_cancellation(
    work: Work, commands: Sequence[ScheduleCancellation]
) -> list[Scheduled | Declined | Refusal]:
    """Hold the cancellation back for the cooling-off period."""
    states = await _states(work, commands)
    outcomes = [decide_schedule(states.get(c.account_id), c, work.now) for c in commands]
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Scheduled) and not states[command.account_id].scheduled:
            await repository.change_cancellation(work.connection, outcome.reference, due_at=outcome.due_at)
            work.announce(CancellationScheduled(**work.stamp(command), **vars(outcome)))
    await _announce_declined(work, commands, outcomes)
    return outcomes


@handlers.of(KeepAccount)
async def keep_account(work: Work, commands: Sequence[KeepAccount]) -> list[Ok | Refusal]:
    """Take back what was scheduled."""
    states = await _states(work, commands)
    outcomes = [decide_keep(states.get(c.account_id), c) for c in commands]
    kept = [c for c, outcome in zip(commands, outcomes, strict=True) if isinstance(outcome, Ok)]
    await repository.unschedule(work.connection, [command.account_id for command in kept])
    for command in kept:
        work.announce(CancellationUndone(**work.stamp(command), reference=command.reference))
    return outcomes


@handlers.of(CancelAccount)
async def cancel_accounts(work: Work, commands: Sequence[CancelAccount]) -> list[Cancelled | Declined | Refusal]:
    """Carry out the pivot: erase what account holds, and have everybody else erase; or decline, and erase nothing."""
    states = dict(await _states(work, commands))
    outcomes: list[Cancelled | Declined | Refusal] = []
    gone: list[tuple[State, EraseAccount]] = []
    for command in commands:
        outcome = decide_cancel(states.get(command.account_id), command, work.now)
        outcomes.append(outcome)
        if isinstance(outcome, Cancelled):
            order = EraseAccount(account_id=command.account_id, caused_by=command.caused_by, order_id=uuid4())
            gone.append((states.pop(command.account_id), order))
            work.announce(_announcement(work, command, outcome, order))
    await _answer_later_confirmations(work, gone)
    held = {order.account_id: holds for state, order in gone if (holds := _held(work, state))}
    if held:
        await repository.forget_settled(work.connection, held)
    await repository.drop_registrations(work.connection, [order.account_id for _, order in gone])
    await OWNER.erase(work, [order for _, order in gone], held)
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


async def _states(work: Work, commands: Sequence[Command]) -> Mapping[UUID, State]:
    return await repository.load(work.connection, {command.account_id for command in commands})


def _held(work: Work, state: State) -> dict[Category, Hold]:
    """Tell what may not be erased yet; only a request reaches this with something held."""
    held = {}
    if state.installments:
        until = max(state.installments.values())
        held[Category.INSTALLMENTS] = Hold(DeclineReason.UNPAID_INSTALLMENTS, until, len(state.installments))
    if state.parked_payments:
        until = work.now + PARKED_PAYMENT_LAPSES
        reason, count = DeclineReason.PAYMENT_MESSAGE_UNREADABLE, state.parked_payments
        held[Category.UNHANDLED_MESSAGES] = Hold(reason, until, count)
    return held


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
    await repository.keep_used_tokens(work.connection, tokens)


async def _withdraw_declined_schedules(
    work: Work, commands: Sequence[CancelAccount], outcomes: Sequence[object]
) -> None:
    declined = [c.account_id for c, o in zip(commands, outcomes, strict=True) if isinstance(o, Declined)]
    if declined:
        await repository.unschedule(work.connection, declined)


async def _announce_declined(work: Work, commands: Sequence[Command], outcomes: Sequence[object]) -> None:
    declined = [(c, o) for c, o in zip(commands, outcomes, strict=True) if isinstance(o, Declined)]
    for command, outcome in declined:
        work.announce(CancellationDeclined(**work.stamp(command), declines=outcome.declines))
    if declined:
        await repository.decline(work.connection, [command.account_id for command, _ in declined])
