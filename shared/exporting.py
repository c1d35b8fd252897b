"""What a person gets of what a service holds: exported part by part, encrypted to the key of the one request.

Exported is what an erasure would erase, by the same tables and words. The plain text is one stream: for each table a
line that says what its columns are, then a line for each row; cut into slices of a bounded size.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc.jwe import JWERegistry, encrypt_compact
from joserfc.jwk import OKPKey
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.background import BREATH_SECONDS, part_by_part
from shared.bus import CommandBus, Work
from shared.commands import Command, ContinueExport, ExportAccount
from shared.contracts.receipts import ExportCompleted, ExportPart
from shared.contracts.topics import EXPORTS
from shared.personal_data import Erasure, Opaque, Personal, personal_columns, present
from shared.tables import Export, Outbox

SLICE = 512 * 1024
"""So many bytes of the stream at most go into one part: encrypted and written as text, it fits a message."""
AT_ONCE = 8 * SLICE
"""So many bytes at most wait in the outbox before more are written; a transaction writes no more than about that."""
ROWS, MANY_ROWS, LARGE_ROWS = 100, 4_000, 2
"""How many rows are read at once: of a table, of one that can hold many, of one that holds pictures."""
LOOK_SECONDS = 1.0

SEALED_AS = {"alg": "ECDH-ES", "enc": "A256GCM"}
_REGISTRY = JWERegistry(algorithms=list(SEALED_AS.values()))

_MOVES = ("sheet", "after", "parts", "counts", "ended")
_BEGIN = upsert(Export).on_conflict_do_nothing()
_COURSES = select(
    Export.account_id, Export.request_id, Export.public_key, *(getattr(Export, n) for n in _MOVES)
).where(Export.request_id == any_(bindparam("requests", type_=ARRAY(Uuid))))
_UNFINISHED = select(Export.account_id, Export.request_id).where(~Export.ended).limit(20)
_waiting = select(Outbox.body).where(Outbox.topic == bindparam("topic")).subquery()
_WAITING = select(func.coalesce(func.sum(func.octet_length(_waiting.c.body)), 0))
_SAVE = (
    update(Export)
    .where(Export.request_id == bindparam("of"))
    .values({name: bindparam(f"new_{name}") for name in _MOVES})
)


class Sheet:
    """One table as it is exported: what its columns are, and its next rows after a key."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.categories = personal_columns(table)
        self._table = table
        self._columns = [column for column in table.columns if _is_shown(column.info["word"])]
        self._key = list(table.primary_key.columns)
        self.first, self.next = self._statement(), self._statement(self._is_after())
        self.at_once = self._rows_at_once()
        self.head = _line({"table": table.name, "columns": [_head(column) for column in self._columns]})

    def _statement(self, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        """Write how its rows are read: key, whether each category is there, and the row as a line of the stream."""
        word = self._table.info["rows"]
        mine = select(self._table).where(self._table.columns[word.column] == bindparam("account"), *conditions)
        if not word.many:  # a fence: rows are found by their account, whatever order they are wanted in
            mine = mine.offset(literal_column("0"))
        found = mine.subquery("mine").columns
        key = [found[column.name] for column in self._key]
        some = select(*found).order_by(*key).limit(bindparam("rows")).subquery("some").columns
        return select(
            *(as_type(some[column.name], Text).label(f"key_{column.name}") for column in self._key),
            *(present(category, (some[c.name] for c in of_it)) for category, of_it in self.categories.items()),
            as_type(func.json_build_array(*(_value(some[c.name], c) for c in self._columns)), Text).label("line"),
        ).order_by(*(some[column.name] for column in self._key))

    def _is_after(self) -> ColumnElement[bool]:
        # As text, so that a place in any table can be kept in one column.
        place = [as_type(bindparam(f"key_{column.name}", type_=Text), column.type) for column in self._key]
        return tuple_(*self._key) > tuple_(*place)

    def _rows_at_once(self) -> int:
        if any(isinstance(column.type, LargeBinary) and not _is_secret(column) for column in self._columns):
            return LARGE_ROWS
        return MANY_ROWS if self._table.info["rows"].many else ROWS

    async def read(self, connection: AsyncConnection, account: UUID, after: list[str] | None) -> Sequence[Row[Any]]:
        """Read the next rows of an account: the values of the key, whether each category is there, the line."""
        values: dict[str, Any] = {"account": account, "rows": self.at_once}
        if after is None:
            return list(await connection.execute(self.first, values))
        place = {f"key_{column.name}": value for column, value in zip(self._key, after, strict=True)}
        return list(await connection.execute(self.next, values | place))

    def place(self, row: Row[Any]) -> list[str]:
        """Say where a row stands, to go on after it."""
        return list(row[: len(self._key)])

    def count(self, rows: Sequence[Row[Any]]) -> Counter[str]:
        """Count rows by category."""
        there = slice(len(self._key), -1)
        return Counter(
            category for row in rows for category, held in zip(self.categories, row[there], strict=True) if held
        )


def _is_shown(word: object) -> bool:
    return isinstance(word, Personal) or (isinstance(word, Opaque) and word.shown)


def _head(column: Column[Any]) -> dict[str, Any]:
    word = column.info["word"]
    head: dict[str, Any] = {"name": column.name}
    if isinstance(word, Personal):
        head["category"] = word.category
    if _is_secret(column):
        return head | {"secret": True}
    return head | ({"encoding": "base64"} if isinstance(column.type, LargeBinary) else {})


def _is_secret(column: Column[Any]) -> bool:
    word = column.info["word"]
    return isinstance(word, Personal) and word.secret


def _value(value: ColumnElement[Any], column: Column[Any]) -> ColumnElement[Any]:
    """Write a value as JSON has it; of a secret only whether it is there."""
    if _is_secret(column):
        return value.is_not(None)
    if isinstance(column.type, LargeBinary):
        return func.translate(func.encode(value, "base64"), "\n", "")
    return value


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass
class Course:
    """How far an export has come: what its row says."""

    account_id: UUID
    request_id: UUID
    public_key: dict[str, str | list[str]]
    sheet: int
    after: list[str] | None
    parts: int
    counts: Counter[str]
    ended: bool

    def moved(self) -> dict[str, Any]:
        """Say what changes, by the names of the statement."""
        return {"of": self.request_id} | {f"new_{name}": getattr(self, name) for name in _MOVES}


class Exporting:
    """What a service exports of an account: all that it would erase."""

    def __init__(self, erasure: Erasure) -> None:
        self.categories = erasure.categories
        self.sheets = [Sheet(table) for table in erasure.tables if personal_columns(table)]

    async def begin(self, work: Work, commands: Sequence[ExportAccount]) -> None:
        """Begin exports, each with its first part; of one that has ended it is said again that it has.

        The caller's transaction holds the accounts exclusively.
        """
        names = ("request_id", "account_id", "public_key")
        wishes = [{name: getattr(c, name) for name in names} | {"ordered_at": work.now} for c in commands]
        await work.connection.execute(_BEGIN, wishes)
        courses = await _courses(work, commands)
        for command in commands:
            if courses[command.request_id].ended:
                _announce_end(work, command, courses[command.request_id])
        await self._advance(work, commands, courses)

    async def go_on(self, work: Work, commands: Sequence[ContinueExport]) -> None:
        """Send the next part of exports that have not ended."""
        await self._advance(work, commands, await _courses(work, commands))

    async def _advance(
        self, work: Work, commands: Sequence[ExportAccount | ContinueExport], courses: Mapping[UUID, Course]
    ) -> None:
        moved: dict[UUID, Course] = {}
        sent = 0
        for command in commands:
            course = courses.get(command.request_id)
            if course and not course.ended and sent < AT_ONCE:  # who is left out is gone on with, in its turn
                sent += await self._send(work, command, course)
                moved[course.request_id] = course
        if moved:
            await work.connection.execute(_SAVE, [course.moved() for course in moved.values()])

    async def _send(self, work: Work, command: Command, course: Course) -> int:
        """Announce the next parts, and the end where these are the last; returns of how many bytes."""
        stream = await self._next(work.connection, course)
        key = OKPKey.import_key(course.public_key)
        for start in range(0, len(stream), SLICE):
            course.parts += 1
            sealed = encrypt_compact(SEALED_AS, stream[start : start + SLICE], key, registry=_REGISTRY)
            told = {"request_id": course.request_id, "number": course.parts, "sealed": sealed}
            work.announce(ExportPart(**work.stamp(command), **told))
        if course.ended:
            course.counts = Counter({category: course.counts[category] for category in self.categories})
            _announce_end(work, command, course)
        return len(stream)

    async def _next(self, connection: AsyncConnection, course: Course) -> bytes:
        """Read on in the stream, until there is a slice of it or it ends."""
        lines: list[str] = []
        while course.sheet < len(self.sheets) and sum(map(len, lines)) < SLICE:
            sheet = self.sheets[course.sheet]
            rows = await sheet.read(connection, course.account_id, course.after)
            if rows:
                lines += [sheet.head] * (course.after is None) + [row.line for row in rows]
                course.counts += sheet.count(rows)
            if len(rows) == sheet.at_once:
                course.after = sheet.place(rows[-1])
            else:
                course.sheet, course.after = course.sheet + 1, None
        course.ended = course.sheet == len(self.sheets)
        return "".join(f"{line}\n" for line in lines).encode()


async def _courses(work: Work, commands: Sequence[ExportAccount | ContinueExport]) -> dict[UUID, Course]:
    result = await work.connection.execute(_COURSES, {"requests": [command.request_id for command in commands]})
    return {row["request_id"]: Course(**{**row, "counts": Counter(row["counts"])}) for row in result.mappings()}


def _announce_end(work: Work, command: Command, course: Course) -> None:
    told = {"request_id": course.request_id, "parts": course.parts, "counts": dict(course.counts)}
    work.announce(ExportCompleted(**work.stamp(command), **told))


async def export_what_is_much(bus: CommandBus) -> None:
    """Go on with exports, for as long as the service runs."""

    async def due() -> list[Command]:
        found = await unfinished(bus)
        # What waits in the outbox is waited for: the relay has it in memory, and so has the broker on its disk.
        while found and await _crowded(bus):  # noqa: ASYNC110 - the relay decides, maybe in another process
            await asyncio.sleep(BREATH_SECONDS)
        return found

    await part_by_part("exporting of much", bus, due, LOOK_SECONDS)


async def unfinished(bus: CommandBus) -> list[Command]:
    """List which exports are to be gone on with."""
    async with bus.engine.connect() as connection:
        rows = await connection.execute(_UNFINISHED)
        return [ContinueExport(account_id=row.account_id, request_id=row.request_id) for row in rows]


async def _crowded(bus: CommandBus) -> bool:
    async with bus.engine.connect() as connection:
        waiting: int = await connection.scalar(_WAITING, {"topic": EXPORTS.name_for(bus.source)}) or 0
    return waiting >= AT_ONCE
