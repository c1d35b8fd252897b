"""What account is told by its environment."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Account's own besides the common ones."""

    access_token_private_key_file: Path
    cooling_off_days: int = Field(default=0, ge=0, le=90)
    """How long a confirmed cancellation can be undone before it is carried out."""
    parallel_hashes: int = Field(default=2, ge=1)
    """How many passwords are hashed at once: each takes 19 MiB and a core."""

    policy_version: str = Field(default="2026-01", min_length=1, max_length=40)
    """The privacy policy's version that people agree to now."""
    network_patience: int = Field(default=1, ge=1)
    """Multiplies how often one network address may try: for carriers that put many people behind one."""
    second_factor_keys_file: Path
    """Fernet keys, one a line: the first seals the secrets of second factors, all open them."""

    sender_key_file: Path
    """Any bytes: what addresses that have written to us are digested with. A new key knows no earlier digest."""

    @cached_property
    def sender_key(self) -> bytes:
        """The key of the digests of senders."""
        return self.sender_key_file.read_bytes()

    @cached_property
    def seal(self) -> MultiFernet:
        """What keeps the secrets of second factors closed in the database."""
        return MultiFernet([Fernet(line) for line in self.second_factor_keys_file.read_bytes().split()])

    @cached_property
    def access_token_private_key(self) -> Any:  # noqa: ANN401 - whichever of the key types the file holds
        """The key that signs access tokens."""
        return load_pem_private_key(self.access_token_private_key_file.read_bytes(), password=None)
