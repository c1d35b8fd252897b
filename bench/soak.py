"""`make bench-soak`: load for an hour, and whether the services' memory grows under it."""

from __future__ import annotations

import asyncio
import logging
from statistics import median
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from bench.cancellations import crowd
from bench.measure import memory_megabytes
from bench.people import residents, settle
from bench.readings import publish
from bench.stages import Stage, adieu, ground

LEAVING, STAYING, READINGS = 200, 500, 20_000
PAUSE_SECONDS = 2.0
TOLERANCE = 1.05
"""What the median of the last quarter may be of the second one's; in the first one caches fill."""
Samples = dict[str, list[float]]


async def load(minutes: float, screen: Console) -> Samples:
    """Have readings come in and people leave, again and again; the memory of each service after every round."""
    samples: Samples = {}
    ends = monotonic() + 60 * minutes
    async with ground() as on, adieu(on) as stage:
        staying = residents(STAYING)
        await settle(on.connections, staying, "no hash", readings=0)
        while monotonic() < ends:
            await publish(on, staying, READINGS)
            await _leave(stage)
            for name, pid in stage.pids.items():
                samples.setdefault(name, []).append(memory_megabytes(pid))
            now = ", ".join(f"{name} {known[-1]:.0f}" for name, known in samples.items())
            screen.print(f"{max(0, ends - monotonic()) / 60:.1f} minutes left; MB: {now}")
            await asyncio.sleep(PAUSE_SECONDS)
    return samples


async def _leave(stage: Stage) -> None:
    people = residents(LEAVING)
    await settle(stage.ground.connections, people, "no hash")
    await crowd(stage, people)


def main(minutes: Annotated[float, typer.Option(help="How long.")] = 60) -> None:
    """Load Adieu; exits with 1 where a service's memory still grows in the second half."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Console()
    samples = asyncio.run(load(minutes, screen))
    grown = []
    for name, known in samples.items():
        quarter = max(1, len(known) // 4)
        early, late = median(known[quarter : 2 * quarter] or known), median(known[-quarter:])
        screen.print(f"{name}: {early:.0f} MB in the second quarter, {late:.0f} MB in the last")
        grown += [name] if late > early * TOLERANCE else []
    raise typer.Exit(1 if grown else 0)


if __name__ == "__main__":
    typer.run(main)
