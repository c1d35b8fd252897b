"""All queries of account. Statements are built once; those of the cascade take a whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Row,
    RowMapping,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import AddInstallment, ConfirmRegistration, Register, SettleInstallment
from services.account.domain import CODE_TRIES, PARKED_PAYMENT_LAPSES, Started, State
from services.account.models import Account, Cancellation, Installment, Registration, Session, UsedToken
from shared.contracts.topics import INSTALLMENTS
from shared.tables import ClosedAccount, DeadLetter

ACCOUNTS: Any = bindparam("accounts", type_=ARRAY(Uuid))

_ACCOUNTS = select(Account.id, Account.contact_version, Account.password_hash).where(Account.id == any_(ACCOUNTS))
_OPEN = Installment.settled_at.is_(None)
_INSTALLMENTS = select(Installment).where(Installment.account_id == any_(ACCOUNTS), _OPEN)
_SETTLE = upsert(Installment).on_conflict_do_update(
    index_elements=[Installment.account_id, Installment.installment_id],
    set_={"settled_at": upsert(Installment).excluded.settled_at},
    where=_OPEN,
)
_CANCELLATIONS = (
    select(Cancellation).where(Cancellation.account_id == any_(ACCOUNTS)).order_by(Cancellation.started_at)
)
# By the clock of the database, which has also dated the parking.
_MAY_BE_A_HOLD = and_(
    DeadLetter.topic == INSTALLMENTS.name, DeadLetter.parked_at > func.now() - PARKED_PAYMENT_LAPSES
)
_PARKED_PAYMENTS = (
    select(DeadLetter.account_id, func.count())
    .where(DeadLetter.account_id == any_(ACCOUNTS), _MAY_BE_A_HOLD)
    .group_by(DeadLetter.account_id)
)

_FREE = and_(
    Account.declined,
    ~exists().where(Installment.account_id == Account.id, _OPEN),
    ~exists().where(DeadLetter.account_id == Account.id, _MAY_BE_A_HOLD),
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
    return Started(row.reference, row.token_digest, row.expires_at, row.continued, row.tries, row.due_at)


# Registering


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


# Sessions


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


# Profile


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


# Instalments


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
    await connection.execute(delete(Installment).where(Installment.account_id.in_(accounts), ~_OPEN))


async def no_longer_declined(connection: AsyncConnection, accounts: Collection[UUID]) -> list[UUID]:
    """Take back the mark of a declined cancellation where nothing postpones it; returns whose it was."""
    freed = update(Account).where(Account.id.in_(accounts), _FREE).values(declined=False).returning(Account.id)
    return list(await connection.scalars(freed))


async def declined_without_reason(connection: AsyncConnection) -> list[UUID]:
    """List accounts that were declined and could be cancelled now: a reason can end by the clock, or by hand."""
    return list(await connection.scalars(select(Account.id).where(_FREE).limit(500)))


async def lapsed_installments(connection: AsyncConnection, now: datetime) -> list[tuple[UUID, UUID]]:
    """List instalments (account, instalment) whose latest end has come."""
    query = select(Installment.account_id, Installment.installment_id).where(_OPEN, Installment.lapses_at <= now)
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


# Cancellation


async def add_cancellation(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Keep a cancellation that was started."""
    await connection.execute(insert(Cancellation).values(continued=False, tries=0, **values))


async def change_cancellation(connection: AsyncConnection, reference: str, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change columns of a cancellation."""
    await connection.execute(update(Cancellation).where(Cancellation.reference == reference).values(**values))


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


async def cancellation(connection: AsyncConnection, reference: str) -> Row[datetime, datetime | None] | None:
    """Find until when a started cancellation can be confirmed, and when it is due if it was."""
    query = select(Cancellation.expires_at, Cancellation.due_at).where(Cancellation.reference == reference)
    return (await connection.execute(query)).first()


async def due_cancellations(connection: AsyncConnection, now: datetime) -> list[UUID]:
    """List accounts whose cooling-off period is over."""
    return list(
        await connection.scalars(select(Cancellation.account_id).where(Cancellation.due_at <= now).limit(500))
    )
