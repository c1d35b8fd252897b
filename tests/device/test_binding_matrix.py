"""Whatever state a device is in, whatever is asked of it, whoever asks: every combination has its one outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import product
from typing import Any

import pytest

from services.device.commands import UnbindDevice
from shared.contracts.app import DeviceAdded, DeviceDeleted, ReadingReported
from shared.contracts.topics import TELEMETRY
from shared.security import ACCESS_TOKEN_LIFE
from tests.builders import ANNA, BEN, CARLA, NOON, Person, fact, named, record_of
from tests.commands import SERIAL, bound, erased
from tests.devices import reading_of
from tests.doors import Door, Tokens, slug_of
from tests.rooms import Room

STATES = ("unknown serial", "free", "Anna's", "Ben's", "Anna's before", "Ben's, who was cancelled")
WISHES = ("add with the right code", "add with a wrong code", "rename", "delete", "see readings")
ACTORS = ("Anna", "Ben", "nobody", "Anna, expired", "Carla, cancelled")
ASKING = {"Anna": ANNA, "Ben": BEN, "Carla, cancelled": CARLA}
OWNER = {"Anna's": "Anna", "Ben's": "Ben"}
NO_BINDING = named("no binding")


def owner_once(state: str) -> Person | None:
    """Say whose the device is in this state, or was before."""
    if state.startswith("Anna's"):
        return ANNA
    return BEN if state.startswith("Ben's") else None


def expected(state: str, wish: str, actor: str) -> str:
    """Say the outcome of a wish, by whichever door it comes."""
    if actor not in ASKING:
        return "not-logged-in"
    if actor == "Carla, cancelled" or (actor == "Ben" and state == "Ben's, who was cancelled"):
        return "session-ended"
    owner = OWNER.get(state)
    if wish == "add with the right code":
        return "ok" if owner in (None, actor) and state != "unknown serial" else "device-not-available"
    if wish == "add with a wrong code":
        return "device-not-available"
    return "ok" if owner == actor else "no-such-device"


async def in_state(room: Room, state: str) -> None:
    """Bring the device into a state. Whoever has or had it has a reading of it; Carla is cancelled in each."""
    if state == "unknown serial":
        await room.run("DELETE FROM products")
    if owner := owner_once(state):
        await room.does(bound(owner))
        await room.hears(reading_of(owner, binding_in(state), 1))
    if state == "Anna's before":
        await room.does(UnbindDevice(account_id=ANNA.account_id, binding_id=binding_in(state)))
    if state == "Ben's, who was cancelled":
        await room.does(erased(BEN))
    await room.does(erased(CARLA))
    await room.run("DELETE FROM outbox")


def binding_in(state: str) -> Any:  # noqa: ANN401 - an id
    owner = owner_once(state)
    return bound(owner).binding_id if owner else NO_BINDING


async def held(room: Room, but: Person | None = None) -> list[dict[str, Any]]:
    """Read all that people have here, but for one of them."""
    rows = [row for table in ("bindings", "readings", "unbound") for row in await room.rows(table)]
    return [row for row in rows if not but or row["account_id"] != but.account_id]


def token(door: Door, actor: str) -> Tokens | None:
    if actor == "Anna, expired":
        return door.token_of(ANNA, NOON - ACCESS_TOKEN_LIFE - timedelta(seconds=1))
    return door.token_of(ASKING[actor]) if actor in ASKING else None


async def asked(door: Door, wish: str, state: str, by: Tokens | None) -> Any:  # noqa: ANN401 - an answer
    at = f"/devices/{binding_in(state)}"
    match wish:
        case "add with the right code":
            return await door.ask("POST", "/devices", by=by, json={"serial": SERIAL, "pairing_code": "4711"})
        case "add with a wrong code":
            return await door.ask("POST", "/devices", by=by, json={"serial": SERIAL, "pairing_code": "1147"})
        case "rename":
            return await door.ask("PATCH", at, by=by, json={"name": "Bedroom"})
        case "delete":
            return await door.ask("DELETE", at, by=by)
    return await door.ask("GET", f"{at}/readings", by=by)


async def is_done(room: Room, wish: str, actor: str) -> bool:
    """Tell whether a wish that was granted had its effect, on the one who asked."""
    mine = [row["account_id"] == ASKING[actor].account_id for row in await room.rows("bindings")]
    match wish:
        case "delete":
            return not mine and await room.rows("readings") == []
        case "rename":
            return [row["name"] for row in await room.rows("bindings")] == ["Bedroom"]
    return mine == [True]


@pytest.mark.parametrize(("state", "wish", "actor"), list(product(STATES, WISHES, ACTORS)))
async def test_a_wish_by_http_has_its_one_outcome(door: Door, state: str, wish: str, actor: str) -> None:
    await in_state(door.room, state)
    of_all, of_others = await held(door.room), await held(door.room, ASKING.get(actor))
    answer = await asked(door, wish, state, token(door, actor))

    granted = answer.status_code < HTTPStatus.BAD_REQUEST
    assert ("ok" if granted else slug_of(answer)) == expected(state, wish, actor)
    if granted:
        assert await is_done(door.room, wish, actor)
        assert await held(door.room, ASKING[actor]) == of_others
    else:
        assert await held(door.room) == of_all


ACTIONS = ("add with the right code", "add with a wrong code", "delete")


@pytest.mark.parametrize(("state", "wish", "actor"), list(product(STATES, ACTIONS, (*ACTORS, "Ben as Anna"))))
async def test_a_wish_by_a_topic_has_the_same_outcome(door: Door, state: str, wish: str, actor: str) -> None:
    await in_state(door.room, state)
    person = ASKING.get(actor, ANNA)
    of_all, of_others = await held(door.room), await held(door.room, person)
    by = door.token_of(BEN) if actor == "Ben as Anna" else token(door, actor)
    shown = by.given["access_token"] if by else "no token"
    if wish == "delete":
        await door.room.hears(fact(DeviceDeleted, person, access_token=shown, binding_id=binding_in(state)))
    else:
        code = "4711" if "right" in wish else "1147"
        await door.room.hears(fact(DeviceAdded, person, access_token=shown, serial=SERIAL, pairing_code=code))

    refused = [each["reason"] for each in await door.room.announced() if each["type"] == "DeviceActionRefused"]
    outcome = expected(state, wish, actor)
    # A closed account bars whatever is said of it, even the answer.
    assert refused == ([] if outcome in ("ok", "session-ended") else [outcome])
    if outcome == "ok":
        assert await is_done(door.room, wish, actor)
        assert await held(door.room, person) == of_others
    else:
        assert await held(door.room) == of_all


A_MOMENT, FOUR_MINUTES, AN_HOUR = timedelta(seconds=1), timedelta(minutes=4), timedelta(hours=1)
WHEN = {
    "in time": (NOON, NOON),
    "by a clock that is a little slow": (NOON - FOUR_MINUTES, NOON),
    "by a clock that is a little fast": (NOON + FOUR_MINUTES, NOON),
    "before the binding": (NOON - AN_HOUR, NOON),
    "in 1970": (NOON.replace(year=1970), NOON),
    "in the future": (NOON + AN_HOUR, NOON),
    "by a fast clock, and taken before the binding": (NOON + A_MOMENT, NOON - A_MOMENT),
    "late": (NOON, NOON + 24 * AN_HOUR),
}
"""When it was measured by the device's clock, and taken by the broker's. Devices are bound at noon."""
LANDS = {
    "by binding": {
        "in time",
        "by a clock that is a little slow",
        "by a clock that is a little fast",
        "by a fast clock, and taken before the binding",
        "late",
    },
    "by serial": {"in time", "by a clock that is a little fast", "late"},
}


async def reports(room: Room, person: Person, measured_at: datetime, taken_at: datetime, **names: object) -> Any:  # noqa: ANN401 - an id
    """Have a backend say this of a person; gives the reading's id."""
    said = fact(ReadingReported, person, measured_at=measured_at, values={"pm25": 3.5}, **names)
    await room.reads(TELEMETRY, replace(record_of(said), timestamp=int(taken_at.timestamp() * 1000)))
    return said.id


@pytest.mark.parametrize(("state", "names", "actor"), list(product(STATES, LANDS, ASKING)))
async def test_a_reading_lands_under_its_owner_or_nowhere(door: Door, state: str, names: str, actor: str) -> None:
    await in_state(door.room, state)
    before = await held(door.room)
    name = {"serial": SERIAL} if names == "by serial" else {"binding_id": binding_in(state)}
    said = {when: await reports(door.room, ASKING[actor], *times, **name) for when, times in WHEN.items()}

    landed = [row for row in await door.room.rows("readings") if row["event_id"] in said.values()]
    found = {when for when in WHEN for row in landed if row["event_id"] == said[when]}
    assert found == (LANDS[names] if actor == OWNER.get(state) else set())
    assert {row["account_id"] for row in landed} <= {ASKING[actor].account_id}
    assert [row for row in await held(door.room) if row not in landed] == before
