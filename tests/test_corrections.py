"""Correction: the owner of a value checks it by the rules of its doors, and keeps who changed what, but no value."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.account.commands import ChangeProfile
from services.device.commands import RenameDevice
from services.requests.commands import RemindOfCorrection
from services.requests.reminder import OWED
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.requests import AccountCorrectionOrdered, DeviceCorrectionOrdered, ErasureOrdered
from shared.contracts.topics import ACCOUNT_CORRECTIONS
from tests.builders import A_MINUTE, ANNA, BEN, NOON, fact, named
from tests.deletions import House, house_of
from tests.doors import Door, door_of
from tests.post import taken
from tests.requests.wishes import status, submit
from tests.rooms import OpenRoom

BINDING = named("binding", ANNA.name)
BOTH: dict[str, Any] = {"kind": "correction", "values": {"nickname": "Annika", str(BINDING): "Bedroom"}}


@pytest.fixture
async def house(room: OpenRoom) -> House:
    return await house_of(room)


@pytest.fixture
async def door(house: House) -> AsyncIterator[Door]:
    async with door_of(house["requests"]) as door:
        yield door


async def nickname(house: House) -> str | None:
    (anna,) = [row for row in await house["account"].rows("accounts") if row["id"] == ANNA.account_id]
    found: str | None = anna["nickname"]
    return found


async def test_each_value_goes_to_its_owner_and_the_person_is_told_what_became_of_it(
    house: House, door: Door
) -> None:
    request = await submit(door, ANNA, BOTH)
    said = await house.carry()

    assert await nickname(house) == "Annika"
    assert [row["name"] for row in await house["device"].rows("bindings")] == ["Bedroom"]
    assert (await status(door, request))["state"] == "fulfilled"
    told = [each for each in said if each["type"] == "PersonTold"][-1]
    assert told["key"] == str(ANNA.account_id)
    messages = [row for row in await house["notifier"].rows("messages") if row["kind"] == "correction-done"]
    assert [field["outcome"] for row in messages for field in row["parameters"]["fields"]] == ["corrected"] * 2


WRONG = {
    "a nickname with control characters": ("nickname", "An\u202eni", "value-not-allowed"),
    "no nickname at all": ("nickname", " ", "value-not-allowed"),
    "a region that is none": ("region", "Atlantis", "value-not-allowed"),
    "no region": ("region", None, "value-not-allowed"),
    "a language that is none": ("language", "nonsense in words", "value-not-allowed"),
    "an address": ("email", "anni@mail.example", "own-door"),
    "what is no field": ("password_hash", "x", "no-such-field"),
}


@pytest.mark.parametrize(("field", "value", "reason"), WRONG.values(), ids=WRONG.keys())
async def test_a_value_that_does_not_serve_the_purpose_of_its_field_is_refused_with_the_reason(
    room: OpenRoom, field: str, value: str | None, reason: str
) -> None:
    house = await house_of(room)
    before = await house["account"].rows("accounts")
    await house["account"].hears(fact(AccountCorrectionOrdered, ANNA, request_id=named("r"), values={field: value}))
    (receipt,) = await house["account"].announced()

    assert receipt["fields"] == [{"field": field, "outcome": "refused", "reason": reason}]
    assert await house["account"].rows("accounts") == before


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (str(BINDING), "", "value-not-allowed"),
        (str(BINDING), "An\u202eni", "value-not-allowed"),
        (str(named("binding", BEN.name)), "Mine", "no-such-device"),
        ("serial", "AIR-0002", "no-such-device"),
    ],
)
async def test_the_name_of_a_device_is_checked_and_somebody_elses_is_no_device_of_ones_own(
    room: OpenRoom, field: str, value: str, reason: str
) -> None:
    house = await house_of(room)
    bens = {"id": named("binding", BEN.name), "account": BEN.account_id, "noon": NOON}
    await house["device"].run(
        "INSERT INTO bindings (id, account_id, serial, bound_at) VALUES (:id, :account, 'AIR-0002', :noon)", **bens
    )
    before = await house["device"].rows("bindings")
    await house["device"].hears(fact(DeviceCorrectionOrdered, ANNA, request_id=named("r"), values={field: value}))
    (receipt,) = await house["device"].announced()

    assert receipt["fields"] == [{"field": field, "outcome": "refused", "reason": reason}]
    assert await house["device"].rows("bindings") == before


async def test_an_address_is_pointed_to_its_own_door(house: House, door: Door) -> None:
    wish = {"kind": "correction", "values": {"email": "anni@mail.example"}}
    request = await submit(door, ANNA, wish)
    await house.carry()

    assert (await status(door, request))["state"] == "fulfilled"
    (message,) = [row for row in await house["notifier"].rows("messages") if row["kind"] == "correction-done"]
    assert message["parameters"]["fields"] == [{"field": "email", "outcome": "refused", "reason": "own-door"}]


async def test_another_language_reaches_who_sends_messages(house: House, door: Door) -> None:
    await submit(door, ANNA, {"kind": "correction", "values": {"language": "zh-Hans"}})
    await house.carry()

    contacts = {row["account_id"]: row["language"] for row in await house["notifier"].rows("contacts")}
    assert (contacts[ANNA.account_id], contacts[BEN.account_id]) == ("zh-Hans", "de")


async def test_who_has_changed_what_and_when_is_kept_and_no_value(house: House, door: Door) -> None:
    request = await submit(door, ANNA, BOTH)
    await house.carry()
    await house["account"].does(
        ChangeProfile(account_id=ANNA.account_id, changes={"nickname": "Anna", "region": "DE-BE"})
    )
    await house["device"].does(RenameDevice(account_id=ANNA.account_id, binding_id=BINDING, name="Attic"))

    for service, field in (("account", "nickname"), ("device", str(BINDING))):
        changes = await house[service].rows("changes")
        assert sorted((row["field"], str(row["request_id"])) for row in changes) == sorted(
            [(field, request["request_id"]), (field, "None")]
        )
        assert {row["changed_at"] for row in changes} == {NOON}
        assert not any(word in str(changes) for word in ("Anni", "Annika", "Bedroom", "Attic"))


async def test_a_repeated_order_is_answered_the_same_and_undoes_nothing(house: House) -> None:
    order = fact(AccountCorrectionOrdered, ANNA, request_id=named("r"), values={"nickname": "Annika"})
    await house["account"].hears(order)
    await house["account"].does(ChangeProfile(account_id=ANNA.account_id, changes={"nickname": "Anna"}))
    await house["account"].hears(order.model_copy(update={"id": named("again", "corrected")}))

    assert await nickname(house) == "Anna"
    first, second = await house["account"].announced()
    assert first["fields"] == second["fields"] == [{"field": "nickname", "outcome": "corrected", "reason": None}]


async def test_an_owner_that_has_not_answered_is_asked_again(house: House, door: Door) -> None:
    request = await submit(door, ANNA, BOTH)
    await house["requests"].run("DELETE FROM outbox")
    async with house["requests"].engine.connect() as connection:
        later = house["requests"].clock() + timedelta(hours=1)
        (owed,) = await OWED[RemindOfCorrection](connection, later)
    await house["requests"].does(RemindOfCorrection(account_id=owed.account_id, request_id=owed.request_id))
    await house.carry()

    assert await nickname(house) == "Annika"
    assert (await status(door, request))["state"] == "fulfilled"


async def test_a_correction_that_is_older_than_the_erasure_of_its_category_brings_nothing_back(house: House) -> None:
    account = house["account"]
    told = {"order_id": named("o"), "owners": ("account",), "contact_version": 0, "categories": ("nickname",)}
    erase = fact(ErasureOrdered, ANNA, **told)
    await account.reads(erase.topic, taken(erase, NOON))
    for name, at in (("old", NOON - A_MINUTE), ("new", NOON + A_MINUTE)):
        order = fact(AccountCorrectionOrdered, ANNA, request_id=named(name), values={"nickname": name})
        await account.reads(ACCOUNT_CORRECTIONS, taken(order, at))
        assert await nickname(house) == (None if name == "old" else "new")

    _, old, new = await account.announced()
    assert (old["fields"][0]["reason"], new["fields"][0]["outcome"]) == ("category-erased", "corrected")


async def test_who_is_gone_is_not_corrected(house: House) -> None:
    cancelled = fact(
        AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1
    )
    await house["device"].hears(cancelled)
    await house["device"].hears(
        fact(DeviceCorrectionOrdered, ANNA, request_id=named("r"), values={str(BINDING): "X"})
    )

    assert await house["device"].held_of(ANNA.account_id) == {}
    assert await house["device"].types_announced() == ["DataErased"]
