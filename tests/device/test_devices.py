"""People add, name, see and delete their devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.device.commands import EraseReadings
from shared.contracts.account import SessionEnded
from shared.contracts.app import DeviceAdded, DeviceDeleted, ReadingReported
from shared.contracts.topics import DEVICE_ACTIONS
from shared.security import ACCESS_TOKEN_LIFE, digest
from tests.builders import ANNA, BEN, CARLA, NOON, SOON, fact, named, raw_record, record_of
from tests.commands import SERIAL, bound
from tests.devices import reading_of
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


async def test_a_right_code_begins_anew_at_that_serial(door: Door) -> None:
    by = door.token_of(ANNA)
    for _ in range(2):
        for _ in range(4):
            assert slug_of(await door.ask("POST", "/devices", by=by, json=WRONG)) == "device-not-available"
        await add(door)


async def test_a_device_of_ones_own_buys_no_further_tries_at_others(door: Door) -> None:
    by = door.token_of(ANNA)
    slugs = []
    for n in range(12):
        if n < 10:
            await add(door)
        body = {"serial": f"NONE-{n}", "pairing_code": "0"}
        slugs.append(slug_of(await door.ask("POST", "/devices", by=by, json=body)))

    assert slugs == ["device-not-available"] * 10 + ["too-many-tries"] * 2


async def test_who_adds_many_devices_with_their_codes_is_not_stopped(door: Door) -> None:
    await door.room.run(ANOTHER.replace("'x'", "encode(sha256(('AIR-' || n || E'\\x1f4711')::bytea), 'hex')"))
    for n in range(2, 40):
        await add(door, serial=f"AIR-{n}")


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


async def test_the_next_owner_sees_nothing_of_the_one_before(door: Door) -> None:
    await door.room.does(bound(BEN))
    await door.room.hears(reading_of(BEN, bound(BEN).binding_id, 1))
    by = door.token_of(BEN)
    assert (await door.ask("DELETE", f"/devices/{bound(BEN).binding_id}", by=by)).status_code == HTTPStatus.NO_CONTENT
    binding = await add(door)
    late = {"measured_at": SOON, "values": {"pm25": 3.5}}
    await door.room.hears(
        reading_of(BEN, bound(BEN).binding_id, 2),
        fact(ReadingReported, BEN, serial=SERIAL, **late),
        fact(ReadingReported, BEN, binding_id=binding, **late),
        fact(ReadingReported, ANNA, binding_id=bound(BEN).binding_id, **late),
    )

    by = door.token_of(ANNA)
    assert (await door.ask("GET", f"/devices/{binding}/readings", by=by)).json()["items"] == []
    assert (await door.ask("GET", "/readings/latest", by=by)).json() == []
    assert await door.room.rows("readings") == []


async def test_a_key_that_comes_again_while_its_deleted_device_is_being_erased_waits_for_that(door: Door) -> None:
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    by = door.token_of(ANNA)
    first = await door.ask("POST", "/devices", by=by, json=RIGHT, headers=key)
    place = {"account_id": ANNA.account_id, "binding_id": first.json()["binding_id"]}
    await door.room.run("DELETE FROM bindings")
    await door.room.run("INSERT INTO unbound VALUES (:account_id, :binding_id)", **place)
    early = await door.ask("POST", "/devices", by=by, json=RIGHT, headers=key)
    await door.room.does(EraseReadings(**place))
    late = await door.ask("POST", "/devices", by=by, json=RIGHT, headers=key)

    assert slug_of(early) == "device-not-available"
    assert late.json()["binding_id"] == first.json()["binding_id"]


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


def signed_anew(door: Door, key: object, algorithm: str) -> str:
    """Take a good token of Anna's, and sign what it says with another key, or not at all."""
    good = door.token_of(ANNA).given["access_token"]
    said, head = jwt.decode(good, options={"verify_signature": False}), jwt.get_unverified_header(good)
    return jwt.encode(said, key, algorithm, {**head, "alg": algorithm})  # type: ignore[arg-type] # any key, or none


BAD_TOKENS: dict[str, Callable[[Door], str]] = {
    "forged": lambda door: signed_anew(door, Ed25519PrivateKey.generate(), "EdDSA"),
    "signed with what everybody knows": lambda door: signed_anew(
        door, "a public key, as a secret of 32 bytes", "HS256"
    ),
    "unsigned": lambda door: signed_anew(door, None, "none"),
    "expired": lambda door: str(door.token_of(ANNA, NOON - ACCESS_TOKEN_LIFE).given["access_token"]),
    "somebody else's": lambda door: str(door.token_of(BEN).given["access_token"]),
    "of an ended session": lambda door: str(door.token_of(CARLA).given["access_token"]),
    "none": lambda _: "",
    "garbage": lambda _: "a.b.c\u202e",
}


@pytest.mark.parametrize("bad", BAD_TOKENS)
async def test_by_a_topic_a_token_has_to_be_as_good_as_by_http(door: Door, bad: str) -> None:
    person = CARLA if bad == "of an ended session" else ANNA
    await door.room.does(bound(person))
    await door.room.hears(fact(SessionEnded, CARLA, session_id=named("session", CARLA.name)))
    held = await door.room.rows("bindings")
    shown = BAD_TOKENS[bad](door)
    await door.room.hears(
        fact(DeviceAdded, person, access_token=shown, **RIGHT),
        fact(DeviceDeleted, person, access_token=shown, binding_id=bound(person).binding_id),
    )

    refused = [each["reason"] for each in await door.room.announced() if each["type"] == "DeviceActionRefused"]
    assert refused == ["not-logged-in"] * 2
    assert await door.room.rows("bindings") == held


async def test_by_a_topic_wrong_codes_are_counted_with_those_by_http(door: Door) -> None:
    shown = door.token_of(ANNA).given["access_token"]
    for _ in range(3):
        await door.ask("POST", "/devices", by=door.token_of(ANNA), json=WRONG)
    await door.room.hears_at_once(*(fact(DeviceAdded, ANNA, access_token=shown, **WRONG) for _ in range(4)))

    refused = [each["reason"] for each in await door.room.announced()]
    assert refused == ["device-not-available"] * 2 + ["too-many-tries"] * 2


async def test_a_token_that_is_none_by_its_length_is_parked_and_the_next_wish_goes_on(door: Door) -> None:
    added = fact(DeviceAdded, ANNA, access_token="", **RIGHT)
    endless = json.dumps(added.model_dump(mode="json") | {"access_token": "x" * 1_000_000}).encode()
    bens = fact(DeviceAdded, BEN, access_token=door.token_of(BEN).given["access_token"], **RIGHT)
    await door.room.reads(DEVICE_ACTIONS, raw_record(DEVICE_ACTIONS, endless, source="app"), record_of(bens))

    assert [row["reason"] for row in await door.room.rows("dead_letters")] == ["unreadable"]
    assert await door.room.types_announced() == ["DeviceBound"]


async def test_a_token_never_stands_in_what_is_written_down_of_a_command(door: Door) -> None:
    shown = door.token_of(ANNA).given["access_token"]
    subscription = next(each for each in door.room.subscriptions if each.topic.name == "app.device-actions.v1")
    command = subscription.command_for(fact(DeviceAdded, ANNA, access_token=shown, **RIGHT))

    assert shown not in repr(command)
