"""All queries about previews of deletions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import TakeCount
from services.requests.models import Preview, Request
from services.requests.preview import Counted
from shared.contracts.receipts import ITEMS


async def ask(connection: AsyncConnection, request_id: UUID, owners: Collection[str], now: datetime) -> None:
    """Note that these owners are asked, and forget what they had counted."""
    anew: dict[str, Any] = {"asked_at": now, "counted_at": None, "items": []}
    new = upsert(Preview).on_conflict_do_update(index_elements=[Preview.request_id, Preview.owner], set_=anew)
    await connection.execute(new, [{"request_id": request_id, "owner": owner, **anew} for owner in owners])


async def counted(connection: AsyncConnection, request_id: UUID) -> list[Counted]:
    """Read what owners have counted, and who owes it."""
    query = select(Preview.owner, Preview.counted_at, Preview.items).where(Preview.request_id == request_id)
    rows = await connection.execute(query.order_by(Preview.owner))
    return [Counted(row.owner, row.counted_at, ITEMS.validate_python(row.items)) for row in rows]


async def take(connection: AsyncConnection, command: TakeCount, now: datetime) -> None:
    """Keep what an owner has counted, if it was asked."""
    mine = update(Preview).where(Preview.request_id == command.request_id, Preview.owner == command.owner)
    await connection.execute(mine.values(counted_at=now, items=ITEMS.dump_python(command.items, mode="json")))


async def to_remind(connection: AsyncConnection, before: datetime) -> list[Row[UUID, UUID]]:
    """List open requests (id, account) whose previews were last asked for before that time."""
    owed = select(Request.request_id, Request.account_id).distinct().join(Preview)
    waiting = owed.where(Preview.counted_at.is_(None), Preview.asked_at < before, Request.ended_at.is_(None))
    return list(await connection.execute(waiting.limit(500)))
