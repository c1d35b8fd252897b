"""All queries about packages: what owners owe and have sent, chunks, and how a package is found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, and_, any_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import Chunk, FinishPackage, OnRequest, TakeExportEnd, TakeExportPart
from services.requests.domain.exports import Due
from services.requests.models import ExportDue, ExportPart, Package, PackageChunk

AT_ONCE = 10
"""So many packages are made at once: of each, a part of every owner's is in memory."""
NOT_MADE = Package.made_at.is_(None)
_THESE = bindparam("requests", type_=ARRAY(Uuid))

_here = (
    select(func.count())
    .where(ExportPart.request_id == ExportDue.request_id, ExportPart.owner == ExportDue.owner)
    .scalar_subquery()
)
_DUES = select(ExportDue.request_id, ExportDue.owner, ExportDue.parts, ExportDue.counts, _here.label("here")).where(
    ExportDue.request_id == any_(_THESE)
)
_KEEP_PART = upsert(ExportPart).from_select(
    ["request_id", "owner", "number", "account_id", "sealed"],
    select(
        ExportDue.request_id,
        ExportDue.owner,
        bindparam("number", type_=ExportPart.number.type),
        ExportDue.account_id,
        bindparam("sealed", type_=ExportPart.sealed.type),
    ).where(
        ExportDue.request_id == bindparam("of"),
        ExportDue.owner == bindparam("by"),
        ExportDue.account_id == bindparam("whose"),
    ),
)
_KEEP_PARTS = _KEEP_PART.on_conflict_do_nothing()
_NOTE_END = (
    update(ExportDue)
    .where(
        ExportDue.request_id == bindparam("of"),
        ExportDue.owner == bindparam("by"),
        ExportDue.account_id == bindparam("whose"),
        ExportDue.parts.is_(None),
    )
    .values(parts=bindparam("said"), counts=bindparam("counted"), answered_at=bindparam("at"))
)
_READY = update(Package).where(Package.request_id == any_(_THESE), NOT_MADE).values(ready=True)


# While owners are waited for


async def open_package(connection: AsyncConnection, values: Mapping[str, Any], owners: Collection[str]) -> None:
    """Begin to wait for these owners."""
    await connection.execute(insert(Package), {**values, "ready": not owners})
    whose = {"request_id": values["request_id"], "account_id": values["account_id"]}
    if owners:
        await connection.execute(insert(ExportDue), [{**whose, "owner": owner} for owner in owners])


async def keep_parts(connection: AsyncConnection, commands: Sequence[TakeExportPart]) -> None:
    """Keep parts, each once, of whoever owes them."""
    whose = [{"of": c.request_id, "by": c.owner, "whose": c.account_id} for c in commands]
    what = [{"number": c.number, "sealed": c.sealed} for c in commands]
    await connection.execute(_KEEP_PARTS, [a | b for a, b in zip(whose, what, strict=True)])


async def note_ends(connection: AsyncConnection, commands: Sequence[TakeExportEnd], now: datetime) -> None:
    """Note how many parts there are; what an owner said first counts."""
    whose = [{"of": c.request_id, "by": c.owner, "whose": c.account_id} for c in commands]
    what = [{"said": c.parts, "counted": dict(c.counts), "at": now} for c in commands]
    await connection.execute(_NOTE_END, [a | b for a, b in zip(whose, what, strict=True)])


async def dues(connection: AsyncConnection, request_ids: Collection[UUID]) -> dict[UUID, list[Due]]:
    """Load what is owed to these requests."""
    found: dict[UUID, list[Due]] = defaultdict(list)
    for row in await connection.execute(_DUES, {"requests": sorted(request_ids)}):
        found[row.request_id].append(Due(row.owner, row.parts, row.here, row.counts or {}))
    return found


async def note_ready(connection: AsyncConnection, request_ids: Collection[UUID]) -> None:
    """Note that every owner has answered."""
    await connection.execute(_READY, {"requests": sorted(request_ids)})


async def forgo(connection: AsyncConnection, request_id: UUID, owners: Collection[str]) -> None:
    """Wait no more for owners that have left."""
    gone = and_(ExportDue.request_id == request_id, ExportDue.owner.in_(owners))
    await connection.execute(delete(ExportDue).where(gone))


async def note_asked(connection: AsyncConnection, request_id: UUID, now: datetime) -> None:
    """Note that owners were asked again."""
    await connection.execute(update(Package).where(Package.request_id == request_id).values(asked_at=now))


async def to_remind(connection: AsyncConnection, before: datetime) -> list[Row[UUID, UUID]]:
    """List packages (request, account) whose owners were last asked before that time."""
    late = and_(NOT_MADE, ~Package.ready, Package.asked_at < before)
    return list(await connection.execute(select(Package.request_id, Package.account_id).where(late).limit(500)))


