"""What every service is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.keys import read_public_keys


class ServiceSettings(BaseSettings):
    """The environment as a typed object; a missing or wrong variable stops the start with its name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: str
    kafka_bootstrap_servers: str
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    internal_token: str = Field(min_length=32)
    access_token_public_key_file: Path
    """PEM; while keys are rotated it holds several."""
    cors_origins: tuple[str, ...] = ()
    """Whose web pages may call the public doors (a JSON list of origins); none by default."""
    log_level: str = "INFO"
    replica: str | None = None
    """A name that a restarted process has again and no other replica has: then its group does not miss it first."""

    clock_shift_file: Path | None = None
    """Holds by how many seconds the clock is ahead, on purpose: for a demonstration, where days have to pass."""
    failpoint: str = ""
    """Where this process is to be struck, on purpose: see `shared/failpoints.py`."""
    batch_records: int = Field(default=500, ge=1, le=5000)
    """The most messages that one transaction takes: an advisory lock each has to fit the server's lock table."""
    brake_after: int = 20
    """So many valid messages failing in a row stop a consumer."""
    mark_retention_days: int = Field(default=60, ge=15)
    """How long a closed account is remembered: past every topic, backup and order that could bring it back."""
    lateness_hours: int = Field(default=24, ge=0)
    """So long after a withdrawal is taken in what was measured or written before it."""
    proof_retention_days: int = Field(default=1095, ge=1)
    """How long orders and certificates are kept."""
    storage_residue_days: int = Field(default=30, ge=1)
    """By when the files of a database hold no dead rows and no old log any more, as operated."""
    backup_retention_days: int = Field(default=35, ge=0)
    """By when no backup holds what was erased, as operated."""

    @cached_property
    def access_token_public_keys(self) -> Mapping[str, Any]:
        """The keys that show whether `account` has signed an access token, by their ids."""
        return read_public_keys(self.access_token_public_key_file)

    @property
    def mark_retention(self) -> timedelta:
        return timedelta(days=self.mark_retention_days)

    @property
    def lateness(self) -> timedelta:
        return timedelta(hours=self.lateness_hours)

    @property
    def proof_retention(self) -> timedelta:
        return timedelta(days=self.proof_retention_days)
