"""What a service holds of a person is exported, all of it and nothing else, part by part, for one key alone."""

from __future__ import annotations

from importlib import import_module

import pytest

from services.device.models import OWNER as DEVICE
from services.requests.commands import AddFeedback, Picture
from services.requests.sealing import new_pair, open_part, private_key
from shared import exporting
from shared.background import each_alone
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.topics import MAX_MESSAGE_BYTES
from shared.personal_data import personal_columns
from tests.builders import ANNA, BEN, NOON, fact, named
from tests.commands import KNOW_THE_PRODUCT, KNOWN, bound, logged_in, registered, with_second_factor
from tests.device.test_erasing_much import MANY
from tests.exports import Wish
from tests.rooms import SERVICES, OpenRoom, Room

BINDING = named("binding", "anna")
CANCELLED = fact(AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1)


@pytest.fixture
def wish() -> Wish:
    return Wish(ANNA)


async def with_readings(room: OpenRoom, count: int) -> Room:
    """Give Anna a device with so many readings, and Ben a few."""
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    await device.does(bound(ANNA))
    await device.run(MANY, whose=ANNA.account_id, binding=BINDING, noon=NOON, count=count)
    await device.run(MANY, whose=BEN.account_id, binding=named("binding", "ben"), noon=NOON, count=7)
    return device


async def parts(room: Room, most: int = 1000) -> int:
    """Export what is left part by part, as the service does, until nothing is; returns in how many rounds."""
    rounds = 0
    while rounds < most and (found := await exporting.unfinished(room.bus)):
        assert await each_alone(room.bus, found) == []
        rounds += 1
    return rounds


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SLICE", 500)
    for sheet in DEVICE.exporting.sheets:
        monkeypatch.setattr(sheet, "at_once", 5)


async def test_a_person_gets_all_that_a_service_holds_and_nothing_of_anybody_else(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 3)

    await device.hears(wish.order())

    sheets = await wish.sheets(device)
    assert [each["serial"] for each in sheets["bindings"]] == [KNOWN["serial"]]
    assert [each["values"] for each in sheets["readings"]] == [{"pm25": 1}] * 3
    assert {each["binding_id"] for each in sheets["readings"]} == {str(sheets["bindings"][0]["id"])}
    assert sheets["readings"][0]["measured_at"].endswith("+00:00")
    (end,) = await wish.ends(device)
    assert (end["parts"], {category: count for category, count in end["counts"].items() if count}) == (
        1,
        {"device-data": 4},
    )


async def test_an_owner_that_is_not_named_sends_nothing(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 3)
    await device.hears(wish.order("account", "notifier"))

    assert await wish.ends(device) == []


async def test_who_has_nothing_here_is_told_so(room: OpenRoom, wish: Wish) -> None:
    device = await room("device")
    await device.hears(wish.order())

    assert await wish.ends(device) == [{"parts": 0, "counts": dict.fromkeys(DEVICE.erasure.categories, 0)}]


async def test_what_opens_something_is_named_and_never_shown(room: OpenRoom, wish: Wish) -> None:
    account = await room("account")
    await account.does(*registered(ANNA), logged_in(ANNA))
    await account.does(*with_second_factor(ANNA))
    await account.hears(wish.order())

    sheets = await wish.sheets(account)
    (row,) = sheets["accounts"]
    assert (row["email"], row["region"], row["password_hash"], row["totp_secret"]) == (
        ANNA.email,
        "DE-BE",
        True,
        True,
    )
    assert sheets["recovery_codes"] == [{"code_digest": True}]
    stream = (await wish.stream(account)).decode()
    stored = [(await account.rows("accounts"))[0][name] for name in ("password_hash", "totp_secret")]
    digests = [each["refresh_digest"] for each in await account.rows("sessions")]
    assert not any(secret in stream for secret in [*stored, *digests])


