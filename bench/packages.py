"""Access: packages of as many people as there are at once, a lone one, and one with very many readings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from uuid import UUID, uuid4

import asyncpg
import httpx
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.measure import memory_megabytes, percentile
from bench.people import Resident
from bench.stages import Stage, until
from ops.installation import SERVICES
from services.requests.sealing import Wrapping, new_pair, read_wrapping
from shared.contracts.requests import ExportOrdered
from shared.security import Person, issue_access_token

LOOK_SECONDS = 0.25
SHORT_LOOK_SECONDS = 0.02
PAUSE_SECONDS = 0.3
AT_ONCE = 500
_MADE = "SELECT count(*) FROM packages WHERE made_at IS NOT NULL AND account_id = ANY($1)"
_TIMES = "SELECT ordered_at, pg_xact_commit_timestamp(xmin) FROM packages WHERE account_id = ANY($1)"
_READINGS = (
    "INSERT INTO readings (account_id, binding_id, measured_at, event_id, values)"
    " SELECT $1, $2, now() - interval '1 day' + n * interval '1 millisecond', gen_random_uuid(),"
    " jsonb_build_object('pm25', n % 100, 'humidity', 40 + n % 20) FROM generate_series(1, $3) AS n"
)


@dataclass(frozen=True)
class Crowd:
    """What it took until all of a crowd had their packages."""

    rate: float
    """Packages a second, from the first order to the last package."""
    cpu: dict[str, float]
    """CPU-milliseconds for each of them, by process."""

    @property
    def cpu_each(self) -> float:
        """All processes and engines together."""
        return sum(self.cpu.values())


@dataclass(frozen=True)
class Large:
    """What a package of very much took."""

    seconds: float
    megabytes: float
    """How large it is."""
    grown: dict[str, float]
    """By how much the memory of each process grew meanwhile, in megabytes."""


async def crowd(stage: Stage, people: Sequence[Resident]) -> Crowd:
    """Have the accepted requests of all of them carried out at once."""
    before = stage.cpu
    for start in range(0, len(people), AT_ONCE):
        await _order(stage, people[start : start + AT_ONCE])
    await _until_made(stage, people, LOOK_SECONDS)
    after = stage.cpu
    times = await _times(stage, people)
    seconds = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()
    cpu = {name: 1000 * (after[name] - before[name]) / len(people) for name in after}
    return Crowd(len(people) / seconds, cpu)


async def lone(stage: Stage, people: Sequence[Resident]) -> dict[str, float]:
    """Have them ask at the door one after the other; from there to the package, in milliseconds."""
    async with httpx.AsyncClient(base_url=stage.urls["requests"]) as http:
        for person in people:
            answer = await http.post("/v1/requests", json={"kind": "access"}, headers=_logged_in(stage, person))
            answer.raise_for_status()
            await _until_made(stage, [person], SHORT_LOOK_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)
    took = [1000 * (end - start).total_seconds() for start, end in await _times(stage, people)]
    return {"p50": percentile(took, 0.5), "p95": percentile(took, 0.95)}


async def large(stage: Stage, person: Resident, readings: int) -> Large:
    """Give a person very many readings, and have a package made."""
    device = stage.ground.connections["device"]
    await device.execute(_READINGS, person.account_id, person.bindings[0], readings)
    await device.execute("VACUUM ANALYZE")
    before = {name: memory_megabytes(pid) for name, pid in stage.pids.items()}
    most = dict(before)
    began = perf_counter()
    await _order(stage, [person])

    async def made() -> bool:
        for name, pid in stage.pids.items():
            most[name] = max(most[name], memory_megabytes(pid))
        return await _made(stage, [person]) == 1

    await until(made, LOOK_SECONDS)
    seconds = perf_counter() - began
    size = "SELECT size FROM packages WHERE account_id = $1"
    megabytes = await stage.ground.connections["requests"].fetchval(size, person.account_id) / 1_000_000
    return Large(seconds, megabytes, {name: most[name] - before[name] for name in most})


async def _until_made(stage: Stage, people: Sequence[Resident], look_seconds: float) -> None:
    async def made() -> bool:
        return await _made(stage, people) == len(people)

    await until(made, look_seconds)


async def _made(stage: Stage, people: Sequence[Resident]) -> int:
    ids = [person.account_id for person in people]
    return int(await stage.ground.connections["requests"].fetchval(_MADE, ids))


async def _times(stage: Stage, people: Sequence[Resident]) -> list[tuple[datetime, datetime]]:
    rows = await stage.ground.connections["requests"].fetch(_TIMES, [person.account_id for person in people])
    return [(row[0], row[1]) for row in rows]


def _logged_in(stage: Stage, person: Resident) -> dict[str, str]:
    key = load_pem_private_key((stage.secrets / "access-token-private.pem").read_bytes(), password=None)
    token = issue_access_token(key, Person(person.account_id, uuid4()), datetime.now(UTC))
    return {"Authorization": f"Bearer {token}"}


async def _order(stage: Stage, people: Sequence[Resident]) -> None:
    """Write what an accepted request leaves: its record, its keys, who owes, and the order to all owners."""
    wrapping = read_wrapping(stage.secrets / "package-keys")
    connection = stage.ground.connections["requests"]
    async with connection.transaction():
        for person in people:
            await _order_one(connection, wrapping, person.account_id)


async def _order_one(connection: asyncpg.Connection, wrapping: Wrapping, account_id: UUID) -> None:
    request_id, now = uuid4(), datetime.now(UTC)
    later = now + timedelta(days=30)
    public, private = new_pair()
    record = (
        "INSERT INTO requests VALUES ($1, $2, 'access', 'app', 'accepted', 'policy', '{}', $3, $4, $4, NULL, NULL,"
        " false, false, 0, 0, $3, $3, false, false, NULL, NULL, NULL, 0, '')"
    )
    await connection.execute(record, request_id, account_id, now, later)
    names = "request_id, account_id, public_key, private_key, ordered_at, asked_at, answer_by, ready"
    package = f"INSERT INTO packages ({names}) VALUES ($1, $2, $3, $4, $5, $5, $6, false)"  # noqa: S608 - words of ours
    await connection.execute(package, request_id, account_id, json.dumps(public), wrapping.wrap(private), now, later)
    dues = "INSERT INTO export_dues (request_id, account_id, owner) SELECT $1, $2, unnest($3::text[])"
    await connection.execute(dues, request_id, account_id, list(SERVICES))
    order = ExportOrdered(
        id=uuid4(),
        source="requests",
        occurred_at=now,
        account_id=account_id,
        correlation_id=uuid4(),
        request_id=request_id,
        owners=SERVICES,
        public_key=public,
    )
    body = order.model_dump_json().encode()
    outbox = "INSERT INTO outbox (topic, key, type, event_id, body) VALUES ($1, $2, $3, $4, $5)"
    await connection.execute(outbox, order.topic.name, order.key, order.type, order.id, body)
