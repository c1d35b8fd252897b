"""All queries about cancellations. Statements are built once; those of the cascade take a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Row,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.domain.cancellations import PARKED_PAYMENT_LAPSES, Started, State
from services.account.models import Account, Cancellation, Installment, UsedToken
from shared.contracts.topics import INSTALLMENTS
from shared.tables import DeadLetter

ACCOUNTS: Any = bindparam("accounts", type_=ARRAY(Uuid))
_ACCOUNTS = select(Account.id, Account.contact_version, Account.password_hash).where(Account.id == any_(ACCOUNTS))
OPEN = Installment.settled_at.is_(None)
_INSTALLMENTS = select(Installment).where(Installment.account_id == any_(ACCOUNTS), OPEN)
_CANCELLATIONS = (
    select(Cancellation).where(Cancellation.account_id == any_(ACCOUNTS)).order_by(Cancellation.started_at)
)
# By the clock of the database, which has also dated the parking.
MAY_BE_A_HOLD = and_(DeadLetter.topic == INSTALLMENTS.name, DeadLetter.parked_at > func.now() - PARKED_PAYMENT_LAPSES)
_PARKED_PAYMENTS = (
    select(DeadLetter.account_id, func.count())
    .where(DeadLetter.account_id == any_(ACCOUNTS), MAY_BE_A_HOLD)
    .group_by(DeadLetter.account_id)
)

_GIVE_TRY_BACK = (
    update(Cancellation)
    .where(Cancellation.reference == bindparam("of"), Cancellation.tries > 0)
    .values(tries=Cancellation.tries - 1)
)


async def load(connection: AsyncConnection, accounts: Collection[UUID]) -> dict[UUID, State]:
    """Load what decides about the cancellation of each of the accounts; those that are gone are missing."""
    names = {"accounts": list(accounts)}
    installments: dict[UUID, dict[UUID, datetime]] = {}
    for row in await connection.execute(_INSTALLMENTS, names):
        installments.setdefault(row.account_id, {})[row.installment_id] = row.lapses_at
    started: dict[UUID, list[Started]] = {}
    for begun in await connection.execute(_CANCELLATIONS, names):
        started.setdefault(begun.account_id, []).append(_started(begun))
    parked = {row[0]: row[1] for row in await connection.execute(_PARKED_PAYMENTS, names)}
    return {
        row.id: State(
            contact_version=row.contact_version,
            password_hash=row.password_hash,
            installments=installments.get(row.id, {}),
            parked_payments=parked.get(row.id, 0),
            started=tuple(started.get(row.id, ())),
        )
        for row in await connection.execute(_ACCOUNTS, names)
    }


def _started(row: Row[Any]) -> Started:
    return Started(
        reference=row.reference,
        token_digest=row.token_digest,
        expires_at=row.expires_at,
        continued=row.continued,
        tries=row.tries,
        due_at=row.due_at,
        package_first=row.package_first,
    )


async def add_cancellation(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Keep a cancellation that was started; the same one again has another token from now on."""
    token = {name: values[name] for name in ("token_digest", "expires_at", "package_first")}
    started = upsert(Cancellation).values(continued=False, tries=0, **values)
    await connection.execute(started.on_conflict_do_update(index_elements=[Cancellation.reference], set_=token))


async def change_cancellation(connection: AsyncConnection, reference: str, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change columns of a cancellation."""
    await connection.execute(update(Cancellation).where(Cancellation.reference == reference).values(**values))


async def give_try_back(connection: AsyncConnection, reference: str) -> None:
    """Count one try of the password less."""
    await connection.execute(_GIVE_TRY_BACK, {"of": reference})


async def unschedule(connection: AsyncConnection, accounts: Collection[UUID]) -> None:
    """Take back what was scheduled."""
    await connection.execute(
        delete(Cancellation).where(Cancellation.account_id.in_(accounts), Cancellation.due_at.is_not(None))
    )


async def decline(connection: AsyncConnection, accounts: Collection[UUID]) -> None:
    """Mark that the person wants to know when a cancellation becomes possible."""
    await connection.execute(update(Account).where(Account.id.in_(accounts)).values(declined=True))


async def keep_used_tokens(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the answer to tokens that outlive the account for a day."""
    if rows:
        await connection.execute(insert(UsedToken), rows)


async def answer_to(connection: AsyncConnection, token_digest: str) -> Row[str, UUID] | None:
    """Find the answer that a token's confirmation was given."""
    query = select(UsedToken.reference, UsedToken.order_id).where(UsedToken.token_digest == token_digest)
    return (await connection.execute(query)).first()


async def account_of(connection: AsyncConnection, reference: str) -> UUID | None:
    """Find whose cancellation has this reference."""
    owner: UUID | None = await connection.scalar(
        select(Cancellation.account_id).where(Cancellation.reference == reference)
    )
    return owner


async def cancellation(connection: AsyncConnection, reference: str) -> Row[datetime, datetime | None, bool] | None:
    """Find until when a started cancellation can be confirmed, when it is due if it was, and what comes first."""
    shown = select(Cancellation.expires_at, Cancellation.due_at, Cancellation.package_first)
    query = shown.where(Cancellation.reference == reference)
    return (await connection.execute(query)).first()


async def due_cancellations(connection: AsyncConnection, now: datetime) -> list[UUID]:
    """List accounts whose cooling-off period is over."""
    return list(
        await connection.scalars(select(Cancellation.account_id).where(Cancellation.due_at <= now).limit(500))
    )
