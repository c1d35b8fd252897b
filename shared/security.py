"""Who asks: signed access tokens, secrets of which only a digest is kept, the internal door's token."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.http import Problem

ALGORITHM = "EdDSA"
AUDIENCE = "adieu"
ACCESS_TOKEN_LIFE = timedelta(minutes=5)


@dataclass(frozen=True)
class Person:
    """Who has shown a good access token, and in which session."""

    account_id: UUID
    session_id: UUID


def issue_access_token(private_key: Any, person: Person, now: datetime) -> str:  # noqa: ANN401 - any key PyJWT takes
    """Sign a token that every service can check by the public key alone, good for five minutes."""
    claims = {
        "sub": str(person.account_id),
        "sid": str(person.session_id),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + ACCESS_TOKEN_LIFE,
    }
    return jwt.encode(claims, private_key, algorithm=ALGORITHM)


def read_access_token(public_key: Any, token: str) -> Person | None:  # noqa: ANN401 - any key PyJWT takes
    """Tell who the token is about, or nobody where it is forged, expired or meant for others."""
    try:
        claims = jwt.decode(
            token,
            public_key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            options={"require": ["sub", "sid", "exp", "aud"]},
        )
        return Person(UUID(claims["sub"]), UUID(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError):
        return None


def random_secret() -> str:
    """Make a secret of 256 bits, safe in addresses and headers."""
    return secrets.token_urlsafe(32)


def digest(*secret: str) -> str:
    """Digest a secret for keeping; the parts cannot run into each other."""
    return hashlib.sha256("\x1f".join(secret).encode()).hexdigest()


_bearer = HTTPBearer(auto_error=False)


def token_bearer(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Person:
    """Say who asks, by the access token alone (FastAPI dependency). Whether the session has ended is asked apart."""
    settings = request.app.state.service.settings
    person = credentials and read_access_token(settings.access_token_public_key, credentials.credentials)
    if not person:
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-logged-in", "Log in, and send the access token as bearer.")
    return person


def internal_door(request: Request, token: Annotated[str, Header(alias="X-Internal-Token")] = "") -> None:
    """Let operations in by their own token, and nobody else (FastAPI dependency)."""
    expected: str = request.app.state.service.settings.internal_token
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-internal")
