"""All queries about other addresses, and the way back from them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, delete, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import ChangeEmail, RequestEmailChange
from services.account.domain.access import CODE_TRIES
from services.account.models import Account, EmailChange, EmailUndo, PasswordReset


async def add_change(connection: AsyncConnection, command: RequestEmailChange) -> str | None:
    """Keep the wish, and say in which language to write; none for a repeat."""
    language: str | None = await connection.scalar(select(Account.language).where(Account.id == command.account_id))
    if language:
        values = {
            "id": command.change_id,
            "account_id": command.account_id,
            "email": command.email,
            "code_digest": command.code_digest,
            "tries": 0,
            "expires_at": command.expires_at,
        }
        added = upsert(EmailChange).values(values).on_conflict_do_nothing().returning(EmailChange.id)
        language = language if await connection.scalar(added) else None
    return language


async def try_change(
    connection: AsyncConnection, account_id: UUID, change_id: UUID, now: datetime
) -> Row[str, str] | None:
    """Count a try, and read what the code's digest has to be; none where no try is left."""
    counted = (
        update(EmailChange)
        .where(
            EmailChange.id == change_id,
            EmailChange.account_id == account_id,
            EmailChange.tries < CODE_TRIES,
            EmailChange.expires_at > now,
        )
        .values(tries=EmailChange.tries + 1)
        .returning(EmailChange.email, EmailChange.code_digest)
    )
    return (await connection.execute(counted)).first()


async def change_address(connection: AsyncConnection, account_id: UUID, email: str) -> Row[str, str] | None:
    """Give the account this address; returns address and language of before, or none where somebody else has it.

    Other wishes for an address are void, and so are codes that were mailed to the one before.
    """
    before = await connection.execute(select(Account.email, Account.language).where(Account.id == account_id))
    reserved = exists().where(EmailUndo.email == email, EmailUndo.account_id != account_id)
    changed = update(Account).where(Account.id == account_id, ~reserved)
    try:
        async with connection.begin_nested():
            result = await connection.execute(changed.values(email=email, version=Account.version + 1))
    except IntegrityError:
        return None
    await connection.execute(delete(EmailChange).where(EmailChange.account_id == account_id))
    await connection.execute(delete(PasswordReset).where(PasswordReset.account_id == account_id))
    return before.first() if result.rowcount else None


async def add_undo(connection: AsyncConnection, command: ChangeEmail, email: str) -> None:
    """Keep the old address for as long as it can be taken back."""
    values = {"account_id": command.account_id, "email": email, "ends_at": command.undo_until}
    await connection.execute(insert(EmailUndo).values(token_digest=command.undo_digest, **values))


async def account_of_undo(connection: AsyncConnection, token_digest: str) -> UUID | None:
    """Find whose old address a token takes back."""
    query = select(EmailUndo.account_id).where(EmailUndo.token_digest == token_digest)
    account_id: UUID | None = await connection.scalar(query)
    return account_id


async def take_undo(connection: AsyncConnection, account_id: UUID, token_digest: str, now: datetime) -> str | None:
    """Use a token, once; with it go those of later changes, which may have been a thief's."""
    mine = EmailUndo.account_id == account_id
    query = select(EmailUndo.email, EmailUndo.ends_at).where(
        mine, EmailUndo.token_digest == token_digest, EmailUndo.ends_at > now
    )
    found = (await connection.execute(query)).first()
    if not found:
        return None
    await connection.execute(delete(EmailUndo).where(mine, EmailUndo.ends_at >= found.ends_at))
    return str(found.email)
