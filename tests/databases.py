"""Databases for tests: each service is migrated once, and every test gets one of its own."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import make_url

from ops.provision import migrate

SERVICES = Path(__file__).parents[1] / "services"


_FILLED = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'alembic_version'
"""


class Databases:
    """Hands out databases of one PostgreSQL, and takes them back as they were."""

    def __init__(self, admin: asyncpg.Connection, admin_url: str) -> None:
        self._admin = admin
        self._url = make_url(admin_url)
        self._templates: dict[str, str] = {}
        self._free: dict[str, list[str]] = {}

    def url(self, name: str) -> str:
        """Address the database of that name."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    async def fresh(self, service: str) -> str:
        """Get a database as the service's migrations leave it; returns its name."""
        if free := self._free.setdefault(service, []):
            return free.pop()
        name = f"{service}_{uuid4().hex[:12]}"
        template = self._templates.get(service) or await self._migrated(service)
        await self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    async def empty(self, name: str) -> str:
        """Make a database with nothing in it; returns its name."""
        name = f"{name}_{uuid4().hex[:12]}"
        await self._admin.execute(f"CREATE DATABASE {name}")
        return name

    async def take_back(self, service: str, name: str) -> None:
        """Empty a database but for what its migrations wrote, which is quicker than making a new one."""
        connection = await self._connect(name)
        tables = [row[0] for row in await connection.fetch(_FILLED)]
        kept = [row[0] for row in await connection.fetch(_FILLED.replace("public", "as_migrated"))]
        await connection.execute(
            f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE;"
            + "".join(f"INSERT INTO {table} SELECT * FROM as_migrated.{table};" for table in kept)
        )
        await connection.close()
        self._free[service].append(name)

    async def _migrated(self, service: str) -> str:
        """Migrate a template, and keep aside what its migrations wrote."""
        name = self._templates[service] = f"template_of_{service}"
        await self._admin.execute(f"CREATE DATABASE {name}")
        await migrate(self.url(name), SERVICES / service / "migrations")
        connection = await self._connect(name)
        await connection.execute("CREATE SCHEMA as_migrated")
        for (table,) in await connection.fetch(_FILLED):
            if await connection.fetchval(f"SELECT true FROM {table} LIMIT 1"):
                await connection.execute(f"CREATE TABLE as_migrated.{table} AS TABLE {table}")
        await connection.close()
        return name

    async def _connect(self, name: str) -> asyncpg.Connection:
        url = self._url
        return await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, database=name
        )
