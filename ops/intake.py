"""`adieu intake`: brings a mail to the privacy mailbox by hand."""

from __future__ import annotations

from pathlib import Path

from ops.door import InternalDoor
from ops.errors import UserError


def take_in(door: InternalDoor, path: Path) -> str:
    """Send a mail as it is in a file, and say what became of it; it may be sent again."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    outcome: str = door.ask("requests", "POST", "/mails", content=content)["outcome"]
    return outcome
