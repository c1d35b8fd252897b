"""What is measured from outside: processor time, memory, and when a row was committed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from statistics import median
from typing import Any

import psutil

MEGABYTE = 1_000_000


def cpu_seconds(pids: Iterable[int]) -> float:
    """Add up the processor time that these processes and all of their children have used since they started."""
    return sum(_used(process) for pid in pids for process in _family(pid))


def _used(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))  # with what children had used that have ended
    return 0.0


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def memory_megabytes(pid: int) -> float:
    """Tell a process's share of the memory (PSS): what it has alone, and its part of what is shared."""
    return float(psutil.Process(pid).memory_full_info().pss) / MEGABYTE


def spread(figures: Iterable[float]) -> dict[str, Any]:
    """Median, least and most of several rounds."""
    known = sorted(figures)
    return {"median": median(known), "least": known[0], "most": known[-1], "rounds": len(known)}


def percentile(figures: Iterable[float], share: float) -> float:
    """Find the figure below which that share lies, of those that were measured."""
    known = sorted(figures)
    return known[min(len(known) - 1, int(len(known) * share))]
