"""The whole system for tests: real engines, four service processes; and what it holds, read from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from ops.installation import Installation
from ops.system import System, running

MANY_AT_ONE_ADDRESS = {"NETWORK_PATIENCE": "1000"}
"""Everybody in a test comes from one network address."""
starts_a_system = pytest.mark.timeout(300)
"""Marks tests that take half a minute, and on a busy machine some."""


@asynccontextmanager
async def whole_system(directory: Path, **environment: str) -> AsyncIterator[System]:
    """Start everything below a directory of its own."""
    async with running(Installation(directory, MANY_AT_ONE_ADDRESS | environment)) as system:
        yield system


async def rows(system: System) -> dict[str, list[str]]:
    """Read every row of every table of the four databases, as text, by `service.table`."""
    found: dict[str, list[str]] = {}
    for service, url in system.installation.database_urls.items():
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables:
                texts = await connection.fetch(f'SELECT t::text FROM "{table}" AS t')
                found[f"{service}.{table}"] = sorted(str(text) for (text,) in texts)
        finally:
            await connection.close()
    return found


def places_of(marks: Iterable[str], tables: dict[str, list[str]]) -> list[str]:
    """Name the tables in which a mark stands, as it is or within bytes."""
    needles = [needle for mark in marks for needle in (mark, mark.encode().hex())]
    return sorted({name for name, texts in tables.items() for text in texts if any(n in text for n in needles)})


def lines_about(person_marks: Iterable[str], tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """Pick the rows in which a mark stands."""
    needles = [needle for mark in person_marks for needle in (mark, mark.encode().hex())]
    picked = {name: [text for text in texts if any(n in text for n in needles)] for name, texts in tables.items()}
    return {name: texts for name, texts in picked.items() if texts}
