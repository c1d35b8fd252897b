"""Requests, pure: a table of transitions rules the states, and what depends on a law takes the law.

A rule gives the request as it is afterwards, or a refusal. The time to answer runs from receipt; while the person has
to do something, or staff has paused with a reason, it stands still. Every state that waits has an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.requests.law import Law
from shared.commands import CHANGED_MEANWHILE, Refusal
from shared.contracts.requests import Channel, Ground, Kind


class State(StrEnum):
    """Where a request stands."""

    UNVERIFIED = "unverified"
    OPEN = "open"
    ASKED = "asked"
    PAUSED = "paused"
    QUOTED = "quoted"
    PAYING = "paying"
    ACCEPTED = "accepted"
    FULFILLED = "fulfilled"
    REFUSED = "refused"
    NOT_IDENTIFIED = "not-identified"
    LAPSED = "lapsed"
    JOINED = "joined"
    ACCOUNT_CANCELLED = "account-cancelled"


class Step(StrEnum):
    """What can happen to a request."""

    RECEIVE = "receive"
    REMIND = "remind"
    CLASSIFY = "classify"
    VERIFY = "verify"
    EXPIRE = "expire"
    JOIN = "join"
    THREAD = "thread"
    ASK = "ask"
    ANSWER = "answer"
    PAUSE = "pause"
    RESUME = "resume"
    QUOTE = "quote"
    AGREE = "agree"
    PAY = "pay"
    LAPSE = "lapse"
    WARN = "warn"
    ESCALATE = "escalate"
    EXTEND = "extend"
    ACCEPT = "accept"
    REFUSE = "refuse"
    FULFIL = "fulfil"
    CANCEL_ACCOUNT = "cancel-account"


ENDS = frozenset(
    {
        State.FULFILLED,
        State.REFUSED,
        State.NOT_IDENTIFIED,
        State.LAPSED,
        State.JOINED,
        State.ACCOUNT_CANCELLED,
    }
)
CLOCK_STANDS = frozenset({State.ASKED, State.PAUSED, State.QUOTED, State.PAYING})
"""Where the time to answer stands still."""

TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.UNVERIFIED, Step.REMIND): State.UNVERIFIED,
    (State.UNVERIFIED, Step.CLASSIFY): State.UNVERIFIED,
    (State.UNVERIFIED, Step.VERIFY): State.OPEN,
    (State.UNVERIFIED, Step.EXPIRE): State.NOT_IDENTIFIED,
    (State.UNVERIFIED, Step.THREAD): State.JOINED,
    (State.OPEN, Step.CLASSIFY): State.OPEN,
    (State.OPEN, Step.JOIN): State.JOINED,
    (State.OPEN, Step.ASK): State.ASKED,
    (State.ASKED, Step.ANSWER): State.OPEN,
    (State.ASKED, Step.RESUME): State.OPEN,
    (State.OPEN, Step.PAUSE): State.PAUSED,
    (State.PAUSED, Step.RESUME): State.OPEN,
    (State.OPEN, Step.QUOTE): State.QUOTED,
    (State.QUOTED, Step.AGREE): State.PAYING,
    (State.QUOTED, Step.PAY): State.OPEN,
    (State.QUOTED, Step.LAPSE): State.LAPSED,
    (State.PAYING, Step.PAY): State.OPEN,
    (State.PAYING, Step.LAPSE): State.LAPSED,
    (State.OPEN, Step.WARN): State.OPEN,
    (State.OPEN, Step.ESCALATE): State.OPEN,
    (State.OPEN, Step.EXTEND): State.OPEN,
    (State.OPEN, Step.ACCEPT): State.ACCEPTED,
    (State.OPEN, Step.REFUSE): State.REFUSED,
    (State.ACCEPTED, Step.WARN): State.ACCEPTED,
    (State.ACCEPTED, Step.ESCALATE): State.ACCEPTED,
    (State.ACCEPTED, Step.EXTEND): State.ACCEPTED,
    (State.ACCEPTED, Step.FULFIL): State.FULFILLED,
    **{(state, Step.CANCEL_ACCOUNT): State.ACCOUNT_CANCELLED for state in State if state not in ENDS},
}
"""The rule of all rules: what is not here cannot happen."""

TIME_OUT: Mapping[State, Step] = {
    State.UNVERIFIED: Step.EXPIRE,
    State.ASKED: Step.RESUME,
    State.PAUSED: Step.RESUME,
    State.QUOTED: Step.LAPSE,
    State.PAYING: Step.LAPSE,
}
"""What happens when a state has waited long enough. From `asked` it goes on with what is known."""

CODE_TRIES = 3
PERSON_HAS = timedelta(days=30)
"""How long a question or a quote waits for the person."""
LONGEST_PAUSE = timedelta(days=90)
FREE_RECORD_EVERY = timedelta(days=365)

NO_SUCH_REQUEST = Refusal("no-such-request")
NO_SUCH_EVIDENCE = Refusal("no-such-evidence")
NOT_NOW = Refusal("not-in-this-state")
TRIES_SPENT = Refusal("tries-spent")
CODE_WRONG = Refusal("code-wrong")
NOT_READ_YET = Refusal("kind-not-known")
GROUND_NOT_ALLOWED = Refusal("ground-not-allowed")
EXTENDED_ALREADY = Refusal("extended-already")
TOO_LATE = Refusal("too-late-to-extend")
NO_EXTENSION = Refusal("extension-not-allowed")
OTHER_KIND = Refusal("part-of-another-kind")
NO_FEE = Refusal("fee-not-allowed")
FIRST_IS_FREE = Refusal("first-record-is-free")
NOT_SPOKEN = Refusal("spoken-not-allowed")


@dataclass(frozen=True)
class Request:
    """A request as a rule sees it: all of the record, nothing that was written."""

    request_id: UUID
    account_id: UUID
    kind: Kind | None
    channel: Channel
    state: State
    law: str
    scope: Mapping[str, Any]
    received_at: datetime
    due_at: datetime
    ends_at: datetime | None = None
    stopped_at: datetime | None = None
    extended: bool = False
    reminded: bool = False
    alarm: int = 0
    tries: int = 0
    verified_at: datetime | None = None
    decided_at: datetime | None = None
    in_part: bool = False
    fee_paid: bool = False
    ended_at: datetime | None = None
    how: str | None = None
    ground: Ground | None = None
    audit_count: int = 0
    audit_digest: str = ""
    steps: tuple[Step, ...] = field(default=(), compare=False)
    """The steps that were taken since it was loaded, for its audit chain."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ENDS

    @property
    def known(self) -> bool:
        """Whether it is known who asks."""
        return self.verified_at is not None


