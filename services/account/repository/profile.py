"""All queries about what an account says of the person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    RowMapping,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.models import Account, Session


async def change(connection: AsyncConnection, account_id: UUID, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change columns of an account."""
    await connection.execute(update(Account).where(Account.id == account_id).values(**values))


async def profile(connection: AsyncConnection, account_id: UUID) -> RowMapping | None:
    """Read what the account says about the person, but for the password and the avatar's bytes."""
    query = select(
        Account.email,
        Account.nickname,
        Account.region,
        Account.language,
        Account.policy_version,
        Account.created_at,
        Account.avatar.is_not(None).label("has_avatar"),
    ).where(Account.id == account_id)
    return (await connection.execute(query)).mappings().first()


async def login_times(connection: AsyncConnection, account_id: UUID) -> Sequence[datetime]:
    """List when the person has logged in, latest first."""
    query = select(Session.logged_in_at).where(Session.account_id == account_id)
    return list(await connection.scalars(query.order_by(Session.logged_in_at.desc())))


async def avatar(connection: AsyncConnection, account_id: UUID) -> bytes | None:
    """Read the avatar."""
    picture: bytes | None = await connection.scalar(select(Account.avatar).where(Account.id == account_id))
    return picture
