"""Which failures pass by themselves, how a failure is told without telling personal data, and how HTTP says no."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

TRANSIENT_SQLSTATES = ("08", "28", "3D", "40", "53", "55P03", "57P", "25006")
"""Connection lost; role or database not there (no message's fault); serialisation and deadlock; no resources; lock
not had in time; shutdown; read-only standby."""


class NotNow(Exception):  # noqa: N818 - not an error: the wish stands, and is tried again
    """What is needed is not there yet; whoever catches it tries again later."""


def is_transient(error: BaseException) -> bool:
    """Tell whether the same attempt can succeed later without anybody's hand."""
    if isinstance(error, (NotNow, OSError, KafkaError, PoolTimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = sqlstate(error)
    if state is None:
        # The driver itself refuses a value that does not fit the column: that never passes.
        return not isinstance(error.orig and error.orig.__cause__, ValueError)
    return state.startswith(TRANSIENT_SQLSTATES)


def sqlstate(error: DBAPIError) -> str | None:
    """Read PostgreSQL's five characters for what went wrong."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def describe(error: BaseException) -> str:
    """Say what went wrong and where, never with which values: those may be a person's."""
    if isinstance(error, BaseExceptionGroup):
        return describe(error.exceptions[0])
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, fault['loc'][1:3]))}: {fault['type']}" for fault in faults[:5])
    name = type(error).__name__
    if isinstance(error, DBAPIError):
        name += f"({sqlstate(error) or 'no connection'})"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{name} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else name


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