def stepped(request: Request, step: Step, now: datetime, **changes: Any) -> Request | Refusal:  # noqa: ANN401 - fields
    """Take a step, if the table has it: the state, its end, the time to answer, and what else changes."""
    after = TRANSITIONS.get((request.state, step))
    if after is None:
        return NOT_NOW
    moved = replace(request, state=after, steps=(*request.steps, step), **changes)
    if after is not request.state:
        moved = _clock(replace(moved, ends_at=changes.get("ends_at")), now)
    if after in ENDS:
        moved = replace(moved, ended_at=now, how=after.value)
    return moved


def _clock(request: Request, now: datetime) -> Request:
    """Stop the time to answer, or let it run on: what has passed meanwhile is added."""
    if request.state in CLOCK_STANDS:
        return replace(request, stopped_at=request.stopped_at or now)
    if request.stopped_at is None:
        return request
    return replace(request, due_at=request.due_at + (now - request.stopped_at), stopped_at=None)


# Coming in


def received(request: Request, law: Law, *, known: bool) -> Request:
    """Begin: open where it is known who asks, otherwise waiting for that."""
    begun = replace(request, due_at=request.received_at + law.answer_within, steps=(Step.RECEIVE,))
    if known:
        return replace(begun, state=State.OPEN, verified_at=request.received_at)
    return replace(begun, state=State.UNVERIFIED, ends_at=request.received_at + law.answer_within / 2)


def same_wish(request: Request, others: tuple[Request, ...]) -> Request | None:
    """Find the open wish that this one repeats. Only what is known counts: an unverified wish blocks nothing.

    A correction is never a repeat: the later value counts.
    """
    if request.kind in (None, Kind.CORRECTION):
        return None
    for other in others:
        alike = (other.kind, other.scope) == (request.kind, request.scope)
        if alike and other.known and not other.ended and other.request_id != request.request_id:
            return other
    return None


def ends_with_account(request: Request) -> bool:
    """Tell whether a request ends when its account is cancelled: not the one that is carried out by that."""
    carried_out = request.kind is Kind.DELETION and request.state is State.ACCEPTED
    return not (carried_out and "everything" in request.scope)


def decide_code(request: Request, now: datetime, *, right: bool) -> tuple[Request, Refusal | None]:
    """Count a try of the code, then look at it."""
    if request.state is not State.UNVERIFIED:
        return request, NOT_NOW
    if request.tries >= CODE_TRIES:
        return request, TRIES_SPENT
    tried = replace(request, tries=request.tries + 1)
    verified = decide_verify(tried, now) if right else CODE_WRONG
    return (tried, verified) if isinstance(verified, Refusal) else (verified, None)


def decide_verify(request: Request, now: datetime) -> Request | Refusal:
    """Note that it is known who asks: by a code, or by an authority that staff has accepted."""
    return stepped(request, Step.VERIFY, now, verified_at=now)


