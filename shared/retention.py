"""What ends by itself: rows that are kept for a time are deleted when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, true
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import InstrumentedAttribute

from shared.background import again_and_again
from shared.clock import Clock
from shared.contracts.topics import LONGEST_RETENTION
from shared.owner import DataOwner
from shared.tables import CategoryMark, ClosedAccount, DeadLetter, Export, Inbox, Tries

SWEEP_SECONDS = 60.0
NAMELESS_KEPT = timedelta(days=7)
"""How long bytes are kept that cannot be read and name no account."""


@dataclass(frozen=True)
class Keep:
    """Rows are kept for a time after the moment in a column."""

    since: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]
    period: timedelta
    only: ColumnElement[bool] = true()  # noqa: RUF009 - an immutable expression

    def expired(self, now: datetime) -> Any:  # noqa: ANN401 - a statement
        """Write the statement that deletes what is over."""
        return delete(self.since.class_).where(and_(self.since < now - self.period, self.only))


def kept_by_every_service(owner: DataOwner, mark_retention: timedelta) -> Sequence[Keep]:
    """Tell what every service keeps for a time: marks outlive whatever could repeat what they bar, and every hold."""
    nameless = and_(DeadLetter.account_id.is_(None), DeadLetter.reason != "failed")
    of_closed = DeadLetter.account_id.in_(select(ClosedAccount.account_id))
    return (
        Keep(Tries.ends_at, timedelta()),
        Keep(Inbox.taken_at, LONGEST_RETENTION + timedelta(days=1)),
        Keep(Export.ordered_at, LONGEST_RETENTION),
        Keep(DeadLetter.parked_at, NAMELESS_KEPT, nameless),
        Keep(DeadLetter.parked_at, mark_retention, of_closed),
        Keep(CategoryMark.marked_at, mark_retention, CategoryMark.erased.is_(True)),
        Keep(ClosedAccount.closed_at, mark_retention, owner.erasure.nothing_of(ClosedAccount.account_id)),
    )


async def sweep(engine: AsyncEngine, kept: Sequence[Keep], now: datetime) -> None:
    """Delete what is over."""
    for rule in kept:
        async with engine.begin() as connection:
            await connection.execute(rule.expired(now))


async def sweep_for_ever(engine: AsyncEngine, kept: Sequence[Keep], clock: Clock) -> None:
    """Delete what is over, again and again, until cancelled."""
    await again_and_again("retention", lambda: sweep(engine, kept, clock()), SWEEP_SECONDS)
