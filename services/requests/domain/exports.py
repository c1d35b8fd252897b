"""Which owners an access still waits for, and how long: pure. Parts and ends come by two topics, in any order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

BEFORE_DUE = timedelta(days=1)
"""So long before the request is due its package is made at the latest, with what has come."""


@dataclass(frozen=True)
class Due:
    """What one owner owes: as many parts as it says that there are."""

    owner: str
    parts: int | None = None
    """None until the owner has said how many."""
    here: int = 0
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether all of it is here."""
        return self.parts is not None and self.here >= self.parts


def owing(dues: Collection[Due]) -> tuple[str, ...]:
    """Name who still owes something."""
    return tuple(sorted(due.owner for due in dues if not due.answered))


def answer_by(now: datetime, patience: timedelta, due_at: datetime) -> datetime:
    """Say until when owners are waited for: with patience, but not past the day on which the request is due."""
    return min(now + patience, max(now, due_at - BEFORE_DUE))
