"""What a person's data is, said once at each column; erasure, counts and checks are derived from that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    CursorResult,
    Integer,
    Label,
    MetaData,
    Select,
    Table,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    text,
)
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, MappedColumn, mapped_column

from shared.contracts.receipts import Item, Outcome


class Category(StrEnum):
    """The categories that the privacy policy names, and the few that the machinery adds."""

    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105 - the name of a category
    SECOND_FACTOR = "second-factor"
    NICKNAME = "nickname"
    AVATAR = "avatar"
    REGION_AND_LANGUAGE = "region-and-language"
    POLICY_AGREEMENT = "policy-agreement"
    CONSENT = "consent"
    CREATION_TIME = "creation-time"
    LOGIN_TIMES = "login-times"
    INSTALLMENTS = "installments"
    CANCELLATION = "cancellation"
    DEVICE_DATA = "device-data"
    FEEDBACK = "feedback"
    CONTACT = "contact"
    MESSAGES = "messages"
    CHANGES = "changes"
    REQUEST_MAILS = "request-mails"
    REQUEST_EVIDENCE = "request-evidence"
    REQUEST_DECISIONS = "request-decisions"
    UNHANDLED_MESSAGES = "unhandled-messages"


@dataclass(frozen=True)
class Processing:
    """Why a category is kept, on what legal basis (GDPR Art. 6), and until when."""

    purpose: str
    legal_basis: str
    retention: str
    bound: str | None = None
    """Why it cannot go while the account stays; none where the person can have it erased alone."""


CONTRACT = "contract, Art. 6 (1) b"
DUTY = "legal obligation, Art. 6 (1) c"
_WITH_ACCOUNT = "until the account is cancelled"
LOGS_IN = "without it nobody could log in, or everybody"
ANSWERED = "is needed to answer a request"

PROCESSING: Mapping[Category, Processing] = {
    Category.EMAIL: Processing("to log in", CONTRACT, _WITH_ACCOUNT, LOGS_IN),
    Category.PASSWORD: Processing("to log in", CONTRACT, _WITH_ACCOUNT, LOGS_IN),
    Category.SECOND_FACTOR: Processing("to log in", CONTRACT, "until the person turns it off", LOGS_IN),
    Category.NICKNAME: Processing("to be addressed", CONTRACT, _WITH_ACCOUNT),
    Category.AVATAR: Processing("to be recognised", CONTRACT, _WITH_ACCOUNT),
    Category.REGION_AND_LANGUAGE: Processing(
        "to apply the person's law and language", CONTRACT, _WITH_ACCOUNT, "says which law protects the person"
    ),
    Category.POLICY_AGREEMENT: Processing(
        "to show what was agreed to", CONTRACT, _WITH_ACCOUNT, "is what all processing stands on"
    ),
    Category.CONSENT: Processing(
        "to keep to what was withdrawn, and to show it", DUTY, _WITH_ACCOUNT, "is what all processing stands on"
    ),
    Category.CREATION_TIME: Processing("to keep the account", CONTRACT, _WITH_ACCOUNT, "is the account's"),
    Category.LOGIN_TIMES: Processing(
        "to show the person who logged in", CONTRACT, "for 180 days", "shows who has used the account"
    ),
    Category.INSTALLMENTS: Processing("to collect what is owed", CONTRACT, "until paid or lapsed", "is owed"),
    Category.CANCELLATION: Processing(
        "to carry out the cancellation", CONTRACT, _WITH_ACCOUNT, "is being carried out"
    ),
    Category.DEVICE_DATA: Processing("to show what devices report", CONTRACT, "until the device is unbound"),
    Category.FEEDBACK: Processing("to answer feedback", CONTRACT, _WITH_ACCOUNT),
    Category.CONTACT: Processing(
        "to send messages", CONTRACT, "until the last message has gone out", "messages need somewhere to go"
    ),
    Category.MESSAGES: Processing(
        "to send messages and show notices", CONTRACT, "sent, or shown for 90 days", "messages are owed"
    ),
    Category.CHANGES: Processing("to show who changed what, and when", DUTY, _WITH_ACCOUNT, ANSWERED),
    Category.REQUEST_MAILS: Processing(
        "to answer a request", DUTY, "for 90 days after the request has ended", ANSWERED
    ),
    Category.REQUEST_EVIDENCE: Processing(
        "to know who may ask", DUTY, "for 30 days after the request has ended", ANSWERED
    ),
    Category.REQUEST_DECISIONS: Processing(
        "to explain a decision", DUTY, "for a year after the request has ended", ANSWERED
    ),
    Category.UNHANDLED_MESSAGES: Processing(
        "to lose nothing", CONTRACT, "until handled, or the account is cancelled", "nobody knows yet what it is"
    ),
}


# The words for a column. Each goes into `Column.info["word"]`; a column without one fails the build.


@dataclass(frozen=True)
class Personal:
    """The column holds a person's data of this category; of a `secret` an export says that it is there, not what."""

    category: Category
    secret: bool = False


