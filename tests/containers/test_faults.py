"""A hundred people leave while a part of the system is killed, stands still, or is cut off the network."""

from __future__ import annotations

import httpx
import pytest

from ops.installation import SERVICES
from ops.system import System
from tests.containers.composed import OUT_SECONDS, Compose
from tests.leaving import many_leave, nothing_left

A_THIRD = 34


@pytest.mark.parametrize("part", [*SERVICES, "kafka", "postgres"])
async def test_nothing_is_lost_and_nothing_stays_when_a_part_is_struck_three_ways_among_a_hundred_cancellations(
    compose: Compose, system: System, http: httpx.AsyncClient, part: str
) -> None:
    async def kill() -> None:
        await compose.kill(part)
        await compose.installation()

    async def cut() -> None:
        await compose.cut(part)
        await compose.installation()

    people = await many_leave(system, http, A_THIRD, kill, lambda: compose.pause(part), cut, within=OUT_SECONDS / 2)

    await compose.collect_logs()
    assert await nothing_left(system, people)
