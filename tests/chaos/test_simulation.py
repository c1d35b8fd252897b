"""A share of the simulated seeds and pairs of crashes; `make chaos-deep` runs a million."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from chaos.simulation import seeded
from chaos.simulation.pairs import crashed_at
from chaos.simulation.seeded import simulate
from chaos.simulation.world import World
from shared.failpoints import POINTS

SEEDS = 200
BLOCK = 20
EVERY_POINT = list(POINTS)
NEXT = dict(zip(EVERY_POINT, [*EVERY_POINT[1:], EVERY_POINT[0]], strict=True))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Have the services tell nothing of what is broken on purpose; afterwards they speak again."""
    caplog.set_level(logging.CRITICAL, "shared")


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_whatever_goes_wrong_all_holds_at_rest(first: int) -> None:
    found = {seed: violations for seed in range(first, first + BLOCK) if (violations := simulate(seed).violations)}

    assert found == {}


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_one_point_and_then_at_the_next_leaves_nothing_undone(point: str) -> None:
    world = crashed_at(point, NEXT[point])

    assert world.crashed == [point, NEXT[point]]
    assert world.violations == []


def test_a_seed_always_runs_the_same_way() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "chaos.simulation", "--seed", "7"],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert told[0] == told[1]
    assert len(told[0].splitlines()) > 100


def test_what_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(world: World, _: object) -> None:
        world.stores["device"].shelves["closed_accounts"].rows.clear()

    monkeypatch.setitem(seeded.TURNS, forgetful, 20)

    assert any(simulate(seed).violations for seed in range(10))
