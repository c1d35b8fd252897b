"""Limits on tries: counted in the database before anybody looks, so that parallel ones cannot exceed them.

All replicas count together, and rows end with their period. What is counted is a keyed digest of whoever tries or of
whatever is tried at, known or not, so that a limit tells nobody what exists.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ARRAY, DateTime, String, any_, bindparam, delete, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.commands import Throttled
from shared.database import rows_of
from shared.settings import ServiceSettings
from shared.tables import Tries

LONGEST_PERIOD = timedelta(hours=24)

# In one order everywhere, so that two who count the same never wait in a circle.
_SPEND = text(
    "INSERT INTO tries (subject, count, ends_at)"
    " SELECT subject, 1, ends_at FROM unnest(:subject, :ends_at) AS new(subject, ends_at)"
    " ORDER BY subject"
    " ON CONFLICT (subject) DO UPDATE"
    " SET count = CASE WHEN tries.ends_at <= :now THEN 1 ELSE tries.count + 1 END,"
    " ends_at = CASE WHEN tries.ends_at <= :now THEN excluded.ends_at ELSE tries.ends_at END"
    " RETURNING subject, count AS tried, ends_at"
).bindparams(
    bindparam("subject", type_=ARRAY(String)),
    bindparam("ends_at", type_=ARRAY(DateTime(timezone=True))),
    bindparam("now", type_=DateTime(timezone=True)),
)
_THESE = Tries.subject == any_(bindparam("subjects", type_=ARRAY(String)))
_FORGIVE = delete(Tries).where(_THESE)
_GIVE_BACK = update(Tries).where(_THESE).values(count=Tries.count - 1)


@dataclass(frozen=True)
class Limit:
    """So many tries in a period, which begins with the first."""

    name: str
    most: int
    period: timedelta

    def __post_init__(self) -> None:
        if self.period > LONGEST_PERIOD:
            msg = "the certificate says when counters end"
            raise ValueError(msg)

    def at(self, settings: ServiceSettings, subject: object) -> Counter:
        """Count tries by, or at, this subject."""
        words = f"{self.name}\x1f{subject}".encode()
        return Counter(self, hmac.new(settings.internal_token.encode(), words, hashlib.sha256).hexdigest())


@dataclass(frozen=True)
class Counter:
    """A limit at one subject."""

    limit: Limit
    subject: str


async def spend(connection: AsyncConnection, now: datetime, *counters: Counter) -> Throttled | None:
    """Count one try with each of the counters; says for how long to wait where one of them is over its limit."""
    values = [(each.subject, now + each.limit.period) for each in counters]
    rows = await connection.execute(_SPEND, rows_of(("subject", "ends_at"), values) | {"now": now})
    most = {each.subject: each.limit.most for each in counters}
    ends = [row.ends_at for row in rows if row.tried > most[row.subject]]
    return Throttled(seconds=max(1, ceil((max(ends) - now).total_seconds()))) if ends else None


async def forgive(connection: AsyncConnection, counters: Sequence[Counter]) -> None:
    """Begin anew: it was right in the end."""
    await connection.execute(_FORGIVE, {"subjects": [each.subject for each in counters]})


async def give_back(connection: AsyncConnection, counters: Sequence[Counter]) -> None:
    """Uncount one try that was right; it says nothing of the others."""
    await connection.execute(_GIVE_BACK, {"subjects": [each.subject for each in counters]})