def decide_classify(request: Request, kind: Kind, scope: Mapping[str, Any], now: datetime) -> Request | Refusal:
    """Say what is wished, having read it."""
    return stepped(request, Step.CLASSIFY, now, kind=kind, scope=scope)


def accepted_at_once(request: Request, law: Law, now: datetime, last_access: datetime | None) -> bool:
    """Tell whether nobody has to judge it: a first access in twelve months, a correction, any withdrawal.

    What a mail says to wish is not read yet: it names no fields and no purposes, and somebody has to.
    """
    if request.kind is None or request.state is not State.OPEN:
        return False
    if request.kind in law.check_needed and not request.known:
        return False
    if request.kind is Kind.ACCESS:
        return is_free(now, last_access)
    if request.kind is Kind.CORRECTION:
        return bool(request.scope.get("fields"))
    return request.kind is Kind.WITHDRAWAL and bool(request.scope)


def is_free(now: datetime, last_access: datetime | None) -> bool:
    """Tell whether a record is the first in twelve months."""
    return last_access is None or now - last_access >= FREE_RECORD_EVERY


# Deciding


def decide_accept(
    request: Request, now: datetime, *, in_part: bool, shown: str | None, as_is: str | None
) -> Request | Refusal:
    """Accept, bound to what was shown: where a preview was made, its digest has to be the one of now."""
    if request.kind is None:
        return NOT_READ_YET
    if shown != as_is:
        return CHANGED_MEANWHILE
    return stepped(request, Step.ACCEPT, now, decided_at=now, in_part=in_part)


def decide_refuse(request: Request, ground: Ground, law: Law, now: datetime) -> Request | Refusal:
    """Refuse, on a ground that the law allows."""
    if ground not in law.grounds:
        return GROUND_NOT_ALLOWED
    return stepped(request, Step.REFUSE, now, decided_at=now, ground=ground)


def decide_extend(request: Request, law: Law, now: datetime) -> Request | Refusal:
    """Take longer, once, and only where the person can still be told in time."""
    if not law.extension:
        return NO_EXTENSION
    if request.extended:
        return EXTENDED_ALREADY
    if now >= request.due_at:
        return TOO_LATE
    return stepped(request, Step.EXTEND, now, extended=True, alarm=0, due_at=request.due_at + law.extension)


def decide_ask(request: Request, now: datetime) -> Request | Refusal:
    """Ask the person, and wait for the answer, not for ever."""
    return stepped(request, Step.ASK, now, ends_at=now + PERSON_HAS)


def decide_pause(request: Request, until: datetime, now: datetime) -> Request | Refusal:
    """Pause until then, within bounds."""
    return stepped(request, Step.PAUSE, now, ends_at=min(until, now + LONGEST_PAUSE))


def decide_quote(request: Request, law: Law, now: datetime, last_access: datetime | None) -> Request | Refusal:
    """Ask for the declared costs of a record that is not the first."""
    if not law.fee_allowed or request.fee_paid:
        return NO_FEE
    if request.kind is not Kind.ACCESS or is_free(now, last_access):
        return FIRST_IS_FREE
    return stepped(request, Step.QUOTE, now, ends_at=now + PERSON_HAS)


# What time brings


def time_step(request: Request, law: Law, now: datetime) -> Step | None:
    """Say what time brings to a request now: one step at a time, the loudest first."""
    due = [(at, step) for at, step in _coming(request, law) if at <= now]
    return max(due, key=lambda each: each[0])[1] if due else None


def look_at(request: Request, law: Law) -> datetime:
    """Say when time brings the next thing to a request; long after its date where nothing more comes."""
    coming = [at for at, _ in _coming(request, law)]
    return min(coming, default=request.due_at + timedelta(days=3650))


def _coming(request: Request, law: Law) -> list[tuple[datetime, Step]]:
    if request.ended:
        return []
    coming = []
    if request.ends_at and request.state in TIME_OUT:
        coming.append((request.ends_at, TIME_OUT[request.state]))
    if request.state is State.UNVERIFIED and not request.reminded:
        coming.append((request.received_at + law.answer_within / 4, Step.REMIND))
    if (request.state, Step.WARN) in TRANSITIONS:
        coming += _alarms(request, law)
    return coming


def _alarms(request: Request, law: Law) -> list[tuple[datetime, Step]]:
    """Warn staff with a third of the time left, louder with a sixth; with a tenth extend, where that can be."""
    alarms = [(law.answer_within / 3, Step.WARN), (law.answer_within / 6, Step.ESCALATE)][request.alarm :]
    if law.extension and not request.extended:
        alarms.append((law.answer_within / 10, Step.EXTEND))
    return [(request.due_at - left, step) for left, step in alarms]
