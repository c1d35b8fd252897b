"""Rules of leaving: whether a cancellation can be had, and on which confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.account.commands import (
    CancelAccount,
    ContinueCancellation,
    KeepAccount,
    ScheduleCancellation,
    SpendTry,
)
from shared.commands import ACCOUNT_CLOSED, Refusal
from shared.contracts.account import Decline, DeclineReason, Origin

TOKEN_LIFE = timedelta(minutes=10)
PARKED_PAYMENT_LAPSES = timedelta(days=30)
"""The latest end of the hold that a payment message which nobody could read stands for."""
PACKAGE_WAIT = timedelta(days=30)
"""How long a cancellation waits at the longest for the copy of the data that the person wants first."""
PASSWORD_TRIES = 5
TOKEN_INVALID = Refusal("cancellation-token-invalid")
NOT_CONTINUED = Refusal("cancellation-not-continued")
NOT_SCHEDULED = Refusal("cancellation-not-scheduled")
ALREADY_SCHEDULED = Refusal("cancellation-scheduled")
TRIES_SPENT = Refusal("tries-spent")
STARTED_TOO_OFTEN = Refusal("started-too-often")
MOST_STARTED = 50
"""So many references a person can hold at once: an event names them all."""
STARTED_KEPT = timedelta(hours=24)
"""How long a cancellation that was started and not confirmed is remembered after its token's time."""


@dataclass(frozen=True)
class Started:
    """A cancellation that was started."""

    reference: str
    token_digest: str
    expires_at: datetime
    continued: bool
    tries: int
    due_at: datetime | None
    package_first: bool = False


@dataclass(frozen=True)
class State:
    """What has to be known of an account to decide about its cancellation."""

    contact_version: int
    password_hash: str
    installments: Mapping[UUID, datetime]
    """Those that are open, and when each lapses."""
    parked_payments: int
    """Payment messages that could not be read or handled: each may be an instalment."""
    started: tuple[Started, ...]

    def with_token(self, token_digest: str) -> Started | None:
        """Find the cancellation that a token belongs to."""
        return next((each for each in self.started if each.token_digest == token_digest), None)

    @property
    def scheduled(self) -> Started | None:
        """The cancellation that is held back, if one is."""
        return next((each for each in self.started if each.due_at), None)


@dataclass(frozen=True)
class Declined:
    """Not now, and why."""

    declines: tuple[Decline, ...]


@dataclass(frozen=True)
class Cancelled:
    """The account goes. `references` are all that the person holds."""

    references: tuple[str, ...]
    contact_version: int


@dataclass(frozen=True)
class Scheduled:
    """The account goes when it is due, unless the person keeps it."""

    reference: str
    due_at: datetime
    package_first: bool = False


@dataclass(frozen=True)
class Ok:
    """It is so now, or was already."""


def declines(state: State) -> tuple[Decline, ...]:
    """List what postpones a cancellation in the app."""
    counted = {
        DeclineReason.UNPAID_INSTALLMENTS: len(state.installments),
        DeclineReason.PAYMENT_MESSAGE_UNREADABLE: state.parked_payments,
    }
    return tuple(Decline(reason=reason, count=count) for reason, count in counted.items() if count)


def decide_start(state: State | None) -> Ok | Declined | Refusal:
    """First tap: possible unless something postpones it, or one is scheduled already."""
    if state is None:
        return ACCOUNT_CLOSED
    if state.scheduled:
        return ALREADY_SCHEDULED
    if len(state.started) >= MOST_STARTED:
        return STARTED_TOO_OFTEN
    postponed = declines(state)
    return Declined(postponed) if postponed else Ok()


def decide_continue(state: State | None, command: ContinueCancellation, now: datetime) -> Ok | Refusal:
    """Second tap: with the token, within its time."""
    started = _good_token(state, command.token_digest, now) if state else None
    return Ok() if started and started.reference == command.reference else TOKEN_INVALID


def decide_try(state: State | None, command: SpendTry, now: datetime) -> str | Scheduled | Refusal:
    """Hand out the password's hash to check against, for one try more; what is scheduled is only told again."""
    known = state.with_token(command.token_digest) if state else None
    if known and known.due_at:
        return Scheduled(known.reference, known.due_at)
    started = _good_token(state, command.token_digest, now) if state else None
    if not state or not started or started.reference != command.reference:
        return TOKEN_INVALID
    if not started.continued:
        return NOT_CONTINUED
    return state.password_hash if started.tries < PASSWORD_TRIES else TRIES_SPENT


def decide_schedule(
    state: State | None, command: ScheduleCancellation, now: datetime
) -> Scheduled | Declined | Refusal:
    """Third tap where there is a cooling-off period; once scheduled, it stays so, with its first date."""
    if state is None:
        return ACCOUNT_CLOSED
    if state.scheduled:
        scheduled = state.scheduled
        return Scheduled(scheduled.reference, scheduled.due_at or now, scheduled.package_first)
    confirmed = _confirmed(state, command.token_digest, now)
    if isinstance(confirmed, Refusal):
        return confirmed
    postponed = declines(state)
    return Declined(postponed) if postponed else Scheduled(command.reference, command.due_at, confirmed.package_first)


def wait(cooling_off: timedelta, *, package_first: bool) -> timedelta:
    """Say for how long a confirmed cancellation is held back at the longest."""
    return max(cooling_off, PACKAGE_WAIT) if package_first else cooling_off


def due_without_package(state: State | None, cooling_off: timedelta, now: datetime) -> Scheduled | None:
    """Say when a cancellation is due that has waited for a package: not before its cooling-off period is over."""
    scheduled = state.scheduled if state else None
    if not scheduled or not scheduled.due_at or not scheduled.package_first:
        return None
    confirmed_at = scheduled.due_at - wait(cooling_off, package_first=True)
    return Scheduled(scheduled.reference, max(now, confirmed_at + cooling_off))


def decide_keep(state: State | None, command: KeepAccount) -> Ok | Refusal:
    """Undo, as long as it is not carried out."""
    scheduled = state.scheduled if state else None
    return Ok() if scheduled and scheduled.reference == command.reference else NOT_SCHEDULED


def decide_cancel(state: State | None, command: CancelAccount, now: datetime) -> Cancelled | Declined | Refusal:
    """Decide the pivot. What only postpones a cancellation in the app never declines a request: it is held."""
    if state is None:
        return ACCOUNT_CLOSED
    if command.origin is Origin.APP:
        confirmed = _confirmed(state, command.token_digest, now)
        if isinstance(confirmed, Refusal):
            return confirmed
        if postponed := declines(state):
            return Declined(postponed)
    given = (*(each.reference for each in state.started), *([command.reference] if command.reference else []))
    return Cancelled(given, state.contact_version)


def _confirmed(state: State, token_digest: str | None, now: datetime) -> Started | Refusal:
    if token_digest is None:
        scheduled = state.scheduled
        return scheduled if scheduled and scheduled.due_at and scheduled.due_at <= now else NOT_SCHEDULED
    started = _good_token(state, token_digest, now)
    if not started:
        return TOKEN_INVALID
    return started if started.continued else NOT_CONTINUED


def _good_token(state: State, token_digest: str, now: datetime) -> Started | None:
    started = state.with_token(token_digest)
    return started if started and started.expires_at > now else None
