"""A data owner that nobody knew of: built from the kit alone, it is admitted, asked, answers and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter
from sqlalchemy import Text, Uuid, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped

from ops.engines import EmbeddedKafka
from ops.provision import provide_topics
from services.requests.app import create_app
from services.requests.models import Due, Order, Owner
from services.requests.settings import Settings
from shared.bus import Handlers, Work
from shared.commands import EraseAccount
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.receipts import DataErased, Outcome, OwnerLeft, Phase
from shared.contracts.requests import ErasureCompleted, ErasureSettled
from shared.contracts.topics import ACCOUNTS, ORDERS, receipts_of
from shared.database import engine_for
from shared.messaging.consumer import Subscription
from shared.messaging.kafka import Kafka
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, opaque, personal, rows
from shared.service import Parts, Service
from tests.builders import ANNA, BEN, NOON, Person, fact, named
from tests.databases import Databases
from tests.lines import Broker, talking_to, until
from tests.rooms import SettingsFor

DIARY = receipts_of("diary")


class DiaryBase(DeclarativeBase):
    """The metadata of the diary's own tables."""

    type_annotation_map = {UUID: Uuid, str: Text}  # noqa: RUF012 - SQLAlchemy's own protocol


class Entry(DiaryBase):
    """What somebody has written down."""

    __tablename__ = "entries"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    words: Mapped[str] = personal(Category.FEEDBACK)


def diary_parts(migrations: Path) -> Parts:
    """Build a data owner as CONTRIBUTING tells."""
    owner, handlers = DataOwner("diary", Phase.DATA, DiaryBase.metadata), Handlers()

    @handlers.of(EraseAccount)
    async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
        await owner.erase(work, commands)

    return Parts(
        owner=owner,
        handlers=handlers,
        subscriptions=(Subscription(ACCOUNTS, owner.command_for), Subscription(ORDERS, owner.command_for)),
        api=APIRouter(),
        migrations=migrations,
    )


