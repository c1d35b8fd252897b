"""Fifty people leave at once, and something is killed meanwhile: everything converges without a hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from ops.system import System
from tests.leaving import many_leave
from tests.whole_system import starts_a_system, whole_system

PEOPLE = 50


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with whole_system(tmp_path_factory.mktemp("faults"), REMIND_SECONDS="2") as system:
        yield system


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def _kill(system: System, victim: str) -> None:
    engines = {engine.name: engine for engine in system.engines}
    if victim in engines:
        engines[victim].kill()
        await engines[victim].start()
    else:
        system.supervisor.kill(victim)


@starts_a_system
@pytest.mark.parametrize("victim", ["account", "device", "requests", "notifier", "Kafka", "PostgreSQL"])
async def test_nothing_is_lost_and_nothing_stays_when_one_part_is_killed_among_fifty_cancellations(
    system: System, http: httpx.AsyncClient, victim: str
) -> None:
    await many_leave(system, http, PEOPLE, lambda: _kill(system, victim))
