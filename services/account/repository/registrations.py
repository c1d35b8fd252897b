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
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import ConfirmRegistration, Register
from services.account.domain.access import CODE_TRIES
from services.account.models import Account, Registration


async def email_known(connection: AsyncConnection, email: str) -> bool:
    """Tell whether an account has this address."""
    return await connection.scalar(select(Account.id).where(Account.email == email)) is not None


async def add_registration(connection: AsyncConnection, command: Register) -> None:
    """Keep a registration until it is confirmed or expires."""
    names = ("email", "password_hash", "region", "language", "policy_version", "code_digest", "expires_at")
    values = {name: getattr(command, name) for name in names}
    await connection.execute(insert(Registration).values(id=command.account_id, tries=0, **values))


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
    """Erase registrations for the address of accounts that close, begun while they were being confirmed."""
    addresses = select(Account.email).where(Account.id.in_(accounts))
    await connection.execute(delete(Registration).where(Registration.email.in_(addresses)))


async def open_account(connection: AsyncConnection, registration: Row[Any], now: datetime) -> bool:
    """Make the account, unless another registration has made one for this address meanwhile."""
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
    await connection.execute(delete(Registration).where(Registration.email == registration.email))
    return first
