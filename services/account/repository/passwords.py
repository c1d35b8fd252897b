"""All queries about passwords, and codes for who has forgotten one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import RequestPasswordReset
from services.account.domain.access import CODE_TRIES
from services.account.models import Account, PasswordReset


async def address(connection: AsyncConnection, account_id: UUID) -> str:
    """Read the account's address; empty where there is no account."""
    return await connection.scalar(select(Account.email).where(Account.id == account_id)) or ""


async def set_password(connection: AsyncConnection, account_id: UUID, password_hash: str) -> None:
    """Keep another password; codes for a forgotten one are void."""
    await connection.execute(update(Account).where(Account.id == account_id).values(password_hash=password_hash))
    await connection.execute(delete(PasswordReset).where(PasswordReset.account_id == account_id))


async def add_reset(connection: AsyncConnection, command: RequestPasswordReset) -> Row[str, str] | None:
    """Keep the digest of a code, and say where to mail it and in which language; nowhere for nobody and a repeat."""
    values = {
        "id": command.reset_id,
        "account_id": command.account_id,
        "code_digest": command.code_digest,
        "tries": 0,
        "expires_at": command.expires_at,
    }
    added = upsert(PasswordReset).values(values).on_conflict_do_nothing().returning(PasswordReset.id)
    new = await connection.scalar(added) is not None
    query = select(Account.email, Account.language).where(Account.id == command.account_id)
    to = (await connection.execute(query)).first()
    return to if new else None


async def account_of_reset(connection: AsyncConnection, reset_id: UUID) -> UUID | None:
    """Find whose password a code would set."""
    query = select(PasswordReset.account_id).where(PasswordReset.id == reset_id)
    account_id: UUID | None = await connection.scalar(query)
    return account_id


async def try_reset(connection: AsyncConnection, account_id: UUID, reset_id: UUID, now: datetime) -> str | None:
    """Count a try, and read what the code's digest has to be; none where no try is left."""
    counted = (
        update(PasswordReset)
        .where(
            PasswordReset.id == reset_id,
            PasswordReset.account_id == account_id,
            PasswordReset.tries < CODE_TRIES,
            PasswordReset.expires_at > now,
        )
        .values(tries=PasswordReset.tries + 1)
        .returning(PasswordReset.code_digest)
    )
    kept: str | None = await connection.scalar(counted)
    return kept
