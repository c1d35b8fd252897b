"""The roll call, pure: who was asked, who has answered, and what the last answer of a phase brings about.

It knows no failure, only *not yet*. Receipts come in any order, any number of times, also before the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from uuid import UUID

from shared.contracts.account import Origin
from shared.contracts.receipts import Item, Phase


class Step(Enum):
    """What an answer brought about, once each."""

    SETTLED = "settled"
    COMPLETED = "completed"
    SUPPLEMENTED = "supplemented"


@dataclass(frozen=True)
class Due:
    """What one owner owes: nothing any more when `answered_at` is set."""

    owner: str
    phase: Phase
    answered_at: datetime | None = None
    items: tuple[Item, ...] = ()
    remark: str | None = None


@dataclass(frozen=True)
class Owner:
    """A data owner as it has announced itself."""

    phase: Phase
    categories: frozenset[str] = frozenset()
    choosable: frozenset[str] = frozenset()
    """What of it can be erased while the account stays."""


@dataclass(frozen=True)
class Order:
    """An erasure order; `opened_at` is none while only a receipt has come."""

    order_id: UUID
    account_id: UUID
    origin: Origin | None = None
    references: tuple[str, ...] = ()
    contact_version: int = 0
    opened_at: datetime | None = None
    asked_at: datetime | None = None
    settled_at: datetime | None = None
    completed_at: datetime | None = None
    categories: tuple[str, ...] | None = None
    """Only these, and the account stays; none for all of it."""
    request_id: UUID | None = None
    """The request that this carries out, if one has asked for it."""
    dues: Mapping[str, Due] = field(default_factory=dict)

    def waits_for(self) -> tuple[str, ...]:
        """Name who owes a receipt and has been asked: the contact is asked when the data is settled."""
        phases = {Phase.DATA, Phase.CONTACT} if self.settled_at else {Phase.DATA}
        return tuple(sorted(due.owner for due in self.dues.values() if not due.answered_at and due.phase in phases))


Change = tuple[Order, tuple[Step, ...]]


def asked(categories: tuple[str, ...] | None, owners: Mapping[str, Owner]) -> dict[str, Phase]:
    """Say which owners an order asks, and in which phase; one of categories asks those that have any, all at once."""
    if categories is None:
        return {name: owner.phase for name, owner in owners.items()}
    return {name: Phase.DATA for name, owner in owners.items() if owner.categories & set(categories)}


def opened(order: Order, owners: Mapping[str, Phase], heard: Order) -> Change:
    """Open the order for these owners, with what the cancellation says; a repeat changes nothing."""
    if order.opened_at:
        return order, ()
    asked = {owner: Due(owner, phase) for owner, phase in owners.items()}
    early = {owner: replace(due, phase=owners.get(owner, due.phase)) for owner, due in order.dues.items()}
    return _advanced(replace(heard, dues=asked | early), heard.opened_at)


def answered(order: Order, receipt: Due, *, supplement: bool = False) -> Change:
    """Take in a receipt: the first of an owner counts, a supplement adds to it, a repeat brings nothing."""
    due = order.dues.get(receipt.owner, Due(receipt.owner, receipt.phase))
    if due.answered_at and not supplement:
        return order, ()
    if supplement:
        supplemented = _with(order, replace(due, items=due.items + receipt.items))
        return supplemented, (Step.SUPPLEMENTED,) if due.answered_at else ()
    # A supplement may have been faster than what it adds to.
    order = _with(order, replace(receipt, phase=due.phase, items=receipt.items + due.items))
    # An owner that nobody has asked, after the end: it is added to the certificate, and reopens nothing.
    return (order, (Step.SUPPLEMENTED,)) if order.completed_at else _advanced(order, receipt.answered_at)


def also_asked(order: Order, owners: Mapping[str, Phase]) -> Order:
    """Ask owners that were admitted since the order opened. What has settled stays settled."""
    if order.completed_at:
        return order
    late = {owner: Due(owner, phase) for owner, phase in owners.items() if owner not in order.dues}
    return replace(order, dues={**order.dues, **late})


def released(order: Order, owner: str, now: datetime) -> Change:
    """Wait no more for an owner that has left on purpose."""
    due = order.dues.get(owner)
    if not due or due.answered_at:
        return order, ()
    return _advanced(_with(order, replace(due, answered_at=now, remark="owner-left")), now)


def _with(order: Order, due: Due) -> Order:
    return replace(order, dues={**order.dues, due.owner: due})


def _advanced(order: Order, now: datetime | None) -> Change:
    steps = []
    if order.opened_at and not order.settled_at and _all_answered(order, {Phase.DATA}):
        order = replace(order, settled_at=now)
        steps += [Step.SETTLED] * (order.categories is None)  # the account stays, and so does its contact
    if order.settled_at and not order.completed_at and _all_answered(order, set(Phase)):
        order = replace(order, completed_at=now)
        steps.append(Step.COMPLETED)
    return order, tuple(steps)


def _all_answered(order: Order, phases: set[Phase]) -> bool:
    return all(due.answered_at for due in order.dues.values() if due.phase in phases)
