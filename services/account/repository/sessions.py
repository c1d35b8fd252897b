"""All queries about log-ins."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.models import Account, Session


async def credentials(connection: AsyncConnection, email: str) -> Row[UUID, str] | None:
    """Find account and password hash by address."""
    query = select(Account.id, Account.password_hash).where(Account.email == email)
    return (await connection.execute(query)).first()


async def account_exists(connection: AsyncConnection, account_id: UUID) -> bool:
    """Tell whether there is such an account."""
    return await connection.scalar(select(Account.id).where(Account.id == account_id)) is not None


async def add_session(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Keep a log-in."""
    await connection.execute(insert(Session).values(ended=False, **values))


async def session_by_refresh(
    connection: AsyncConnection, refresh_digest: str, now: datetime
) -> Row[UUID, UUID] | None:
    """Find the open session of a refresh token."""
    query = select(Session.id, Session.account_id).where(
        Session.refresh_digest == refresh_digest, Session.expires_at > now, ~Session.ended
    )
    return (await connection.execute(query)).first()


async def rotate_refresh(connection: AsyncConnection, old: str, new: str) -> bool:
    """Replace a refresh token; false where it was used already."""
    rotated = update(Session).where(Session.refresh_digest == old, ~Session.ended).values(refresh_digest=new)
    return (await connection.execute(rotated)).rowcount == 1


async def end_session(connection: AsyncConnection, account_id: UUID, session_id: UUID) -> bool:
    """End a session; false where it was ended already."""
    mine = (Session.id == session_id) & (Session.account_id == account_id)
    ended = update(Session).where(mine, ~Session.ended).values(ended=True)
    return (await connection.execute(ended)).rowcount == 1


async def session_open(connection: AsyncConnection, session_id: UUID) -> bool:
    """Tell whether a session has not been ended."""
    query = select(Session.id).where(Session.id == session_id, ~Session.ended)
    return await connection.scalar(query) is not None