@dataclass(frozen=True)
class Opaque:
    """The column holds nothing that says anything about a person: random ids, counters, marks.

    One that ties rows together, or tells what kind a row is of, is `shown` to who asks for what is held.
    """

    why: str
    shown: bool = False


@dataclass(frozen=True)
class Passing:
    """The column may hold personal data for the moment of its passage, and is emptied by that passage."""

    until: str


Word = Personal | Opaque | Passing


def personal(category: Category, *args: Any, **options: Any) -> MappedColumn[Any]:  # noqa: ANN401 - mapped_column's own
    """Declare a column that holds a person's data."""
    return mapped_column(*args, info={"word": Personal(category)}, **options)


def secret(category: Category, *args: Any, **options: Any) -> MappedColumn[Any]:  # noqa: ANN401 - mapped_column's own
    """Declare a column of a person's data that opens something: nobody is shown its value, the person neither."""
    return mapped_column(*args, info={"word": Personal(category, secret=True)}, **options)


def opaque(why: str, *args: Any, shown: bool = False, **options: Any) -> MappedColumn[Any]:  # noqa: ANN401 - the same
    """Declare a column that says nothing about a person, and why not."""
    return mapped_column(*args, info={"word": Opaque(why, shown)}, **options)


def passing(until: str, *args: Any, **options: Any) -> MappedColumn[Any]:  # noqa: ANN401 - mapped_column's own
    """Declare a column that personal data passes through, and what empties it."""
    return mapped_column(*args, info={"word": Passing(until)}, **options)


# The words for a table: whose row it is. Each goes into `Table.info["rows"]`.


@dataclass(frozen=True)
class OfAccount:
    """A row belongs to the account named by this column, and is erased with it.

    Of a table that can hold `many` rows of one account a part is erased at a time, so that nobody waits for it. Who
    adds to it locks a row that an earlier declared table has, since in between the account is not locked.
    """

    column: str = "account_id"
    many: bool = False
    part_of: tuple[str, str] | None = None
    """Of a table with many rows: in which column each names the row of an earlier table that it belongs to."""
    about: Category | None = None
    """What the rows are there for: erased alone, it takes along what else stands in them."""


@dataclass(frozen=True)
class OfNobody:
    """No row is a person's; what may stay, and why."""

    why: str


def rows(word: OfAccount | OfNobody) -> dict[str, Any]:
    """Declare whose rows a table holds (`__table_args__`)."""
    return {"info": {"rows": word}}


def personal_columns(table: Table) -> dict[Category, list[Column[Any]]]:
    """Group a table's personal columns by category."""
    found: dict[Category, list[Column[Any]]] = {}
    for column in table.columns:
        word = column.info.get("word")
        if isinstance(word, Personal):
            found.setdefault(word.category, []).append(column)
    return found


def present(category: Category, columns: Iterable[ColumnElement[Any]]) -> Label[bool]:
    """Write whether a row holds anything of a category: so rows are counted, erased as well as exported."""
    return or_(*(column.is_not(None) for column in columns)).label(category.name)


def omissions(metadata: Iterable[MetaData]) -> list[str]:
    """List every table and column that nobody has said a word about, and every word that contradicts itself."""
    found = []
    for table in (table for each in metadata for table in each.tables.values()):
        word = table.info.get("rows")
        found += [
            f"{table.name}.{c.name}: no word" for c in table.columns if not isinstance(c.info.get("word"), Word)
        ]
        if word is None:
            found.append(f"{table.name}: no word on whose rows it holds")
        elif isinstance(word, OfNobody) and personal_columns(table):
            found.append(f"{table.name}: holds personal columns, but nobody's rows")
        elif isinstance(word, OfAccount) and word.column not in table.columns:
            found.append(f"{table.name}: has no column {word.column}")
    return found


def kept_out_of_statistics(metadata: Iterable[MetaData]) -> set[tuple[str, str]]:
    """Name the columns (table, column) whose values the planner's statistics must not keep."""
    return {
        (table.name, column.name)
        for each in metadata
        for table in each.tables.values()
        for column in table.columns
        if isinstance(column.info.get("word"), (Personal, Passing))
    }


@dataclass(frozen=True)
class Hold:
    """Rows of a category that may not be erased yet: on what ground, until when at the latest, and how many."""

    ground: str
    until: Any
    count: int


Held = Mapping[UUID, Mapping[Category, Hold]]


CHUNK = 10_000
"""So many rows of one account at most are erased in one transaction, of a table that can hold many."""


