"""What every service, and who else has secrets of its own, is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.keys import read_public_keys
from shared.messaging.kafka import Kafka, Mechanism, Protocol


class KafkaSettings(BaseSettings):
    """The environment as a typed object; a missing or wrong variable stops the start with its name.

    What is secret may also come as a file of that name, below the directory that `SECRETS_DIRECTORY` names.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", secrets_dir=os.environ.get("SECRETS_DIRECTORY"), hide_input_in_errors=True
    )

    kafka_bootstrap_servers: str
    kafka_security_protocol: Protocol = "PLAINTEXT"
    kafka_sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: Path | None = None

    @cached_property
    def kafka(self) -> Kafka:
        """How this process reaches Kafka, and by which name."""
        return Kafka(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_username,
            self.kafka_password.get_secret_value(),
            self.kafka_ca_file,
        )


class ServiceSettings(KafkaSettings):
    """What every service is told besides."""

    database_url: str
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
    hang_after_seconds: float = Field(default=120, gt=0)
    """A consumer that has something to do and has not moved for so long ends its process."""
    metrics_token: str | None = Field(default=None, min_length=32)
    """What opens /metrics, as bearer; without it that door stays shut."""
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
