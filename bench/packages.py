"""Access: packages of as many people as there are at once, and a lone one; from the order to the package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from bench.measure import memory_megabytes, percentile
from bench.people import Resident
from bench.stages import Stage, until
from ops.installation import SERVICES
from services.requests.sealing import Wrapping, new_pair, read_wrapping
from shared.contracts.requests import ExportOrdered

LOOK_SECONDS = 0.25
PAUSE_SECONDS = 0.3
AT_ONCE = 500
_MADE = "SELECT count(*) FROM packages WHERE made_at IS NOT NULL AND account_id = ANY($1)"
_TIMES = "SELECT ordered_at, pg_xact_commit_timestamp(xmin) FROM packages WHERE account_id = ANY($1)"


@dataclass(frozen=True)
class Crowd:
    """What it took until all of a crowd had their packages."""

    rate: float
    """Packages a second, from the first order to the last package."""
    cpu: dict[str, float]
    """CPU-milliseconds for each of them, by process."""
    memory: dict[str, float]

    @property
    def cpu_each(self) -> float:
        """All processes and engines together."""
        return sum(self.cpu.values())


async def crowd(stage: Stage, people: Sequence[Resident]) -> Crowd:
    """Have all of them ask at once."""
    memory: dict[str, float] = {}
    before = stage.cpu
    for start in range(0, len(people), AT_ONCE):
        await _order(stage, people[start : start + AT_ONCE])

    async def all_made() -> bool:
        for name, pid in stage.pids.items():
            memory[name] = max(memory.get(name, 0.0), memory_megabytes(pid))
        return await _made(stage, people) == len(people)

    await until(all_made, LOOK_SECONDS)
    after = stage.cpu
    times = await _times(stage, people)
    seconds = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()
    cpu = {name: 1000 * (after[name] - before[name]) / len(people) for name in after}
    return Crowd(len(people) / seconds, cpu, memory)


async def lone(stage: Stage, people: Sequence[Resident]) -> dict[str, float]:
    """Have them ask one after the other; from order to package, in milliseconds."""
    for number, person in enumerate(people, start=1):
        await _order(stage, [person])

        async def made(number: int = number) -> bool:
            return await _made(stage, people) == number

        await until(made, 0.02)
        await asyncio.sleep(PAUSE_SECONDS)
    took = [1000 * (end - start).total_seconds() for start, end in await _times(stage, people)]
    return {"p50": percentile(took, 0.5), "p95": percentile(took, 0.95)}


async def _made(stage: Stage, people: Sequence[Resident]) -> int:
    ids = [person.account_id for person in people]
    return int(await stage.ground.connections["requests"].fetchval(_MADE, ids))


async def _times(stage: Stage, people: Sequence[Resident]) -> list[tuple[datetime, datetime]]:
    rows = await stage.ground.connections["requests"].fetch(_TIMES, [person.account_id for person in people])
    return [(row[0], row[1]) for row in rows]


async def _order(stage: Stage, people: Sequence[Resident]) -> None:
    """Write what an accepted request leaves: its record, its keys, who owes, and the order to all owners."""
    wrapping = read_wrapping(stage.ground.directory / "adieu" / "secrets" / "package-keys")
    connection = stage.ground.connections["requests"]
    now = datetime.now(UTC)
    async with connection.transaction():
        for person in people:
            await _order_one(connection, wrapping, person, now)


async def _order_one(connection: asyncpg.Connection, wrapping: Wrapping, person: Resident, now: datetime) -> None:
    request_id, later = uuid4(), now + timedelta(days=30)
    public, private = new_pair()
    await connection.execute(
        "INSERT INTO requests VALUES ($1, $2, 'access', 'app', 'accepted', 'policy', '{}', $3, $4, $4, NULL, NULL,"
        " false, false, 0, 0, $3, $3, false, false, NULL, NULL, NULL, 0, '')",
        request_id,
        person.account_id,
        now,
        later,
    )
    await connection.execute(
        "INSERT INTO packages"
        " (request_id, account_id, public_key, private_key, ordered_at, asked_at, answer_by, ready)"
        " VALUES ($1, $2, $3, $4, $5, $5, $6, false)",
        request_id,
        person.account_id,
        json.dumps(public),
        wrapping.wrap(private),
        now,
        later,
    )
    await connection.execute(
        "INSERT INTO export_dues (request_id, account_id, owner) SELECT $1, $2, unnest($3::text[])",
        request_id,
        person.account_id,
        list(SERVICES),
    )
    order = ExportOrdered(
        id=uuid4(),
        source="requests",
        occurred_at=now,
        account_id=person.account_id,
        correlation_id=uuid4(),
        request_id=request_id,
        owners=SERVICES,
        public_key=public,
    )
    await connection.execute(
        "INSERT INTO outbox (topic, key, type, event_id, body) VALUES ($1, $2, $3, $4, $5)",
        order.topic.name,
        order.key,
        order.type,
        order.id,
        order.model_dump_json().encode(),
    )
