"""All queries of device. Statements are built once; those for readings take a whole batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, RowMapping, String, Uuid, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.device.commands import RecordReading
from services.device.domain import Product
from services.device.models import Binding, Reading
from services.device.models import Product as ProductRow
from shared.database import rows_of

# The bindings found stay locked until the commit (`FOR KEY SHARE`): an erasure that deletes them waits, and then
# sees the readings. In order of id, so that two batches never wait in a circle.
_RECORD = text(
    "WITH new AS (SELECT * FROM unnest(:account_id, :binding_id, :event_id, :measured_at, :values)"
    "  AS new(account_id, binding_id, event_id, measured_at, values)),"
    " found AS (SELECT id, account_id FROM bindings WHERE id IN (SELECT binding_id FROM new)"
    "  ORDER BY id FOR KEY SHARE)"
    " INSERT INTO readings (account_id, binding_id, event_id, measured_at, values)"
    " SELECT new.account_id, new.binding_id, new.event_id, new.measured_at, new.values::jsonb"
    " FROM new JOIN found ON found.id = new.binding_id AND found.account_id = new.account_id"
    " ON CONFLICT DO NOTHING"
).bindparams(
    *(bindparam(name, type_=ARRAY(Uuid)) for name in ("account_id", "binding_id", "event_id")),
    bindparam("measured_at", type_=ARRAY(DateTime(timezone=True))),
    bindparam("values", type_=ARRAY(String)),
)


async def record(connection: AsyncConnection, commands: Sequence[RecordReading]) -> int:
    """Keep the readings whose binding is there and the account's own; returns how many were new."""
    values = [(c.account_id, c.binding_id, c.event_id, c.measured_at, json.dumps(c.values)) for c in commands]
    names = ("account_id", "binding_id", "event_id", "measured_at", "values")
    return (await connection.execute(_RECORD, rows_of(names, values))).rowcount


async def product(connection: AsyncConnection, serial: str) -> Product | None:
    """Find a known device and its binding."""
    query = (
        select(ProductRow.model, ProductRow.pairing_digest, Binding.account_id, Binding.id)
        .outerjoin(Binding, Binding.serial == ProductRow.serial)
        .where(ProductRow.serial == serial)
    )
    row = (await connection.execute(query)).first()
    return Product(*row) if row else None


async def add_binding(connection: AsyncConnection, values: dict[str, Any]) -> bool:
    """Bind, unless somebody else was first: the serial is unique."""
    bound = upsert(Binding).values(**values).on_conflict_do_nothing().returning(Binding.id)
    return await connection.scalar(bound) is not None


async def remove_binding(connection: AsyncConnection, account_id: UUID, binding_id: UUID) -> bool:
    """Unbind one's own device and erase its readings; the binding first, as in an erasure."""
    mine = (Binding.account_id == account_id) & (Binding.id == binding_id)
    gone = await connection.scalar(delete(Binding).where(mine).returning(Binding.id))
    if gone:
        of_binding = (Reading.account_id == account_id) & (Reading.binding_id == binding_id)
        await connection.execute(delete(Reading).where(of_binding))
    return gone is not None


async def bindings(connection: AsyncConnection, account_id: UUID) -> Sequence[RowMapping]:
    """List an account's devices."""
    query = (
        select(Binding.id.label("binding_id"), Binding.serial, ProductRow.model, Binding.bound_at)
        .join(ProductRow, ProductRow.serial == Binding.serial)
        .where(Binding.account_id == account_id)
        .order_by(Binding.bound_at)
    )
    return (await connection.execute(query)).mappings().all()


async def readings(
    connection: AsyncConnection, account_id: UUID, binding_id: UUID, limit: int
) -> Sequence[RowMapping]:
    """List the latest readings of a device of the account."""
    query = select(Reading.measured_at, Reading.values).where(
        Reading.account_id == account_id, Reading.binding_id == binding_id
    )
    return (await connection.execute(query.order_by(Reading.measured_at.desc()).limit(limit))).mappings().all()


async def add_products(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep known devices; one that is known is replaced."""
    new = upsert(ProductRow)
    changed = {"model": new.excluded.model, "pairing_digest": new.excluded.pairing_digest}
    await connection.execute(new.on_conflict_do_update(index_elements=[ProductRow.serial], set_=changed), rows)