@pytest.mark.parametrize("service", SERVICES)
def test_erased_and_exported_are_the_same_tables_and_categories(service: str) -> None:
    owner = import_module(f"services.{service}.models").OWNER
    exported = {sheet.name: set(sheet.categories) for sheet in owner.exporting.sheets}

    assert exported == {
        table.name: set(found) for table in owner.erasure.tables if (found := personal_columns(table))
    }
    assert {category for found in exported.values() for category in found} == set(owner.erasure.categories)
    assert owner.exporting.categories == owner.erasure.categories


@pytest.mark.usefixtures("small_parts")
async def test_very_much_goes_in_parts_and_is_whole_when_put_together(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 57)
    await device.hears(wish.order())
    assert await wish.ends(device) == []

    assert await parts(device) > 5
    sheets = await wish.sheets(device)
    assert len({each["measured_at"] for each in sheets["readings"]}) == 57
    (end,) = await wish.ends(device)
    assert end["counts"]["device-data"] == 58
    assert end["parts"] == len([each for each in await device.announced() if each["type"] == "ExportPart"])


@pytest.mark.usefixtures("small_parts")
async def test_an_order_that_is_repeated_meanwhile_sends_nothing_twice(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 57)
    await device.hears(wish.order(), wish.order(), wish.order())
    await parts(device, most=2)
    await device.hears(wish.order())
    await parts(device)
    await device.hears(wish.order())

    assert len((await wish.sheets(device))["readings"]) == 57
    first, again = await wish.ends(device)
    assert first == again


@pytest.mark.usefixtures("small_parts")
async def test_a_cancellation_in_the_middle_ends_the_export(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 57)
    await device.hears(wish.order())
    await device.hears(CANCELLED)
    sent = len(await device.announced())

    assert await parts(device) == 0
    await device.hears(wish.order())
    assert len(await device.announced()) == sent
    assert await wish.ends(device) == []
    assert await device.held_of(ANNA.account_id) == {}


async def test_a_closed_account_exports_nothing(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 3)
    await device.hears(CANCELLED, wish.order())

    assert await wish.ends(device) == []
    assert await wish.stream(device) == b""


async def test_a_picture_larger_than_a_message_comes_through_in_pieces(room: OpenRoom, wish: Wish) -> None:
    requests = await room("requests")
    drawn = bytes(range(256)) * 5000
    written = AddFeedback(
        account_id=ANNA.account_id,
        feedback_id=named("feedback"),
        text="See what it looks like",
        submitted_at=NOON,
        pictures=tuple(Picture(drawn, "image/png") for _ in range(3)),
    )
    await requests.does(written)
    await requests.hears(wish.order())
    await parts(requests)

    pictures = (await wish.sheets(requests))["feedback_pictures"]
    assert [len(each["content"]) for each in pictures] == [1_706_668] * 3
    assert all(len(row["body"]) < MAX_MESSAGE_BYTES for row in await requests.rows("outbox"))


@pytest.mark.usefixtures("small_parts")
async def test_a_crowd_that_asks_at_once_is_served_in_turns(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "AT_ONCE", 1)
    device = await room("device")
    wishes = [Wish(ANNA), Wish(BEN)]
    await device.run(MANY, whose=ANNA.account_id, binding=BINDING, noon=NOON, count=3)
    await device.run(MANY, whose=BEN.account_id, binding=BINDING, noon=NOON, count=3)
    await device.hears_at_once(*(each.order() for each in wishes))
    assert len(await device.announced()) < 4

    await parts(device)
    for each in wishes:
        assert (await each.ends(device))[0]["counts"]["device-data"] == 3


async def test_only_the_key_of_the_request_opens_what_was_sent(room: OpenRoom, wish: Wish) -> None:
    device = await with_readings(room, 3)
    await device.hears(wish.order())
    (part,) = (each for each in await device.announced() if each["type"] == "ExportPart")
    _, another = new_pair()

    with pytest.raises(ValueError, match="not encrypted to this key"):
        open_part(private_key(another), part["sealed"])
