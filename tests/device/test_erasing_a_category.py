"""Device data goes while the account stays: devices are unbound, readings go in parts, and what comes after stays."""

from __future__ import annotations

import pytest

from services.device.commands import BindDevice
from services.device.domain import NOT_AVAILABLE
from shared import personal_data
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.app import DeviceAdded, ReadingReported
from shared.contracts.requests import ErasureOrdered
from shared.contracts.topics import DEVICE_ACTIONS, TELEMETRY
from tests.builders import A_MINUTE, ANNA, BEN, NOON, fact, named, raw_record
from tests.commands import KNOW_THE_PRODUCT, KNOWN, PAIRING, SERIAL, bound
from tests.device.test_erasing_much import BINDING, MANY, parts, receipts, with_readings
from tests.post import taken
from tests.rooms import OpenRoom

ORDER = fact(
    ErasureOrdered,
    ANNA,
    order_id=named("request"),
    owners=("device",),
    contact_version=0,
    categories=("device-data", "feedback"),
)
AGAIN = ORDER.model_copy(update={"id": named("again")})
ANEW = BindDevice(
    account_id=ANNA.account_id, serial=SERIAL, pairing_digest=PAIRING, binding_id=named("binding", "anew")
)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "CHUNK", 10)


async def test_the_devices_are_unbound_their_readings_gone_and_nobody_elses(room: OpenRoom) -> None:
    device = await with_readings(room, 25)
    await device.hears(ORDER)

    assert await device.held_of(ANNA.account_id) == {}
    assert await device.held_of(BEN.account_id) == {"readings": 7}
    assert await device.types_announced() == ["DeviceBound", "DataErased", "DeviceUnbound"]
    assert await receipts(device) == [{"device-data": 26}]
    assert await device.rows("closed_accounts") == []


async def test_many_readings_go_in_parts_and_only_then_is_it_said_to_be_done(room: OpenRoom) -> None:
    device = await with_readings(room, 65_000)
    await device.hears(ORDER, AGAIN)
    assert await receipts(device) == []
    for _ in range(2):
        assert await parts(device, most=1) == 1  # a new process each time
        assert await receipts(device) == []
    await parts(device)

    assert await receipts(device) == [{"device-data": 65_001}]
    assert await device.held_of(ANNA.account_id) == {}
    await device.hears(AGAIN.model_copy(update={"id": named("once more")}))
    assert await receipts(device) == [{"device-data": 65_001}] * 2


async def test_what_a_device_measures_that_is_bound_again_meanwhile_stays(room: OpenRoom) -> None:
    device = await with_readings(room, 25_000)
    await device.hears(ORDER)
    await device.does(ANEW)
    await device.hears(fact(ReadingReported, ANNA, serial=SERIAL, measured_at=NOON, values={"pm25": 1.0}))
    await parts(device)

    assert await device.held_of(ANNA.account_id) == {"bindings": 1, "readings": 1}
    assert await receipts(device) == [{"device-data": 25_001}]


async def test_by_the_same_id_a_device_is_bound_again_only_when_all_of_the_old_is_gone(room: OpenRoom) -> None:
    device = await with_readings(room, 25_000)
    await device.hears(ORDER)
    assert await device.does(bound(ANNA)) == [NOT_AVAILABLE]
    await parts(device)
    await device.does(bound(ANNA))

    assert await device.held_of(ANNA.account_id) == {"bindings": 1}


async def test_a_repeated_order_does_not_unbind_what_was_bound_since(room: OpenRoom) -> None:
    device = await with_readings(room, 5)
    await device.hears(ORDER)
    await device.does(ANEW)
    await device.hears(AGAIN)

    assert await device.held_of(ANNA.account_id) == {"bindings": 1}
    assert (await device.types_announced()).count("DeviceUnbound") == 1


async def test_a_wish_to_bind_that_is_older_than_the_erasure_is_dropped(room: OpenRoom) -> None:
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    wish = fact(DeviceAdded, ANNA, access_token="a token", serial=SERIAL, pairing_code="4711")
    await device.reads(ORDER.topic, taken(ORDER, NOON))
    await device.reads(DEVICE_ACTIONS, taken(wish, NOON))
    newer = wish.model_copy(update={"id": named("newer")})
    before = await device.types_announced()
    await device.reads(DEVICE_ACTIONS, taken(newer, NOON + A_MINUTE))

    assert before == ["DataErased"]
    assert await device.types_announced() == ["DataErased", "DeviceActionRefused"]  # it was asked: the token is bad


async def test_late_and_parked_readings_of_what_was_erased_do_not_come_back(room: OpenRoom) -> None:
    device = await with_readings(room, 5)
    garbage = b'{"type": "ReadingReported", "account_id": "%s"}' % str(ANNA.account_id).encode()
    await device.reads(TELEMETRY, raw_record(TELEMETRY, garbage, offset=1))
    assert len(await device.rows("dead_letters")) == 1
    await device.hears(ORDER)
    assert await device.rows("dead_letters") == []
    await device.reads(TELEMETRY, raw_record(TELEMETRY, garbage, offset=2))
    await device.hears(fact(ReadingReported, ANNA, binding_id=BINDING, measured_at=NOON, values={"pm25": 1.0}))

    assert await device.held_of(ANNA.account_id) == {}
    assert await receipts(device) == [{"device-data": 7}]


@pytest.mark.usefixtures("small_parts")
async def test_an_account_that_is_cancelled_in_the_middle_still_gets_both_receipts(room: OpenRoom) -> None:
    device = await with_readings(room, 55)
    cancelled = fact(
        AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1
    )
    await device.hears(ORDER, cancelled)
    await parts(device)

    assert await device.held_of(ANNA.account_id) == {}
    assert sorted((await device.types_announced())[-2:]) == ["DataErased", "DataErased"]


async def test_very_many_readings_are_counted_in_full(room: OpenRoom) -> None:
    device = await with_readings(room, 0)
    await device.run(MANY, whose=ANNA.account_id, binding=BINDING, noon=NOON, count=25_000)
    await device.hears(ORDER)

    assert (await device.held_of(ANNA.account_id))["readings"] < 25_000
    assert await parts(device) >= 1
    assert await receipts(device) == [{"device-data": 25_001}]
