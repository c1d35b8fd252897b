"""All queries about what an account says of the person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.models import Account, Agreement


async def change(connection: AsyncConnection, account_id: UUID, **values: Any) -> bool:  # noqa: ANN401 - columns
    """Change columns of an account, and count that; false where they are so already."""
    other = or_(*(getattr(Account, name).is_distinct_from(value) for name, value in values.items()))
    changed = update(Account).where(Account.id == account_id, other)
    result = await connection.execute(changed.values(version=Account.version + 1, **values))
    return result.rowcount == 1


async def count_changes(connection: AsyncConnection, accounts: Collection[UUID]) -> None:
    """Count a change of each of these accounts."""
    if accounts:
        counted = update(Account).where(Account.id.in_(accounts)).values(version=Account.version + 1)
        await connection.execute(counted)


async def version(connection: AsyncConnection, account_id: UUID) -> int | None:
    """Read how often the profile was changed; none where there is no account."""
    found: int | None = await connection.scalar(select(Account.version).where(Account.id == account_id))
    return found


async def next_contact(connection: AsyncConnection, account_id: UUID) -> dict[str, Any]:
    """Count a change of where messages go, and say where that is now."""
    counted = update(Account).where(Account.id == account_id).values(contact_version=Account.contact_version + 1)
    contact = counted.returning(Account.contact_version.label("version"), Account.email, Account.language)
    return dict((await connection.execute(contact)).mappings().one())


async def profile(connection: AsyncConnection, account_id: UUID) -> RowMapping | None:
    """Read what the account says about the person, but for the password and the avatar's bytes."""
    agreed = and_(Agreement.account_id == Account.id, Agreement.policy_version == Account.policy_version)
    query = (
        select(
            Account.email,
            Account.nickname,
            Account.region,
            Account.language,
            Account.policy_version,
            Agreement.agreed_at,
            Account.created_at,
            Account.version,
            Account.totp_confirmed.label("second_factor"),
            Account.avatar.is_not(None).label("has_avatar"),
        )
        .join(Agreement, agreed)
        .where(Account.id == account_id)
    )
    return (await connection.execute(query)).mappings().first()


async def avatar(connection: AsyncConnection, account_id: UUID) -> RowMapping | None:
    """Read the avatar."""
    query = select(Account.avatar, Account.avatar_media_type, Account.version).where(
        Account.id == account_id, Account.avatar.is_not(None)
    )
    return (await connection.execute(query)).mappings().first()


async def agree(connection: AsyncConnection, account_id: UUID, policy_version: str, now: datetime) -> None:
    """Keep an agreement; the same one again keeps its first time."""
    row = {"account_id": account_id, "policy_version": policy_version, "agreed_at": now}
    await connection.execute(upsert(Agreement).values(row).on_conflict_do_nothing())
    await change(connection, account_id, policy_version=policy_version)


async def agreements(connection: AsyncConnection, account_id: UUID) -> Sequence[RowMapping]:
    """List what was agreed to, latest first."""
    query = select(Agreement.policy_version, Agreement.agreed_at).where(Agreement.account_id == account_id)
    return (await connection.execute(query.order_by(Agreement.agreed_at.desc()))).mappings().all()
