"""Categories of a person's data that go while the account stays: which can, how they go, and how all is counted.

Everything follows from the words for columns and tables. A category can go alone where nothing binds it to the
account, and every table that has it either holds rows of it alone, or can do without its columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Select,
    Table,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import personal_data
from shared.bus import Work
from shared.commands import Command, ContinueCategories, CountData, EraseCategories
from shared.contracts.receipts import DataCounted, DataErased, Item, Outcome
from shared.messaging.dead_letters import drop_adding_to
from shared.personal_data import PROCESSING, Category, Erasure, Hold, Step, is_bereft, personal_columns, present
from shared.tables import CategoryMark

BOUND = "bound-to-account"
"""The ground on which a category is kept that cannot go alone."""

_GIVEN = (
    select(CategoryMark)
    .where(CategoryMark.order_id == any_(bindparam("orders", type_=ARRAY(Uuid))))
    .order_by(CategoryMark.category)
)
_UNFINISHED = select(CategoryMark.account_id, CategoryMark.order_id).distinct().where(~CategoryMark.erased).limit(100)


class Portion:
    """What one table has of one category, how that is erased alone, and how it is counted."""

    def __init__(self, table: Table, category: Category) -> None:
        word, categories = table.info["rows"], personal_columns(table)
        columns = categories[category]
        self.many: bool = word.many
        self.rows_go = word.about is category or set(categories) == {category}
        self.can_go = self.rows_go or (not self.many and all(c.nullable and not c.primary_key for c in columns))
        self._place = list(categories).index(category) + 1
        self._step = Step(table, bereft=True)
        account = table.columns[word.column]
        mine = account == bindparam("account", type_=Uuid)
        self.bereft = select(func.count()).select_from(table).where(mine, text(is_bereft(table)))
        self._empty = (
            update(table)
            .where(mine, or_(*(column.is_not(None) for column in columns)))
            .values({column.name: null() for column in columns})
        )

    async def erase(self, connection: AsyncConnection, account_id: UUID) -> int:
        """Erase it, or a chunk of it where there can be much; returns how many rows held something of it."""
        if not self.rows_go:
            return (await connection.execute(self._empty, {"account": account_id})).rowcount
        values: dict[str, Any] = {"accounts": [account_id]}
        if self.many:
            values["chunk"] = personal_data.CHUNK
        row = (await connection.execute(self._step.statement, values)).first()
        return row[self._place] if row else 0


def _counting(table: Table) -> Select[*tuple[Any, ...]]:
    mine = table.columns[table.info["rows"].column] == bindparam("account", type_=Uuid)
    there = select(*(present(*each) for each in personal_columns(table).items())).where(mine).subquery()
    return select(*(func.count().filter(column).label(column.name) for column in there.columns))


class Apart:
    """What a service erases, category by category, while the account stays."""

    def __init__(self, erasure: Erasure) -> None:
        self.categories = erasure.categories
        self._portions = {
            category: [Portion(table, category) for table in erasure.tables if category in personal_columns(table)]
            for category in erasure.categories
        }
        self._countings = [(list(held), _counting(t)) for t in erasure.tables if (held := personal_columns(t))]
        self.choosable = tuple(category for category in self.categories if self._can_go(category))

    def _can_go(self, category: Category) -> bool:
        return PROCESSING[category].bound is None and all(portion.can_go for portion in self._portions[category])

    # Orders

    async def erase(self, work: Work, commands: Sequence[EraseCategories]) -> None:
        """Erase, leave the marks that drop what is older, and announce the receipts: the same again, asked again."""
        await self.erase_once(work, commands)

    async def erase_once(self, work: Work, commands: Sequence[EraseCategories]) -> list[EraseCategories]:
        """Do the same, and return the orders that were carried out now: the others were carried out before.

        The caller's transaction holds the accounts exclusively.
        """
        given = await _given(work, commands)
        fresh = []
        for command in commands:
            if command.order_id not in given:
                given[command.order_id] = await self._erase(work, command)
                fresh.append(command)
            _announce(work, command, given[command.order_id])
        return fresh

    async def _erase(self, work: Work, command: EraseCategories) -> list[dict[str, Any]]:
        marks = [
            await self._erased(work, command, category)
            for category in self.categories
            if category in command.categories
        ]
        if marks:
            await work.connection.execute(insert(CategoryMark), marks)
        return marks

    async def _erased(self, work: Work, command: EraseCategories, category: Category) -> dict[str, Any]:
        """Erase one category, and write its mark."""
        mark: dict[str, Any] = {
            "order_id": command.order_id,
            "category": category.value,
            "account_id": command.account_id,
            "marked_at": command.taken_at or work.now,
        }
        if category not in self.choosable:
            held = await self.counts(work.connection, command.account_id)
            return mark | {"count": held[category], "ground": BOUND, "erased": True}
        count, erased = 0, True
        for portion in self._portions[category]:
            left = await self._left(work.connection, portion, command.account_id)
            gone = await portion.erase(work.connection, command.account_id)
            count += gone if left is None else left
            erased = erased and (left is None or gone == left)
        count += await drop_adding_to(work.connection, command.account_id, category)
        return mark | {"count": count, "ground": None, "erased": erased}

    @staticmethod
    async def _left(connection: AsyncConnection, portion: Portion, account_id: UUID) -> int | None:
        """Count what will go in parts; what it belonged to is gone already, so that no more can come."""
        if not portion.many:
            return None
        return await connection.scalar(portion.bereft, {"account": account_id})

    async def go_on(self, work: Work, commands: Sequence[ContinueCategories]) -> None:
        """Erase the next part of categories that were much, and announce the receipts of the orders that are done."""
        given = await _given(work, commands)
        for command in commands:
            marks = given.get(command.order_id, [])
            due = [mark for mark in marks if not mark["erased"]]
            for mark in due:
                await self._go_on(work, command, mark)
            if due:
                _announce(work, command, marks)

    async def _go_on(self, work: Work, command: ContinueCategories, mark: dict[str, Any]) -> None:
        parts = [portion for portion in self._portions[Category(mark["category"])] if portion.many]
        gone = [await portion.erase(work.connection, command.account_id) for portion in parts]
        mark["erased"] = max(gone, default=0) < personal_data.CHUNK
        if mark["erased"]:
            this = (CategoryMark.order_id == command.order_id, CategoryMark.category == mark["category"])
            await work.connection.execute(update(CategoryMark).where(*this).values(erased=True))

    # Counting

    async def counts(self, connection: AsyncConnection, account_id: UUID) -> Counter[str]:
        """Count the rows that hold something of each category."""
        found: Counter[str] = Counter()
        for categories, counting in self._countings:
            row = (await connection.execute(counting, {"account": account_id})).one()
            found.update(dict(zip(categories, row, strict=True)))
        return found

    async def count(self, work: Work, commands: Sequence[CountData]) -> None:
        """Announce what an erasure of everything would erase now."""
        await self.count_with(work, commands, {})

    async def count_with(
        self, work: Work, commands: Sequence[CountData], held: Mapping[UUID, Mapping[Category, Hold]]
    ) -> None:
        """Announce it, and what it would keep."""
        for command in commands:
            found = await self.counts(work.connection, command.account_id)
            holds = held.get(command.account_id, {})
            items = tuple(personal_data.item(each, found[each], holds.get(each)) for each in self.categories)
            work.announce(DataCounted(**work.stamp(command), request_id=command.request_id, items=items))


async def _given(
    work: Work, commands: Iterable[EraseCategories | ContinueCategories]
) -> dict[UUID, list[dict[str, Any]]]:
    given: dict[UUID, list[dict[str, Any]]] = {}
    orders = sorted({command.order_id for command in commands})
    for row in (await work.connection.execute(_GIVEN, {"orders": orders})).mappings():
        given.setdefault(row["order_id"], []).append(dict(row))
    return given


def _announce(
    work: Work, command: EraseCategories | ContinueCategories, marks: Collection[Mapping[str, Any]]
) -> None:
    if all(mark["erased"] for mark in marks):
        items = tuple(_item(mark) for mark in marks)
        work.announce(DataErased(**work.stamp(command), order_id=command.order_id, items=items))


def _item(mark: Mapping[str, Any]) -> Item:
    outcome = Outcome.ERASED if mark["count"] else Outcome.NOTHING_HELD
    if mark["ground"]:
        outcome = Outcome.KEPT
    return Item(category=mark["category"], outcome=outcome, count=mark["count"], ground=mark["ground"])


async def unfinished(connection: AsyncConnection) -> list[Command]:
    """List what is left to be erased of categories that are much."""
    rows = await connection.execute(_UNFINISHED)
    return [ContinueCategories(account_id=row.account_id, order_id=row.order_id) for row in rows]
