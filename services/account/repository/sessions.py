"""All queries about log-ins, and the clients that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, RowMapping, and_, delete, exists, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.commands import OpenSession
from services.account.domain.access import MOST_CLIENTS, SESSION_IDLE
from services.account.models import Account, Client, Session
from shared.pages import Cursor


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(~Session.ended, Session.expires_at > now, Session.last_used_at > now - SESSION_IDLE)


async def credentials(
    connection: AsyncConnection, email: str, client_digest: str | None
) -> Row[UUID, str, bool] | None:
    """Find account, password hash, and whether the client is known to it, by address."""
    known = exists().where(Client.account_id == Account.id, Client.token_digest == client_digest)
    query = select(Account.id, Account.password_hash, known.label("client_known")).where(Account.email == email)
    return (await connection.execute(query)).first()


async def password_hash(connection: AsyncConnection, account_id: UUID) -> str | None:
    """Read the hash that a password has to fit."""
    kept: str | None = await connection.scalar(select(Account.password_hash).where(Account.id == account_id))
    return kept


async def account(connection: AsyncConnection, account_id: UUID) -> Row[str, str] | None:
    """Find the policy that an account has agreed to, and its password's hash, if the account is there."""
    query = select(Account.policy_version, Account.password_hash).where(Account.id == account_id)
    return (await connection.execute(query)).first()


async def session_client(connection: AsyncConnection, command: OpenSession) -> UUID | None:
    """Find the client of a session that this log-in repeats."""
    mine = and_(Session.id == command.session_id, Session.account_id == command.account_id)
    client: UUID | None = await connection.scalar(select(Session.client_id).where(mine))
    return client


async def known_client(connection: AsyncConnection, command: OpenSession) -> UUID | None:
    """Find the client by the token that it has shown."""
    mine = and_(Client.account_id == command.account_id, Client.token_digest == command.shown_client)
    client: UUID | None = await connection.scalar(select(Client.id).where(mine))
    return client


async def has_clients(connection: AsyncConnection, account_id: UUID) -> bool:
    """Tell whether the account was used with any client before."""
    return await connection.scalar(select(Client.id).where(Client.account_id == account_id).limit(1)) is not None


async def use_client(connection: AsyncConnection, client_id: UUID, command: OpenSession, now: datetime) -> None:
    """Note a client as used now, known from now on by the new token; the least recently used ones are forgotten."""
    new = command.new_client
    values = {"token_digest": new.token_digest, "last_used_at": now}
    row = {"id": client_id, "account_id": command.account_id, "name": new.name, **values}
    await connection.execute(
        upsert(Client).values(row).on_conflict_do_update(index_elements=[Client.id], set_=values)
    )
    mine = Client.account_id == command.account_id
    surplus = select(Client.id).where(mine).order_by(Client.last_used_at.desc(), Client.id).offset(MOST_CLIENTS)
    await connection.execute(delete(Client).where(Client.id.in_(surplus)))


async def keep_session(connection: AsyncConnection, command: OpenSession, client_id: UUID, now: datetime) -> bool:
    """Keep a log-in; the same one again has other tokens from now on; false where it was ended."""
    new = upsert(Session).values(
        id=command.session_id,
        account_id=command.account_id,
        client_id=client_id,
        refresh_digest=command.refresh_digest,
        logged_in_at=now,
        last_used_at=now,
        expires_at=command.expires_at,
        ended=False,
    )
    tokens = {"refresh_digest": command.refresh_digest, "previous_digest": None, "last_used_at": now}
    kept = new.on_conflict_do_update(index_elements=[Session.id], set_=tokens, where=~Session.ended)
    return await connection.scalar(kept.returning(Session.id)) is not None


async def session_of_token(connection: AsyncConnection, refresh_digest: str, now: datetime) -> Row[UUID, UUID] | None:
    """Find the open session that a refresh token belongs or belonged to."""
    of_token = or_(Session.refresh_digest == refresh_digest, Session.previous_digest == refresh_digest)
    query = select(Session.id, Session.account_id).where(of_token, _open(now))
    return (await connection.execute(query)).first()


async def rotate_refresh(connection: AsyncConnection, old: str, new: str, now: datetime) -> bool:
    """Replace a refresh token; false where it was used already."""
    values = {"refresh_digest": new, "previous_digest": old, "last_used_at": now}
    rotated = update(Session).where(Session.refresh_digest == old, _open(now)).values(values)
    return (await connection.execute(rotated)).rowcount == 1


async def end_session_of(connection: AsyncConnection, account_id: UUID, used_digest: str) -> UUID | None:
    """End the session whose refresh token was used already; returns which."""
    mine = and_(Session.account_id == account_id, Session.previous_digest == used_digest, ~Session.ended)
    ended: UUID | None = await connection.scalar(update(Session).where(mine).values(ended=True).returning(Session.id))
    return ended


async def end_sessions(
    connection: AsyncConnection, account_id: UUID, *, only: UUID | None = None, but: UUID | None = None
) -> list[UUID]:
    """End the account's sessions: all, one, or all but one; returns which were open."""
    which = Session.id == only if only else (Session.id != but if but else true())
    ended = update(Session).where(Session.account_id == account_id, ~Session.ended, which).values(ended=True)
    return list(await connection.scalars(ended.returning(Session.id)))


async def session_open(connection: AsyncConnection, session_id: UUID, now: datetime) -> bool:
    """Tell whether a session is neither ended nor expired."""
    return await connection.scalar(select(Session.id).where(Session.id == session_id, _open(now))) is not None


async def history(
    connection: AsyncConnection, account_id: UUID, now: datetime, limit: int, after: Cursor | None, *, only_open: bool
) -> Sequence[RowMapping]:
    """List log-ins, latest first; one more than the limit, if there is."""
    query = (
        select(
            Session.id.label("session_id"),
            Client.name.label("client_name"),
            Session.logged_in_at,
            Session.last_used_at,
            _open(now).label("open"),
        )
        .outerjoin(Client, Client.id == Session.client_id)
        .where(Session.account_id == account_id)
        .order_by(Session.logged_in_at.desc(), Session.id.desc())
        .limit(limit + 1)
    )
    if only_open:
        query = query.where(_open(now))
    if after:
        query = query.where(tuple_(Session.logged_in_at, Session.id) < tuple_(after.at, after.id))
    return (await connection.execute(query)).mappings().all()
