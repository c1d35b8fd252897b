"""All queries about what owners owe to corrections."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import TakeCorrected
from services.requests.models import CorrectionDue, Request


async def ask(connection: AsyncConnection, request_id: UUID, owners: Collection[str], now: datetime) -> None:
    """Note that these owners are asked, or asked again."""
    new = upsert(CorrectionDue).on_conflict_do_update(
        index_elements=[CorrectionDue.request_id, CorrectionDue.owner], set_={"asked_at": now}
    )
    due: dict[str, Any] = {"request_id": request_id, "asked_at": now, "answered_at": None, "fields": []}
    await connection.execute(new, [{"owner": owner, **due} for owner in owners])


async def take(connection: AsyncConnection, command: TakeCorrected, now: datetime) -> bool:
    """Keep what an owner has answered; false where it was not asked, or has answered before."""
    owed = update(CorrectionDue).where(
        CorrectionDue.request_id == command.request_id,
        CorrectionDue.owner == command.owner,
        CorrectionDue.answered_at.is_(None),
    )
    fields = [field.model_dump(mode="json") for field in command.fields]
    return (await connection.execute(owed.values(answered_at=now, fields=fields))).rowcount == 1


async def dues(connection: AsyncConnection, request_id: UUID) -> Sequence[RowMapping]:
    """Read who was asked, and what each has answered."""
    query = select(CorrectionDue.owner, CorrectionDue.answered_at, CorrectionDue.fields)
    mine = query.where(CorrectionDue.request_id == request_id).order_by(CorrectionDue.owner)
    return (await connection.execute(mine)).mappings().all()


async def to_remind(connection: AsyncConnection, before: datetime) -> list[Row[UUID, UUID]]:
    """List open requests (id, account) whose corrections were last ordered before that time."""
    owed = select(Request.request_id, Request.account_id).distinct().join(CorrectionDue)
    late = (CorrectionDue.answered_at.is_(None), CorrectionDue.asked_at < before, Request.ended_at.is_(None))
    return list(await connection.execute(owed.where(*late).limit(500)))
