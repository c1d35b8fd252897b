"""How the HTTP doors take what comes in, and how they say no: problem details (RFC 9457) with stable slugs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import FastAPI, Header, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from shared.bus import CommandBus
from shared.commands import Command, Refusal, Throttled
from shared.errors import is_transient
from shared.throttle import Counter, spend

Reference = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,60}$")]
"""A reference in an address, as it is given out."""


class Body(BaseModel):
    """A body that comes in: a field that it does not name is refused."""

    model_config = ConfigDict(extra="forbid")


class ProblemDetails(BaseModel):
    """How every door says no (RFC 9457)."""

    type: str = Field(description="`urn:adieu:` and a stable slug: what a program goes by.")
    title: str
    status: int
    detail: str


PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "No, and why: problem details (RFC 9457) with a stable slug.",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}},
    }
}
"""What every route can answer besides what it says itself, for its OpenAPI document."""


class Problem(Exception):  # noqa: N818 - the field's word, RFC 9457
    """An answer that says no: a status, a stable slug, and what helps."""

    def __init__(
        self,
        status: HTTPStatus,
        slug: str,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        **extra: Any,  # noqa: ANN401 - any JSON
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.headers = headers
        self.body = {"type": f"urn:adieu:{slug}", "title": slug, "status": status.value, "detail": detail, **extra}

    def answer(self) -> JSONResponse:
        """Write it as problem details (RFC 9457)."""
        return JSONResponse(self.body, self.status, self.headers, PROBLEM_MEDIA_TYPE)


# Refusals

_STATUS_OF = {
    "account-closed": HTTPStatus.GONE,
    "consent-withdrawn": HTTPStatus.FORBIDDEN,
    "changed-meanwhile": HTTPStatus.PRECONDITION_FAILED,
    "credentials-wrong": HTTPStatus.UNAUTHORIZED,
    "password-too-common": HTTPStatus.UNPROCESSABLE_ENTITY,
    "second-factor-needed": HTTPStatus.UNAUTHORIZED,
    "second-factor-wrong": HTTPStatus.UNAUTHORIZED,
    "session-ended": HTTPStatus.UNAUTHORIZED,
    "too-many-tries": HTTPStatus.TOO_MANY_REQUESTS,
}


def refused(refusal: Refusal) -> Problem:
    """Say a refusal as a problem: what does not exist is not found, the rest is a conflict unless it says else."""
    if isinstance(refusal, Throttled):
        after = {"Retry-After": str(refusal.seconds)}
        return Problem(_STATUS_OF[refusal.slug], refusal.slug, "Wait as `Retry-After` says.", after)
    missing = HTTPStatus.NOT_FOUND if refusal.slug.startswith("no-such-") else HTTPStatus.CONFLICT
    return Problem(_STATUS_OF.get(refusal.slug, missing), refusal.slug)


def picture_problem(slug: str) -> Problem:
    """Say why a picture cannot be taken."""
    large = slug == "picture-too-large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return Problem(status, slug, "PNG, JPEG or WebP of at most 1 MiB.")


async def done(bus: CommandBus, command: Command) -> Any:  # noqa: ANN401 - the command's own outcome
    """Carry out one command; a refusal leaves as a problem."""
    (outcome,) = await bus.execute(command)
    if isinstance(outcome, Refusal):
        raise refused(outcome)
    return outcome


# Doing a thing once

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9._~-]{16,100}$",
        description="Random, of at least 16 characters: what is asked again with the same key is done once.",
    ),
]


def id_for(key: str | None, *scope: object) -> UUID:
    """Give an id to what is created: with a key the same one each time, so that a repeat meets the first.

    Nothing is kept for that (ADR 0012). The scope says what is created and by whom.
    """
    if key is None:
        return uuid4()
    words = "\x1f".join([*map(str, scope), key]).encode()
    return UUID(bytes=sha256(words).digest()[:16], version=5)


async def count_try(bus: CommandBus, *counters: Counter) -> None:
    """Count a try, for good, before it is looked at; a problem where it is one too many."""
    async with bus.engine.begin() as connection:
        throttled = await spend(connection, bus.clock(), *counters)
    if throttled:
        raise refused(throttled)


# Changing what one has seen

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=60, description="The `ETag` that was seen: who was not first is told so."),
]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=60)]
_NO_VERSION = -1


def etag(version: int) -> str:
    """Write the version of what is shown as an entity tag."""
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """Read which version the asker has seen; none where any will do, one that never is where it makes no sense."""
    if if_match is None or if_match.strip() == "*":
        return None
    number = if_match.strip().strip('"')
    return int(number) if number.isascii() and number.isdigit() else _NO_VERSION


# Whatever else goes wrong

log = logging.getLogger(__name__)
OF_THE_FRAMEWORK = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body-too-large",
}
"""Slugs for what is refused before any code of ours is asked."""
TOLD = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
)
"""Refusals that stand in the log, by route and slug: nothing of who asked, and nothing of what came in."""

_NOT_NOW = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-now", "Try again shortly.", {"Retry-After": "1"})
_UNEXPECTED = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected")


def answer_problems(app: FastAPI) -> None:
    """Have every refusal leave as problem details (RFC 9457), and never with what came in."""

    async def problem(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, Problem):
            return _UNEXPECTED.answer()
        if error.status in TOLD:
            route = getattr(request.scope.get("route"), "path", "")
            log.info("refused", extra={"slug": error.body["title"], "route": f"{request.method} {route}"})
        return error.answer()

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        fields = [{"field": _named(fault), "fault": fault["type"]} for fault in faults]
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "See `faults`.", faults=fields).answer()

    async def by_framework(_: Request, error: Exception) -> JSONResponse:
        # Unknown paths and methods, bodies that cannot be parsed or are too large.
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
        headers = error.headers if isinstance(error, HTTPException) else None
        return Problem(status, OF_THE_FRAMEWORK.get(status, "unexpected"), headers=headers).answer()

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return _NOT_NOW.answer() if is_transient(error) else _UNEXPECTED.answer()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(Exception, unexpected)


def _named(fault: Mapping[str, Any]) -> str:
    """Name where a fault is. The name of an unknown field came in with the request: it is not repeated."""
    place = fault["loc"][:-1] if fault["type"] == "extra_forbidden" else fault["loc"]
    return ".".join(map(str, place))