class Step:
    """The erasure of one table: deletes, and counts by category what it has deleted.

    With `bereft` only rows whose row in an earlier table is gone, of a table that says where they belong.
    """

    def __init__(self, table: Table, *, bereft: bool = False) -> None:
        self.categories = personal_columns(table)
        self.account = account = table.columns[table.info["rows"].column]
        self.many: bool = table.info["rows"].many
        accounts: Any = bindparam("accounts", type_=ARRAY(Uuid))
        gone = (
            delete(table)
            .where(_some_of(table, account, bereft=bereft) if self.many else account == any_(accounts))
            .returning(account.label("account"), *(present(*each) for each in self.categories.items()))
            .cte()
        )
        counts = [
            func.count().filter(gone.columns[category.name]).label(category.name) for category in self.categories
        ]
        self.statement: Select[Any] = sql_select(gone.columns.account, *counts).group_by(gone.columns.account)


def _some_of(table: Table, account: Column[Any], *, bereft: bool) -> ColumnElement[bool]:
    """Write which rows of a large table are next: at most a chunk of each account, by their place in the file."""
    which = f" AND {is_bereft(table)}" if bereft else ""
    places = text(
        f"{table.name}.ctid = ANY(ARRAY(SELECT next.ctid FROM unnest(:accounts) AS wanted(id),"  # noqa: S608 - names of ours
        f" LATERAL (SELECT ctid FROM {table.name} WHERE {account.name} = wanted.id{which} LIMIT :chunk) AS next))"
    )
    bound = places.bindparams(bindparam("accounts", type_=ARRAY(Uuid)), bindparam("chunk", type_=Integer))
    return cast("ColumnElement[bool]", bound)


def is_bereft(table: Table) -> str:
    """Write that the row is gone that a row of a large table belongs to; always so where it belongs to none."""
    part_of = table.info["rows"].part_of
    if not part_of:
        return "true"
    column, whole = part_of
    return f"NOT EXISTS (SELECT FROM {whole} AS whole WHERE whole.id = {table.name}.{column})"


@dataclass(frozen=True)
class Erased:
    """What became of each account's data, and of whom some is left to be erased."""

    items: Mapping[UUID, tuple[Item, ...]]
    unfinished: frozenset[UUID]


class Erasure:
    """What a service erases of an account: every row of every table that says it is the account's.

    Tables are emptied in the order in which they are declared. The caller holds the accounts' locks exclusively.
    """

    def __init__(self, *metadata: MetaData) -> None:
        tables = [table for each in metadata for table in each.tables.values()]
        self.tables = [table for table in tables if isinstance(table.info.get("rows"), OfAccount)]
        """What is the account's: erased in this order, and exported."""
        self._steps = [Step(table) for table in self.tables]
        self.categories = tuple(sorted({category for step in self._steps for category in step.categories}))

    def nothing_of(self, account: InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
        """Write the condition that no row of that account is left here: it may hold some."""
        return and_(*(~exists().where(step.account == account) for step in self._steps))

    async def run(
        self,
        connection: AsyncConnection,
        accounts: Collection[UUID],
        held: Held | None = None,
        *,
        only_many: bool = False,
    ) -> Erased:
        """Erase, and say for each account what became of each category. What is held stays.

        Of tables with many rows a chunk goes; the rest goes by the same with `only_many`, again and again.
        """
        held = held or {}
        counts: dict[UUID, dict[Category, int]] = {account: {} for account in accounts}
        unfinished: set[UUID] = set()
        for step in (step for step in self._steps if step.many or not only_many):
            due = [account for account in accounts if not held.get(account, {}).keys() & step.categories.keys()]
            values = {"accounts": due, "chunk": CHUNK} if step.many else {"accounts": due}
            result: CursorResult[Any] = await connection.execute(step.statement, values)
            for row in result:
                found: tuple[int, ...] = tuple(row[1:])
                of_account = counts[row.account]
                for category, count in zip(step.categories, found, strict=True):
                    of_account[category] = of_account.get(category, 0) + count
                if step.many and max(found) >= CHUNK:
                    unfinished.add(row.account)
        items = {account: self._items(counts[account], held.get(account, {})) for account in accounts}
        return Erased(items, frozenset(unfinished))

    def _items(self, counts: Mapping[Category, int], held: Mapping[Category, Hold]) -> tuple[Item, ...]:
        return tuple(item(category, counts.get(category, 0), held.get(category)) for category in self.categories)


def item(category: Category, count: int, hold: Hold | None) -> Item:
    """Write an item of a receipt."""
    if hold:
        return Item(category=category, outcome=Outcome.KEPT, count=hold.count, ground=hold.ground, until=hold.until)
    return Item(category=category, outcome=Outcome.ERASED if count else Outcome.NOTHING_HELD, count=count)
