"""Migrations and models say the same, down to which columns the planner's statistics must not keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, Text, text

from shared.database import newest_migration
from shared.personal_data import kept_out_of_statistics
from tests.rooms import SERVICES, OpenRoom, Room

_SILENCED = text(
    "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND attstattarget = 0"
)


async def differences(room: Room, *more: Table) -> list[object]:
    """List what would have to be migrated for the models to be true."""
    declared = MetaData()
    for table in (*room.tables.values(), *more):
        table.to_metadata(declared)

    def compare(connection: Connection) -> list[object]:
        options = {"compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [each for each in compare_metadata(context, declared) if "alembic_version" not in repr(each)]

    async with room.engine.connect() as connection:
        return await connection.run_sync(compare)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_of_a_service_make_what_its_models_declare(room: OpenRoom, service: str) -> None:
    migrated = await room(service)

    assert await differences(migrated) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_migration_of_a_service_is_the_last_by_name(service: str) -> None:
    migrations = Path("services") / service / "migrations"
    newest = ScriptDirectory(str(migrations)).get_current_head()

    assert newest_migration(migrations) == newest


async def test_a_table_without_a_migration_is_noticed(room: OpenRoom) -> None:
    migrated = await room("device")
    forgotten = Table("forgotten", MetaData(), Column("word", Text))

    assert [difference[0] for difference in await differences(migrated, forgotten)] == ["add_table"]  # type: ignore[index]


@pytest.mark.parametrize("service", SERVICES)
async def test_statistics_are_kept_of_no_personal_column_and_of_all_others(room: OpenRoom, service: str) -> None:
    migrated = await room(service)

    async with migrated.engine.connect() as connection:
        silenced = {(row.relname, row.attname) for row in await connection.execute(_SILENCED)}

    assert silenced == kept_out_of_statistics(migrated.owner.metadata)
