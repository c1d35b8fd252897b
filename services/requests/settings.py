"""What requests is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from shared.settings import ServiceSettings
from shared.staff import read_key_set


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
    privacy_mailbox: str = "privacy@adieu.example"
    """Where people write to."""

    @cached_property
    def staff_keys(self) -> Mapping[str, Any]:
        """The keys that show whether a token of staff is good, by their ids."""
        return read_key_set(self.staff_key_set_file) if self.staff_key_set_file else {}

    @property
    def package_kept(self) -> timedelta:
        return timedelta(hours=self.package_hours)

    @property
    def export_patience(self) -> timedelta:
        return timedelta(hours=self.export_hours)
