"""All queries of device. Statements are built once; those for readings take a whole batch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    DateTime,
    Interval,
    RowMapping,
    String,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.device.commands import BindDevice, RecordReading
from services.device.domain import CLOCK_TOLERANCE, Product
from services.device.models import BeyondConsent, Binding, Reading, Unbound
from services.device.models import Product as ProductRow
from shared.database import rows_of
from shared.pages import Cursor
from shared.personal_data import CHUNK

ACCOUNTS: Any = bindparam("accounts", type_=ARRAY(Uuid))

# The bindings found stay locked until the commit (`FOR KEY SHARE`): an erasure that deletes them waits, and then
# sees the readings. In order of id, so that two batches never wait in a circle. A reading lands only in a binding of
# its account, and not with a time before that: by the serial alone, both its own time and the broker's have to lie in
# the binding that the device is in now. Nor does it land that was measured while consent was withdrawn, nor what was
# measured before, but taken by the broker too long after that. What does not land is counted by its fault.
_RECORD = text(
    "WITH new AS (SELECT *"
    "  FROM unnest(:account_id, :binding_id, :serial, :event_id, :measured_at, :taken_at, :values)"
    "  AS new(account_id, binding_id, serial, event_id, measured_at, taken_at, values)),"
    " found AS (SELECT id, account_id, serial, bound_at, silent FROM bindings"
    "  WHERE id IN (SELECT binding_id FROM new) OR serial IN (SELECT serial FROM new)"
    "  ORDER BY id FOR KEY SHARE),"
    " judged AS (SELECT new.*, found.id, CASE"
    "   WHEN found.id IS NULL THEN 'no such binding'"
    "   WHEN measured_at > taken_at + :tolerance THEN 'after the broker had it'"
    "   WHEN new.serial IS NULL AND measured_at < bound_at - :tolerance"
    "    OR new.serial IS NOT NULL AND least(measured_at, taken_at) < bound_at THEN 'before the binding'"
    "   WHEN silent IS NULL THEN NULL"
    "   WHEN silent @> measured_at THEN 'beyond a withdrawal'"
    "   WHEN silent @> tstzrange(taken_at - :lateness, taken_at, '[]') THEN 'too late after a withdrawal'"
    "  END AS fault"
    "  FROM new LEFT JOIN found ON found.account_id = new.account_id"
    "   AND (found.id = new.binding_id OR found.serial = new.serial)),"
    " kept AS (INSERT INTO readings (account_id, binding_id, event_id, measured_at, values)"
    "  SELECT account_id, id, event_id, measured_at, values::jsonb FROM judged WHERE fault IS NULL"
    "  ON CONFLICT DO NOTHING RETURNING 1)"
    " SELECT fault, count(*) FROM judged WHERE fault IS NOT NULL GROUP BY fault"
    " UNION ALL SELECT 'repeat', count(*) - (SELECT count(*) FROM kept) FROM judged WHERE fault IS NULL"
).bindparams(
    *(bindparam(name, type_=ARRAY(Uuid)) for name in ("account_id", "binding_id", "event_id")),
    *(bindparam(name, type_=ARRAY(DateTime(timezone=True))) for name in ("measured_at", "taken_at")),
    *(bindparam(name, type_=ARRAY(String)) for name in ("serial", "values")),
    bindparam("tolerance", type_=Interval, value=CLOCK_TOLERANCE),
    bindparam("lateness", type_=Interval),
)
_SOME = text(
    "DELETE FROM readings WHERE ctid = ANY(ARRAY("
    " SELECT ctid FROM readings WHERE account_id = :account_id AND binding_id = :binding_id LIMIT :some))"
)

# Whoever stores readings waits for who holds a binding, and then sees what it has become; an update alone would let
# it pass with what it was. In order of id, as there.
_HOLD = select(Binding.id).where(Binding.account_id == any_(ACCOUNTS)).order_by(Binding.id).with_for_update()
_SILENCE = text(
    "UPDATE bindings SET silent = (SELECT range_agg(tstzrange(since, until)) FROM consent_periods"
    "  WHERE consent_periods.account_id = bindings.account_id AND scope = ANY(:scopes) AND NOT given)"
    " WHERE account_id = ANY(:accounts)"
).bindparams(ACCOUNTS, bindparam("scopes", type_=ARRAY(String)))
_BEYOND = text(
    "DELETE FROM readings WHERE ctid = ANY(ARRAY("
    " SELECT readings.ctid FROM bindings, unnest(silent) AS period, readings"
    " WHERE bindings.account_id = :account_id AND readings.account_id = :account_id AND binding_id = bindings.id"
    " AND measured_at >= lower(period) AND measured_at < coalesce(upper(period), 'infinity') LIMIT :some))"
)


async def record(
    connection: AsyncConnection, commands: Sequence[RecordReading], now: datetime, lateness: timedelta
) -> dict[str, int]:
    """Keep the readings whose binding is there and the account's own; returns how many were dropped, and for what."""
    values = [
        (
            c.account_id,
            c.binding_id,
            c.serial,
            c.event_id,
            c.measured_at,
            c.taken_at or now,
            json.dumps(c.values),
        )
        for c in commands
    ]
    names = ("account_id", "binding_id", "serial", "event_id", "measured_at", "taken_at", "values")
    dropped = await connection.execute(_RECORD, rows_of(names, values) | {"lateness": lateness})
    return {fault: count for fault, count in dropped if count}


