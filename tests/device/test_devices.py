"""People add, name, see and delete their devices."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from shared.contracts.app import DeviceAdded, DeviceDeleted
from shared.security import digest
from tests.builders import ANNA, BEN, CARLA, NOON, SOON, fact
from tests.commands import SERIAL
from tests.doors import Door, slug_of

RIGHT = {"serial": SERIAL, "pairing_code": "4711"}
WRONG = {"serial": SERIAL, "pairing_code": "1147"}
ANOTHER = "INSERT INTO products SELECT 'AIR-' || n, 'Purifier 2', 'x' FROM generate_series(2, 40) AS n"


async def add(door: Door, **more: object) -> str:
    answer = await door.ask("POST", "/devices", by=door.token_of(ANNA), json=RIGHT | more)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    return str(answer.json()["binding_id"])


async def test_a_device_is_added_named_seen_and_deleted(door: Door) -> None:
    binding = await add(door, name="Bedroom")
    by = door.token_of(ANNA)
    seen = await door.ask("GET", f"/devices/{binding}", by=by)
    assert (seen.json()["name"], seen.json()["model"]) == ("Bedroom", "Purifier 2")
    renamed = await door.ask("PATCH", f"/devices/{binding}", by=by, json={"name": "客厅 👩‍🚀"})
    assert renamed.json()["name"] == "客厅 👩‍🚀"
    assert (await door.ask("DELETE", f"/devices/{binding}", by=by)).status_code == HTTPStatus.NO_CONTENT
    assert (await door.ask("GET", "/devices", by=by)).json() == {"items": [], "next": None}


async def test_who_has_not_seen_the_last_change_is_told_so(door: Door) -> None:
    binding = await add(door)
    by = door.token_of(ANNA)
    tag = (await door.ask("GET", f"/devices/{binding}", by=by)).headers["ETag"]
    unchanged = await door.ask("GET", f"/devices/{binding}", by=by, headers={"If-None-Match": tag})
    assert unchanged.status_code == HTTPStatus.NOT_MODIFIED
    for headers, status in (({"If-Match": tag}, HTTPStatus.OK), ({"If-Match": tag}, HTTPStatus.PRECONDITION_FAILED)):
        name = f"Bedroom {status}"
        changed = await door.ask("PATCH", f"/devices/{binding}", by=by, json={"name": name}, headers=headers)
        assert changed.status_code == status
    gone = await door.ask("DELETE", f"/devices/{binding}", by=by, headers={"If-Match": tag})
    assert slug_of(gone) == "changed-meanwhile"


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "a\r\nb", "abc\u202egpj.exe", "\u2066x", "x" * 65, "\ud800"])
async def test_a_name_that_would_look_like_something_else_is_refused(door: Door, name: str) -> None:
    binding = await add(door)
    body = b'{"name": "%s"}' % name.encode("unicode_escape").replace(b"\\x", b"\\u00")
    headers = {"Content-Type": "application/json"}
    answer = await door.ask("PATCH", f"/devices/{binding}", by=door.token_of(ANNA), content=body, headers=headers)

    assert slug_of(answer) == "invalid-request", answer.text


async def test_the_same_key_adds_the_same_binding(door: Door) -> None:
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    answers = [await door.ask("POST", "/devices", by=door.token_of(ANNA), json=RIGHT, headers=key) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert await door.room.types_announced() == ["DeviceBound"]


async def test_of_many_who_add_a_device_at_once_one_has_it(door: Door) -> None:
    people = [ANNA, BEN, CARLA] * 5
    answers = await asyncio.gather(
        *(door.ask("POST", "/devices", by=door.token_of(person), json=RIGHT) for person in people)
    )

    assert len(await door.room.rows("bindings")) == 1
    assert {answer.status_code for answer in answers} <= {
        HTTPStatus.CREATED,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
    assert await door.room.types_announced() == ["DeviceBound"]


async def test_of_many_wrong_codes_at_once_five_are_looked_at_and_then_the_right_one_waits_too(door: Door) -> None:
    answers = await asyncio.gather(
        *(door.ask("POST", "/devices", by=door.token_of(ANNA), json=WRONG) for _ in range(100))
    )
    slugs = [slug_of(answer) for answer in answers]
    right = await door.ask("POST", "/devices", by=door.token_of(BEN), json=RIGHT)

    assert slugs.count("device-not-available") == 5
    assert slugs.count("too-many-tries") == 95
    assert slug_of(right) == "too-many-tries"
    assert right.headers["Retry-After"] == "3600"
    door.room.clock.now = NOON.replace(hour=13)
    later = await door.ask("POST", "/devices", by=door.token_of(BEN), json=RIGHT)
    assert later.status_code == HTTPStatus.CREATED


async def test_a_person_who_tries_many_serials_is_stopped_and_no_answer_tells_which_exist(door: Door) -> None:
    await door.room.run(ANOTHER)
    by = door.token_of(ANNA)
    tries = [f"AIR-{n}" if n % 2 else f"NONE-{n}" for n in range(2, 18)]
    slugs = [
        slug_of(await door.ask("POST", "/devices", by=by, json={"serial": serial, "pairing_code": "0"}))
        for serial in tries
    ]

    assert slugs == ["device-not-available"] * 10 + ["too-many-tries"] * 6


async def test_a_right_code_begins_anew(door: Door) -> None:
    by = door.token_of(ANNA)
    for _ in range(3):
        await door.ask("POST", "/devices", by=by, json=WRONG)
    await add(door)

    assert await door.room.rows("tries") == []


async def test_no_serial_and_no_person_stand_in_the_counters(door: Door) -> None:
    await door.ask("POST", "/devices", by=door.token_of(ANNA), json=WRONG)
    counted = repr(await door.room.rows("tries"))

    assert SERIAL not in counted
    assert str(ANNA.account_id) not in counted
    assert digest(SERIAL) not in counted


async def test_devices_come_page_by_page_each_once(door: Door) -> None:
    await door.room.run(ANOTHER)
    await door.room.run(
        "INSERT INTO bindings (id, account_id, serial, bound_at)"
        " SELECT gen_random_uuid(), :anna, serial, :noon FROM products",
        anna=ANNA.account_id,
        noon=NOON,
    )
    found: list[str] = []
    query = "?limit=7"
    while query:
        page = (await door.ask("GET", f"/devices{query}", by=door.token_of(ANNA))).json()
        found += [device["serial"] for device in page["items"]]
        query = f"?limit=7&after={page['next']}" if page["next"] else ""

    assert len(found) == len(set(found)) == 40


async def test_a_wish_that_waited_is_carried_out_although_its_token_has_expired_since(door: Door) -> None:
    shown = door.token_of(ANNA).given["access_token"]
    added = fact(DeviceAdded, ANNA, access_token=shown, **RIGHT)
    door.room.clock.now = SOON
    await door.room.hears(added)

    assert await door.room.types_announced() == ["DeviceBound"]


async def test_what_a_backend_says_twice_happens_once_and_its_token_opens_nobody_elses(door: Door) -> None:
    shown = door.token_of(ANNA).given["access_token"]
    added = fact(DeviceAdded, ANNA, access_token=shown, **RIGHT)
    await door.room.hears(added, added)
    (binding,) = await door.room.rows("bindings")
    theft = fact(DeviceDeleted, BEN, access_token=shown, binding_id=binding["id"])
    await door.room.hears(theft)
    await door.room.hears(fact(DeviceDeleted, ANNA, access_token=shown, binding_id=binding["id"]))

    assert await door.room.types_announced() == ["DeviceBound", "DeviceActionRefused", "DeviceUnbound"]
    refused = (await door.room.announced())[1]
    assert (refused["reason"], refused["causation_id"]) == ("not-logged-in", str(theft.id))


async def test_a_token_never_stands_in_what_is_written_down_of_a_command(door: Door) -> None:
    shown = door.token_of(ANNA).given["access_token"]
    subscription = next(each for each in door.room.subscriptions if each.topic.name == "app.device-actions.v1")
    command = subscription.command_for(fact(DeviceAdded, ANNA, access_token=shown, **RIGHT))

    assert shown not in repr(command)
