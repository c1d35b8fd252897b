"""The cascade: as many as there are at once, and a lone one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from bench.measure import memory_megabytes, percentile
from bench.people import PASSWORD, Resident
from bench.stages import Stage, until

LOOK_SECONDS = 0.25
PAUSE_SECONDS = 0.3
"""Between lone ones, so that each is alone."""
_DONE = "SELECT count(*) FROM orders WHERE completed_at IS NOT NULL AND account_id = ANY($1)"
_CLOSED = "SELECT account_id, pg_xact_commit_timestamp(xmin) FROM orders WHERE account_id = ANY($1)"
# Adieu leaves a mark when it commits the pivot; the counterpart writes the moment down in the order.
_MARKED = "SELECT account_id, pg_xact_commit_timestamp(xmin) FROM closed_accounts WHERE account_id = ANY($1)"
_NOTED = "SELECT account_id, opened_at FROM orders WHERE account_id = ANY($1)"


@dataclass(frozen=True)
class Crowd:
    """What it took until all of a crowd had left."""

    rate: float
    """Complete cancellations a second, from the first commit to the last closed order."""
    cpu: dict[str, float]
    """CPU-milliseconds for each of them, by process."""
    memory: dict[str, float]
    """The most that each process had of the memory meanwhile, in megabytes."""

    @property
    def cpu_each(self) -> float:
        """All processes and engines together."""
        return sum(self.cpu.values())


async def crowd(stage: Stage, people: Sequence[Resident]) -> Crowd:
    """Let all of them leave at once: their cancellations were confirmed before, and now they are due."""
    ids = [person.account_id for person in people]
    memory: dict[str, float] = {}

    async def all_gone() -> bool:
        for name, pid in stage.pids.items():
            memory[name] = max(memory.get(name, 0.0), memory_megabytes(pid))
        return bool(await stage.ground.connections["requests"].fetchval(_DONE, ids) == len(people))

    before = stage.cpu
    due = "UPDATE cancellations SET due_at = clock_timestamp() WHERE account_id = ANY($1)"
    await stage.ground.connections["account"].execute(due, ids)
    await stage.go()
    await until(all_gone, LOOK_SECONDS)
    after = stage.cpu
    times = await _times(stage, people)
    seconds = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()
    cpu = {name: 1000 * (after[name] - before[name]) / len(people) for name in after}
    return Crowd(len(people) / seconds, cpu, memory)


async def lone(stage: Stage, people: Sequence[Resident]) -> dict[str, float]:
    """Let them leave one after the other; from the commit of the confirm to the closed order, in milliseconds."""
    async with httpx.AsyncClient() as http:
        for person in people:
            await _leave(stage, http, person)
            await asyncio.sleep(PAUSE_SECONDS)
    ids = [person.account_id for person in people]
    gone = stage.ground.connections["requests"]

    async def all_gone() -> bool:
        return bool(await gone.fetchval(_DONE, ids) == len(people))

    await until(all_gone, LOOK_SECONDS)
    took = [1000 * (end - start).total_seconds() for start, end in await _times(stage, people)]
    return {"p50": percentile(took, 0.5), "p95": percentile(took, 0.95)}


async def _leave(stage: Stage, http: httpx.AsyncClient, person: Resident) -> None:
    if stage.urls:
        url = f"{stage.urls['account']}/v1/cancellations/{person.reference}/confirm"
        answer = await http.post(url, json={"token": person.token, "password": PASSWORD})
        answer.raise_for_status()
    else:
        due = "UPDATE cancellations SET due_at = clock_timestamp() WHERE account_id = $1"
        await stage.ground.connections["account"].execute(due, person.account_id)
        await stage.go()


async def _times(stage: Stage, people: Sequence[Resident]) -> list[tuple[datetime, datetime]]:
    """Tell when each person's pivot was committed, and when the order was closed."""
    ids = [person.account_id for person in people]
    account, requests = (stage.ground.connections[name] for name in ("account", "requests"))
    started: list[Any] = await account.fetch(_MARKED, ids) or await requests.fetch(_NOTED, ids)
    starts = dict(started)
    return [(starts[account_id], end) for account_id, end in await requests.fetch(_CLOSED, ids)]
