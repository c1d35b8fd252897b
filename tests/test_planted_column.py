"""What is exported, shown, erased and proven agrees by construction: a new column is in all of it at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, MetaData, Table, Text, Uuid, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.requests.certificate import Periods, certificate
from services.requests.preview import Counted, preview
from services.requests.rollcall import Due, Order, Owner
from services.requests.sealing import new_pair, open_part, private_key
from shared.bus import CommandBus, Handlers, Work
from shared.commands import CountData, EraseAccount, EraseCategories, ExportAccount
from shared.contracts.receipts import DataErased, Phase
from shared.database import engine_for
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, Opaque, Personal, rows
from tests.builders import ANNA, BEN, NOON, named
from tests.databases import Databases
from tests.requests.test_certificate import PERIODS
from tests.rooms import HeldClock, SettingsFor

PLANTED = "a mood that nobody has heard of before"
REQUEST = named("request")


@dataclass
class Diary:
    """A service with one table, and its database."""

    owner: DataOwner
    table: Table
    engine: AsyncEngine
    bus: CommandBus

    async def does(self, command: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any command
        """Carry it out; returns what was announced."""
        outbox = self.owner.metadata[-1].tables["outbox"]
        async with self.engine.begin() as connection:
            await connection.execute(outbox.delete())
        await self.bus.execute(command)
        async with self.engine.connect() as connection:
            return [json.loads(row.body) for row in await connection.execute(select(outbox).order_by("id"))]

    async def rows_of(self, account_id: UUID) -> list[Any]:
        mine = select(self.table).where(self.table.columns.account_id == account_id)
        async with self.engine.connect() as connection:
            return list(await connection.execute(mine))


def entries(*planted: Column[Any]) -> Table:
    """Declare what somebody has written down, and whatever is planted."""
    return Table(
        "entries",
        MetaData(),
        Column("account_id", Uuid, primary_key=True, info={"word": Opaque("random id")}),
        Column("words", Text, nullable=False, info={"word": Personal(Category.FEEDBACK)}),
        *planted,
        **rows(OfAccount()),
    )


@pytest.fixture
async def diary(databases: Databases, settings_for: SettingsFor) -> AsyncIterator[Diary]:
    """Make the service with a planted column, and rows of Anna and Ben in it."""
    table = entries(Column("mood", Text, info={"word": Personal(Category.NICKNAME)}))
    url = databases.url(await databases.empty("diary"))
    engine = engine_for(url)
    owner, handlers = DataOwner("diary", Phase.DATA, table.metadata), Handlers()
    handlers.of(CountData)(owner.apart.count)
    handlers.of(EraseCategories)(owner.apart.erase)
    handlers.of(ExportAccount)(owner.exporting.begin)

    @handlers.of(EraseAccount)
    async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
        await owner.erase(work, commands)

    async with engine.begin() as connection:
        for metadata in owner.metadata:
            await connection.run_sync(metadata.create_all)
        for person in (ANNA, BEN):
            row = {"account_id": person.account_id, "words": "Dear diary", "mood": PLANTED}
            await connection.execute(table.insert(), row)
    yield Diary(owner, table, engine, CommandBus("diary", handlers, engine, HeldClock(), settings_for("device", url)))
    await engine.dispose()


def counted(event: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {item["category"]: (item["outcome"], item["count"]) for item in event["items"] if item["count"]}


def proven(event: dict[str, Any], categories: tuple[str, ...] | None = None) -> dict[str, tuple[str, int]]:
    """Read what the certificate says that is written by this receipt."""
    receipt = DataErased.model_validate(event)
    dues = {"diary": Due("diary", Phase.DATA, NOON, receipt.items)}
    order = Order(REQUEST, ANNA.account_id, completed_at=NOON, categories=categories, dues=dues)
    (owner,) = certificate(order, NOON, PERIODS)["owners"]
    return counted(owner)


ALL = {"feedback": ("erased", 1), "nickname": ("erased", 1)}


def test_without_the_column_the_category_is_not_held() -> None:
    owner = DataOwner("diary", Phase.DATA, entries().metadata)

    assert Category.NICKNAME not in owner.erasure.categories
    assert isinstance(PERIODS, Periods)


async def test_a_planted_column_is_in_the_preview(diary: Diary) -> None:
    (event,) = await diary.does(CountData(account_id=ANNA.account_id, request_id=REQUEST))
    items = DataErased.model_validate({**event, "type": "DataErased", "order_id": str(REQUEST)}).items
    owners = {"diary": Owner(Phase.DATA, frozenset(diary.owner.apart.categories))}
    (shown,) = preview([Counted("diary", NOON, items)], owners, None)["owners"]

    assert counted(shown) == ALL


async def test_a_planted_column_is_in_the_package(diary: Diary) -> None:
    public, private = new_pair()
    part, end = await diary.does(ExportAccount(account_id=ANNA.account_id, request_id=REQUEST, public_key=public))

    assert PLANTED.encode() in open_part(private_key(private), part["sealed"])
    assert {category: count for category, count in end["counts"].items() if count} == {"feedback": 1, "nickname": 1}


async def test_a_planted_column_is_erased_with_the_account_and_in_the_certificate(diary: Diary) -> None:
    (event,) = await diary.does(EraseAccount(account_id=ANNA.account_id, order_id=REQUEST))

    assert await diary.rows_of(ANNA.account_id) == []
    assert proven(event) == ALL
    assert len(await diary.rows_of(BEN.account_id)) == 1


async def test_a_planted_column_is_erased_by_its_category_alone_and_in_the_certificate(diary: Diary) -> None:
    command = EraseCategories(account_id=ANNA.account_id, order_id=REQUEST, categories=("nickname",))
    (event,) = await diary.does(command)

    assert [row.mood for row in await diary.rows_of(ANNA.account_id)] == [None]
    assert [row.mood for row in await diary.rows_of(BEN.account_id)] == [PLANTED]
    assert proven(event, ("nickname",)) == {"nickname": ("erased", 1)}


async def test_beside_a_planted_column_a_category_that_had_its_rows_alone_can_no_longer_go_alone(
    diary: Diary,
) -> None:
    command = EraseCategories(account_id=ANNA.account_id, order_id=REQUEST, categories=("feedback",))
    (event,) = await diary.does(command)

    assert len(await diary.rows_of(ANNA.account_id)) == 1
    assert proven(event, ("feedback",)) == {"feedback": ("kept", 1)}
