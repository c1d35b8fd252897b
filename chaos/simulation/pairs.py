"""Every pair of failpoints: a crash at one, and when all is started anew, a crash at the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from chaos.simulation import verdict
from chaos.simulation.people import Person, couple
from chaos.simulation.rest import everybody, settle
from chaos.simulation.room import SERVICES
from chaos.simulation.world import Fault, InstantLoop, World, watched
from shared.contracts.topics import TELEMETRY

OFTEN = ("bus.", "consumer.co", "consumer.h", "consumer.po", "consumer.t", "outbox.", "relay.")
"""Points that are passed many times: it is not always the first pass that counts."""
TURNS, PAUSE = 60, timedelta(seconds=10)
"""So many suffice to reach every point twice."""


async def _run(points: Sequence[str]) -> World:
    world, draw = World([]), Random(" ".join(points))
    with watched(world):
        for number, point in enumerate(points):
            await _crash_at(world, point, couple(number), draw)
        await settle(world)
        world.violations += verdict.at_rest(world)
    return world


async def _crash_at(world: World, point: str, newcomers: Sequence[Person], draw: Random) -> None:
    """Have two more people come, and when one is about to leave, roll out a release and crash at this point."""
    world.people = [*world.people, *newcomers]
    world.post.full[f"{newcomers[0].mark}+new"] = 6  # so that this order has to be repeated
    while newcomers[0].plan[0].name != "leaves":
        await everybody(world, hurried=False)
    fault = Fault(point, draw.randrange(6) if point.startswith(OFTEN) else 0)
    world.faults.append(fault)
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
