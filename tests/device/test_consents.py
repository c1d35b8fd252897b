"""Device under withdrawn consent: takes in nothing more, erases what it should not have, shows nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import permutations
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from services.device import repository as device_repository
from services.device.commands import RecordReading
from shared.commands import Command
from shared.contracts.app import DeviceAdded, ReadingReported
from shared.contracts.base import Event
from shared.contracts.topics import TELEMETRY
from shared.messaging.positions import Record
from tests.builders import ANNA, BEN, NOON, fact, named, raw_record
from tests.commands import KNOW_THE_PRODUCT, KNOWN, SERIAL, bound
from tests.consents import given, withdrawn
from tests.device.test_erasing_much import MANY, parts
from tests.doors import Door, slug_of
from tests.races import COMMIT, overlap
from tests.rooms import OpenRoom, Room

COLLECTION, USE, POLICY = "collection:device", "use:device", "policy"
BINDING = named("binding", "anna")
HOUR = timedelta(hours=1)
WITHDRAWN_AT, GIVEN_AT = NOON + HOUR, NOON + 3 * HOUR


async def with_device(room: OpenRoom) -> Room:
    """Anna has bound her device at noon."""
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    await device.does(bound(ANNA))
    await device.run("DELETE FROM outbox")
    return device


def reading(measured_at: datetime, taken_at: datetime | None = None, *, by_serial: bool = False) -> Record:
    """Hand over a reading of Anna's device; by the broker's clock it came when it was measured, or at `taken_at`."""
    whose = {"serial": SERIAL} if by_serial else {"binding_id": BINDING}
    event = fact(ReadingReported, ANNA, measured_at=measured_at, values={"pm25": 3.5}, **whose)
    record = raw_record(TELEMETRY, event.model_dump_json().encode(), event.key.encode())
    return replace(record, timestamp=int((taken_at or measured_at).timestamp() * 1000))


async def kept(device: Room) -> list[datetime]:
    return [row["measured_at"] for row in await device.rows("readings")]


@pytest.mark.parametrize("scope", [COLLECTION, POLICY])
@pytest.mark.parametrize("by_serial", [False, True])
async def test_what_is_measured_after_the_withdrawal_is_not_taken_in_however_late_it_comes(
    room: OpenRoom, scope: str, *, by_serial: bool
) -> None:
    device = await with_device(room)
    await device.hears(withdrawn(ANNA, scope, at=WITHDRAWN_AT))

    after = (WITHDRAWN_AT, WITHDRAWN_AT + HOUR)
    await device.reads(TELEMETRY, *(reading(at, by_serial=by_serial) for at in after))
    await device.reads(TELEMETRY, *(reading(at, at + timedelta(days=3), by_serial=by_serial) for at in after))

    assert await kept(device) == []


async def test_what_was_measured_before_is_taken_in_for_a_day_by_the_brokers_clock(room: OpenRoom) -> None:
    device = await with_device(room)
    await device.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))
    just_before, bound_of_lateness = WITHDRAWN_AT - timedelta(seconds=1), WITHDRAWN_AT + device.settings.lateness

    await device.reads(TELEMETRY, reading(just_before, bound_of_lateness - timedelta(seconds=1)))
    await device.reads(TELEMETRY, reading(just_before - HOUR / 2, bound_of_lateness))

    assert await kept(device) == [just_before]


async def test_another_scope_or_another_person_is_no_withdrawal_of_this_one(room: OpenRoom) -> None:
    device = await with_device(room)
    await device.hears(
        withdrawn(ANNA, USE, "disclosure:device", "collection:requests", at=WITHDRAWN_AT),
        withdrawn(BEN, POLICY, COLLECTION, at=WITHDRAWN_AT),
    )

    await device.reads(TELEMETRY, reading(WITHDRAWN_AT + HOUR))

    assert await kept(device) == [WITHDRAWN_AT + HOUR]


async def test_agreeing_again_opens_a_new_period_and_the_old_one_stays_closed(room: OpenRoom) -> None:
    device = await with_device(room)
    await device.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT), given(ANNA, COLLECTION, at=GIVEN_AT))

    late = GIVEN_AT + 5 * HOUR
    await device.reads(TELEMETRY, *(reading(NOON + n * HOUR, late) for n in range(5)))

    assert await kept(device) == [NOON, GIVEN_AT, GIVEN_AT + HOUR]


async def test_what_was_taken_in_beyond_the_withdrawal_is_erased_on_hearing_of_it(
    room: OpenRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device = await with_device(room)
    await device.reads(TELEMETRY, *(reading(NOON + n * HOUR) for n in range(5)))

    await device.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))

    assert await kept(device) == [NOON]
    assert [record.__dict__["count"] for record in caplog.records if "beyond a withdrawal" in record.message] == [4]
    assert [row["id"] for row in await device.rows("bindings")] == [BINDING]


async def test_a_device_that_was_added_beyond_the_withdrawal_is_unbound_on_hearing_of_it(room: OpenRoom) -> None:
    device = await with_device(room)
    await device.reads(TELEMETRY, reading(NOON + HOUR))

    await device.hears(withdrawn(ANNA, COLLECTION, at=NOON - HOUR))

    assert await device.rows("bindings") == []
    assert await kept(device) == []
    assert await device.types_announced() == ["DeviceUnbound"]


async def test_much_that_was_taken_in_beyond_the_withdrawal_is_erased_part_by_part(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_repository, "CHUNK", 1_000)
    device = await with_device(room)
    await device.run(MANY, whose=ANNA.account_id, binding=BINDING, noon=NOON, count=5_500)

    await device.hears(withdrawn(ANNA, COLLECTION, POLICY, at=NOON + timedelta(seconds=501)))
    left = len(await kept(device))
    rounds = await parts(device)

    assert (left, rounds) == (4_500, 5)
    assert len(await kept(device)) == 500
    assert await device.rows("beyond_consent") == []


FACTS = (
    withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT),
    given(ANNA, COLLECTION, at=GIVEN_AT),
    withdrawn(ANNA, POLICY, at=NOON + 5 * HOUR),
)


async def test_facts_and_readings_come_to_one_end_in_every_order(room: OpenRoom) -> None:
    ends = []
    readings = [reading(NOON + n * HOUR) for n in range(7)]
    arrivals: tuple[Event | list[Record], ...] = (*FACTS, readings)
    for order in permutations(arrivals):
        device = await with_device(room)
        for each in order:
            if isinstance(each, Event):
                await device.hears(each)
            else:
                await device.reads(TELEMETRY, *each)
        ends.append((await kept(device), await device.rows("consent_periods")))

    # What comes between a withdrawal and the word that consent was given again is not taken in: the safe side.
    allowed = {NOON, *(NOON + n * HOUR for n in (3, 4))}
    assert all(set(readings_kept) <= allowed for readings_kept, _ in ends)
    assert ends[0][0] == sorted(allowed)
    assert all(periods == ends[0][1] for _, periods in ends)
    for readings_kept, _ in ends:
        assert NOON in readings_kept


async def test_all_of_it_again_from_the_beginning_changes_nothing(room: OpenRoom) -> None:
    device = await with_device(room)
    readings = [reading(NOON + n * HOUR) for n in range(7)]
    await device.hears(*FACTS)
    await device.reads(TELEMETRY, *readings)
    once = await device.state("inbox", "positions")

    await device.run("DELETE FROM inbox")
    await device.run("DELETE FROM positions")
    await device.hears(*FACTS)
    await device.reads(TELEMETRY, *readings)

    assert await device.state("inbox", "positions") == once


@pytest.mark.parametrize("scope", [COLLECTION, POLICY])
async def test_no_device_is_added_or_renamed_while_collection_is_withdrawn(door: Door, scope: str) -> None:
    await door.room.does(bound(ANNA))
    await door.room.hears(withdrawn(ANNA, scope, at=NOON + HOUR))
    anna, state = door.token_of(ANNA), await door.room.state("tries")

    body = {"serial": SERIAL, "pairing_code": "4711"}
    added = await door.ask("POST", "/devices", by=anna, json=body)
    named_anew = await door.ask("PATCH", f"/devices/{BINDING}", by=anna, json={"name": "Bedroom"})

    assert [(each.status_code, slug_of(each)) for each in (added, named_anew)] == [
        (HTTPStatus.FORBIDDEN, "consent-withdrawn")
    ] * 2
    assert await door.room.state("tries") == state


async def test_who_adds_a_device_by_a_topic_is_told_that_consent_is_withdrawn(door: Door) -> None:
    await door.room.hears(withdrawn(ANNA, COLLECTION))
    token = door.token_of(ANNA).given["access_token"]

    await door.room.hears(fact(DeviceAdded, ANNA, access_token=token, serial=SERIAL, pairing_code="4711"))

    assert [each["reason"] for each in await door.mailed("DeviceActionRefused")] == ["consent-withdrawn"]
    assert await door.room.rows("bindings") == []


async def test_a_device_that_is_added_after_agreeing_again_keeps_to_the_closed_period(door: Door) -> None:
    await door.room.hears(withdrawn(ANNA, COLLECTION, at=NOON - HOUR), given(ANNA, COLLECTION, at=NOON))
    await door.room.does(bound(ANNA))

    # By the tolerance for clocks alone it would land.
    await door.room.reads(TELEMETRY, reading(NOON - timedelta(minutes=1)), reading(NOON))

    assert await kept(door.room) == [NOON]


@pytest.mark.parametrize("scope", [USE, POLICY])
async def test_readings_are_not_shown_while_use_is_withdrawn_but_can_be_taken_along(door: Door, scope: str) -> None:
    await door.room.does(bound(ANNA))
    await door.room.reads(TELEMETRY, reading(NOON))
    await door.room.hears(withdrawn(ANNA, scope, at=NOON + HOUR))
    anna = door.token_of(ANNA)

    shown = [await door.ask("GET", path, by=anna) for path in (f"/devices/{BINDING}/readings", "/readings/latest")]
    export = await door.ask("GET", f"/devices/{BINDING}/readings.csv", by=anna)

    assert {slug_of(each) for each in shown} == {"consent-withdrawn"}
    assert "3.5" in export.text


async def test_under_withdrawn_use_readings_are_still_taken_in(room: OpenRoom) -> None:
    device = await with_device(room)
    await device.hears(withdrawn(ANNA, USE))
    await device.reads(TELEMETRY, reading(NOON + HOUR))

    assert await kept(device) == [NOON + HOUR]


# Races


@pytest.fixture(params=[True, False], ids=["held it is safe", "not held it breaks"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every race runs twice: the second run proves that the first one could fail."""
    if not request.param:
        monkeypatch.setattr(device_repository, "_HOLD", text("SELECT 1"))
    return bool(request.param)


