"""A service's database in memory: it takes the statements of the real one, and is reached in the same way.

Transactions of one service run one after the other, as if each held every account; what happens between two that
overlap is for `tests/test_races.py`, on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, MetaData, Select

import chaos.simulation.twins  # noqa: F401 - registers what is written as SQL
from chaos.simulation.expressions import HERE, Scope, Values
from chaos.simulation.statements import Query, Runs, Scopes, translated
from chaos.simulation.tables import Answer, Transaction, shelves_of
from shared.clock import Clock

_RUNS: dict[Any, tuple[Runs, Sequence[BindParameter[Any]]]] = {}
_SEEN: WeakKeyDictionary[Any, tuple[Runs, Values]] = WeakKeyDictionary()
_QUERIES: WeakKeyDictionary[Any, Query] = WeakKeyDictionary()
_SCOPES: WeakKeyDictionary[Any, Scopes] = WeakKeyDictionary()

T = TypeVar("T")


def _once(known: WeakKeyDictionary[Any, T], statement: Any, translate: Callable[[Any], T]) -> T:
    """Translate what was not translated before; it is forgotten with its statement."""
    found = known.get(statement)
    if found is None:
        found = known[statement] = translate(statement)
    return found


class Result:
    """What a statement has brought, read as SQLAlchemy's."""

    def __init__(self, answer: Answer) -> None:
        self._rows = answer.rows
        self.rowcount = answer.count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def first(self) -> Any:
        return self._rows[0] if self._rows else None

    def mappings(self) -> Result:
        return Result(Answer([row._asdict() for row in self._rows], self.rowcount))

    def one(self) -> Any:
        (row,) = self._rows
        return row


class Reading(Transaction):
    """A transaction that also answers subqueries."""

    def select(self, query: Any, scope: Scope, values: Values) -> Sequence[Any]:
        """Read a subquery; of the enclosing query it sees the row at hand."""
        if isinstance(query, Select):
            return _once(_QUERIES, query, Query).rows(scope, values)
        return [row for each in query.selects for row in self.select(each, scope, values)]

    def holds(self, query: Select[Any], scope: Scope, values: Values) -> bool:
        """Tell whether a subquery has any row."""
        return next(_once(_SCOPES, query, Scopes)(scope, values), None) is not None


def _translated(statement: Any) -> tuple[Runs, Values]:
    """Translate a statement, and tell the values in it; one that only differs in those is known already."""
    key = statement._generate_cache_key()
    if key is None:
        return translated(statement), {}
    if key.key not in _RUNS:
        _RUNS[key.key] = translated(statement), key.bindparams
    run, first = _RUNS[key.key]
    return run, {known.key: mine.effective_value for known, mine in zip(first, key.bindparams, strict=True)}


Watch = Callable[[str], None]
"""Told before each statement and each commit; may raise, and then it has not happened."""


@dataclass(frozen=True)
class Seen:
    """A statement that was run, or the word for what became of a transaction."""

    what: Any
    now: datetime
    values: Any = None
    answer: Answer | None = None


Witness = Callable[[Seen], None]


class Connection:
    """One connection: to the code above it is SQLAlchemy's."""

    def __init__(self, store: Store, transaction: Reading) -> None:
        self._store = store
        self.transaction = transaction

    async def execute(self, statement: Any, values: Any = None) -> Result:
        """Run a statement, once for each of a list of values."""
        self._store.watch("statement")
        run, said = _once(_SEEN, statement, _translated)
        many = values if isinstance(values, list) else [values or {}]
        answers = [run(self.transaction, {**said, **each, HERE: self.transaction}) for each in many]
        rows = [row for answer in answers for row in answer.rows]
        answer = Answer(rows, sum(answer.count for answer in answers))
        if self._store.witness:
            self._store.witness(Seen(statement, self.transaction.now, values, answer))
        return Result(answer)

    @asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        """Open a savepoint."""
        before = {name: dict(shelf.rows) for name, shelf in self._store.shelves.items()}
        try:
            yield
        except Exception:
            for name, rows in before.items():
                self._store.shelves[name].rows = rows
            raise

    async def scalar(self, statement: Any, values: Any = None) -> Any:
        row = (await self.execute(statement, values)).first()
        return row[0] if row else None

    async def scalars(self, statement: Any, values: Any = None) -> list[Any]:
        return [row[0] for row in await self.execute(statement, values)]


class Store:
    """One service's database; outlives its process."""

    def __init__(self, metadata: Iterable[MetaData], clock: Clock) -> None:
        self.shelves = shelves_of(metadata)
        self._clock = clock
        self.watch: Watch = lambda _: None
        self.witness: Witness | None = None
        self._busy = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """Open a transaction: committed on leaving, lost on failure."""
        assert not self._busy, "transactions of one service run one after the other"  # noqa: S101 - of the simulation
        self._busy = True
        transaction = Reading(self.shelves, self._clock())
        self._tell("begin")
        try:
            yield Connection(self, transaction)
            self.watch("commit")
        except BaseException:
            transaction.lose()
            self._tell("rollback")
            raise
        finally:
            self._busy = False
        self._tell("commit")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Connect for statements that each stand for themselves."""
        yield Connection(self, Reading(self.shelves, self._clock()))

    def _tell(self, what: str) -> None:
        if self.witness:
            self.witness(Seen(what, self._clock()))

    def rows(self, table: str) -> list[Mapping[str, Any]]:
        """Read a table."""
        return list(self.shelves[table].rows.values())
