"""A person with very many readings is erased part by part, and only then is it said to be done."""

from __future__ import annotations

import pytest

from services.device.app import create_app
from services.device.commands import UnbindDevice
from services.device.erasing import much
from shared import personal_data
from shared.background import each_alone
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.app import ReadingReported
from shared.contracts.requests import ErasureOrdered
from tests.builders import ANNA, BEN, NOON, fact, named
from tests.commands import KNOW_THE_PRODUCT, KNOWN, bound
from tests.rooms import SERVICES, OpenRoom, Room

MANY = (
    "INSERT INTO readings (account_id, binding_id, measured_at, event_id, values)"
    " SELECT :whose, :binding, CAST(:noon AS timestamptz) + n * interval '1 second', gen_random_uuid(),"
    " jsonb_build_object('pm25', 1)"
    " FROM generate_series(1, :count) AS n"
)
BINDING = named("binding", "anna")
CANCELLED = fact(AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1)
AGAIN = fact(ErasureOrdered, ANNA, order_id=ANNA.order_id, owners=SERVICES, contact_version=1)


async def with_readings(room: OpenRoom, count: int) -> Room:
    """Give Anna a device with so many readings, and Ben a few of an old one."""
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    await device.does(bound(ANNA))
    await device.run(MANY, whose=ANNA.account_id, binding=BINDING, noon=NOON, count=count)
    await device.run(MANY, whose=BEN.account_id, binding=named("binding", "ben"), noon=NOON, count=7)
    return device


async def parts(room: Room, most: int = 1000) -> int:
    """Erase what is left part by part, as the service does, until nothing is; returns in how many rounds."""
    app = create_app(room.settings, room.clock)  # type: ignore[arg-type] # device's own settings
    service = app.state.service
    rounds = 0
    while rounds < most and (found := await much(service)):
        assert await each_alone(service.bus, found) == []
        rounds += 1
    await service.engine.dispose()
    return rounds


async def receipts(room: Room) -> list[dict[str, object]]:
    return [
        {item["category"]: item["count"] for item in each["items"]}
        for each in await room.announced()
        if each["type"] == "DataErased"
    ]


async def test_a_few_readings_go_at_once(room: OpenRoom) -> None:
    device = await with_readings(room, 100)
    await device.hears(CANCELLED)

    assert await receipts(device) == [{"changes": 0, "consent": 0, "device-data": 101, "unhandled-messages": 0}]
    assert await parts(device) == 0


async def test_very_many_go_in_parts_and_the_receipt_counts_all_of_them(room: OpenRoom) -> None:
    device = await with_readings(room, 25_000)
    await device.hears(CANCELLED)
    assert await receipts(device) == []
    assert (await device.held_of(ANNA.account_id)) == {"readings": 15_000}

    assert await parts(device) == 2
    assert await receipts(device) == [{"changes": 0, "consent": 0, "device-data": 25_001, "unhandled-messages": 0}]
    assert await device.held_of(ANNA.account_id) == {}
    assert await device.held_of(BEN.account_id) == {"readings": 7}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "CHUNK", 10)


@pytest.mark.usefixtures("small_parts")
async def test_it_goes_on_after_a_kill_and_never_says_done_too_early(room: OpenRoom) -> None:
    device = await with_readings(room, 55)
    await device.hears(CANCELLED)
    for _ in range(4):
        assert await parts(device, most=1) == 1  # a new process each time
        assert await receipts(device) == []
    assert await parts(device) == 1

    assert await receipts(device) == [{"changes": 0, "consent": 0, "device-data": 56, "unhandled-messages": 0}]


@pytest.mark.usefixtures("small_parts")
async def test_an_order_repeated_meanwhile_is_answered_only_when_it_is_done(room: OpenRoom) -> None:
    device = await with_readings(room, 25)
    await device.hears(CANCELLED, AGAIN)
    assert await receipts(device) == []
    await parts(device)
    await device.hears(AGAIN.model_copy(update={"id": named("again")}))

    assert await receipts(device) == [{"changes": 0, "consent": 0, "device-data": 26, "unhandled-messages": 0}] * 2


@pytest.mark.usefixtures("small_parts")
async def test_a_reading_that_arrives_in_the_middle_does_not_land(room: OpenRoom) -> None:
    device = await with_readings(room, 25)
    await device.hears(CANCELLED)
    late = {"measured_at": NOON, "values": {"pm25": 1.0}}
    await device.hears(fact(ReadingReported, ANNA, binding_id=BINDING, **late))
    await device.hears(fact(ReadingReported, ANNA, serial=KNOWN["serial"], **late))
    await parts(device)

    assert await device.held_of(ANNA.account_id) == {}
    assert await receipts(device) == [{"changes": 0, "consent": 0, "device-data": 26, "unhandled-messages": 0}]


async def test_a_deleted_device_with_very_many_readings_is_gone_at_once_and_its_readings_in_parts(
    room: OpenRoom,
) -> None:
    device = await with_readings(room, 25_000)
    await device.does(UnbindDevice(account_id=ANNA.account_id, binding_id=BINDING))
    assert await device.held_of(ANNA.account_id) == {"unbound": 1, "readings": 15_000}
    await device.does(bound(BEN))

    assert await parts(device) == 2
    assert await device.held_of(ANNA.account_id) == {}
    assert await device.held_of(BEN.account_id) == {"bindings": 1, "readings": 7}
    assert await device.types_announced() == ["DeviceBound", "DeviceUnbound", "DeviceBound"]


@pytest.mark.usefixtures("small_parts")
async def test_a_person_who_leaves_while_a_device_is_being_erased_is_erased_whole(room: OpenRoom) -> None:
    device = await with_readings(room, 10_050)
    await device.does(UnbindDevice(account_id=ANNA.account_id, binding_id=BINDING))
    await device.hears(CANCELLED)
    await parts(device)

    assert await device.held_of(ANNA.account_id) == {}
    assert len(await receipts(device)) == 1
