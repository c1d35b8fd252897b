"""All queries of notifier. Statements are built once, and each takes a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic_core import to_json
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    Row,
    RowMapping,
    String,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from services.notifier.commands import Address, Kind, RememberContact
from services.notifier.domain import Draft, Queued
from services.notifier.models import Contact, Message, Notice
from shared.database import rows_of
from shared.pages import Cursor

IDS: Any = bindparam("ids", type_=ARRAY(BigInteger))
MOMENT = DateTime(timezone=True)

_REMEMBER = text(
    "INSERT INTO contacts (account_id, version, email, language)"
    " SELECT * FROM unnest(:account_id, :version, :email, :language)"
    " ON CONFLICT (account_id) DO UPDATE"
    " SET version = excluded.version, email = excluded.email, language = excluded.language"
    " WHERE contacts.version < excluded.version"
).bindparams(
    bindparam("account_id", type_=ARRAY(Uuid)),
    bindparam("version", type_=ARRAY(Integer)),
    *(bindparam(name, type_=ARRAY(String)) for name in ("email", "language")),
)
# `WITH ORDINALITY` so that ids are drawn in the order of the list. What is told once is not queued a second time, nor
# shown.
_QUEUE = text(
    "WITH new AS (SELECT *"
    "  FROM unnest(:account_id, :kind, :parameters, :email, :language, :contact_version, :order_id, :notice_id,"
    "   :shown) WITH ORDINALITY AS new(account_id, kind, parameters, email, language, contact_version, order_id,"
    "   notice_id, shown, nth)),"
    " queued AS (INSERT INTO messages (account_id, kind, parameters, email, language, contact_version, order_id,"
    "   notice_id, queued_at, next_attempt_at)"
    "  SELECT account_id, kind, CAST(parameters AS jsonb), email, language, contact_version, order_id, notice_id,"
    "   :now, :now FROM new ORDER BY nth"
    "  ON CONFLICT DO NOTHING RETURNING notice_id)"
    " INSERT INTO notices (id, account_id, kind, parameters, told_at, mailed)"
    " SELECT notice_id, account_id, kind, CAST(shown AS jsonb), :now, 'waiting'"
    " FROM new WHERE notice_id IN (SELECT notice_id FROM queued) ORDER BY nth"
).bindparams(
    bindparam("now", type_=MOMENT),
    *(bindparam(name, type_=ARRAY(Uuid)) for name in ("account_id", "order_id", "notice_id")),
    *(bindparam(name, type_=ARRAY(String)) for name in ("kind", "parameters", "email", "language", "shown")),
    bindparam("contact_version", type_=ARRAY(Integer)),
)

_earlier = aliased(Message)
_QUEUED = select(
    Message.id,
    Message.account_id,
    Message.kind,
    Message.parameters,
    Message.order_id,
    Message.queued_at,
    Message.attempts,
    Message.notice_id,
    func.coalesce(Message.email, Contact.email).label("email"),
    func.coalesce(Message.language, Contact.language).label("language"),
).outerjoin(
    Contact,
    and_(
        Contact.account_id == Message.account_id,
        Contact.version >= func.coalesce(Message.contact_version, 0),
    ),
)
_BY_ID = _QUEUED.where(Message.id == any_(IDS))
_DUE = (
    _QUEUED.where(
        ~Message.sent,
        Message.next_attempt_at <= bindparam("now", type_=MOMENT),
        ~exists().where(_earlier.account_id == Message.account_id, _earlier.id < Message.id, ~_earlier.sent),
    )
    .order_by(Message.next_attempt_at, Message.id)
    .limit(bindparam("limit", type_=Integer))
)
_DEFER = text(
    "UPDATE messages SET attempts = attempts + CASE WHEN counts THEN 1 ELSE 0 END, next_attempt_at = later.moment"
    " FROM unnest(:ids, :moment, :counts) AS later(id, moment, counts) WHERE messages.id = later.id"
).bindparams(IDS, bindparam("moment", type_=ARRAY(MOMENT)), bindparam("counts", type_=ARRAY(Boolean)))
_NOTE_MAILED = text(
    "UPDATE notices SET mailed = new.mailed FROM unnest(:ids, :mailed) AS new(id, mailed) WHERE notices.id = new.id"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("mailed", type_=ARRAY(String)))
_REMOVE = delete(Message).where(Message.id == any_(IDS))
_WITHHOLD = (
    delete(Message)
    .where(
        Message.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid))),
        Message.kind == any_(bindparam("kinds", type_=ARRAY(String))),
        ~Message.sent,
    )
    .returning(Message.notice_id)
)
_REMEMBER_SENT = update(Message).where(Message.id == any_(IDS)).values(sent=True)


async def remember(connection: AsyncConnection, contacts: Sequence[RememberContact]) -> None:
    """Keep contacts, one an account, where no newer one is kept."""
    values = [(c.account_id, c.version, c.address.email, c.address.language) for c in contacts]
    await connection.execute(_REMEMBER, rows_of(("account_id", "version", "email", "language"), values))


async def queue(connection: AsyncConnection, drafts: Sequence[Draft], now: datetime) -> None:
    """Queue messages in this order; what is told once is not queued a second time."""
    names = (
        "account_id",
        "kind",
        "parameters",
        "email",
        "language",
        "contact_version",
        "order_id",
        "notice_id",
        "shown",
    )
    await connection.execute(_QUEUE, rows_of(names, map(_values, drafts)) | {"now": now})


def _values(draft: Draft) -> tuple[Any, ...]:
    to = draft.address
    email, language = (to.email, to.language) if to else (None, None)
    parameters = to_json(draft.parameters).decode()
    shown = draft.shown
    notice = (None, None) if shown is None else (uuid4(), to_json(shown).decode())
    return (
        draft.account_id,
        draft.kind,
        parameters,
        email,
        language,
        draft.contact_version,
        draft.order_id,
        *notice,
    )


async def due(connection: AsyncConnection, now: datetime, limit: int) -> list[Queued]:
    """List messages whose time has come: of each account only the first, so that none overtakes."""
    return [_queued(row) for row in await connection.execute(_DUE, {"now": now, "limit": limit})]


async def queued(connection: AsyncConnection, ids: Sequence[int]) -> list[Queued]:
    """Load those of the messages that are still there."""
    return [_queued(row) for row in await connection.execute(_BY_ID, {"ids": list(ids)})]


def _queued(row: Row[Any]) -> Queued:
    return Queued(
        id=row.id,
        account_id=row.account_id,
        kind=Kind(row.kind),
        parameters=row.parameters,
        order_id=row.order_id,
        queued_at=row.queued_at,
        attempts=row.attempts,
        address=Address(row.email, row.language) if row.email else None,
        notice_id=row.notice_id,
    )


async def defer(connection: AsyncConnection, later: Sequence[tuple[int, datetime, bool]]) -> None:
    """Try each of the messages again (id, moment, whether the attempt counts) at its moment."""
    if later:
        await connection.execute(_DEFER, rows_of(("ids", "moment", "counts"), later))


async def note_mailed(connection: AsyncConnection, outcomes: Sequence[tuple[UUID, str]]) -> None:
    """Note with each notice what became of its mail."""
    if outcomes:
        await connection.execute(_NOTE_MAILED, rows_of(("ids", "mailed"), outcomes))


async def remove(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Forget messages."""
    if ids:
        await connection.execute(_REMOVE, {"ids": list(ids)})


