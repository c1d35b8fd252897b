"""The forms in which a person gets rows: JSON for programs, CSV for spreadsheets, pictures as files beside both."""

from __future__ import annotations

import csv
import io
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from pydantic_core import to_json

from services.requests.package.sheets import Head, Values

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of something to be carried out."""
BYTE_ORDER_MARK = "\ufeff"
"""By which spreadsheets know the encoding."""
MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


class Form(Protocol):
    """How the rows of one category in one table are written."""

    ending: str

    def begin(self) -> bytes: ...

    def written(self, rows: Sequence[Values]) -> bytes: ...

    def end(self) -> bytes: ...


class View:
    """What a file of one category shows of a table: rows that hold something of it, pictures by where they are."""

    def __init__(self, head: Head, category: str, stem: str) -> None:
        self._head = head
        self._category = category
        self._stem = stem
        self._places = head.places(category)
        self.names = [head.columns[place].name for place in self._places]
        self._pictures = [p for p in self._places if head.columns[p].encoding and not head.columns[p].secret]
        self._row = 0

    def rows(self, rows: Sequence[Values]) -> Iterator[Values]:
        """Give the rows that hold something, each with the values to be shown."""
        for values in rows:
            self._row += 1
            if self._head.holds(values, self._category):
                for place in self._pictures:
                    values[place] = values[place] and self._path(place, b64decode(str(values[place])))
                yield [values[place] for place in self._places]

    def pictures(self, rows: Sequence[Values]) -> Iterator[tuple[str, bytes]]:
        """Give the pictures in these rows, each with its path."""
        for values in rows:
            self._row += 1
            for place in (place for place in self._pictures if values[place]):
                content = b64decode(str(values[place]))
                yield self._path(place, content), content

    @property
    def has_pictures(self) -> bool:
        return bool(self._pictures)

    def _path(self, place: int, content: bytes) -> str:
        ending = next((ending for magic, ending in MAGIC.items() if content.startswith(magic)), "bin")
        return f"{self._stem}/{self._row}-{place}.{ending}"


class Json:
    """An array of objects, one on each line."""

    ending = "json"

    def __init__(self, view: View) -> None:
        self._view = view
        self._before = b""

    def begin(self) -> bytes:
        return b"["

    def written(self, rows: Sequence[Values]) -> bytes:
        """Write rows."""
        lines = []
        for values in self._view.rows(rows):
            lines.append(self._before + b"\n" + to_json(dict(zip(self._view.names, values, strict=True))))
            self._before = b","
        return b"".join(lines)

    def end(self) -> bytes:
        return b"\n]\n"


class Csv:
    """Lines for a spreadsheet, in which nothing can be a formula."""

    ending = "csv"

    def __init__(self, view: View) -> None:
        self._view = view

    def begin(self) -> bytes:
        return BYTE_ORDER_MARK.encode() + self._lines([self._view.names])

    def written(self, rows: Sequence[Values]) -> bytes:
        """Write rows."""
        return self._lines(self._view.rows(rows))

    def end(self) -> bytes:
        return b""

    @staticmethod
    def _lines(rows: Iterator[Values] | Sequence[Values]) -> bytes:
        lines = io.StringIO()
        csv.writer(lines).writerows([cell(value) for value in values] for values in rows)
        return lines.getvalue().encode()


def cell(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Write a value into a cell: a text that a spreadsheet would carry out is marked as a text."""
    match value:
        case str():
            return f"'{value}" if value.startswith(FORMULA) else value
        case dict() | list():
            return to_json(value).decode()
    return value
