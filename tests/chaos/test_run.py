"""A small run on a real system: all of it holds; and the driver sees it when it does not."""

from __future__ import annotations

import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path

import asyncpg

from chaos.crowd import group_marks
from chaos.faults.base import Fault, World
from chaos.faults.messages import Doubled
from chaos.faults.services import AtFailpoint
from chaos.run import Outcome, run
from ops.demo.leftovers import connected
from tests.whole_system import starts_a_system

PEOPLE = 30


class Sabotage(Fault):
    """Somebody takes out and plants what a system that loses things would lose and leave."""

    kind = "sabotage"

    @property
    def words(self) -> str:
        return "what was taken in is deleted, and what was erased comes back"

    async def strike(self, world: World) -> None:
        crowd, urls = world.life.crowd, world.installation.database_urls
        stays, mark = crowd.staying[0].account_id, group_marks(crowd.leaving)[0]
        async with connected(urls["device"]) as device, connected(urls["account"]) as account:
            await device.execute("DELETE FROM readings WHERE account_id = $1", stays)
            await account.execute("UPDATE accounts SET region = 'AT' WHERE id = $1", stays)
            await _plant(account, mark)
        with (world.installation.logs / "device.log").open("a") as log:
            log.write(f"Hello {mark}\n")


async def _plant(account: asyncpg.Connection, mark: str) -> None:
    await account.execute("CREATE TABLE forgotten (said text)")
    await account.execute("INSERT INTO forgotten VALUES ($1)", f"Hello {mark}")


async def _run(tmp_path: Path, *faults: Fault) -> Outcome:
    return await run(1, PEOPLE, tmp_path / "chaos", print, faults=faults)


@starts_a_system
async def test_a_small_run_holds_and_tells_its_recovery(tmp_path: Path) -> None:
    words = ["--seed", "1", "--people", str(PEOPLE), "--json", "--directory", str(tmp_path)]
    process = await create_subprocess_exec(sys.executable, "-m", "chaos", *words, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()

    (outcome,) = json.loads(output)
    assert (process.returncode, outcome["held"]) == (0, True), errors.decode()
    assert outcome["recovery_seconds"] is not None
    assert [line for line in outcome["lines"] if line["what"].startswith("it happened")]


@starts_a_system
async def test_what_is_lost_and_what_is_left_is_found_and_said(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, Sabotage(), Doubled())

    violated = {line.what: line.detail for line in outcome.lines if not line.held}
    assert not outcome.held
    assert set(violated) == {
        "nothing is left of who has left: tables, statistics, topics, files",
        "no log names anybody",
        "the rows of who stays are as they were",
        "readings and feedback of who stays are there exactly once",
        "it happened: what was taken in is deleted, and what was erased comes back",
    }
    assert "account.forgotten" in violated["nothing is left of who has left: tables, statistics, topics, files"]


@starts_a_system
async def test_a_failpoint_that_nobody_reaches_is_no_fault_that_happened(tmp_path: Path) -> None:
    never = AtFailpoint("mailer.sent", "KILL", "device", nth=1, seconds=1)  # device has no mailer

    outcome = await _run(tmp_path, Doubled(), never)

    assert [line.what for line in outcome.lines if not line.held] == [f"it happened: {never.words}"]
