"""All queries about second factors and the codes that stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Integer, RowMapping, cast, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.models import Account, RecoveryCode


async def sealed(connection: AsyncConnection, account_id: UUID) -> RowMapping | None:
    """Read the factor as it is kept; none where the account has none, not even a prepared one."""
    query = select(Account.totp_secret, Account.totp_confirmed, Account.totp_last_step).where(
        Account.id == account_id, Account.totp_secret.is_not(None)
    )
    return (await connection.execute(query)).mappings().first()


async def change(
    connection: AsyncConnection, account_id: UUID, secret: str | None, last_step: int | None, *, confirmed: bool
) -> None:
    """Keep the factor as it is now; the profile says whether there is one."""
    values = {"totp_secret": secret, "totp_confirmed": confirmed, "totp_last_step": last_step}
    version = Account.version + cast(Account.totp_confirmed != confirmed, Integer)
    await connection.execute(update(Account).where(Account.id == account_id).values(version=version, **values))


async def replace_recovery_codes(connection: AsyncConnection, account_id: UUID, digests: Sequence[str]) -> None:
    """Forget the codes that there were, and keep these."""
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    rows = [{"account_id": account_id, "code_digest": each} for each in digests]
    if rows:
        await connection.execute(insert(RecoveryCode), rows)


async def use_recovery_code(connection: AsyncConnection, account_id: UUID, code_digest: str) -> bool:
    """Take a code, once."""
    mine = (RecoveryCode.account_id == account_id) & (RecoveryCode.code_digest == code_digest)
    return (await connection.execute(delete(RecoveryCode).where(mine))).rowcount == 1
