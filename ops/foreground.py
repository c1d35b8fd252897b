"""Runs work that a person or another program may end at any moment, and that then ends in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_told_to_stop(work: Coroutine[Any, Any, T]) -> T | None:
    """Run it to its end; on Ctrl-C or SIGTERM have it clean up, and return None."""
    task = asyncio.create_task(work)
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop_signal, task.cancel)
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()
