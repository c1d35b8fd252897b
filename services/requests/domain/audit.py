"""The audit chain of a request, pure: each line holds a digest of itself and of the line before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

BEGIN = ""
"""What stands before the first line."""


@dataclass(frozen=True)
class Line:
    """A step of a request: ids, a slug and a time, nothing of a person."""

    request_id: UUID
    number: int
    at: datetime
    actor: str
    step: str
    previous: str
    digest: str


def line_after(request_id: UUID, count: int, previous: str, at: datetime, actor: str, step: str) -> Line:  # noqa: PLR0917 - all of a line
    """Write the line that follows so many others."""
    return Line(
        request_id, count + 1, at, actor, step, previous, _digest(request_id, count + 1, at, actor, step, previous)
    )


def fault_in(request_id: UUID, lines: Sequence[Line], count: int, last: str) -> int | None:
    """Find the number of the first line that is missing, out of its place or changed; none where the chain holds.

    `count` and `last` are what the record says of the chain: how many lines, and the digest of the last one.
    """
    previous = BEGIN
    for number, line in enumerate(lines, start=1):
        said = _digest(request_id, number, line.at, line.actor, line.step, previous)
        if (line.request_id, line.number, line.previous, line.digest) != (request_id, number, previous, said):
            return number
        previous = line.digest
    return None if (len(lines), previous) == (count, last) else len(lines) + 1


def _digest(*fields: object) -> str:
    words = [each.astimezone(UTC).isoformat() if isinstance(each, datetime) else str(each) for each in fields]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()
