"""The HTTP door to log in and out."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from services.account.api.doors import (
    AskingStill,
    Code,
    Config,
    GivenPassword,
    Hashing,
    Network,
    begin_anew,
    by_network,
    done,
)
from services.account.commands import (
    EndSession,
    EndSessions,
    NewClient,
    OpenSession,
    ProveSecondFactor,
    RefreshSession,
)
from services.account.domain.access import CREDENTIALS_WRONG, SESSION_LIFE
from services.account.domain.addresses import Email
from services.account.repository import sessions
from services.account.settings import Settings
from shared.contracts.base import Label
from shared.http import Body, IdempotencyKey, Problem, count_try, id_for, refused
from shared.pages import After, Cursor, Limit, Page, page
from shared.security import (
    ACCESS_TOKEN_LIFE,
    Person,
    digest,
    internal_door,
    issue_access_token,
    random_secret,
)
from shared.service import Running, Service
from shared.throttle import Limit as TryLimit

log = logging.getLogger(__name__)
router = APIRouter(tags=["sessions"])

BY_ADDRESS = TryLimit("log-in-by-address", 10, timedelta(minutes=15))
BY_CLIENT = TryLimit("log-in-by-client", 10, timedelta(minutes=15))
BY_NETWORK = TryLimit("log-in-by-network", 100, timedelta(minutes=15))


class LogIn(Body):
    """Address and password; the second factor where there is one; what makes the client known."""

    email: Email
    password: GivenPassword
    code: Code | None = Field(default=None, description="Of the second factor, or a recovery code.")
    client_token: str | None = Field(default=None, max_length=100, description="From the last log-in here.")
    client_name: Annotated[Label, StringConstraints(max_length=60)] | None = None


class Refresh(Body):
    """A refresh token."""

    refresh_token: str = Field(max_length=100)


class Tokens(BaseModel):
    """What a client needs to ask for things."""

    account_id: UUID
    session_id: UUID
    access_token: str
    expires_in: int = Field(description="Seconds.")
    refresh_token: str = Field(description="Works once.")


class LoggedIn(Tokens):
    """The tokens of a new session."""

    client_token: str = Field(description="Send it with the next log-in: a log-in without it is told to the person.")
    agreement_needed: bool = Field(description="There is a version of the privacy policy not agreed to yet.")


class LogInSeen(BaseModel):
    """One log-in, as its person sees it."""

    session_id: UUID
    client_name: str | None
    logged_in_at: datetime
    last_used_at: datetime
    open: bool
    current: bool


@router.post("/v1/sessions", status_code=HTTPStatus.CREATED)
async def log_in(
    body: LogIn,
    service: Running,
    *,
    settings: Config,
    passwords: Hashing,
    network: Network,
    key: IdempotencyKey = None,
) -> LoggedIn:
    """Log in. An unknown address gets the answer, and costs the work, of a wrong password."""
    shown = _shown(body)
    async with service.engine.connect() as connection:
        found = await sessions.credentials(connection, body.email, shown)
    # Counted apart, so that nobody can lock people out of the clients that they use.
    by_address = BY_ADDRESS.at(settings, body.email)
    if found and found.client_known:
        by_address = BY_CLIENT.at(settings, shown)
    await count_try(service.bus, by_address, by_network(BY_NETWORK, settings, network))
    if not await passwords.fits(body.password, found.password_hash if found else None) or not found:
        raise refused(CREDENTIALS_WRONG)
    await done(service, ProveSecondFactor(account_id=found.id, code=body.code))
    await begin_anew(service, by_address)
    person = Person(found.id, id_for(key, "session", found.id))
    return await _open(body, person, found.password_hash, service, settings)


def _shown(body: LogIn) -> str | None:
    return digest(body.client_token) if body.client_token else None


async def _open(body: LogIn, person: Person, checked: str, service: Service, settings: Settings) -> LoggedIn:
    refresh, client, now = random_secret(), random_secret(), service.clock()
    command = OpenSession(
        account_id=person.account_id,
        session_id=person.session_id,
        password_hash=checked,
        refresh_digest=digest(refresh),
        expires_at=now + SESSION_LIFE,
        shown_client=_shown(body),
        new_client=NewClient(uuid4(), digest(client), body.client_name),
    )
    opened = await done(service, command)
    log.info("logged in", extra={"session": person.session_id, "second_factor": bool(body.code)})
    return LoggedIn(
        **_tokens(settings, person, refresh, now),
        client_token=client,
        agreement_needed=opened.policy_version != settings.policy_version,
    )


@router.post("/v1/sessions/refresh")
async def refresh(body: Refresh, service: Running, settings: Config) -> Tokens:
    """Get the next pair of tokens. A refresh token works once: shown again, it ends the session."""
    now, old, new = service.clock(), digest(body.refresh_token), random_secret()
    async with service.engine.connect() as connection:
        found = await sessions.session_of_token(connection, old, now)
    if not found:
        raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    await done(service, RefreshSession(account_id=found.account_id, refresh_digest=old, next_digest=digest(new)))
    return Tokens(**_tokens(settings, Person(found.account_id, found.id), new, now))


def _tokens(settings: Settings, person: Person, refresh_token: str, now: datetime) -> dict[str, Any]:
    return {
        "account_id": person.account_id,
        "session_id": person.session_id,
        "access_token": issue_access_token(settings.access_token_private_key, person, now),
        "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
        "refresh_token": refresh_token,
    }


@router.get("/v1/sessions")
async def list_sessions(
    person: AskingStill, service: Running, limit: Limit = 100, after: After = None
) -> Page[LogInSeen]:
    """List the sessions that are open, latest first."""
    return await _seen(person, service, limit, after, only_open=True)


@router.get("/v1/log-ins")
async def list_log_ins(
    person: AskingStill, service: Running, limit: Limit = 100, after: After = None
) -> Page[LogInSeen]:
    """List when one has logged in, for half a year, latest first."""
    return await _seen(person, service, limit, after, only_open=False)


async def _seen(
    person: Person, service: Service, limit: int, after: Cursor | None, *, only_open: bool
) -> Page[LogInSeen]:
    async with service.engine.connect() as connection:
        found = await sessions.history(
            connection, person.account_id, service.clock(), limit, after, only_open=only_open
        )
    rows = [{**row, "current": row["session_id"] == person.session_id} for row in found]
    return Page[LogInSeen](**page(rows, limit, lambda row: Cursor(row["logged_in_at"], row["session_id"])))


@router.delete("/v1/sessions/current", status_code=HTTPStatus.NO_CONTENT)
async def log_out(person: AskingStill, service: Running) -> None:
    """Log out: at once here, elsewhere within the lag of a topic."""
    await done(service, EndSession(account_id=person.account_id, session_id=person.session_id))


@router.delete("/v1/sessions/others", status_code=HTTPStatus.NO_CONTENT)
async def log_out_others(person: AskingStill, service: Running) -> None:
    """Log out everywhere else."""
    await done(service, EndSessions(account_id=person.account_id, but=person.session_id))


@router.delete("/v1/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_session(session_id: UUID, person: AskingStill, service: Running) -> None:
    """End one session of one's own."""
    await done(service, EndSession(account_id=person.account_id, session_id=session_id))


@router.delete("/v1/sessions", status_code=HTTPStatus.NO_CONTENT)
async def log_out_everywhere(person: AskingStill, service: Running) -> None:
    """Log out everywhere, here too."""
    await done(service, EndSessions(account_id=person.account_id))


@router.delete(
    "/internal/accounts/{account_id}/sessions",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[Depends(internal_door)],
    include_in_schema=False,
)
async def end_sessions_of(account_id: UUID, service: Running) -> None:
    """End all sessions of an account, for operations."""
    await done(service, EndSessions(account_id=account_id))