# While a package is made


async def to_make(connection: AsyncConnection, now: datetime) -> list[Row[Any]]:
    """List packages that can be made: everybody has answered, or was waited for long enough."""
    due = and_(NOT_MADE, or_(Package.ready, Package.answer_by <= now))
    query = select(Package.request_id, Package.account_id, Package.private_key).where(due)
    return list(await connection.execute(query.order_by(Package.asked_at).limit(AT_ONCE)))


async def first_parts(connection: AsyncConnection, request_id: UUID) -> dict[str, str]:
    """Read the first part of each owner: of most there is no other."""
    first = select(ExportPart.owner, ExportPart.sealed).where(
        ExportPart.request_id == request_id, ExportPart.number == 1
    )
    return {row.owner: row.sealed for row in await connection.execute(first)}


async def part(connection: AsyncConnection, request_id: UUID, owner: str, number: int) -> str | None:
    """Read a part, encrypted as it came."""
    mine = (ExportPart.request_id == request_id, ExportPart.owner == owner, ExportPart.number == number)
    sealed: str | None = await connection.scalar(select(ExportPart.sealed).where(*mine))
    return sealed


async def take(connection: AsyncConnection, command: OnRequest) -> Row[Any] | None:
    """Load a package to change it: nobody else does until this transaction ends."""
    mine = (Package.request_id == command.request_id, Package.account_id == command.account_id)
    return (await connection.execute(select(Package.__table__).where(*mine).with_for_update())).first()


async def is_open(connection: AsyncConnection, command: OnRequest) -> bool:
    """Tell whether the package is still to be made."""
    mine = (Package.request_id == command.request_id, Package.account_id == command.account_id)
    return await connection.scalar(select(Package.request_id).where(*mine, NOT_MADE)) is not None


async def keep_chunk(connection: AsyncConnection, command: OnRequest, chunk: Chunk) -> None:
    """Keep a chunk."""
    whose = {"request_id": command.request_id, "account_id": command.account_id}
    await connection.execute(upsert(PackageChunk).on_conflict_do_nothing(), whose | vars(chunk))


async def finish(connection: AsyncConnection, command: FinishPackage, values: Mapping[str, Any]) -> None:
    """Note that the package is made; what it was made of goes, and with the private key the power to read it."""
    request_id, attempt = command.request_id, command.chunk.attempt
    await connection.execute(
        update(Package).where(Package.request_id == request_id).values(private_key=None, **values)
    )
    stale = and_(PackageChunk.request_id == request_id, PackageChunk.attempt != attempt)
    for table, gone in (
        (ExportPart, ExportPart.request_id == request_id),
        (ExportDue, ExportDue.request_id == request_id),
        (PackageChunk, stale),
    ):
        await connection.execute(delete(table).where(gone))


# When a package is fetched


async def change(connection: AsyncConnection, request_id: UUID, **values: object) -> None:
    """Write what has changed of a package."""
    await connection.execute(update(Package).where(Package.request_id == request_id).values(**values))


async def end(connection: AsyncConnection, request_id: UUID) -> None:
    """Erase a package, with its key."""
    await connection.execute(delete(PackageChunk).where(PackageChunk.request_id == request_id))
    await connection.execute(delete(Package).where(Package.request_id == request_id))


async def of_account(connection: AsyncConnection, account_id: UUID) -> Sequence[Row[Any]]:
    """List the packages of an account that can be fetched."""
    query = select(Package.request_id, Package.made_at, Package.size, Package.ends_at)
    mine = query.where(Package.account_id == account_id, ~NOT_MADE).order_by(Package.made_at, Package.request_id)
    return list(await connection.execute(mine))


async def by_link(connection: AsyncConnection, link_digest: str) -> Row[UUID, UUID] | None:
    """Find the package (request, account) that a link leads to."""
    query = select(Package.request_id, Package.account_id).where(Package.link_digest == link_digest)
    return (await connection.execute(query)).first()


async def chunk(connection: AsyncConnection, request_id: UUID, attempt: UUID, number: int) -> bytes | None:
    """Read a chunk."""
    mine = (PackageChunk.request_id == request_id, PackageChunk.attempt == attempt, PackageChunk.number == number)
    content: bytes | None = await connection.scalar(select(PackageChunk.content).where(*mine))
    return content


async def over(connection: AsyncConnection, now: datetime) -> list[Row[UUID, UUID]]:
    """List packages (request, account) whose time is over."""
    query = select(Package.request_id, Package.account_id).where(Package.ends_at <= now)
    return list(await connection.execute(query.limit(500)))
