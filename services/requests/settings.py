"""What requests is told by its environment."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Requests' own besides the common ones."""

    remind_seconds: float = Field(default=30.0, gt=0)
    """How long an open order waits for a receipt before it asks again."""
