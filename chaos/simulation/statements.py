"""Statements of SQLAlchemy Core over tables in memory: each is translated once, then run."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, singledispatch
from itertools import product
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    Alias,
    Column,
    CompoundSelect,
    Delete,
    Insert,
    Join,
    Select,
    Table,
    TextClause,
    Update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import False_, UnaryExpression
from sqlalchemy.types import Text

from chaos.simulation.expressions import HERE, Meaning, Row, Scope, Values, counts, meaning
from chaos.simulation.tables import Answer, Transaction

Runs = Callable[[Transaction, Values], Answer]
Source = Callable[[Scope, Values], Iterator[Scope]]


@cache
def shape(*names: str) -> Callable[[Sequence[Any]], Any]:
    """Make rows with these names, as the driver does."""
    made = namedtuple("Row", names, rename=True)  # type: ignore[misc] # noqa: PYI024 - named by the statement
    return made._make


@singledispatch
def translated(statement: Any) -> Runs:
    """Translate a statement."""
    msg = f"{type(statement).__name__} is not known in memory: {statement}"
    raise NotImplementedError(msg)


# Reading


@singledispatch
def source(element: Any) -> Source:
    """Translate where rows come from."""
    msg = f"{type(element).__name__} is not known in memory as a source of rows"
    raise NotImplementedError(msg)


@source.register(Table)
def _(element: Table) -> Source:
    name = element.name
    return lambda scope, values: ({**scope, name: row} for row in values[HERE].rows(name))


@source.register(Alias)
def _(element: Alias) -> Source:
    name, table = str(element.name), element.element.name  # type: ignore[attr-defined] # of a table
    return lambda scope, values: ({**scope, name: row} for row in values[HERE].rows(table))


@source.register(CTE)
def _(element: CTE) -> Source:
    name, run = str(element.name), translated(element.element)
    names = [column.name for column in element.columns]

    def rows(scope: Scope, values: Values) -> Iterator[Scope]:
        for row in run(values[HERE], values).rows:
            yield {**scope, name: dict(zip(names, row, strict=True))}

    return rows


@source.register(Join)
def _(element: Join) -> Source:
    left, right, fits = source(element.left), source(element.right), meaning(element.onclause)
    name, nothing = str(element.right.name), {column.name: None for column in element.right.columns}  # type: ignore[attr-defined]
    outer = element.isouter

    def rows(scope: Scope, values: Values) -> Iterator[Scope]:
        for one in left(scope, values):
            both = [two for two in right(one, values) if fits(two, values)]
            yield from both or ([{**one, name: nothing}] if outer else [])

    return rows


def _names_in(element: Any) -> set[str]:
    return _names_in(element.left) | _names_in(element.right) if isinstance(element, Join) else {str(element.name)}


class Scopes:
    """The rows that a query looks at, before it says what of them it wants."""

    def __init__(self, query: Select[Any]) -> None:
        self._sources = [(_names_in(each), source(each)) for each in query.get_final_froms()]
        self._conditions = [meaning(each) for each in query._where_criteria]

    def __call__(self, scope: Scope, values: Values) -> Iterator[Scope]:
        # What the enclosing query has at hand is not read anew: that is how a subquery is correlated.
        own = [rows for names, rows in self._sources if not names & scope.keys()]
        for parts in product(*(list(rows({}, values)) for rows in own)):
            here = dict(scope)
            for part in parts:
                here |= part
            if all(condition(here, values) for condition in self._conditions):
                yield here


class Query:
    """A select, translated."""

    def __init__(self, query: Select[Any]) -> None:
        self.scopes = Scopes(query)
        self._columns = list(query.selected_columns)
        self._counts = [counts(column) for column in self._columns]
        self._values = [None if count else meaning(c) for c, count in zip(self._columns, self._counts, strict=True)]
        self._group = [meaning(each) for each in query._group_by_clauses]
        self._order = [(_without_direction(each), _is_descending(each)) for each in query._order_by_clauses]
        self._limit = None if query._limit_clause is None else meaning(query._limit_clause)
        self._skip = None if query._offset_clause is None else meaning(query._offset_clause)
        self._distinct = bool(query._distinct)
        self._row = shape(*(str(getattr(column, "name", "")) for column in self._columns))

    def rows(self, scope: Scope, values: Values) -> list[Any]:
        """Read the rows that it selects."""
        found = list(self.scopes(scope, values))
        for key, descending in reversed(self._order):
            found.sort(key=lambda here: _nulls_last(key(here, values)), reverse=descending)
        rows = [self._row(self._of(group, values)) for group in self._grouped(found, values)]
        if self._distinct:
            rows = list(dict.fromkeys(rows))
        skip = self._skip(scope, values) if self._skip else 0
        return rows[skip:][: self._limit(scope, values)] if self._limit else rows[skip:]

    def _grouped(self, found: Sequence[Scope], values: Values) -> Sequence[Sequence[Scope]]:
        if not self._group:
            return [found] if any(self._counts) else [[here] for here in found]
        groups: dict[tuple[Any, ...], list[Scope]] = {}
        for here in found:
            groups.setdefault(tuple(key(here, values) for key in self._group), []).append(here)
        return list(groups.values())

    def _of(self, group: Sequence[Scope], values: Values) -> list[Any]:
        return [
            count(group, values) if count else value(group[0], values)  # type: ignore[misc] # one of the two is there
            for count, value in zip(self._counts, self._values, strict=True)
        ]


def _without_direction(element: Any) -> Meaning:
    return meaning(element.element if isinstance(element, UnaryExpression) else element)


def _is_descending(element: Any) -> bool:
    return isinstance(element, UnaryExpression) and element.modifier is operators.desc_op


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return value is None, value


@translated.register(Select)
def _(statement: Select[Any]) -> Runs:
    query = Query(statement)
    return lambda _, values: Answer(rows := query.rows({}, values), len(rows))


@translated.register(CompoundSelect)
def _(statement: CompoundSelect[Any]) -> Runs:
    runs = [translated(each) for each in statement.selects]

    def run(transaction: Transaction, values: Values) -> Answer:
        rows = [row for each in runs for row in each(transaction, values).rows]
        return Answer(rows, len(rows))

    return run


# Writing


def _stored(column: Column[Any]) -> Callable[[Any], Any]:
    """Say how a value looks when it has been in the database."""
    if isinstance(column.type, JSONB):
        return lambda value: None if value is None else json.loads(json.dumps(value))
    if isinstance(column.type, Text):
        return lambda value: None if value is None else str(value)
    return lambda value: value


def _default(column: Column[Any]) -> Meaning:
    """Say what a column holds of which nothing was said."""
    default = getattr(column.server_default, "arg", None)
    if isinstance(default, TextClause) and isinstance(column.type, ARRAY):
        return lambda _, __: []  # the only one there is
    if isinstance(default, TextClause):
        number = json.loads(default.text)
        return lambda _, __: number
    if isinstance(default, False_) or default is not None:
        return meaning(default)
    return lambda _, __: None


def _table_of(statement: Any) -> str:
    return str(statement.table.name)


def _columns_of(statement: Any) -> dict[str, Column[Any]]:
    return {column.name: column for column in statement.table.columns}


def _said(statement: Any) -> dict[str, Meaning]:
    """Translate what a statement says of columns."""
    return {column.name: meaning(value) for column, value in (statement._values or {}).items()}


class _New:
    """The rows of an insert."""

    def __init__(self, statement: Insert) -> None:
        columns = _columns_of(statement)
        self._stored = {name: _stored(column) for name, column in columns.items()}
        self._said = _said(statement)
        self._default = {name: _default(column) for name, column in columns.items()}

    def row(self, values: Values) -> dict[str, Any]:
        """Fill in one row."""
        found = {}
        for name, stored in self._stored.items():
            if name in self._said:
                value = self._said[name]({}, values)
            elif name in values:
                value = values[name]
            else:
                value = self._default[name]({}, values)
            found[name] = stored(value)
        return found


class _Conflict:
    """What an insert does about a row that is there already."""

    def __init__(self, statement: Insert) -> None:
        clause = statement._post_values_clause
        self.tolerated = clause is not None
        self._changes = None
        if isinstance(clause, OnConflictDoUpdate):
            columns, changes = _columns_of(statement), dict[Any, Any](clause.update_values_to_set)
            self._stored = {name: _stored(columns[name]) for name in changes}
            self._changes = {name: _meaning_of(value) for name, value in changes.items()}
            self._where = None if clause.update_whereclause is None else meaning(clause.update_whereclause)

    def changed(self, table: str, before: Mapping[str, Any], new: Mapping[str, Any], values: Values) -> Any:
        """Say how the row looks afterwards; none where it stays."""
        scope = {table: before, "excluded": new}
        if self._changes is None or (self._where and not self._where(scope, values)):
            return None
        changes = {name: self._stored[name](value(scope, values)) for name, value in self._changes.items()}
        return {**before, **changes}


def _meaning_of(value: Any) -> Meaning:
    return meaning(value) if hasattr(value, "get_children") else lambda _, __: value


@translated.register(Insert)
def _(statement: Insert) -> Runs:
    table = _table_of(statement)
    new, conflict, back = _New(statement), _Conflict(statement), _Returning(statement)

    def run(transaction: Transaction, values: Values) -> Answer:
        row = new.row(values)
        before = transaction.insert(table, row, tolerant=conflict.tolerated)
        if before is not None:
            changed = conflict.changed(table, before, row, values)
            if changed is None:
                return Answer([], 0)
            transaction.replace(table, before, changed)
            row = changed
        return Answer([back({table: row}, values)], 1)

    return run


class _Returning:
    """What a statement tells of the rows that it has touched."""

    def __init__(self, statement: Insert | Update | Delete) -> None:
        self._columns = [meaning(each) for each in statement._returning]
        self._row = shape(*(str(each.name) for each in statement._returning))  # type: ignore[union-attr]

    def __call__(self, scope: Scope, values: Values) -> Any:
        return self._row([column(scope, values) for column in self._columns])


@translated.register(Update)
def _(statement: Update) -> Runs:
    table, columns = _table_of(statement), _columns_of(statement)
    conditions = [meaning(each) for each in statement._where_criteria]
    changes = _said(statement)
    stored = {name: _stored(columns[name]) for name in changes}
    back = _Returning(statement)

    def run(transaction: Transaction, values: Values) -> Answer:
        told = []
        for row in _fitting(conditions, table, transaction, values):
            scope = {table: row}
            changed = {**row, **{name: stored[name](new(scope, values)) for name, new in changes.items()}}
            transaction.replace(table, row, changed)
            told.append(back({table: changed}, values))
        return Answer(told, len(told))

    return run


@translated.register(Delete)
def _(statement: Delete) -> Runs:
    table = _table_of(statement)
    conditions = [meaning(each) for each in statement._where_criteria]
    back = _Returning(statement)

    def run(transaction: Transaction, values: Values) -> Answer:
        told = []
        for row in _fitting(conditions, table, transaction, values):
            transaction.remove(table, row)
            told.append(back({table: row}, values))
        return Answer(told, len(told))

    return run


def _fitting(conditions: Sequence[Meaning], table: str, transaction: Transaction, values: Values) -> list[Row]:
    """Find the rows that a statement is about, before it touches any."""
    return [
        row for row in transaction.rows(table) if all(condition({table: row}, values) for condition in conditions)
    ]