@asynccontextmanager
async def at_work(service: Service) -> AsyncIterator[None]:
    running = asyncio.ensure_future(service.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.engine.dispose()


@pytest.fixture
async def broker(kafka: EmbeddedKafka) -> AsyncIterator[Broker]:
    """Connect to a broker that has every topic, and the one of the newcomer."""
    await provide_topics(Kafka(kafka.bootstrap_servers))
    async with talking_to(kafka.bootstrap_servers) as clients:
        await clients.create(DIARY)
        yield clients


@pytest.fixture
async def requests(databases: Databases, settings_for: SettingsFor, broker: Broker) -> AsyncIterator[AsyncEngine]:
    """Run the service `requests` as it is; gives a look into its database."""
    url = databases.url(await databases.fresh("requests"))
    settings = settings_for("requests", url, kafka_bootstrap_servers=broker.servers, remind_seconds=0.1)
    assert isinstance(settings, Settings)
    service: Service = create_app(settings).state.service
    looking = engine_for(url, pool_size=1)
    async with at_work(service):
        yield looking
    await looking.dispose()


@pytest.fixture
async def diary(databases: Databases, settings_for: SettingsFor, broker: Broker, tmp_path: Path) -> Service:
    """Make the newcomer, not yet running, on a database of its own with an entry of Anna's."""
    (tmp_path / "versions").mkdir()
    url = databases.url(await databases.empty("diary"))
    settings = settings_for("requests", url, kafka_bootstrap_servers=broker.servers)
    service = Service(diary_parts(tmp_path), settings)
    async with service.engine.begin() as connection:
        for metadata in service.parts.owner.metadata:
            await connection.run_sync(metadata.create_all)
        await connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
        words = {"account": ANNA.account_id}
        await connection.execute(text("INSERT INTO entries VALUES (:account, 'Dear diary')"), words)
    return service


async def cancel(broker: Broker, person: Person) -> None:
    """Have the account cancelled, and account and device answer."""
    cancelled = fact(
        AccountCancelled,
        person,
        order_id=person.order_id,
        origin=Origin.APP,
        references=(f"the reference of {person.name}",),
        contact_version=1,
    )
    await broker.publish(ACCOUNTS, cancelled)
    await answer(broker, person, "account", "device")


async def answer(broker: Broker, person: Person, *owners: str) -> None:
    for owner in owners:
        receipt = fact(DataErased, person, source=owner, order_id=person.order_id, items=())
        await broker.publish(receipts_of(owner), receipt)


async def order_of(requests: AsyncEngine, person: Person) -> dict[str, Any]:
    async with requests.connect() as connection:
        found = await connection.execute(select(Order.__table__).where(Order.order_id == person.order_id))
        row = found.first()
    return dict(row._mapping) if row else {}  # noqa: SLF001 - its public name


async def dues_of(requests: AsyncEngine, person: Person) -> dict[str, Any]:
    async with requests.connect() as connection:
        found = await connection.execute(select(Due.__table__).where(Due.order_id == person.order_id))
        return {row.owner: row for row in found}


async def has(requests: AsyncEngine, person: Person, step: str) -> None:
    """Wait until a step of the person's order is taken."""

    async def taken() -> bool:
        return bool((await order_of(requests, person)).get(step))

    await until(taken)


async def steps_told(broker: Broker, person: Person) -> list[str]:
    """Read which steps of the person's order were announced."""
    told = [record.value or b"" for record in await broker.everything(ORDERS)]
    about = [body for body in told if str(person.order_id).encode() in body]
    kinds = (ErasureSettled.__name__, ErasureCompleted.__name__)
    return [kind for body in about for kind in kinds if kind.encode() in body]


async def all_told(broker: Broker, person: Person) -> bool:
    """Tell whether the end of the person's order was announced: that is said after it has come."""
    return ErasureCompleted.__name__ in await steps_told(broker, person)


async def test_a_new_owner_is_admitted_asked_and_released_without_a_word_in_requests(
    broker: Broker, requests: AsyncEngine, diary: Service
) -> None:
    # Given an order that has settled before anybody heard of the diary
    await cancel(broker, ANNA)
    await has(requests, ANNA, "settled_at")
    settled_at = (await order_of(requests, ANNA))["settled_at"]
    assert not diary.parts.owner.admitted.is_set()

    # When the diary announces itself
    async with at_work(diary):
        await diary.parts.owner.admitted.wait()

        # Then the open order asks it too, and stays settled
        async def answered() -> bool:
            due = (await dues_of(requests, ANNA)).get("diary")
            return bool(due and due.answered_at)

        await until(answered)
        assert (await order_of(requests, ANNA))["settled_at"] == settled_at
        await answer(broker, ANNA, "notifier")
        await has(requests, ANNA, "completed_at")
        assert erased_by_diary(await order_of(requests, ANNA)) == [("feedback", Outcome.ERASED, 1)]
        await until(lambda: all_told(broker, ANNA))
        assert await steps_told(broker, ANNA) == ["ErasureSettled", "ErasureCompleted"]

    # And when it is away, the next order waits for it
    await cancel(broker, BEN)

    async def waits_for_diary_alone() -> bool:
        return {o for o, due in (await dues_of(requests, BEN)).items() if not due.answered_at} == {
            "diary",
            "notifier",
        }

    await until(waits_for_diary_alone)
    assert (await order_of(requests, BEN))["settled_at"] is None

    # Until it says that it has left
    left = OwnerLeft(id=named("left"), source="diary", occurred_at=NOON, correlation_id=named("wish"), owner="diary")
    await broker.publish(DIARY, left)
    await has(requests, BEN, "settled_at")
    assert (await dues_of(requests, BEN))["diary"].remark == "owner-left"
    assert await asked_owners(requests) == {"account", "device", "requests", "notifier"}


def erased_by_diary(order: dict[str, Any]) -> list[tuple[str, str, int]]:
    (entry,) = (each for each in order["certificate"]["owners"] if each["owner"] == "diary")
    return [(i["category"], i["outcome"], i["count"]) for i in entry["items"] if i["outcome"] == Outcome.ERASED]


async def asked_owners(requests: AsyncEngine) -> set[str]:
    async with requests.connect() as connection:
        return set(await connection.scalars(select(Owner.name).where(~Owner.left)))


def test_requests_knows_no_owner_by_name() -> None:
    rooms = ("handlers.orders", "rollcall", "consumers", "repository.orders", "commands", "certificate", "reminder")
    sources = [Path(str(import_module(f"services.requests.{room}").__file__)).read_text() for room in rooms]

    assert not any(f'"{owner}"' in source for source in sources for owner in ("account", "device", "notifier"))
