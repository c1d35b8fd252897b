"""Access tokens are believed by their signature alone, under a key that is known; keys can be rotated."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ops.installation import Installation
from shared.keys import key_id, read_public_keys
from shared.security import Person, issue_access_token, read_access_token
from tests.builders import NOON
from tests.doors import Door, Tokens, door_of, slug_of
from tests.rooms import OpenRoom

ANNA = "anna@mail.example"
SOMEBODY = Person(uuid4(), uuid4())


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def works(door: Door, token: str) -> bool:
    answer = await door.ask("GET", "/account", by=Tokens({"access_token": token}))
    assert answer.status_code in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED), answer.text
    return answer.status_code == HTTPStatus.OK


async def test_keys_are_rotated_without_anybody_being_logged_out(room: OpenRoom, tmp_path: Path) -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public, private = tmp_path / "public.pem", tmp_path / "private.pem"
    files = {"access_token_public_key_file": public, "access_token_private_key_file": private}
    account = await room("account")
    tokens: dict[str, str] = {}
    releases = {
        "old": ([old], old),
        "both known": ([old, new], old),
        "new signs": ([old, new], new),
        "old is gone": ([new], new),
    }
    good: dict[str, list[str]] = {}
    for name, (known, signing) in releases.items():
        public.write_bytes(b"".join(map(public_pem, known)))
        private.write_bytes(private_pem(signing))
        async with door_of(account, **files) as door:
            if not tokens:
                await door.sign_up(ANNA)
            tokens[name] = (await door.log_in(ANNA)).given["access_token"]
            good[name] = [each for each, token in tokens.items() if await works(door, token)]

    assert good == {
        "old": ["old"],
        "both known": ["old", "both known"],
        "new signs": ["old", "both known", "new signs"],
        "old is gone": ["new signs", "old is gone"],
    }


def forged(key: Any, public: bytes) -> dict[str, str]:  # noqa: ANN401 - a private key
    """Make tokens that must not be believed."""
    claims = {
        "sub": str(SOMEBODY.account_id),
        "sid": str(SOMEBODY.session_id),
        "aud": "adieu",
        "iat": NOON,
        "exp": NOON + timedelta(minutes=5),
    }
    kid = {"kid": key_id(key.public_key())}
    stranger = Ed25519PrivateKey.generate()

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value, default=str).encode()).decode().rstrip("=")

    return {
        "signed by a stranger": jwt.encode(claims, stranger, "EdDSA", headers=kid),
        "a key nobody knows": jwt.encode(claims, stranger, "EdDSA", headers={"kid": "no such key"}),
        "names no key": jwt.encode(claims, key, "EdDSA"),
        "its key is a list": f"{part({'alg': 'EdDSA', 'kid': [1]})}.{part(claims)}.x",
        "not signed": f"{part({'alg': 'none', **kid})}.{part(claims)}.",
        "the public key as a secret": f"{part({'alg': 'HS256', **kid})}.{part(claims)}.{part(public.decode())}",
        "for others": jwt.encode(claims | {"aud": "another"}, key, "EdDSA", headers=kid),
        "for ever": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, "EdDSA", headers=kid),
        "of the year 10^30": jwt.encode(claims | {"exp": 10**30}, key, "EdDSA", headers=kid),
        "about nobody": jwt.encode(claims | {"sub": "nobody"}, key, "EdDSA", headers=kid),
        "no token": "no token",
        "nothing": "",
    }


@pytest.mark.parametrize("kind", forged(Ed25519PrivateKey.generate(), b"").keys())
async def test_a_forged_token_is_refused(door: Door, kind: str) -> None:
    file = door.room.settings.access_token_public_key_file
    key = load_pem_private_key(file.with_name("private.pem").read_bytes(), password=None)
    token = forged(key, file.read_bytes())[kind]
    answer = await door.ask("GET", "/account", by=Tokens({"access_token": token}))

    assert slug_of(answer) == "not-logged-in"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_is_good_for_five_minutes_to_the_second() -> None:
    key = Ed25519PrivateKey.generate()
    keys = {key_id(key.public_key()): key.public_key()}
    token = issue_access_token(key, SOMEBODY, NOON)

    assert read_access_token(keys, token, NOON + timedelta(seconds=299)) == SOMEBODY
    assert read_access_token(keys, token, NOON + timedelta(seconds=300)) is None


def test_a_file_without_keys_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text("no key")

    with pytest.raises(ValueError, match="holds none"):
        read_public_keys(tmp_path / "public.pem")


def test_an_installation_keeps_a_key_that_is_being_rotated_out(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {})
    installation.create()
    file = tmp_path / "secrets" / "access-token-public.pem"
    old = public_pem(Ed25519PrivateKey.generate())
    file.write_bytes(old + file.read_bytes())
    installation.create()

    assert len(read_public_keys(file)) == 2
