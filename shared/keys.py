"""The public keys that access tokens are checked with, by the id that a token names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

_END = "-----END PUBLIC KEY-----"


def key_id(public_key: Any) -> str:  # noqa: ANN401 - whichever of the key types
    """Name a key by a digest of itself: nobody has to keep a list of names."""
    content = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(content).hexdigest()[:32]


def read_public_keys(path: Path) -> Mapping[str, Any]:
    """Read all public keys of a PEM file: while keys are rotated it holds the old and the new one."""
    blocks = [block + _END for block in path.read_text().split(_END)[:-1]]
    keys = [load_pem_public_key(block.strip().encode()) for block in blocks]
    if not keys:
        raise ValueError("the file of public keys holds none")
    return {key_id(key): key for key in keys}
