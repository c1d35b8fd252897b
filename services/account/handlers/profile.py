"""What account does when a person changes what it says of them."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import AgreeToPolicy, ChangeAvatar, ChangeProfile, ClearAvatar
from services.account.domain.cancellations import Ok
from services.account.handlers.consents import give
from services.account.handlers.registry import handlers
from services.account.repository import profile
from shared.bus import Work
from shared.changes import note_changed
from shared.commands import ACCOUNT_CLOSED, CHANGED_MEANWHILE, Command, Refusal
from shared.contracts.account import POLICY, ContactChanged


@handlers.of(ChangeProfile)
async def change_profile(work: Work, commands: Sequence[ChangeProfile]) -> list[Ok | Refusal]:
    """Change what was sent, if it still is what the person has seen."""
    return [await _change(work, command) for command in commands]


async def _change(work: Work, command: ChangeProfile) -> Ok | Refusal:
    if refusal := await _not_as_seen(work, command):
        return refusal
    changed = [field for field, value in command.changes.items() if await put(work, command, field, value)]
    await note_changed(work, command, changed)
    return Ok()


async def put(work: Work, command: Command, field: str, value: str | None) -> bool:
    """Change a field; false where it is so already. In another language are also the messages to the person."""
    changed = await profile.change(work.connection, command.account_id, **{field: value})
    if changed and field == "language":
        await announce_contact(work, command)
    return changed


async def _not_as_seen(work: Work, command: ChangeProfile | ChangeAvatar) -> Refusal | None:
    version = await profile.version(work.connection, command.account_id)
    if version is None:
        return ACCOUNT_CLOSED
    return CHANGED_MEANWHILE if command.version not in (None, version) else None


async def announce_contact(work: Work, command: Command) -> None:
    """Tell where messages to the person go from now on, and in which language."""
    contact = await profile.next_contact(work.connection, command.account_id)
    work.announce(ContactChanged(**work.stamp(command), **contact))


@handlers.of(ChangeAvatar)
@handlers.of(ClearAvatar)
async def change_avatar(work: Work, commands: Sequence[ChangeAvatar]) -> list[Refusal | None]:
    """Set or clear it, if it still is what the person has seen."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        refusal = await _not_as_seen(work, command)
        if not refusal:
            picture = {"avatar": command.avatar, "avatar_media_type": command.media_type}
            await profile.change(work.connection, command.account_id, **picture)
        outcomes.append(refusal)
    return outcomes


@handlers.of(AgreeToPolicy)
async def agree_to_policy(work: Work, commands: Sequence[AgreeToPolicy]) -> None:
    """Note what was agreed to and when; the first time counts. Who had withdrawn the policy agrees again."""
    for command in commands:
        await profile.agree(work.connection, command.account_id, command.policy_version, work.now)
        await give(work, command, (POLICY,))
