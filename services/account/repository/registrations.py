"""All queries about wishes for an account."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    delete,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import ConfirmRegistration, Register
from services.account.domain.access import CODE_TRIES
from services.account.models import Account, Agreement, EmailUndo, Registration


async def owner_of(connection: AsyncConnection, email: str) -> UUID | None:
    """Find whose address this is, or was until lately: whoever can take it back still has it."""
    accounts = select(Account.id).where(Account.email == email)
    owner: UUID | None = await connection.scalar(
        accounts.union_all(select(EmailUndo.account_id).where(EmailUndo.email == email))
    )
    return owner


async def account_with(connection: AsyncConnection, email: str) -> UUID | None:
    """Find the account that has this address now."""
    account_id: UUID | None = await connection.scalar(select(Account.id).where(Account.email == email))
    return account_id


async def add_registration(connection: AsyncConnection, command: Register) -> bool:
    """Keep a registration until it is confirmed or expires; false for a repeat."""
    names = ("email", "password_hash", "region", "language", "policy_version", "code_digest", "expires_at")
    values = {name: getattr(command, name) for name in names}
    added = upsert(Registration).values(id=command.account_id, tries=0, **values).on_conflict_do_nothing()
    return await connection.scalar(added.returning(Registration.id)) is not None


async def take_registration(
    connection: AsyncConnection, command: ConfirmRegistration, now: datetime
) -> Row[Any] | None:
    """Find a registration for one try of its code; the try is counted before anybody looks at the code."""
    counted = (
        update(Registration)
        .where(
            Registration.id == command.account_id,
            Registration.tries < CODE_TRIES,
            Registration.expires_at > now,
        )
        .values(tries=Registration.tries + 1)
        .returning(*Registration.__table__.columns)
    )
    return (await connection.execute(counted)).first()


async def drop_registrations(connection: AsyncConnection, accounts: Collection[UUID]) -> None:
    """Erase registrations for addresses of accounts that close, begun while they were being confirmed."""
    addresses = union_all(
        select(Account.email).where(Account.id.in_(accounts)),
        select(EmailUndo.email).where(EmailUndo.account_id.in_(accounts)),
    )
    await connection.execute(delete(Registration).where(Registration.email.in_(addresses)))


async def open_account(connection: AsyncConnection, registration: Row[Any], now: datetime) -> bool:
    """Make the account, unless another registration has made one for this address meanwhile."""
    if await owner_of(connection, registration.email):
        return False
    made = (
        upsert(Account)
        .values(
            id=registration.id,
            email=registration.email,
            password_hash=registration.password_hash,
            region=registration.region,
            language=registration.language,
            policy_version=registration.policy_version,
            created_at=now,
            contact_version=1,
            declined=False,
        )
        .on_conflict_do_nothing()
        .returning(Account.id)
    )
    first = await connection.scalar(made) is not None
    if first:
        agreed = {"account_id": registration.id, "policy_version": registration.policy_version, "agreed_at": now}
        await connection.execute(insert(Agreement), agreed)
    await connection.execute(delete(Registration).where(Registration.email == registration.email))
    return first
