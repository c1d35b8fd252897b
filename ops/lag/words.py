"""What a window of samples of one partition means for its reader, in one word: pure, and without a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise


class Word(Enum):
    """How a group gets on with a partition; the later, the worse. The number is the exit code of `adieu lag`."""

    CAUGHT_UP = 0
    DRAINING = 10
    GROWING = 11
    REWOUND = 12
    STALLED = 13
    NO_CONSUMER = 14
    LOSING = 15

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Sample:
    """One look at one partition as one group reads it."""

    at: float
    """When, in seconds of a clock that only goes forward."""
    start: int
    """The first record that the broker still has."""
    end: int
    """Where the next record will stand."""
    committed: int | None
    """Up to where the group has read; None where it has never said."""
    consumed: bool = True
    """Whether a member of the group has this partition."""
    waits: float | None = None
    """Since how many seconds the oldest waiting record is with the broker; None where that is not known."""
    purged: bool = False
    """Whether its reader itself deletes what it has taken in, also before it has said so to the broker."""

    @property
    def position(self) -> int:
        """Where the group goes on: a reader that has never said begins at the first record there is."""
        if self.committed is None:
            return self.start
        return max(self.committed, self.start) if self.purged else self.committed

    @property
    def lag(self) -> int:
        """How many records wait. What was deleted unread counts: the broker's own tool counts it too."""
        return max(self.end - self.position, 0)

    @property
    def there(self) -> int:
        """How many of them are still there to be read."""
        return max(self.end - self.next, 0)

    @property
    def next(self) -> int:
        """Where the first of them stands."""
        return max(self.position, self.start)


def word_for(window: Sequence[Sample], retention: float | None) -> Word:
    """Say it in a word; the window has at least one sample, the newest last.

    `retention` is for how many seconds the broker keeps a record; None for ever.
    """
    first, last = window[0], window[-1]
    if _losing(window, retention):
        return Word.LOSING
    if _rewound(window):
        return Word.REWOUND
    if not any(sample.consumed for sample in window):
        return Word.NO_CONSUMER
    if not last.lag:
        return Word.CAUGHT_UP
    if last.position == first.position:
        # What has come within the window may simply not have been looked at yet.
        waited_throughout = len(window) > 1 and all(sample.lag for sample in window)
        return Word.STALLED if waited_throughout else Word.GROWING
    return _moving(window)


def _moving(window: Sequence[Sample]) -> Word:
    first, last = window[0], window[-1]
    half = len(window) // 2
    before, after = window[:half], window[half:]
    rises = min(sample.lag for sample in after) > max(sample.lag for sample in before)
    if rises:
        return Word.GROWING
    if last.position >= first.end:
        return Word.CAUGHT_UP  # all that waited when the window began has been read: what waits now is on its way
    return Word.DRAINING if last.lag < first.lag else Word.GROWING


def _losing(window: Sequence[Sample], retention: float | None) -> bool:
    """Tell whether records are deleted unread: already, or before they are reached at the pace of this window."""
    last = window[-1]
    if not last.lag:
        return False
    if last.position < last.start:
        return True
    if retention is None:
        return False
    pace = rate(window, "position")
    newest_waits = last.lag / pace if pace > 0 else 0.0
    return max(last.waits or 0.0, newest_waits) >= retention


def _rewound(window: Sequence[Sample]) -> bool:
    """Tell whether the group was set back within the window, or stands behind the end of a log that was made anew."""
    back = any(later.position < earlier.position for earlier, later in pairwise(window))
    return back or window[-1].position > window[-1].end


def rate(window: Sequence[Sample], of: str) -> float:
    """Measure how fast `position` or `end` moves, in records a second; 0 where there is only one sample."""
    first, last = window[0], window[-1]
    seconds = last.at - first.at
    return (getattr(last, of) - getattr(first, of)) / seconds if seconds > 0 else 0.0
