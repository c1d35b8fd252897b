"""A column that somebody adds is exported, erased, counted in receipt and certificate: by its word alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped

from services.device.models import OWNER
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.receipts import DataErased
from shared.contracts.topics import DATA_OWNERS
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, opaque, personal, rows
from tests.access import House, settled
from tests.builders import ANNA, BEN, fact
from tests.doors import door_of
from tests.rooms import OpenRoom

CANCELLED = fact(
    AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=("ref",), contact_version=1
)


class PlantedBase(DeclarativeBase):
    """What somebody adds to device."""

    type_annotation_map = {str: Text}  # noqa: RUF012 - SQLAlchemy's own protocol


class Planted(PlantedBase):
    """A table with a column that is a person's."""

    __tablename__ = "planted"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque("random id", Uuid, primary_key=True)
    whereabouts: Mapped[str] = personal(Category.NICKNAME)


@pytest.fixture
async def house(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Open all rooms; in device's there is the planted table, and device is the owner of what its models say."""
    planted = DataOwner(OWNER.name, OWNER.phase, *OWNER.metadata[:-1], PlantedBase.metadata)
    monkeypatch.setattr(OWNER, "erasure", planted.erasure)
    for name in ("sheets", "categories"):
        monkeypatch.setattr(OWNER.exporting, name, getattr(planted.exporting, name))
    rooms = await settled(room)
    device = rooms["device"]
    await device.run("CREATE TABLE planted (account_id uuid PRIMARY KEY, whereabouts text NOT NULL)")
    for person in (ANNA, BEN):
        words = {"account": person.account_id, "words": f"{person.name} by the lake"}
        await device.run("INSERT INTO planted VALUES (:account, :words)", **words)
    async with door_of(rooms["requests"]) as door:
        yield House(rooms, door)
    await device.run("DROP TABLE planted")


async def test_it_stands_in_the_package_and_its_manifest(house: House) -> None:
    package = await house.package()

    assert package.json("device/nickname/planted") == [{"whereabouts": "anna by the lake"}]
    assert "anna by the lake" in package.csv("device/nickname/planted")
    assert "anna by the lake" in package.page
    (device,) = (each for each in package.manifest["owners"] if each["owner"] == "device")
    assert {"nickname": 1, "device-data": 1}.items() <= {
        c["category"]: c["count"] for c in device["categories"]
    }.items()


async def test_it_is_erased_counted_and_named_in_the_certificate(house: House) -> None:
    device, requests = house.rooms["device"], house.requests
    await device.hears(CANCELLED)
    async with device.engine.connect() as connection:
        left = list(await connection.exec_driver_sql("SELECT whereabouts FROM planted"))
    assert [row.whereabouts for row in left] == ["ben by the lake"]
    (receipt,) = await house.said("device", DataErased)

    await requests.hears(CANCELLED, receipt)
    (due,) = (each for each in await requests.rows("dues") if each["owner"] == "device")
    assert {item["category"]: item["count"] for item in due["items"]}["nickname"] == 1
    await others_answer(house)
    (order,) = await requests.rows("orders")
    (entry,) = (each for each in order["certificate"]["owners"] if each["owner"] == "device")
    assert {item["category"]: item["count"] for item in entry["items"]}["nickname"] == 1


async def others_answer(house: House) -> None:
    for owner in set(DATA_OWNERS) - {"device", "requests"}:
        await house.requests.hears(fact(DataErased, ANNA, source=owner, order_id=ANNA.order_id, items=()))
    await house.requests.hears(*await house.said("requests", DataErased))
