"""What account does when a password changes, or is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import ChangePassword, RequestPasswordReset, ResetPassword
from services.account.domain.access import CODE_WRONG, PASSWORD_TOO_COMMON, SESSION_ENDED
from services.account.domain.cancellations import Ok
from services.account.handlers.registry import handlers
from services.account.handlers.second_factor import prove
from services.account.handlers.sessions import end_all
from services.account.repository import passwords, sessions
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.account import PasswordChanged, PasswordResetRequested


@handlers.of(ChangePassword)
async def change_password(work: Work, commands: Sequence[ChangePassword]) -> list[Ok | Refusal]:
    """Set it, end every other session, and tell the person; not in a session that was ended meanwhile."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        still_open = await sessions.session_open(work.connection, command.session_id, work.now)
        if still_open:
            await passwords.set_password(work.connection, command.account_id, command.password_hash)
            await end_all(work, command, but=command.session_id)
            work.announce(PasswordChanged(**work.stamp(command)))
        outcomes.append(Ok() if still_open else SESSION_ENDED)
    return outcomes


@handlers.of(RequestPasswordReset)
async def request_password_reset(work: Work, commands: Sequence[RequestPasswordReset]) -> None:
    """Have a code mailed to the address that the account has."""
    for command in commands:
        to = await passwords.add_reset(work.connection, command)
        if to:
            work.announce(
                PasswordResetRequested(
                    **work.stamp(command),
                    email=to.email,
                    language=to.language,
                    code=command.code,
                    expires_at=command.expires_at,
                )
            )


@handlers.of(ResetPassword)
async def reset_password(work: Work, commands: Sequence[ResetPassword]) -> list[Ok | Refusal]:
    """Set the password by code and second factor, end every session, and tell the person."""
    return [await _reset(work, command) for command in commands]


async def _reset(work: Work, command: ResetPassword) -> Ok | Refusal:
    # The try is counted whatever comes of it: it commits with the refusal.
    kept = await passwords.try_reset(work.connection, command.account_id, command.reset_id, work.now)
    if kept != command.code_digest:
        return CODE_WRONG
    if command.password_is_address:
        return PASSWORD_TOO_COMMON
    if refusal := await prove(work, command.account_id, command.second_factor_code):
        return refusal
    await passwords.set_password(work.connection, command.account_id, command.password_hash)
    await end_all(work, command)
    work.announce(PasswordChanged(**work.stamp(command)))
    return Ok()
