"""Rules of the ledger: what can be withdrawn, what stops then, and from which moment on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.account import POLICY, Purpose, Scope
from shared.contracts.topics import DATA_OWNERS

STOPS: Mapping[str, tuple[str, ...]] = {
    "collection:account": ("profile-not-changed", "address-not-changed"),
    "collection:device": ("readings-not-taken-in", "devices-not-added", "devices-not-renamed"),
    "collection:requests": ("feedback-not-taken-in",),
    "use:device": ("readings-not-shown",),
    "use:notifier": ("messages-that-are-not-owed",),
}
"""What stops in each scope, by slugs; in any other nothing does, since nothing is done there by consent."""
SCOPES: Mapping[str, Scope] = {
    scope.name: scope for scope in (Scope(purpose=p, service=s) for p in Purpose for s in DATA_OWNERS)
}
"""What can be withdrawn besides the whole policy."""
WHOLE_POLICY_STOPS = (
    *(slug for stops in STOPS.values() for slug in stops),
    "everything-but-to-see-export-cancel-or-agree-again",
)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Period:
    """A time in which consent is withdrawn in one scope, or given again."""

    scope: str
    since: datetime
    until: datetime | None
    given: bool

    @property
    def withdrawn_now(self) -> bool:
        """Whether consent is withdrawn, and not given again since."""
        return not self.given and self.until is None


@dataclass(frozen=True)
class Turn:
    """From `since` on consent is another one in these scopes; none where it is so already."""

    scopes: tuple[str, ...]
    since: datetime


def decide_withdraw(known: Sequence[Period], scopes: Collection[str], now: datetime) -> Turn:
    """Withdraw what is not withdrawn yet; where all of it is, `since` says from when on."""
    standing = {each.scope: each.since for each in known if each.withdrawn_now and each.scope in scopes}
    new = tuple(scope for scope in scopes if scope not in standing)
    return Turn(new, _after(known, new, now) if new else max(standing.values(), default=now))


def decide_give(known: Sequence[Period], scopes: Collection[str], now: datetime) -> Turn:
    """Give again what is withdrawn; what was never withdrawn needs no second period."""
    standing = {each.scope for each in known if each.withdrawn_now}
    new = tuple(scope for scope in scopes if scope in standing)
    return Turn(new, _after(known, new, now))


def _after(known: Iterable[Period], scopes: Collection[str], now: datetime) -> datetime:
    # Who was answered last has the last word, also when the clocks of two replicas differ.
    return max([now, *(each.since + TICK for each in known if each.scope in scopes)])


def stops_in(scope: str) -> tuple[str, ...]:
    """Name what stops when consent is withdrawn in a scope."""
    return WHOLE_POLICY_STOPS if scope == POLICY else STOPS.get(scope, ())
