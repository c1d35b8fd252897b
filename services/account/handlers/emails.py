"""What account does when the address changes, and when that is undone."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import ChangeEmail, RequestEmailChange, UndoEmailChange
from services.account.domain.access import CODE_WRONG, NO_SUCH_UNDO
from services.account.domain.cancellations import Ok
from services.account.handlers.profile import announce_contact
from services.account.handlers.registry import handlers
from services.account.handlers.sessions import end_all
from services.account.repository import emails
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.account import EmailChanged, EmailChangeRequested, EmailRestored


@handlers.of(RequestEmailChange)
async def request_email_change(work: Work, commands: Sequence[RequestEmailChange]) -> None:
    """Have a code mailed to the new address."""
    for command in commands:
        language = await emails.add_change(work.connection, command)
        if language:
            work.announce(
                EmailChangeRequested(
                    **work.stamp(command),
                    email=command.email,
                    language=language,
                    code=command.code,
                    expires_at=command.expires_at,
                )
            )


@handlers.of(ChangeEmail)
async def change_email(work: Work, commands: Sequence[ChangeEmail]) -> list[Ok | Refusal]:
    """Change the address; whoever has the old one is told, and can undo it for a time."""
    return [await _change(work, command) for command in commands]


async def _change(work: Work, command: ChangeEmail) -> Ok | Refusal:
    wanted = await emails.try_change(work.connection, command.account_id, command.change_id, work.now)
    if not wanted or wanted.code_digest != command.code_digest:
        return CODE_WRONG
    before = await emails.change_address(work.connection, command.account_id, wanted.email)
    if not before:
        return CODE_WRONG
    await emails.add_undo(work.connection, command, before.email)
    work.announce(
        EmailChanged(
            **work.stamp(command),
            email=before.email,
            language=before.language,
            undo_token=command.undo_token,
            undo_until=command.undo_until,
        )
    )
    await announce_contact(work, command)
    return Ok()


@handlers.of(UndoEmailChange)
async def undo_email_change(work: Work, commands: Sequence[UndoEmailChange]) -> list[Ok | Refusal]:
    """Put the old address back, and throw out whoever may have taken the account over."""
    return [await _undo(work, command) for command in commands]


async def _undo(work: Work, command: UndoEmailChange) -> Ok | Refusal:
    email = await emails.take_undo(work.connection, command.account_id, command.token_digest, work.now)
    if not email or not await emails.change_address(work.connection, command.account_id, email):
        return NO_SUCH_UNDO
    await end_all(work, command)
    await announce_contact(work, command)
    work.announce(EmailRestored(**work.stamp(command)))
    return Ok()
