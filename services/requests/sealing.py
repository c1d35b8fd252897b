"""The two keys of an access request, and what each of them opens: what owners send, and the package made of it.

Both are random, made for one request, and stand in the database only wrapped (AES-KW, RFC 3394) by a key of the
service; each is deleted when it has done its work, and with it goes what it could have opened.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry, decrypt_compact
from joserfc.jwk import OKPKey

from shared.contracts.topics import MAX_MESSAGE_BYTES

KEY_BYTES = 32


class _Parts(JWERegistry):
    """Takes what owners may send, and nothing else; as large as a message may be."""

    max_ciphertext_length = MAX_MESSAGE_BYTES


_PARTS = _Parts(algorithms=["ECDH-ES", "A256GCM"])


@dataclass(frozen=True)
class Wrapping:
    """The keys of the service: the first wraps, any unwraps, so that they can be rotated."""

    keys: Sequence[bytes] = field(repr=False)

    def wrap(self, key: bytes) -> bytes:
        """Wrap a key for keeping."""
        return aes_key_wrap(self.keys[0], key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Unwrap a kept key. Raises `InvalidUnwrap` where none of the keys has wrapped it."""
        for key in self.keys:
            try:
                return aes_key_unwrap(key, wrapped)
            except InvalidUnwrap:
                continue
        raise InvalidUnwrap


@lru_cache
def read_wrapping(file: Path) -> Wrapping:
    """Read the keys, a line each, the one that wraps first. ValueError where one is not 256 bits long."""
    keys = [base64.urlsafe_b64decode(line) for line in file.read_text().split()]
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        msg = f"{file.name}: keys of {KEY_BYTES} bytes, a line each"
        raise ValueError(msg)
    return Wrapping(keys)


# What owners send


def new_pair() -> tuple[dict[str, str], bytes]:
    """Make the pair of one request: what owners are told (a JWK), and the private key."""
    private = X25519PrivateKey.generate()
    public = _unpadded(private.public_key().public_bytes_raw())
    return {"kty": "OKP", "crv": "X25519", "x": public}, private.private_bytes_raw()


def private_key(raw: bytes) -> OKPKey:
    """Make the private key usable again."""
    public = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    return OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": _unpadded(public), "d": _unpadded(raw)})


def open_part(key: OKPKey, sealed: str) -> bytes:
    """Decrypt a part of an export. ValueError where it is anything else than encrypted to this key."""
    try:
        return bytes(decrypt_compact(sealed, key, registry=_PARTS).plaintext or b"")
    except (JoseError, InvalidTag, LookupError, TypeError):
        msg = "not encrypted to this key"
        raise ValueError(msg) from None


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# The package at rest


@dataclass(frozen=True)
class Chunks:
    """Encrypts a package chunk by chunk: a chunk that is missing, moved, of another package or not the last fails.

    A nonce is the chunk's number and whether it is the last; so each key is for one package, made once.
    """

    request_id: UUID
    key: bytes = field(default_factory=lambda: AESGCM.generate_key(KEY_BYTES * 8), repr=False)

    def seal(self, number: int, content: bytes, *, last: bool) -> bytes:
        """Encrypt a chunk."""
        return AESGCM(self.key).encrypt(_nonce(number, last=last), content, self.request_id.bytes)

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """Decrypt a chunk. Raises `InvalidTag` where it is not that one."""
        return AESGCM(self.key).decrypt(_nonce(number, last=last), sealed, self.request_id.bytes)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
