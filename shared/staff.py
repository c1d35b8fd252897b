"""Who decides: tokens of staff, signed by whoever knows them, checked against a configured key set (RFC 7517)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import OKPAlgorithm

from shared.keys import key_id

AUDIENCE = "adieu-staff"
ALGORITHMS = ("EdDSA", "ES256", "RS256")
"""All of them with a public key: a key set holds no secret that could sign."""
PRIVACY = "privacy"
LONGEST_LIFE = timedelta(hours=12)
_STAFF_ID = re.compile(r"[A-Za-z0-9-]{1,60}")


@dataclass(frozen=True)
class Staff:
    """Who has shown a good token: a random id, which stands in the audit chain, and roles."""

    id: str
    roles: frozenset[str]


def issue_staff_token(private_key: Any, staff: Staff, now: datetime) -> str:  # noqa: ANN401 - any key PyJWT takes
    """Sign a token for somebody of the staff, good for twelve hours."""
    claims = {
        "sub": staff.id,
        "roles": sorted(staff.roles),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LONGEST_LIFE,
    }
    return jwt.encode(claims, private_key, algorithm="EdDSA", headers={"kid": key_id(private_key.public_key())})


def key_set(*public_keys: Any) -> dict[str, Any]:  # noqa: ANN401 - Ed25519 keys
    """Write a key set of these keys, each by a digest of itself."""
    return {"keys": [OKPAlgorithm.to_jwk(key, as_dict=True) | {"kid": key_id(key)} for key in public_keys]}


def read_key_set(path: Path) -> Mapping[str, Any]:
    """Read a key set: while keys are rotated it holds the old and the new one. ValueError for other kinds of keys."""
    keys = jwt.PyJWKSet.from_json(path.read_text()).keys
    if others := [key for key in keys if key.algorithm_name not in ALGORITHMS or not key.key_id]:
        raise ValueError(f"{len(others)} keys of the set have no id, or are of no kind that staff sign with")
    return {str(key.key_id): key for key in keys}


def read_staff_token(keys: Mapping[str, Any], token: str, at: datetime) -> Staff | None:
    """Tell who the token was about at that time; nobody where it is forged, expired, too long or meant for others."""
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=AUDIENCE,
            # The times are compared here, with a clock that is given.
            options={"require": ["sub", "iat", "exp", "aud"], "verify_exp": False, "verify_iat": False},
        )
        begins, ends = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
        good = at < ends <= begins + LONGEST_LIFE and _STAFF_ID.fullmatch(claims["sub"])
        return Staff(claims["sub"], frozenset(claims.get("roles", ()))) if good else None
    except (jwt.PyJWTError, LookupError, ValueError, TypeError, AttributeError, OverflowError):
        return None
