"""What device is told by its environment."""

from __future__ import annotations

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing besides the common ones."""