def taken(at: datetime) -> Command:
    return RecordReading(
        account_id=ANNA.account_id,
        binding_id=BINDING,
        event_id=named(at),
        measured_at=at,
        taken_at=at,
        values={"a": 1},
    )


async def test_readings_that_are_being_stored_when_the_withdrawal_is_heard_of_do_not_stay(
    room: OpenRoom, *, held: bool
) -> None:
    device = await with_device(room)
    withdrawal = device.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))

    await overlap(device.engine, COMMIT, device.does(taken(WITHDRAWN_AT + HOUR)), withdrawal)

    assert (await kept(device) == []) is held


async def test_readings_that_wait_for_the_withdrawal_see_it_although_they_began_before(
    room: OpenRoom, *, held: bool
) -> None:
    device = await with_device(room)
    withdrawal = device.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))

    await overlap(device.engine, COMMIT, withdrawal, device.does(taken(WITHDRAWN_AT + HOUR)))

    assert (await kept(device) == []) is held


async def test_under_parallel_load_nothing_of_a_closed_period_stays_and_nothing_from_before_is_lost(
    room: OpenRoom,
) -> None:
    device = await with_device(room)
    draw = Random(20261128)
    moments = [NOON + draw.randrange(1, 5 * 3600) * timedelta(seconds=1) for _ in range(400)]
    batches = [device.does(*(taken(at) for at in moments[n : n + 10])) for n in range(0, 400, 10)]
    facts = [device.hears(each) for each in (FACTS[1], FACTS[0], FACTS[0])]
    running: list[Coroutine[Any, Any, object]] = [*batches, *facts]
    draw.shuffle(running)

    await asyncio.gather(*running)

    stored = set(await kept(device))
    assert {at for at in moments if at < WITHDRAWN_AT} <= stored
    assert not any(WITHDRAWN_AT <= at < GIVEN_AT for at in stored)


async def test_a_device_that_is_added_while_the_withdrawal_is_heard_of_does_not_stay(
    room: OpenRoom,
) -> None:
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)

    heard = device.hears(withdrawn(ANNA, COLLECTION, at=NOON - HOUR))
    await overlap(device.engine, "INSERT INTO bindings", device.does(bound(ANNA)), heard)

    assert await device.rows("bindings") == []
