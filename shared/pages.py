"""Long lists, page by page: a cursor says after which entry the next page begins."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from shared.contracts.base import EARLIEST, LATEST
from shared.http import Problem

T = TypeVar("T")


@dataclass(frozen=True)
class Cursor:
    """A place in a list that is ordered by time and id."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return urlsafe_b64encode(f"{self.at.isoformat()}|{self.id}".encode()).decode()

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Read a cursor as it was given out; ValueError for anything else."""
        at, _, entry_id = urlsafe_b64decode(text.encode()).decode().partition("|")
        cursor = cls(datetime.fromisoformat(at), UUID(entry_id))
        if cursor.at.tzinfo is None or not EARLIEST <= cursor.at < LATEST:
            msg = "no time that a list can have"
            raise ValueError(msg)
        return cursor


def _after(
    after: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> Cursor | None:
    try:
        return Cursor.read(after) if after is not None else None
    except (ValueError, OverflowError):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor-invalid", "Use `next` of a page as it is.") from None


After = Annotated[Cursor | None, Depends(_after)]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most entries of a page.")]


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = None
    """Where the next page begins; none on the last one."""


def page(found: Sequence[Any], limit: int, place: Callable[[Any], Cursor]) -> dict[str, Any]:
    """Make a page of rows, of which one more than the limit was asked for."""
    items = found[:limit]
    following = str(place(items[-1])) if len(found) > limit else None
    return {"items": [dict(each) for each in items], "next": following}