# Bindings


async def product(connection: AsyncConnection, serial: str) -> Product | None:
    """Find a known device and its binding."""
    query = (
        select(ProductRow.model, ProductRow.pairing_digest, Binding.account_id, Binding.id)
        .outerjoin(Binding, Binding.serial == ProductRow.serial)
        .where(ProductRow.serial == serial)
    )
    row = (await connection.execute(query)).first()
    return Product(*row) if row else None


async def being_erased(connection: AsyncConnection, command: BindDevice) -> bool:
    """Tell whether the readings of an earlier binding by this id, deleted since, are still being erased."""
    ended = exists().where(Unbound.account_id == command.account_id, Unbound.binding_id == command.binding_id)
    return bool(await connection.scalar(select(ended)))


async def add_binding(connection: AsyncConnection, command: BindDevice, now: datetime) -> bool:
    """Bind, unless somebody else was first: the serial is unique."""
    values = {
        "id": command.binding_id,
        "account_id": command.account_id,
        "serial": command.serial,
        "name": command.name,
        "bound_at": now,
    }
    bound = upsert(Binding).values(values).on_conflict_do_nothing().returning(Binding.id)
    return await connection.scalar(bound) is not None


def _mine(account_id: UUID, binding_id: UUID) -> Any:  # noqa: ANN401 - a SQL expression
    return and_(Binding.account_id == account_id, Binding.id == binding_id)


async def version(connection: AsyncConnection, account_id: UUID, binding_id: UUID) -> int | None:
    """Read how often a device of the account was changed; none where it is not the account's."""
    found: int | None = await connection.scalar(select(Binding.version).where(_mine(account_id, binding_id)))
    return found


async def rename(connection: AsyncConnection, account_id: UUID, binding_id: UUID, name: str | None) -> bool:
    """Give a device another name, and count that; false where it has it already."""
    other = Binding.name.is_distinct_from(name)
    renamed = update(Binding).where(_mine(account_id, binding_id), other)
    return (await connection.execute(renamed.values(name=name, version=Binding.version + 1))).rowcount == 1


async def remove_binding(connection: AsyncConnection, account_id: UUID, binding_id: UUID) -> None:
    """Unbind a device and erase its readings; the binding first, as in an erasure. Many go chunk by chunk."""
    await connection.execute(delete(Binding).where(_mine(account_id, binding_id)))
    place = {"account_id": account_id, "binding_id": binding_id}
    erased = (await connection.execute(_SOME, {**place, "some": CHUNK})).rowcount
    if erased == CHUNK:
        await connection.execute(upsert(Unbound).values(place).on_conflict_do_nothing())


async def unbound(connection: AsyncConnection) -> list[tuple[UUID, UUID]]:
    """List bindings (account, binding) that have ended and whose readings are being erased."""
    query = select(Unbound.account_id, Unbound.binding_id).limit(100)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def erase_some(connection: AsyncConnection, account_id: UUID, binding_id: UUID) -> None:
    """Erase a chunk of the readings of a binding that has ended; after the last one it is forgotten."""
    place = {"account_id": account_id, "binding_id": binding_id}
    if (await connection.execute(_SOME, {**place, "some": CHUNK})).rowcount < CHUNK:
        mine = and_(Unbound.account_id == account_id, Unbound.binding_id == binding_id)
        await connection.execute(delete(Unbound).where(mine))


# Withdrawn consent


