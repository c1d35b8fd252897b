"""What requests does with an accepted correction: has the owner of each value put it right."""

from __future__ import annotations

from services.requests.domain.cases import Request
from shared.bus import Work
from shared.commands import Command


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Begin what was accepted; whoever ends it calls `desk.fulfil`."""
