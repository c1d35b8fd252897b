"""How a service reaches its PostgreSQL: engine, the account's lock, sole holders, migrations."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy import ARRAY, BigInteger, Boolean, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.commands import Lock

SOLE_HOLDER_SPACE = 1_094_994_281
"""Keeps the locks of sole holders apart from everything else of the two-key kind."""

STATEMENT_SECONDS = 600
"""Ends a statement whose server is gone without a word. To erase what a person with much data has takes long."""

BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Rows are found by index, whatever the planner knew of a table when it made the plan that a connection then keeps:
it may have been empty at that moment, and of personal columns there are no statistics."""


def engine_for(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Make the service's engine. Parameters never stand in an error: they are people's data."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=5,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=_as_json,
        json_deserializer=from_json,
        connect_args={
            "command_timeout": STATEMENT_SECONDS,
            "server_settings": {"application_name": "adieu", **BY_INDEX},
        },
    )


def _as_json(value: object) -> str:
    return to_json(value).decode()


# One advisory lock an account, also for accounts that this service has no row of. In a statement of its own
# and before every read: a lock taken inside the deleting statement lets a row committed meanwhile survive.
_LOCK = text(
    "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END"
    " FROM unnest(:keys, :alone) AS wanted(key, alone)"
).bindparams(bindparam("keys", type_=ARRAY(BigInteger)), bindparam("alone", type_=ARRAY(Boolean)))


def lock_key(account_id: UUID) -> int:
    """Map an account to its lock; two that share one by chance only wait for each other."""
    return int.from_bytes(account_id.bytes[:8], signed=True)


async def lock_accounts(connection: AsyncConnection, wanted: Mapping[UUID, Lock]) -> None:
    """Take each account's lock until the transaction ends, all in one order, so that no two wait in a circle."""
    modes: dict[int, Lock] = {}
    for account_id, mode in wanted.items():
        if mode is not Lock.NONE:
            modes[lock_key(account_id)] = max(mode, modes.get(lock_key(account_id), Lock.NONE))
    if modes:
        keys = sorted(modes)
        await connection.execute(_LOCK, {"keys": keys, "alone": [modes[key] is Lock.EXCLUSIVE for key in keys]})


@asynccontextmanager
async def sole_holder(engine: AsyncEngine, name: str, retry_seconds: float = 1.0) -> AsyncIterator[AsyncConnection]:
    """Wait until this process alone holds `name` in this database; yields the connection that holds it.

    Who loses the connection loses the hold, so do all that wants to be alone over this very connection.
    """
    keys = {"space": SOLE_HOLDER_SPACE, "name": zlib.crc32(name.encode()) - 2**31}
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # Who is alone reads a queue: a plan that was made when it was empty would be kept when it is full.
        await connection.execute(text("SET plan_cache_mode = force_custom_plan"))
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(:space, :name)"), keys):  # noqa: ASYNC110 - another process holds it
            await asyncio.sleep(retry_seconds)
        try:
            yield connection
        finally:
            # The pool would keep the session, and with it the lock.
            await connection.invalidate()


def newest_migration(migrations: Path) -> str | None:
    """Name the newest migration. They are numbered: to be asked, Alembic would be loaded into every service."""
    numbers = [path.name.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py")]
    return max(numbers, default=None)


async def missing_migrations(engine: AsyncEngine, migrations: Path) -> bool:
    """Tell whether the database is not at the newest migration."""
    head = newest_migration(migrations)
    async with engine.connect() as connection:
        there = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        return not there or await connection.scalar(text("SELECT version_num FROM alembic_version")) != head


def rows_of(columns: Iterable[str], values: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Turn rows into one array a column, for statements that take their rows by `unnest`."""
    names = list(columns)
    arrays = list(map(list, zip(*values, strict=True))) or [[] for _ in names]
    return dict(zip(names, arrays, strict=True))
