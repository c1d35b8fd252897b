"""The HTTP door to log in and out."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from pydantic import EmailStr, Field

from services.account.api.doors import Asking, Config, Hashing, done
from services.account.commands import (
    EndSession,
    OpenSession,
    RefreshSession,
)
from services.account.domain.access import SESSION_LIFE
from services.account.passwords import MAX_LENGTH
from services.account.repository import sessions
from services.account.settings import Settings
from shared.http import Body, Problem
from shared.security import (
    ACCESS_TOKEN_LIFE,
    Person,
    digest,
    issue_access_token,
    random_secret,
)
from shared.service import Running

router = APIRouter(prefix="/v1")


class LogIn(Body):
    """Address and password."""

    email: EmailStr
    password: str = Field(max_length=MAX_LENGTH)


class Refresh(Body):
    """A refresh token."""

    refresh_token: str = Field(max_length=100)


@router.post("/sessions", status_code=HTTPStatus.CREATED)
async def log_in(body: LogIn, service: Running, settings: Config, passwords: Hashing) -> dict[str, Any]:
    """Log in. An unknown address gets the answer, and costs the work, of a wrong password."""
    async with service.engine.connect() as connection:
        found = await sessions.credentials(connection, body.email.lower())
    if not await passwords.fits(body.password, found.password_hash if found else None) or not found:
        raise Problem(HTTPStatus.UNAUTHORIZED, "credentials-wrong", "Address or password is wrong.")
    person, refresh, now = Person(found.id, uuid4()), random_secret(), service.clock()
    command = OpenSession(
        account_id=person.account_id,
        session_id=person.session_id,
        refresh_digest=digest(refresh),
        expires_at=now + SESSION_LIFE,
    )
    await done(service, command)
    return _tokens(settings, person, refresh, now)


@router.post("/sessions/refresh")
async def refresh(body: Refresh, service: Running, settings: Config) -> dict[str, Any]:
    """Get the next pair of tokens; a refresh token works once."""
    now, old, new = service.clock(), digest(body.refresh_token), random_secret()
    async with service.engine.connect() as connection:
        found = await sessions.session_by_refresh(connection, old, now)
    if not found:
        raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    await done(service, RefreshSession(account_id=found.account_id, refresh_digest=old, next_digest=digest(new)))
    return _tokens(settings, Person(found.account_id, found.id), new, now)


def _tokens(settings: Settings, person: Person, refresh_token: str, now: datetime) -> dict[str, Any]:
    return {
        "account_id": person.account_id,
        "access_token": issue_access_token(settings.access_token_private_key, person, now),
        "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
        "refresh_token": refresh_token,
    }


@router.delete("/sessions/current", status_code=HTTPStatus.NO_CONTENT)
async def log_out(person: Asking, service: Running) -> None:
    """Log out: at once here, elsewhere within the lag of a topic."""
    await done(service, EndSession(account_id=person.account_id, session_id=person.session_id))
