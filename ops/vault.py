"""The secrets of one installation: made once, kept in files, and handed each to whom it is for."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.staff import key_set


class Vault:
    """A directory of secrets that only this user may read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def private_key_file(self) -> Path:
        """What account signs access tokens with."""
        return self._directory / "access-token-private.pem"

    @property
    def public_key_file(self) -> Path:
        """What everybody knows such a token by."""
        return self._directory / "access-token-public.pem"

    @property
    def second_factor_keys_file(self) -> Path:
        """What account seals the secrets of second factors with."""
        return self._directory / "second-factor-keys"

    @property
    def package_keys_file(self) -> Path:
        """What requests wraps the keys of packages with."""
        return self._directory / "package-keys"

    @property
    def sender_key_file(self) -> Path:
        """What account digests addresses with, that have written to the privacy mailbox."""
        return self._directory / "sender-key"

    @property
    def staff_key_set_file(self) -> Path:
        """What requests knows tokens of staff by."""
        return self._directory / "staff-token-public.json"

    @property
    def staff_key(self) -> Any:  # noqa: ANN401 - whichever of the key types
        """What signs tokens of staff on this machine; elsewhere that is whoever knows the staff."""
        return load_pem_private_key((self._directory / "staff-token-private.pem").read_bytes(), password=None)

    def create(self) -> None:
        """Make the directory and the keys, unless they are there."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for name in ("access-token-private.pem", "staff-token-private.pem"):
            if not (self._directory / name).exists():
                key = Ed25519PrivateKey.generate()
                pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                write_secret(self._directory / name, pem)
        self.staff_key_set_file.write_text(json.dumps(key_set(self.staff_key.public_key())))
        private_key = load_pem_private_key(self.private_key_file.read_bytes(), password=None)
        public = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        known = self.public_key_file.read_bytes() if self.public_key_file.exists() else b""
        if public not in known:  # keys that are being rotated out stay
            self.public_key_file.write_bytes(known + public)
        if not self.second_factor_keys_file.exists():
            write_secret(self.second_factor_keys_file, Fernet.generate_key())
        if not self.package_keys_file.exists():
            write_secret(self.package_keys_file, urlsafe_b64encode(secrets.token_bytes(32)))
        if not self.sender_key_file.exists():
            write_secret(self.sender_key_file, urlsafe_b64encode(secrets.token_bytes(32)))

    def secret(self, name: str) -> str:
        """Read the random secret of that name; whoever asks first makes it."""
        path = self._directory / name
        if not path.exists():
            write_secret(path, secrets.token_urlsafe(32).encode())
        return path.read_text()


def write_secret(path: Path, value: bytes) -> None:
    """Write a whole file that only this user may read, or none."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(value)
    new.replace(path)