async def withhold(connection: AsyncConnection, accounts: Collection[UUID], kinds: Collection[Kind]) -> list[UUID]:
    """Forget what of these kinds is queued for these accounts; returns the notices of it."""
    if not accounts:
        return []
    which = {"accounts": sorted(accounts), "kinds": list(kinds)}
    return [notice_id for notice_id in await connection.scalars(_WITHHOLD, which) if notice_id]


async def remember_sent(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Keep messages as sent, so that they are not queued again."""
    if ids:
        await connection.execute(_REMEMBER_SENT, {"ids": list(ids)})


async def notices(
    connection: AsyncConnection, account_id: UUID, limit: int, after: Cursor | None, *, unread: bool
) -> Sequence[RowMapping]:
    """List notices, latest first; one more than the limit, if there is."""
    query = (
        select(*Notice.__table__.columns)
        .where(Notice.account_id == account_id)
        .order_by(Notice.told_at.desc(), Notice.id.desc())
        .limit(limit + 1)
    )
    if unread:
        query = query.where(Notice.read_at.is_(None))
    if after:
        query = query.where(tuple_(Notice.told_at, Notice.id) < tuple_(after.at, after.id))
    return (await connection.execute(query)).mappings().all()


async def unread_notices(connection: AsyncConnection, account_id: UUID) -> int:
    """Count what the person has not seen."""
    query = select(func.count()).where(Notice.account_id == account_id, Notice.read_at.is_(None))
    return await connection.scalar(query) or 0


async def language_of(connection: AsyncConnection, account_id: UUID) -> str | None:
    """Find the language in which to write to a person."""
    language: str | None = await connection.scalar(select(Contact.language).where(Contact.account_id == account_id))
    return language


async def read_notices(connection: AsyncConnection, account_id: UUID, notice_id: UUID | None, now: datetime) -> bool:
    """Note notices as seen now, unless they were before: one, or all; false where there is none."""
    which = and_(Notice.account_id == account_id, Notice.id == notice_id if notice_id else true())
    seen = update(Notice).where(which).values(read_at=func.coalesce(Notice.read_at, now))
    return (await connection.execute(seen)).rowcount > 0
