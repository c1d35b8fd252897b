"""What an owner has sent, read: its tables in the order in which they came, and their rows, as often as wanted.

Nothing is held whole: the stream is surveyed once, to know what is in it, and read again for each file that is made.
It comes from another service: what cannot be read is a `ValueError`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from services.requests.package.archive import LONGEST_NAME

MOST_BYTES_OF_A_LINE = 16 * 1024 * 1024
"""Of one row: a picture, written as text."""
SAMPLE = 20
"""So many rows of each table can be read in the browser."""
LARGE = 64 * 1024
"""From so many bytes on, work is done beside the loop, which others wait for."""

Slices = Callable[[int], AsyncIterator[bytes]]
"""Gives the plain text of an owner's parts in their order, from that number on."""
Values = list[Any]
T = TypeVar("T")


class Column(BaseModel):
    """What a column is: of a category, or it ties rows together."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=LONGEST_NAME)
    category: str | None = Field(default=None, max_length=LONGEST_NAME)
    secret: bool = False
    encoding: Literal["base64"] | None = None


class Head(BaseModel):
    """The line before the rows of a table."""

    model_config = ConfigDict(frozen=True)

    table: str = Field(max_length=LONGEST_NAME)
    columns: tuple[Column, ...] = Field(max_length=200)

    def places(self, category: str) -> list[int]:
        """Tell which columns a file of that category shows: its own, and those that tie rows together."""
        return [place for place, column in enumerate(self.columns) if column.category in (category, None)]

    def holds(self, values: Values, category: str) -> bool:
        """Tell whether a row has anything of the category."""
        mine = (v for v, column in zip(values, self.columns, strict=True) if column.category == category)
        return any(value is not None and value is not False for value in mine)


@dataclass
class Sheet:
    """A table that an owner has sent, and what is in it."""

    head: Head
    line: bytes
    """The head as it came."""
    part: int
    """In which part it begins."""
    counts: Counter[str] = field(default_factory=Counter)
    sample: list[Values] = field(default_factory=list)

    def take(self, values: Values) -> None:
        """Count a row, and keep one of the first to be shown. ValueError where it has not all columns."""
        if len(values) != len(self.head.columns):
            msg = "not the columns of its table"
            raise ValueError(msg)
        self.counts.update(c for c in self.categories if self.head.holds(values, c))
        if len(self.sample) < SAMPLE:
            self.sample.append(values)

    @property
    def categories(self) -> list[str]:
        """Its categories, in their order."""
        return list(dict.fromkeys(column.category for column in self.head.columns if column.category))


async def survey(slices: Slices) -> list[Sheet]:
    """Read it once, to know what is in it. Raises ValueError where it is not a stream of tables."""
    sheets: list[Sheet] = []
    async for part, lines in _lines(slices, 1):
        await beside(sum(map(len, lines)), _take, sheets, part, lines)
    return sheets


def _take(sheets: list[Sheet], part: int, lines: Sequence[bytes]) -> None:
    for line in lines:
        value = from_json(line)
        if isinstance(value, dict):
            if any(line == sheet.line for sheet in sheets):
                msg = "a table that came before"
                raise ValueError(msg)
            sheets.append(Sheet(Head.model_validate(value), line, part))
        elif isinstance(value, list) and sheets:
            sheets[-1].take(value)
        else:
            msg = "neither a table nor a row"
            raise ValueError(msg)


async def rows(sheet: Sheet, slices: Slices) -> AsyncIterator[tuple[list[Values], int]]:
    """Read the rows of one table, part by part; with how many bytes they were."""
    begun = False
    async for _, lines in _lines(slices, sheet.part):
        mine: Sequence[bytes] = lines
        if not begun and sheet.line in lines:
            begun, mine = True, lines[lines.index(sheet.line) + 1 :]
        if begun:
            end = next((place for place, line in enumerate(mine) if line.startswith(b"{")), len(mine))
            size = sum(map(len, mine[:end]))
            yield await beside(size, _parsed, mine[:end]), size
            if end < len(mine):
                return


def _parsed(lines: Sequence[bytes]) -> list[Values]:
    return [from_json(line) for line in lines]


async def _lines(slices: Slices, first: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Cut a stream into lines, part by part; with the number of the part in which the first of them begins."""
    rest, begins, number = b"", first, first
    async for some in slices(first):
        *lines, rest = (rest + some).split(b"\n")
        if len(rest) > MOST_BYTES_OF_A_LINE:
            msg = "a line without an end"
            raise ValueError(msg)
        if lines:
            yield begins, lines
            begins = number
        number += 1
    if rest:
        msg = "cut short"
        raise ValueError(msg)


async def beside(size: int, work: Callable[..., T], *values: object) -> T:
    """Do the work here where it is little, or else on a thread."""
    return work(*values) if size < LARGE else await asyncio.to_thread(work, *values)
