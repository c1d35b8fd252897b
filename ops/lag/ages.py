"""When the broker took a record, of which only the place is known: found without the right to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """One partition."""

    topic: str
    partition: int


class First(Protocol):
    """The first record that the broker took at a time or later."""

    @property
    def offset(self) -> int:
        """Where it stands; -1 where there is none."""

    @property
    def timestamp(self) -> int:
        """When the broker took it, in milliseconds since 1970."""


Ask = Callable[[Mapping[Place, int]], Mapping[Place, First]]
"""Says of each partition which record is the first from a time on; nothing of one that is not there any more."""


def taken_at(records: Iterable[tuple[Place, int]], ask: Ask, now: int) -> dict[tuple[Place, int], int]:
    """Find when the broker took the records at these offsets, in milliseconds by its clock; none that is deleted.

    Its clock goes forward, so a record was taken at the last time from which on the first is not behind it. Of each
    record a span of time is kept and halved, in all partitions at once, until nothing is left of it.
    """
    found: dict[tuple[Place, int], int] = {}
    spans = dict.fromkeys(records, (0, now + 1))
    while spans:
        turn = dict(spans.keys())  # one record of each partition: it can be asked for one time at once
        times = {place: sum(spans[place, offset]) // 2 for place, offset in turn.items()}
        firsts = ask(times)
        for place, offset in turn.items():
            since, until = spans.pop((place, offset))
            if not (first := firsts.get(place)):
                continue
            if 0 <= first.offset <= offset:
                since = first.timestamp
            else:
                until = times[place]
            if first.offset == offset or since >= until - 1:
                found[place, offset] = since
            elif since:  # else the first of all is behind it already: half of now is long before any record
                spans[place, offset] = since, until
    return found
