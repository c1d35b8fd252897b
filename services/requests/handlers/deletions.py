"""What requests does with an accepted deletion: has the account cancelled, or the categories erased."""

from __future__ import annotations

from services.requests.domain.cases import Request
from shared.bus import Work
from shared.commands import Command


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Begin what was accepted; whoever ends it calls `desk.fulfil`."""


async def preview_digest(work: Work, request: Request) -> str | None:
    """Digest what would be erased now, as it is shown before it is accepted; none where nothing was shown."""
