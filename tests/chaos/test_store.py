"""The store in memory against PostgreSQL: every statement of whole simulations, with the same answers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chaos.simulation.room import SERVICES
from chaos.simulation.seeded import run
from chaos.simulation.store import Seen
from chaos.simulation.twins import TWINS
from chaos.simulation.world import START, InstantLoop, World
from tests.rooms import OpenRoom, Room

SEEDS = (*range(5), 20)
"""Enough that every twin is asked."""
HELD_CLOCK = (
    "CREATE SCHEMA simulated",
    "CREATE FUNCTION simulated.now() RETURNS timestamptz RETURN current_setting('simulated.now')::timestamptz",
    "ALTER TABLE inbox ALTER taken_at SET DEFAULT simulated.now()",
    "ALTER TABLE dead_letters ALTER parked_at SET DEFAULT simulated.now()",
)
"""The database's own clock, held where the simulation's is."""
AS_BEFORE = (
    "ALTER TABLE inbox ALTER taken_at SET DEFAULT now()",
    "ALTER TABLE dead_letters ALTER parked_at SET DEFAULT now()",
    "DROP SCHEMA simulated CASCADE",
)


Recordings = dict[int, tuple[World, dict[str, list[Seen]]]]
"""What the stores of each seed were told."""


def witnessed(seed: int) -> tuple[World, dict[str, list[Seen]]]:
    """Run a seed, and write down what its stores were told."""
    seen: dict[str, list[Seen]] = defaultdict(list)

    def watch(world: World) -> None:
        for service, store in world.stores.items():
            store.witness = seen[service].append

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(run(seed, watch)), seen


@cache
def recorded() -> Recordings:
    """Run the seeds, each once for all services."""
    return {seed: witnessed(seed) for seed in SEEDS}


@pytest.fixture(scope="module")
async def recordings() -> Recordings:
    """Give the recordings; they are made on a loop of their own."""
    return await asyncio.to_thread(recorded)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("number", SEEDS)
async def test_the_store_in_memory_answers_as_postgresql_does(
    room: OpenRoom, recordings: Recordings, number: int, service: str
) -> None:
    world, seen = recordings[number]
    real = await room(service)
    await set_scene(real, world)

    async with held_clock(real) as connection:
        await tell_all(connection, seen[service])

    for name, shelf in world.stores[service].shelves.items():
        rows = [dict(row) for row in shelf.rows.values()]
        assert sorted(await real.rows(name), key=repr) == sorted(rows_as_told(real, name, rows), key=repr), name


def test_every_twin_is_compared(recordings: Recordings) -> None:
    told = {
        getattr(each.what, "text", "")
        for _, seen in recordings.values()
        for all_of in seen.values()
        for each in all_of
    }

    assert TWINS.keys() - told == set()


def rows_as_told(room: Room, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the columns in the order of the table."""
    names = [column.name for column in room.tables[table].columns]
    return [{name: row[name] for name in names} for row in rows]


@asynccontextmanager
async def held_clock(real: Room) -> AsyncIterator[AsyncConnection]:
    """Connect to a database whose clock is held."""
    for statement in HELD_CLOCK:
        await real.run(statement)
    async with real.engine.connect() as connection:
        await connection.execute(text("SET search_path = simulated, public, pg_catalog"))
        await connection.commit()
        yield connection
        await connection.invalidate()
    for statement in AS_BEFORE:
        await real.run(statement)


async def set_scene(real: Room, world: World) -> None:
    """Have there what was there before anybody came."""
    if real.service == "requests":
        await real.run("UPDATE owners SET admitted_at = :start", start=START)
    if real.service == "device":
        async with real.engine.begin() as connection:
            products = [dict(row) for row in world.stores["device"].rows("products")]
            await connection.execute(insert(real.tables["products"]), products)


async def tell_all(connection: AsyncConnection, seen: list[Seen]) -> None:
    """Run the statements in their transactions, and compare every answer."""
    within = False
    for each in seen:
        match each.what:
            case "begin":
                within = True
                await connection.execute(
                    text("SELECT set_config('simulated.now', :now, false)"), {"now": f"{each.now}"}
                )
            case "commit":
                within = False
                await connection.commit()
            case "rollback":
                within = False
                await connection.rollback()
            case _:
                await compare(connection, each)
                if not within:
                    await connection.commit()


async def compare(connection: AsyncConnection, each: Seen) -> None:
    """Run one statement."""
    result = await connection.execute(each.what, each.values)
    assert each.answer
    if result.returns_rows:
        rows = [tuple(row) for row in result]
        assert sorted(rows, key=repr) == sorted(map(tuple, each.answer.rows), key=repr), f"{each.what}"
    elif not isinstance(each.values, list):
        assert result.rowcount == each.answer.count, f"{each.what}"
