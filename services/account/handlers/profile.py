"""What account does when a person changes what it says of them."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import (
    ChangeAvatar,
    ChangeNickname,
)
from services.account.handlers.registry import handlers
from services.account.repository import profile
from shared.bus import Work


@handlers.of(ChangeNickname)
async def change_nickname(work: Work, commands: Sequence[ChangeNickname]) -> None:
    """Set or clear it."""
    for command in commands:
        await profile.change(work.connection, command.account_id, nickname=command.nickname)


@handlers.of(ChangeAvatar)
async def change_avatar(work: Work, commands: Sequence[ChangeAvatar]) -> None:
    """Set or clear it."""
    for command in commands:
        await profile.change(work.connection, command.account_id, avatar=command.avatar)
