"""Whatever state a device is in, whatever is asked of it, whoever asks: every combination has its one outcome."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from itertools import product
from typing import Any

import pytest

from shared.contracts.app import DeviceAdded, DeviceDeleted, ReadingReported
from shared.security import ACCESS_TOKEN_LIFE
from tests.builders import ANNA, BEN, CARLA, NOON, Person, fact, named
from tests.commands import SERIAL, bound, erased
from tests.doors import Door, Tokens, slug_of
from tests.rooms import Room

STATES = ("unknown serial", "free", "Anna's", "Ben's", "Anna's before")
ACTORS = ("Anna", "nobody", "expired", "cancelled")
EVENTS = (
    "add with the right code",
    "add with a wrong code",
    "rename",
    "delete",
    "see readings",
    "reading by binding",
    "reading by serial",
)
WISHES = EVENTS[:5]
REPORTS = EVENTS[5:]
BINDING = {
    "Anna's": named("binding", "anna"),
    "Anna's before": named("binding", "anna"),
    "Ben's": named("binding", "ben"),
}
NO_BINDING = named("no binding")


def expected(state: str, event: str, actor: str) -> str:
    """Say the outcome of a wish by HTTP."""
    if actor in ("nobody", "expired"):
        return "not-logged-in"
    if actor == "cancelled":
        return "session-ended"
    if event == "add with the right code":
        return "ok" if state in ("free", "Anna's", "Anna's before") else "device-not-available"
    if event == "add with a wrong code":
        return "device-not-available"
    return "ok" if state == "Anna's" else "no-such-device"


async def in_state(room: Room, state: str) -> None:
    """Bring the device into a state."""
    if state == "unknown serial":
        await room.run("DELETE FROM products")
    if state in ("Anna's", "Anna's before"):
        await room.does(bound(ANNA))
    if state == "Ben's":
        await room.does(bound(BEN))
    if state == "Anna's before":
        async with room.bus.work() as work:
            await work.lock([bound(ANNA)])
            await work.connection.exec_driver_sql("DELETE FROM bindings")
    async with room.bus.work() as work:
        await work.lock([erased(CARLA)])
        await room.owner.erase(work, [erased(CARLA)])


def token(door: Door, actor: str) -> Tokens | None:
    match actor:
        case "Anna":
            return door.token_of(ANNA)
        case "expired":
            return door.token_of(ANNA, NOON - ACCESS_TOKEN_LIFE - timedelta(seconds=1))
        case "cancelled":
            return door.token_of(CARLA)
    return None


async def wish(door: Door, event: str, state: str, by: Tokens | None) -> Any:  # noqa: ANN401 - an answer
    at = f"/devices/{BINDING.get(state, NO_BINDING)}"
    match event:
        case "add with the right code":
            return await door.ask("POST", "/devices", by=by, json={"serial": SERIAL, "pairing_code": "4711"})
        case "add with a wrong code":
            return await door.ask("POST", "/devices", by=by, json={"serial": SERIAL, "pairing_code": "1147"})
        case "rename":
            return await door.ask("PATCH", at, by=by, json={"name": "Bedroom"})
        case "delete":
            return await door.ask("DELETE", at, by=by)
    return await door.ask("GET", f"{at}/readings", by=by)


async def bens(room: Room) -> list[dict[str, Any]]:
    """Read all rows that are Ben's."""
    rows = [row for table in ("bindings", "readings", "unbound") for row in await room.rows(table)]
    return [row for row in rows if row["account_id"] == BEN.account_id]


@pytest.mark.parametrize(("state", "event", "actor"), list(product(STATES, WISHES, ACTORS)))
async def test_a_wish_by_http_has_its_one_outcome(door: Door, state: str, event: str, actor: str) -> None:
    await in_state(door.room, state)
    before = await bens(door.room)
    answer = await wish(door, event, state, token(door, actor))

    outcome = "ok" if answer.status_code < HTTPStatus.BAD_REQUEST else slug_of(answer)
    assert outcome == expected(state, event, actor)
    assert await bens(door.room) == before


ACTIONS = ("add with the right code", "add with a wrong code", "delete")


@pytest.mark.parametrize(("state", "event", "actor"), list(product(STATES, ACTIONS, ACTORS)))
async def test_a_wish_by_a_topic_has_the_same_outcome(door: Door, state: str, event: str, actor: str) -> None:
    await in_state(door.room, state)
    before = await bens(door.room)
    by = token(door, actor)
    person = CARLA if actor == "cancelled" else ANNA
    shown = by.given["access_token"] if by else "no token"
    if event == "delete":
        binding = BINDING.get(state, NO_BINDING)
        await door.room.hears(fact(DeviceDeleted, person, access_token=shown, binding_id=binding))
    else:
        code = "4711" if "right" in event else "1147"
        await door.room.hears(fact(DeviceAdded, person, access_token=shown, serial=SERIAL, pairing_code=code))

    refused = [each["reason"] for each in await door.room.announced() if each["type"] == "DeviceActionRefused"]
    outcome = expected(state, event, actor)
    # Nobody's account is closed here but the cancelled one's: it bars even the answer.
    assert refused == ([] if outcome in ("ok", "session-ended") else [outcome])
    assert await bens(door.room) == before


def lands(state: str, event: str, actor: str, when: str) -> bool:
    """Say whether a reading is kept."""
    if actor != "Anna" or state != "Anna's":
        return False
    return when == "in time" or (when == "a little before" and event == "reading by binding")


WHEN = {
    "in time": NOON,
    "a little before": NOON - timedelta(minutes=4),
    "before the binding": NOON - timedelta(hours=1),
    "in 1970": NOON.replace(year=1970),
    "in the future": NOON + timedelta(hours=1),
}


@pytest.mark.parametrize(("state", "event", "actor", "when"), list(product(STATES, REPORTS, ("Anna", "Carla"), WHEN)))
async def test_a_reading_lands_under_its_owner_or_nowhere(
    door: Door, state: str, event: str, actor: str, when: str
) -> None:
    await in_state(door.room, state)
    person: Person = ANNA if actor == "Anna" else CARLA
    names = {"serial": SERIAL} if "serial" in event else {"binding_id": BINDING.get(state, NO_BINDING)}
    await door.room.hears(fact(ReadingReported, person, measured_at=WHEN[when], values={"pm25": 3.5}, **names))

    kept = await door.room.rows("readings")
    assert [row["account_id"] for row in kept] == ([ANNA.account_id] if lands(state, event, actor, when) else [])
