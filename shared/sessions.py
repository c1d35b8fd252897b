"""Which sessions have ended, in every service but account: heard by a topic, asked at every request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import Depends
from sqlalchemy import Index, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.bus import Work
from shared.commands import Command, Lock, Needs
from shared.consenting import asks
from shared.contracts.account import SessionEnded
from shared.contracts.base import Event
from shared.contracts.topics import SESSIONS
from shared.http import Problem
from shared.messaging.consumer import Subscription
from shared.personal_data import OfNobody, opaque, rows
from shared.retention import Keep
from shared.security import ACCESS_TOKEN_LIFE, Person, token_bearer
from shared.service import Running
from shared.tables import COLUMN_TYPES, ClosedAccount


class SessionsBase(DeclarativeBase):
    """The metadata of what a service keeps that hears of sessions."""

    type_annotation_map = COLUMN_TYPES


class EndedSession(SessionsBase):
    """A session whose access tokens are no longer good, until they have expired anyway."""

    __tablename__ = "ended_sessions"
    __table_args__ = (
        Index("ended_sessions_ended_at", "ended_at"),
        rows(OfNobody("random ids, for the life of an access token")),
    )

    session_id: Mapped[UUID] = opaque("random id", primary_key=True)
    ended_at: Mapped[datetime] = opaque("end of this row is a token's life later")


@dataclass(frozen=True, kw_only=True)
class ForgetSession(Command):
    """Take no more access tokens of a session."""

    lock: ClassVar[Lock] = Lock.SHARED
    needs: ClassVar[Needs] = Needs.NOTHING

    session_id: UUID


def on_session(event: Event) -> Command | None:
    """Account: sessions that were ended."""
    match event:
        case SessionEnded():
            return ForgetSession(account_id=event.account_id, caused_by=event, session_id=event.session_id)
    return None


SESSIONS_HEARD = Subscription(SESSIONS, on_session)
ENDED_SESSIONS_KEPT = Keep(EndedSession.ended_at, 2 * ACCESS_TOKEN_LIFE)


async def forget_sessions(work: Work, commands: Sequence[ForgetSession]) -> None:
    """Take no more tokens of these sessions."""
    rows = [{"session_id": command.session_id, "ended_at": work.now} for command in commands]
    await work.connection.execute(upsert(EndedSession).on_conflict_do_nothing(), rows)


async def no_longer_good(connection: AsyncConnection, person: Person) -> bool:
    """Tell whether the session was ended, or the account is closed here."""
    ended = exists().where(EndedSession.session_id == person.session_id)
    closed = exists().where(ClosedAccount.account_id == person.account_id)
    return bool(await connection.scalar(select(ended | closed)))


async def _logged_in(service: Running, person: Annotated[Person, Depends(token_bearer)]) -> Person:
    async with service.engine.connect() as connection:
        if await no_longer_good(connection, person):
            raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    return person


Asking = Annotated[Person, Depends(asks(_logged_in, Needs.POLICY))]
"""Who asks, in a session that is not known to have ended."""
AskingToUse = Annotated[Person, Depends(asks(_logged_in, Needs.USE))]
"""The same, where this service uses what it has of the person."""
AskingStill = Annotated[Person, Depends(_logged_in)]
"""The same, also when the whole policy is withdrawn: to see what is there, to take it along, to go."""
