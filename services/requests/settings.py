"""What requests is told by its environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from shared.settings import ServiceSettings


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

    @property
    def package_kept(self) -> timedelta:
        return timedelta(hours=self.package_hours)

    @property
    def export_patience(self) -> timedelta:
        return timedelta(hours=self.export_hours)
