"""What requests is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from shared.settings import ServiceSettings
from shared.staff import read_key_set

Lower = Annotated[str, StringConstraints(to_lower=True)]


class Settings(ServiceSettings):
    """Requests' own besides the common ones."""

    remind_seconds: float = Field(default=30.0, gt=0)
    """How long an open order waits for a receipt before it asks again."""

    package_keys_file: Path
    """Keys of 32 bytes (base64, a line each) that wrap the keys of packages: the first wraps, any unwraps."""
    package_hours: float = Field(default=24.0, gt=0)
    """How long a package can be fetched, unless the person says earlier that it has arrived."""
    export_hours: float = Field(default=72.0, gt=0)
    """How long owners are waited for; then the package is made, and names those that have not answered."""
    staff_key_set_file: Path | None = None
    """A JWK set: keys that sign tokens of staff. Without one nobody is let in at their door."""

    @cached_property
    def staff_keys(self) -> Mapping[str, Any]:
        """The keys that show whether a token of staff is good, by their ids."""
        return read_key_set(self.staff_key_set_file) if self.staff_key_set_file else {}

    mail_host: str = "127.0.0.1"
    mail_port: int | None = Field(default=None, ge=1, le=65535)
    """Where a mail relay brings what is written to the privacy mailbox; none: no mail comes in."""
    mail_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long a mail may take to come in, and a relay to say nothing."""
    privacy_mailbox: Lower = "privacy@adieu.example"
    privacy_aliases: tuple[Lower, ...] = ()
    """Other addresses of the privacy mailbox (a JSON list)."""
    relay_name: str | None = None
    """Under which name the relay writes `Authentication-Results`; none: senders are not vouched for."""

    @property
    def privacy_mailboxes(self) -> tuple[str, ...]:
        """All addresses of the privacy mailbox."""
        return (self.privacy_mailbox, *self.privacy_aliases)

    @property
    def package_kept(self) -> timedelta:
        return timedelta(hours=self.package_hours)

    @property
    def export_patience(self) -> timedelta:
        return timedelta(hours=self.export_hours)
