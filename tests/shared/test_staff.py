"""A token of staff is good for whom the key set knows, for its audience, for so long and no longer."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm

from shared.keys import key_id
from shared.security import AUDIENCE as OF_PEOPLE
from shared.staff import AUDIENCE, LONGEST_LIFE, Staff, issue_staff_token, key_set, read_key_set, read_staff_token
from tests.builders import NOON

OLD, NEW = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SOMEBODY = Staff("7c1f", frozenset({"privacy"}))
SECOND = timedelta(seconds=1)


@pytest.fixture
def keys(tmp_path: Path) -> Any:  # noqa: ANN401 - keys by their ids
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(key_set(OLD.public_key(), NEW.public_key())))
    return read_key_set(file)


def signed(**changes: object) -> str:
    claims = {"sub": "7c1f", "roles": ["privacy"], "aud": AUDIENCE, "iat": NOON, "exp": NOON + LONGEST_LIFE}
    return jwt.encode(claims | changes, NEW, algorithm="EdDSA", headers={"kid": key_id(NEW.public_key())})


def test_whoever_the_key_set_knows_is_known_by_the_old_and_the_new_key(keys: Any) -> None:  # noqa: ANN401 - as above
    assert [read_staff_token(keys, issue_staff_token(key, SOMEBODY, NOON), NOON) for key in (OLD, NEW)] == [
        SOMEBODY
    ] * 2


def test_it_is_good_for_twelve_hours_to_the_second(keys: Any) -> None:  # noqa: ANN401 - as above
    token = issue_staff_token(NEW, SOMEBODY, NOON)

    assert read_staff_token(keys, token, NOON + LONGEST_LIFE - SECOND) == SOMEBODY
    assert read_staff_token(keys, token, NOON + LONGEST_LIFE) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": OF_PEOPLE},
        {"exp": NOON + LONGEST_LIFE + SECOND},
        {"sub": "Anna Elm <anna@mail.example>"},
        {"sub": ""},
        {"exp": "soon"},
        {"roles": 7},
    ],
    ids=str,
)
def test_a_token_for_others_or_for_too_long_or_with_a_name_is_none(keys: Any, changes: dict[str, object]) -> None:  # noqa: ANN401 - as above
    assert read_staff_token(keys, signed(), NOON) == SOMEBODY
    assert read_staff_token(keys, signed(**changes), NOON) is None


def test_what_is_no_token_is_none(keys: Any) -> None:  # noqa: ANN401 - as above
    forged = issue_staff_token(Ed25519PrivateKey.generate(), SOMEBODY, NOON)

    assert [read_staff_token(keys, token, NOON) for token in ("", "a.b.c", forged)] == [None] * 3


def test_a_key_set_with_a_secret_or_a_key_without_an_id_is_not_taken(tmp_path: Path) -> None:
    curve = ECAlgorithm(ECAlgorithm.SHA256).to_jwk(generate_private_key(SECP256R1()).public_key(), as_dict=True)
    shared = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "1"}
    for keys in ([shared], [curve]):
        file = tmp_path / "keys.json"
        file.write_text(json.dumps({"keys": keys}))
        with pytest.raises(ValueError, match="no kind that staff sign with"):
            read_key_set(file)
    file.write_text(json.dumps({"keys": [curve | {"kid": "2"}]}))
    assert read_key_set(file).keys() == {"2"}
