"""Where the time comes from: asked in one place, so that a test or a demo can hold it, or move it forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)


class ShiftedClock:
    """A clock that is ahead by as many seconds as a file holds: a run can be moved forward by days.

    The file is read anew when another one has taken its place; while it is not there, nothing is added.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[int, int] | None = None
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return system_clock()
        # Its time alone would not tell two apart that came within one tick of the system.
        if (which := (found.st_ino, found.st_mtime_ns)) != self._read:
            self._ahead = timedelta(seconds=float(self._file.read_text()))
            self._read = which
        return system_clock() + self._ahead


def clock_told_by(file: Path | None) -> Clock:
    """Make the clock of a service: the system's, or one that a file moves forward."""
    return ShiftedClock(file) if file else system_clock
