"""All queries about instalments. Statements are built once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    and_,
    delete,
    exists,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import AddInstallment, SettleInstallment
from services.account.models import Account, Installment
from services.account.repository.cancellations import MAY_BE_A_HOLD, OPEN
from shared.contracts.topics import INSTALLMENTS
from shared.tables import ClosedAccount, DeadLetter

_SETTLE = upsert(Installment).on_conflict_do_update(
    index_elements=[Installment.account_id, Installment.installment_id],
    set_={"settled_at": upsert(Installment).excluded.settled_at},
    where=OPEN,
)
_FREE = and_(
    Account.declined,
    ~exists().where(Installment.account_id == Account.id, OPEN),
    ~exists().where(DeadLetter.account_id == Account.id, MAY_BE_A_HOLD),
)


async def add_installments(connection: AsyncConnection, commands: Sequence[AddInstallment]) -> None:
    """Keep what is owed; the same twice is once."""
    rows = [
        {"account_id": c.account_id, "installment_id": c.installment_id, "lapses_at": c.lapses_at} for c in commands
    ]
    await connection.execute(upsert(Installment).on_conflict_do_nothing(), rows)


async def settle_installments(
    connection: AsyncConnection, commands: Sequence[SettleInstallment], now: datetime
) -> None:
    """Remember that instalments are settled, also those that were never heard to be owed."""
    rows = [{"account_id": c.account_id, "installment_id": c.installment_id, "settled_at": now} for c in commands]
    if rows:
        await connection.execute(_SETTLE, rows)


async def erase_settled(connection: AsyncConnection, commands: Sequence[SettleInstallment]) -> dict[UUID, int]:
    """Erase instalments that closed accounts held, now settled; returns how many of each account."""
    pairs = [(c.account_id, c.installment_id) for c in commands]
    mine = tuple_(Installment.account_id, Installment.installment_id).in_(pairs)
    return Counter(await connection.scalars(delete(Installment).where(mine).returning(Installment.account_id)))


async def forget_settled(connection: AsyncConnection, accounts: Collection[UUID]) -> None:
    """Erase the settled instalments of accounts that close: what is held is only what is open."""
    await connection.execute(delete(Installment).where(Installment.account_id.in_(accounts), ~OPEN))


async def no_longer_declined(connection: AsyncConnection, accounts: Collection[UUID]) -> list[UUID]:
    """Take back the mark of a declined cancellation where nothing postpones it; returns whose it was."""
    freed = update(Account).where(Account.id.in_(accounts), _FREE).values(declined=False).returning(Account.id)
    return list(await connection.scalars(freed))


async def declined_without_reason(connection: AsyncConnection) -> list[UUID]:
    """List accounts that were declined and could be cancelled now: a reason can end by the clock, or by hand."""
    return list(await connection.scalars(select(Account.id).where(_FREE).limit(500)))


async def lapsed_installments(connection: AsyncConnection, now: datetime) -> list[tuple[UUID, UUID]]:
    """List instalments (account, instalment) whose latest end has come."""
    query = select(Installment.account_id, Installment.installment_id).where(OPEN, Installment.lapses_at <= now)
    return [(row[0], row[1]) for row in await connection.execute(query.limit(500))]


async def lapsed_payments(connection: AsyncConnection, before: datetime) -> list[UUID]:
    """List closed accounts with payment messages parked before that time."""
    query = (
        select(DeadLetter.account_id)
        .distinct()
        .join(ClosedAccount, ClosedAccount.account_id == DeadLetter.account_id)
        .where(DeadLetter.topic == INSTALLMENTS.name, DeadLetter.parked_at < before)
    )
    return [account_id for account_id in await connection.scalars(query.limit(500)) if account_id]


async def drop_payments(connection: AsyncConnection, accounts: Collection[UUID]) -> dict[UUID, int]:
    """Erase parked payment messages of these accounts; returns how many of each."""
    dropped = delete(DeadLetter).where(DeadLetter.account_id.in_(accounts), DeadLetter.topic == INSTALLMENTS.name)
    return Counter(await connection.scalars(dropped.returning(DeadLetter.account_id)))
