"""What account does when a person logs in and out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.account.commands import EndSession, EndSessions, OpenSession, RefreshSession
from services.account.domain.access import CREDENTIALS_WRONG, NO_SUCH_SESSION, SESSION_ENDED
from services.account.domain.cancellations import Ok
from services.account.handlers.registry import handlers
from services.account.repository import sessions
from shared.bus import Work
from shared.commands import ACCOUNT_CLOSED, Command, Refusal
from shared.contracts.account import NewClientSeen, SessionEnded


@dataclass(frozen=True)
class Opened:
    """Logged in, having agreed to this version of the policy."""

    policy_version: str


@handlers.of(OpenSession)
async def open_session(work: Work, commands: Sequence[OpenSession]) -> list[Opened | Refusal]:
    """Keep each log-in."""
    return [await _open(work, command) for command in commands]


async def _open(work: Work, command: OpenSession) -> Opened | Refusal:
    """Keep a log-in, if account and password are still what they were; one from a new client is told."""
    account = await sessions.account(work.connection, command.account_id)
    if not account:
        return ACCOUNT_CLOSED
    if account.password_hash != command.password_hash:
        return CREDENTIALS_WRONG
    client_id = await _client(work, command)
    kept = await sessions.keep_session(work.connection, command, client_id, work.now)
    return Opened(account.policy_version) if kept else SESSION_ENDED


async def _client(work: Work, command: OpenSession) -> UUID:
    """Find the client, or make it known. An account's very first one is no surprise, and is not told."""
    client_id = await sessions.session_client(work.connection, command)
    client_id = client_id or await sessions.known_client(work.connection, command)
    if not client_id:
        client_id = command.new_client.client_id
        if await sessions.has_clients(work.connection, command.account_id):
            work.announce(NewClientSeen(**work.stamp(command), session_id=command.session_id))
    await sessions.use_client(work.connection, client_id, command, work.now)
    return client_id


@handlers.of(RefreshSession)
async def refresh_session(work: Work, commands: Sequence[RefreshSession]) -> list[Ok | Refusal]:
    """Exchange the token, once. Who shows a used one may have stolen it: then the session ends."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        old, new = command.refresh_digest, command.next_digest
        rotated = await sessions.rotate_refresh(work.connection, old, new, work.now)
        if not rotated:
            stolen = await sessions.end_session_of(work.connection, command.account_id, old)
            announce_ended(work, command, [stolen] if stolen else [])
        outcomes.append(Ok() if rotated else SESSION_ENDED)
    return outcomes


@handlers.of(EndSession)
async def end_session(work: Work, commands: Sequence[EndSession]) -> list[Ok | Refusal]:
    """End the session here at once, and tell the others."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        ended = await sessions.end_sessions(work.connection, command.account_id, only=command.session_id)
        announce_ended(work, command, ended)
        outcomes.append(Ok() if ended else NO_SUCH_SESSION)
    return outcomes


@handlers.of(EndSessions)
async def end_sessions(work: Work, commands: Sequence[EndSessions]) -> None:
    """End all sessions, or all others."""
    for command in commands:
        await end_all(work, command, but=command.but)


async def end_all(work: Work, command: Command, but: UUID | None = None) -> None:
    """End the account's sessions, and tell the other services."""
    announce_ended(work, command, await sessions.end_sessions(work.connection, command.account_id, but=but))


def announce_ended(work: Work, command: Command, ended: Iterable[UUID]) -> None:
    """Tell the other services which sessions are no longer good."""
    for session_id in ended:
        work.announce(SessionEnded(**work.stamp(command), session_id=session_id))
