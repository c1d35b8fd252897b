"""Which failures pass by themselves, and how a failure is told without telling personal data."""

from __future__ import annotations

import traceback
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError
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
    # The driver's own come as they are where a connection is cut just when it is made.
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    if not isinstance(error, (DBAPIError, asyncpg.PostgresError)):
        return False
    state = sqlstate(error)
    if state is None and isinstance(error, DBAPIError):
        # The driver itself refuses a value that does not fit the column: that never passes.
        return not isinstance(error.orig and error.orig.__cause__, ValueError)
    return state is not None and state.startswith(TRANSIENT_SQLSTATES)


def sqlstate(error: DBAPIError | asyncpg.PostgresError) -> str | None:
    """Read PostgreSQL's five characters for what went wrong."""
    state: str | None = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state


def describe(error: BaseException) -> str:
    """Say what went wrong and where, never with which values: those may be a person's."""
    if isinstance(error, BaseExceptionGroup):
        return describe(error.exceptions[0])
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        # The field alone: what follows in its place may be a key that the sender chose.
        return "; ".join(f"{'.'.join(map(str, fault['loc'][1:2]))}: {fault['type']}" for fault in faults[:5])
    name = type(error).__name__
    if isinstance(error, DBAPIError):
        name += f"({sqlstate(error) or 'no connection'})"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{name} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else name
