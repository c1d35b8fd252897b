"""What account does when a person logs in and out."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import (
    EndSession,
    OpenSession,
    RefreshSession,
)
from services.account.domain.cancellations import (
    Ok,
)
from services.account.handlers.registry import handlers
from services.account.repository import sessions
from shared.bus import Work
from shared.commands import ACCOUNT_CLOSED, Refusal
from shared.contracts.account import (
    SessionEnded,
)


@handlers.of(OpenSession)
async def open_session(work: Work, commands: Sequence[OpenSession]) -> list[Ok | Refusal]:
    """Keep the log-in, if the account is still there."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        there = await sessions.account_exists(work.connection, command.account_id)
        if there:
            values = {
                "id": command.session_id,
                "account_id": command.account_id,
                "refresh_digest": command.refresh_digest,
                "logged_in_at": work.now,
                "last_used_at": work.now,
                "expires_at": command.expires_at,
            }
            await sessions.add_session(work.connection, values)
        outcomes.append(Ok() if there else ACCOUNT_CLOSED)
    return outcomes


@handlers.of(RefreshSession)
async def refresh_session(work: Work, commands: Sequence[RefreshSession]) -> list[Ok | Refusal]:
    """Exchange the token, once."""
    rotated = [
        await sessions.rotate_refresh(work.connection, command.refresh_digest, command.next_digest)
        for command in commands
    ]
    return [Ok() if done else Refusal("refresh-token-used") for done in rotated]


@handlers.of(EndSession)
async def end_session(work: Work, commands: Sequence[EndSession]) -> None:
    """End the session here at once, and tell the others."""
    for command in commands:
        if await sessions.end_session(work.connection, command.account_id, command.session_id):
            work.announce(SessionEnded(**work.stamp(command), session_id=command.session_id))
