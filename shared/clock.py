"""Where the time comes from: asked in one place, so that a test or a demo can hold it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)
