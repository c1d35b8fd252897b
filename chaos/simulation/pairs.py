"""Every pair of failpoints: a crash at one, and when all is started anew, a crash at the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from chaos.simulation import verdict
from chaos.simulation.people import Person, couple
from chaos.simulation.rest import everybody, settle
from chaos.simulation.room import SERVICES
from chaos.simulation.world import Fault, InstantLoop, World, watched
from shared.contracts.topics import TELEMETRY

TURNS, PAUSE = 60, timedelta(seconds=10)
"""So many suffice to reach every point twice."""


async def _run(points: Sequence[str]) -> World:
    world = World([])
    with watched(world):
        for number, point in enumerate(points):
            await _crash_at(world, point, couple(number))
        await settle(world)
        world.violations += verdict.at_rest(world)
    return world


async def _crash_at(world: World, point: str, newcomers: Sequence[Person]) -> None:
    """Roll out a release, have two more people come, and go on until a crash at this point."""
    fault = Fault(point, 0)
    world.faults.append(fault)
    world.people = [*world.people, *newcomers]
    world.post.full[f"{newcomers[0].mark}+new"] = 6  # so that this order has to be repeated
    world.put(TELEMETRY.name, 0, b"", b"no reading")
    for service in SERVICES:
        await world.start(service)
    for _ in range(TURNS):
        if fault.times:
            await everybody(world, hurried=False)
            world.tick(PAUSE)


def crashed_at(*points: str) -> World:
    """Let two people live and one leave, with a crash at each of the points, one after the other."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(_run(points))
