"""What account does when somebody wants an account."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import (
    ConfirmRegistration,
    Register,
    TellOwner,
)
from services.account.domain.access import CODE_WRONG
from services.account.domain.cancellations import (
    Ok,
)
from services.account.handlers.registry import handlers
from services.account.repository import registrations
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.account import (
    AccountRegistered,
    AddressRegisteredAgain,
    ConfirmationRequested,
    ContactChanged,
)


@handlers.of(TellOwner)
async def tell_owners(work: Work, commands: Sequence[TellOwner]) -> None:
    """Tell people that somebody else wanted to use their address."""
    for command in commands:
        work.announce(AddressRegisteredAgain(**work.stamp(command)))


@handlers.of(Register)
async def register(work: Work, commands: Sequence[Register]) -> None:
    """Keep the registration and have its code mailed, once; a known address gets neither, and the same answer."""
    for command in commands:
        known = await registrations.owner_of(work.connection, command.email)
        if not known and await registrations.add_registration(work.connection, command):
            work.announce(
                ConfirmationRequested(
                    **work.stamp(command),
                    email=command.email,
                    language=command.language,
                    code=command.code,
                    expires_at=command.expires_at,
                )
            )


@handlers.of(ConfirmRegistration)
async def confirm_registration(work: Work, commands: Sequence[ConfirmRegistration]) -> list[Ok | Refusal]:
    """Make the account, and tell where its messages go."""
    return [await _confirm(work, command) for command in commands]


async def _confirm(work: Work, command: ConfirmRegistration) -> Ok | Refusal:
    registration = await registrations.take_registration(work.connection, command, work.now)
    if not registration or registration.code_digest != command.code_digest:
        return CODE_WRONG
    if not await registrations.open_account(work.connection, registration, work.now):
        return CODE_WRONG
    work.announce(AccountRegistered(**work.stamp(command)))
    work.announce(
        ContactChanged(**work.stamp(command), version=1, email=registration.email, language=registration.language)
    )
    return Ok()
