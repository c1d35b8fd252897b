"""All queries about requests, their references, words and audit chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, RowMapping, Select, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.domain.audit import Line
from services.requests.domain.cases import Request, State
from services.requests.models import (
    AuditLine,
    MailAttachment,
    ReceivedMail,
    RequestDecision,
    RequestEvidence,
    RequestReference,
    RequestWords,
)
from services.requests.models import Request as RequestRow
from shared.contracts.requests import Channel, Ground, Kind
from shared.pages import Cursor

WORDS_KEPT: Mapping[Any, timedelta] = {
    RequestWords: timedelta(days=90),
    RequestEvidence: timedelta(days=30),
    RequestDecision: timedelta(days=365),
    ReceivedMail: timedelta(days=90),
    MailAttachment: timedelta(days=30),
}
"""How long what was written is kept after the end of its request."""
NOT_ENDED = RequestRow.ended_at.is_(None)

_REQUESTS = select(*(column for column in RequestRow.__table__.columns if column.name != "look_at"))
_new = upsert(RequestRow)
_SAVE = _new.on_conflict_do_update(
    index_elements=[RequestRow.request_id],
    set_={c.name: _new.excluded[c.name] for c in RequestRow.__table__.columns if c.name != "request_id"},
)


async def take(connection: AsyncConnection, request_id: UUID) -> Request | None:
    """Load a request to change it: nobody else does until this transaction ends."""
    query = _REQUESTS.where(RequestRow.request_id == request_id).with_for_update()
    row = (await connection.execute(query)).first()
    return _request(row) if row else None


async def see(connection: AsyncConnection, request_id: UUID) -> Request | None:
    """Load a request to look at it."""
    row = (await connection.execute(_REQUESTS.where(RequestRow.request_id == request_id))).first()
    return _request(row) if row else None


def _request(row: Row[Any]) -> Request:
    values = {name: value for name, value in row._asdict().items() if name != "reference"}
    return Request(
        **values
        | {
            "kind": Kind(row.kind) if row.kind else None,
            "channel": Channel(row.channel),
            "state": State(row.state),
            "ground": Ground(row.ground) if row.ground else None,
        }
    )


async def save(connection: AsyncConnection, request: Request, look_at: datetime, lines: Sequence[Line]) -> None:
    """Write a request and the new lines of its audit chain."""
    values = {name: value for name, value in vars(request).items() if name != "steps"} | {"look_at": look_at}
    await connection.execute(_SAVE, values)
    if lines:
        await connection.execute(insert(AuditLine), [vars(line) for line in lines])


async def open_of(connection: AsyncConnection, account_id: UUID) -> tuple[Request, ...]:
    """Load the requests of an account that have not ended, the oldest first."""
    mine = _REQUESTS.where(RequestRow.account_id == account_id, NOT_ENDED)
    rows = await connection.execute(mine.order_by(RequestRow.received_at, RequestRow.request_id))
    return tuple(_request(row) for row in rows)


async def last_access(connection: AsyncConnection, account_id: UUID) -> datetime | None:
    """Tell when the person last asked for a record that was given, or is being made."""
    given = or_(RequestRow.state == State.FULFILLED, RequestRow.state == State.ACCEPTED)
    query = select(func.max(RequestRow.received_at)).where(
        RequestRow.account_id == account_id, RequestRow.kind == Kind.ACCESS, given
    )
    at: datetime | None = await connection.scalar(query)
    return at


async def to_look_at(connection: AsyncConnection, now: datetime) -> list[Row[UUID, UUID]]:
    """List requests (id, account) that time brings something to."""
    query = select(RequestRow.request_id, RequestRow.account_id).where(RequestRow.look_at <= now, NOT_ENDED)
    return list(await connection.execute(query.order_by(RequestRow.look_at).limit(500)))


# Whose it is, and what leads to it


async def assign(connection: AsyncConnection, request_id: UUID, account_id: UUID) -> None:
    """Note whose request it is, now that it is known; what was written goes along."""
    for table in (RequestRow, *WORDS_KEPT):
        whose = update(table).where(table.request_id == request_id).values(account_id=account_id)
        await connection.execute(whose)


async def add_reference(connection: AsyncConnection, reference: str, request_id: UUID) -> None:
    """Have a reference lead to a request."""
    row = {"reference": reference, "request_id": request_id}
    await connection.execute(upsert(RequestReference).on_conflict_do_nothing(), row)


async def lead_to(connection: AsyncConnection, request_id: UUID, other: UUID) -> None:
    """Have the references of a request lead to another one."""
    mine = update(RequestReference).where(RequestReference.request_id == request_id)
    await connection.execute(mine.values(request_id=other))


async def reference_of(connection: AsyncConnection, request_id: UUID) -> str | None:
    """Find the reference of a request: of several the one that was given first."""
    found: str | None = await connection.scalar(_first_reference(RequestReference.request_id == request_id))
    return found


def _first_reference(condition: ColumnElement[bool]) -> Select[str]:
    return select(RequestReference.reference).where(condition).order_by(RequestReference.number).limit(1)


async def references_of(connection: AsyncConnection, request_id: UUID) -> list[str]:
    """List the references of a request."""
    query = select(RequestReference.reference).where(RequestReference.request_id == request_id)
    return list(await connection.scalars(query.order_by(RequestReference.reference)))


async def find(connection: AsyncConnection, reference: str) -> Request | None:
    """Find the request that a reference leads to."""
    query = _REQUESTS.join(RequestReference, RequestReference.request_id == RequestRow.request_id)
    row = (await connection.execute(query.where(RequestReference.reference == reference))).first()
    return _request(row) if row else None


async def of_account(
    connection: AsyncConnection, account_id: UUID, limit: int, after: Cursor | None
) -> list[tuple[Request, str]]:
    """List what a person has asked for, each with a reference, latest first; one more than the limit, if there is."""
    of_it = _first_reference(RequestReference.request_id == RequestRow.request_id)
    query = (
        _REQUESTS.add_columns(of_it.scalar_subquery().label("reference"))
        .where(RequestRow.account_id == account_id)
        .order_by(RequestRow.received_at.desc(), RequestRow.request_id.desc())
        .limit(limit + 1)
    )
    if after:
        place = tuple_(RequestRow.received_at, RequestRow.request_id)
        query = query.where(place < tuple_(after.at, after.id))
    return [(_request(row), row.reference or "") for row in await connection.execute(query)]


async def queue(connection: AsyncConnection, limit: int, after: Cursor | None) -> list[Request]:
    """List what has not ended, by due date; one more than the limit, if there is."""
    query = _REQUESTS.where(NOT_ENDED).order_by(RequestRow.due_at, RequestRow.request_id).limit(limit + 1)
    if after:
        query = query.where(tuple_(RequestRow.due_at, RequestRow.request_id) > tuple_(after.at, after.id))
    return [_request(row) for row in await connection.execute(query)]


# What was written


async def add_words(connection: AsyncConnection, values: Mapping[str, Any], now: datetime) -> None:
    """Keep what a person has written or wishes; what is kept already stays as it is."""
    row = {"text": None, "values": None, "message_id": None, "written_at": now, "ends_at": far(now), **values}
    await connection.execute(upsert(RequestWords).on_conflict_do_nothing(), row)


async def read_as(connection: AsyncConnection, values: Mapping[str, Any], now: datetime) -> None:
    """Note the values that somebody has read out of what was written."""
    await add_words(connection, values, now)
    mine = update(RequestWords).where(RequestWords.id == values["id"])
    await connection.execute(mine.values(values=values["values"]))


async def words(connection: AsyncConnection, request_id: UUID) -> Sequence[RowMapping]:
    """Read what a person has written about a request, the oldest first, and whether it is proven who it was."""
    proven = (~exists().where(ReceivedMail.id == RequestWords.id)).label("proven")
    query = select(RequestWords.text, RequestWords.values, RequestWords.written_at, proven)
    mine = query.where(RequestWords.request_id == request_id).order_by(RequestWords.written_at, RequestWords.id)
    return (await connection.execute(mine)).mappings().all()


async def add_decision(connection: AsyncConnection, values: Mapping[str, Any], now: datetime, *, ended: bool) -> None:
    """Keep what was told about a request, which may have ended by it."""
    ends_at = now + WORDS_KEPT[RequestDecision] if ended else far(now)
    await connection.execute(insert(RequestDecision), {**values, "said_at": now, "ends_at": ends_at})


async def decisions(connection: AsyncConnection, request_id: UUID) -> Sequence[RowMapping]:
    """Read what was told about a request, the oldest first."""
    query = select(RequestDecision.notice, RequestDecision.said, RequestDecision.said_at)
    mine = query.where(RequestDecision.request_id == request_id)
    return (await connection.execute(mine.order_by(RequestDecision.said_at, RequestDecision.id))).mappings().all()


async def add_evidence(connection: AsyncConnection, values: Mapping[str, Any], now: datetime) -> None:
    """Keep what shows an authority; what is kept already stays as it is."""
    row = {**values, "given_at": now, "accepted": None, "ends_at": far(now)}
    await connection.execute(upsert(RequestEvidence).on_conflict_do_nothing(), row)


async def judge_evidence(connection: AsyncConnection, request_id: UUID, evidence_id: UUID, *, accepted: bool) -> bool:
    """Note how an authority was judged; false where it is not there."""
    mine = update(RequestEvidence).where(RequestEvidence.id == evidence_id, RequestEvidence.request_id == request_id)
    return (await connection.execute(mine.values(accepted=accepted))).rowcount == 1


async def evidence(connection: AsyncConnection, request_id: UUID) -> Sequence[RowMapping]:
    """Read what shows an authority, the oldest first."""
    query = select(*(c for c in RequestEvidence.__table__.columns if c.name not in {"account_id", "ends_at"}))
    mine = query.where(RequestEvidence.request_id == request_id).order_by(RequestEvidence.given_at)
    return (await connection.execute(mine)).mappings().all()


async def end_words(connection: AsyncConnection, request_id: UUID, now: datetime) -> None:
    """Give what was written about a request that has ended its end."""
    for table, kept in WORDS_KEPT.items():
        mine = update(table).where(table.request_id == request_id)
        await connection.execute(mine.values(ends_at=now + kept))


def far(now: datetime) -> datetime:
    """Give an end to what was written about a request that has not ended: it will be an earlier one."""
    return now + timedelta(days=730)


# The audit chain


async def chain(connection: AsyncConnection, request_id: UUID) -> list[Line]:
    """Read the audit chain of a request."""
    query = select(AuditLine).where(AuditLine.request_id == request_id).order_by(AuditLine.number)
    return [Line(**row._asdict()) for row in await connection.execute(query)]