async def silence(connection: AsyncConnection, accounts: Collection[UUID], scopes: Sequence[str]) -> None:
    """Have bindings of these accounts take in nothing of the time in which one of the scopes is withdrawn."""
    await connection.execute(_HOLD, {"accounts": sorted(accounts)})
    await connection.execute(_SILENCE, {"accounts": sorted(accounts), "scopes": list(scopes)})


async def bound(connection: AsyncConnection, account_id: UUID) -> list[tuple[UUID, datetime]]:
    """List an account's bindings, and when each began."""
    query = select(Binding.id, Binding.bound_at).where(Binding.account_id == account_id)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def erase_beyond(connection: AsyncConnection, account_id: UUID) -> int:
    """Erase a chunk of what was measured while nothing may be collected, and remember whether there is more."""
    erased = (await connection.execute(_BEYOND, {"account_id": account_id, "some": CHUNK})).rowcount
    if erased == CHUNK:
        await connection.execute(upsert(BeyondConsent).values(account_id=account_id).on_conflict_do_nothing())
    else:
        await connection.execute(delete(BeyondConsent).where(BeyondConsent.account_id == account_id))
    return erased


async def beyond(connection: AsyncConnection) -> list[UUID]:
    """List accounts of which what was taken in beyond a withdrawal is still being erased."""
    return list(await connection.scalars(select(BeyondConsent.account_id).limit(100)))


async def bindings(
    connection: AsyncConnection,
    account_id: UUID,
    limit: int = 1,
    after: Cursor | None = None,
    only: UUID | None = None,
) -> Sequence[RowMapping]:
    """List an account's devices in the order of their binding; one more than the limit, if there is."""
    query = (
        select(
            Binding.id.label("binding_id"),
            Binding.serial,
            Binding.name,
            ProductRow.model,
            Binding.bound_at,
            Binding.version,
        )
        .join(ProductRow, ProductRow.serial == Binding.serial)
        .where(Binding.account_id == account_id, Binding.id == only if only else true())
        .order_by(Binding.bound_at, Binding.id)
        .limit(limit + 1)
    )
    if after:
        query = query.where(tuple_(Binding.bound_at, Binding.id) > tuple_(after.at, after.id))
    return (await connection.execute(query)).mappings().all()


# Readings


@dataclass(frozen=True)
class Span:
    """Readings of one device, in a span of time, from one place on."""

    account_id: UUID
    binding_id: UUID
    since: datetime | None = None
    until: datetime | None = None


async def readings(
    connection: AsyncConnection, span: Span, limit: int, after: Cursor | None, *, latest_first: bool
) -> Sequence[RowMapping]:
    """List readings in order of time; one more than the limit, if there is. A device that is gone shows none."""
    place = tuple_(Reading.measured_at, Reading.event_id)
    query = select(Reading.measured_at, Reading.values, Reading.event_id).where(
        Reading.account_id == span.account_id,
        Reading.binding_id == span.binding_id,
        exists().where(_mine(span.account_id, span.binding_id)),
    )
    if span.since:
        query = query.where(Reading.measured_at >= span.since)
    if span.until:
        query = query.where(Reading.measured_at < span.until)
    if after:
        there = tuple_(after.at, after.id)
        query = query.where(place < there if latest_first else place > there)
    order = (Reading.measured_at, Reading.event_id)
    query = query.order_by(*(column.desc() for column in order)) if latest_first else query.order_by(*order)
    return (await connection.execute(query.limit(limit + 1))).mappings().all()


async def latest(connection: AsyncConnection, account_id: UUID) -> Sequence[RowMapping]:
    """Read the latest reading of each device of the account."""
    newest = (
        select(Reading.measured_at, Reading.values)
        .where(Reading.account_id == Binding.account_id, Reading.binding_id == Binding.id)
        .order_by(Reading.measured_at.desc(), Reading.event_id.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(Binding.id.label("binding_id"), newest.c.measured_at, newest.c["values"].label("values"))
        .join(newest, true())
        .where(Binding.account_id == account_id)
        .order_by(Binding.bound_at, Binding.id)
    )
    return (await connection.execute(query)).mappings().all()


# Products


async def add_products(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep known devices; one that is known is replaced."""
    new = upsert(ProductRow)
    changed = {"model": new.excluded.model, "pairing_digest": new.excluded.pairing_digest}
    await connection.execute(new.on_conflict_do_update(index_elements=[ProductRow.serial], set_=changed), rows)
