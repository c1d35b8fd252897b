"""Who asks: signed access tokens, secrets of which only a digest is kept, the internal door's token."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.http import Problem
from shared.keys import key_id

ALGORITHM = "EdDSA"
AUDIENCE = "adieu"
ACCESS_TOKEN_LIFE = timedelta(minutes=5)
CODE_DIGITS = 8
"""Of every code that is mailed."""


@dataclass(frozen=True)
class Person:
    """Who has shown a good access token, and in which session."""

    account_id: UUID
    session_id: UUID


def issue_access_token(private_key: Any, person: Person, now: datetime) -> str:  # noqa: ANN401 - any key PyJWT takes
    """Sign a token that every service can check by the public key alone, good for five minutes.

    It names its key, so that keys can be rotated: services know the next one before anything is signed with it.
    """
    claims = {
        "sub": str(person.account_id),
        "sid": str(person.session_id),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + ACCESS_TOKEN_LIFE,
    }
    return jwt.encode(claims, private_key, algorithm=ALGORITHM, headers={"kid": key_id(private_key.public_key())})


def read_access_token(public_keys: Mapping[str, Any], token: str, at: datetime) -> Person | None:
    """Tell who the token was about at that time, or nobody where it is forged, expired or meant for others."""
    try:
        claims = jwt.decode(
            token,
            public_keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            # The times are compared here, with a clock that is given.
            options={"require": ["sub", "sid", "iat", "exp", "aud"], "verify_exp": False, "verify_iat": False},
        )
        good_until = datetime.fromtimestamp(claims["exp"], UTC)
        return Person(UUID(claims["sub"]), UUID(claims["sid"])) if at < good_until else None
    except (jwt.PyJWTError, LookupError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def random_secret() -> str:
    """Make a secret of 256 bits, safe in addresses and headers."""
    return secrets.token_urlsafe(32)


def random_code() -> str:
    """Draw a code to be mailed."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


def digest(*secret: str) -> str:
    """Digest a secret for keeping; the parts cannot run into each other."""
    return hashlib.sha256("\x1f".join(secret).encode()).hexdigest()


def reference_for(key: str | None, *scope: object) -> str:
    """Give out a reference: a secret, with a key the same each time (ADR 0012). The scope says of what, to whom."""
    return random_secret() if key is None else digest(*map(str, scope), key)[:43]


def with_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add the digest over all of a document: over its canonical JSON, so that anybody can check it."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return {**document, "sha256": hashlib.sha256(canonical).hexdigest()}


_bearer = HTTPBearer(auto_error=False)


def token_bearer(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Person:
    """Say who asks, by the access token alone (FastAPI dependency). Whether the session has ended is asked apart."""
    service = request.app.state.service
    keys = service.settings.access_token_public_keys
    person = credentials and read_access_token(keys, credentials.credentials, service.clock())
    if not person:
        how = {"WWW-Authenticate": "Bearer"}
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-logged-in", "Send a good access token as bearer.", how)
    return person


def metrics_door(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let in who fetches metrics, by a token that opens nothing else (FastAPI dependency)."""
    expected: str | None = request.app.state.service.settings.metrics_token
    given = credentials.credentials if credentials else ""
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-internal", headers={"WWW-Authenticate": "Bearer"})


def internal_door(request: Request, token: Annotated[str, Header(alias="X-Internal-Token")] = "") -> None:
    """Let operations in by their own token, and nobody else (FastAPI dependency)."""
    expected: str = request.app.state.service.settings.internal_token
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-internal")
