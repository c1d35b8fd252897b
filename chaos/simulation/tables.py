"""Tables in memory: rows by their key, what must be unique, and transactions that can be lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.exc import IntegrityError

Row = Mapping[str, Any]
Key = tuple[Any, ...]

PARTIAL: Mapping[str, Callable[[Row], bool]] = {
    "": lambda _: True,
    "kind = 'cancellation-received'": lambda row: row["kind"] == "cancellation-received",
    "order_id IS NOT NULL": lambda row: row["order_id"] is not None,
}
"""To which rows an index applies that says so in SQL."""


class Violation(Exception):  # noqa: N818 - what the driver would raise
    """A row that a constraint forbids."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class Answer:
    """What a statement has found or touched."""

    rows: Sequence[Any]
    count: int


@dataclass(frozen=True)
class Unique:
    """Columns whose values no two rows share, among those that it applies to."""

    columns: tuple[str, ...]
    applies: Callable[[Row], bool]

    def key(self, row: Row) -> Key | None:
        """Give what must be unique of this row, if anything must: to PostgreSQL no null is like another."""
        key = tuple(row[name] for name in self.columns)
        return key if self.applies(row) and None not in key else None


@dataclass
class Shelf:
    """One table: its rows by their key, in the order in which they came."""

    table: Table
    rows: dict[Key, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = [column.name for column in self.table.primary_key.columns]
        self._needed = [column.name for column in self.table.columns if not column.nullable]
        self._drawn = [column.name for column in self.table.columns if column.identity is not None]
        self._unique = [
            *(Unique((column.name,), PARTIAL[""]) for column in self.table.columns if column.unique),
            *(_unique(index) for index in self.table.indexes if index.unique),
        ]
        self._numbers = count(1)

    def key_of(self, row: Row) -> Key:
        """Give a row's primary key."""
        return tuple([row[name] for name in self._key])

    def drawn(self, row: dict[str, Any]) -> None:
        """Fill in what the database numbers; as there, a number is gone also where its row is not kept."""
        for name in self._drawn:
            row[name] = next(self._numbers)

    def conflicting(self, row: Row) -> Row | None:
        """Find a row that cannot stand beside this one."""
        if (found := self.rows.get(self.key_of(row))) is not None:
            return found
        for each in self._unique:
            key = each.key(row)
            for other in self.rows.values() if key else ():
                if other is not row and each.key(other) == key:
                    return other
        return None

    def check(self, row: Row) -> None:
        """Refuse a row that lacks something."""
        if any(row[name] is None for name in self._needed):
            raise IntegrityError(self.table.name, None, Violation("23502"))


def _unique(index: Any) -> Unique:
    where = index.dialect_options["postgresql"]["where"]
    return Unique(tuple(column.name for column in index.columns), PARTIAL["" if where is None else where.text])


class Transaction:
    """Changes that are all kept or all lost."""

    def __init__(self, shelves: Mapping[str, Shelf], now: datetime) -> None:
        self._shelves = shelves
        self._before: dict[str, dict[Key, Row]] = {}
        self.now = now

    def rows(self, table: str) -> Collection[Row]:
        """Read a table."""
        return self._shelves[table].rows.values()

    def insert(self, table: str, row: dict[str, Any], *, tolerant: bool = False) -> Row | None:
        """Add a row; where `tolerant`, one that is there instead is given back. Raises what the database would."""
        shelf = self._touched(table)
        shelf.drawn(row)
        shelf.check(row)
        if (there := shelf.conflicting(row)) is not None:
            if tolerant:
                return there
            raise IntegrityError(table, None, Violation("23505"))
        shelf.rows[shelf.key_of(row)] = row
        return None

    def replace(self, table: str, before: Row, after: Row) -> None:
        """Change a row. Raises what the database would."""
        shelf = self._touched(table)
        shelf.check(after)
        place = shelf.key_of(before)
        del shelf.rows[place]
        if shelf.conflicting(after) is not None:
            shelf.rows[place] = before
            raise IntegrityError(table, None, Violation("23505"))
        shelf.rows[shelf.key_of(after)] = after

    def remove(self, table: str, row: Row) -> None:
        """Delete a row."""
        shelf = self._touched(table)
        del shelf.rows[shelf.key_of(row)]

    def _touched(self, table: str) -> Shelf:
        shelf = self._shelves[table]
        self._before.setdefault(table, dict(shelf.rows))
        return shelf

    def lose(self) -> None:
        """Put everything back as it was."""
        for table, rows in self._before.items():
            self._shelves[table].rows = rows
        self._before.clear()


def shelves_of(metadata: Iterable[MetaData]) -> dict[str, Shelf]:
    """Make a service's tables, empty."""
    return {name: Shelf(table) for each in metadata for name, table in each.tables.items()}
