"""Whether a cancellation costs more when there are more people, or when more of them leave at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from statistics import median

from bench.cancellations import crowd
from bench.people import Resident, residents, settle
from bench.stages import Stage, adieu, ground

LEAVING, ROUNDS = 300, 3
WITH_READINGS = 10_000
"""So many people at most have readings: the rest would only take time to put there."""
BACKLOGS = (100, 10_000)


async def by_people(sizes: Sequence[int]) -> AsyncIterator[tuple[int, float]]:
    """Fill the tables up to each size, and tell the CPU-milliseconds of a cancellation there."""
    async with ground() as on, adieu(on) as stage:
        there = 0
        for size in sizes:
            await _settle(stage, residents(max(0, min(size, WITH_READINGS) - there)))
            await _settle(stage, residents(size - max(there, min(size, WITH_READINGS))), readings=0)
            there = size
            yield size, median([await _cost(stage, LEAVING) for _ in range(ROUNDS)])


async def by_backlog() -> AsyncIterator[tuple[int, float]]:
    """Tell the CPU-milliseconds of a cancellation where few and where many are due at the same moment."""
    async with ground() as on, adieu(on) as stage:
        for backlog in BACKLOGS:
            rounds = max(1, min(10, BACKLOGS[-1] // backlog // 10))
            yield backlog, median([await _cost(stage, backlog) for _ in range(rounds)])


async def _cost(stage: Stage, leaving: int) -> float:
    people = residents(leaving)
    await _settle(stage, people)
    return (await crowd(stage, people)).cpu_each


async def _settle(stage: Stage, people: Sequence[Resident], readings: int = 60) -> None:
    await settle(stage.ground.connections, people, "no hash", readings=readings)
