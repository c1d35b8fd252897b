"""How the HTTP doors take what comes in, and how they say no: problem details (RFC 9457) with stable slugs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from shared.errors import is_transient

Reference = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,60}$")]
"""A reference in an address, as it is given out."""


class Body(BaseModel):
    """A body that comes in: a field that it does not name is refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(Exception):  # noqa: N818 - the field's word, RFC 9457
    """An answer that says no: a status, a stable slug, and what helps."""

    def __init__(self, status: HTTPStatus, slug: str, detail: str = "", **extra: Any) -> None:  # noqa: ANN401 - any JSON
        super().__init__(slug)
        self.status = status
        self.body = {"type": f"urn:adieu:{slug}", "title": slug, "status": status.value, "detail": detail, **extra}

    def answer(self) -> JSONResponse:
        """Write it as problem details (RFC 9457)."""
        return JSONResponse(self.body, self.status, media_type="application/problem+json")


_NOT_NOW = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-now", "Try again shortly.")
_UNEXPECTED = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected")


def answer_problems(app: FastAPI) -> None:
    """Have every refusal leave as problem details (RFC 9457), and never with what came in."""

    async def problem(_: Request, error: Exception) -> JSONResponse:
        return error.answer() if isinstance(error, Problem) else _UNEXPECTED.answer()

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        fields = [{"field": ".".join(map(str, fault["loc"])), "fault": fault["type"]} for fault in faults]
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "See `faults`.", faults=fields).answer()

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return _NOT_NOW.answer() if is_transient(error) else _UNEXPECTED.answer()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)
