"""All queries about what the person has withdrawn and given again."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.domain.consents import Period
from shared.tables import ConsentPeriod


async def periods(connection: AsyncConnection, account_id: UUID) -> list[Period]:
    """List the periods of an account, each scope's in order."""
    query = (
        select(ConsentPeriod.scope, ConsentPeriod.since, ConsentPeriod.until, ConsentPeriod.given)
        .where(ConsentPeriod.account_id == account_id)
        .order_by(ConsentPeriod.scope, ConsentPeriod.since)
    )
    return [Period(*row) for row in await connection.execute(query)]
