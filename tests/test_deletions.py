"""Deletion through all rooms: counted first, accepted as it was shown, carried out, proven."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest

from services.account.commands import SettleInstallment
from services.requests.commands import RemindOfPreview
from services.requests.reminder import OWED
from shared.contracts.account import Origin
from tests.builders import ANNA, BEN, named
from tests.commands import cancellation_continued, cancellation_started, cancelled_in_app
from tests.deletions import House, accept, announced, asked, certificate, house_of, outcomes, owes, preview
from tests.doors import Door, door_of, slug_of
from tests.requests.wishes import EVERYTHING, FEEDBACK_ALONE, REASONS, decide, status, submit
from tests.rooms import HeldClock, OpenRoom

SOME: dict[str, Any] = {"kind": "deletion", "categories": ["nickname", "feedback", "device-data"]}


@pytest.fixture
async def house(room: OpenRoom) -> House:
    return await house_of(room)


@pytest.fixture
async def door(house: House) -> AsyncIterator[Door]:
    async with door_of(house["requests"]) as door:
        yield door


async def refused(door: Door, request: dict[str, Any], **body: object) -> str:
    path = f"/staff/requests/{request['request_id']}/accept"
    return slug_of(await door.ask("POST", path, by=door.staff(), json=body))


async def test_chosen_categories_are_erased_everywhere_and_the_account_stays(house: House, door: Door) -> None:
    ben = await house.held_of(BEN)
    request = await asked(house, door, ANNA, SOME)
    await accept(house, door, request)

    held = await house.held_of(ANNA)
    assert held["device"] == {}
    assert "feedback" not in held["requests"]
    assert held["account"]["accounts"] == 1
    (anna,) = [row for row in await house["account"].rows("accounts") if row["id"] == ANNA.account_id]
    assert (anna["nickname"], anna["avatar"], anna["email"]) == (None, b"a picture", ANNA.email)
    assert await house.held_of(BEN) == ben
    assert (await status(door, request))["state"] == "fulfilled"


async def test_the_certificate_of_a_part_names_the_part_and_stays_by_the_reference(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, SOME)
    await accept(house, door, request)
    proof = await certificate(door, request)

    assert proof["categories"] == ["device-data", "feedback", "nickname"]
    assert outcomes(proof["owners"]) == {
        "account": {"nickname": ("erased", 1)},
        "device": {"device-data": ("erased", 2)},
        "requests": {"feedback": ("erased", 1)},
    }


async def test_a_part_settles_nothing_and_the_contact_stays(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, SOME)
    said = [letter["type"] for letter in await accept(house, door, request)]

    assert "ErasureSettled" not in said
    assert said.count("ErasureCompleted") == said.count("RequestFulfilled") == 1
    assert (await house.held_of(ANNA))["notifier"]["contacts"] == 1
    assert [row["kind"] for row in await house["notifier"].rows("messages") if row["account_id"] == ANNA.account_id][
        -1
    ] == "request-done"


# What is shown before


async def test_before_it_is_accepted_staff_sees_what_would_be_erased_and_what_kept_by_owner(
    house: House, door: Door
) -> None:
    await owes(house, ANNA)
    shown = await preview(door, await asked(house, door, ANNA, EVERYTHING))

    assert shown["waits_for"] == []
    seen = outcomes(shown["owners"])
    assert seen["device"] == {"device-data": ("erased", 2)}
    assert seen["requests"]["feedback"] == ("erased", 1)
    assert seen["account"]["installments"] == ("kept", 1)
    (account,) = [owner for owner in shown["owners"] if owner["owner"] == "account"]
    (held,) = [item for item in account["items"] if item["category"] == "installments"]
    assert (held["ground"], held["until"][:10]) == ("unpaid-installments", "2026-12-02")


async def test_a_part_is_shown_with_what_stays(house: House, door: Door) -> None:
    shown = await preview(door, await asked(house, door, ANNA, FEEDBACK_ALONE))

    seen = outcomes(shown["owners"])
    assert seen["requests"]["feedback"] == ("erased", 1)
    assert seen["device"] == {"device-data": ("kept", 2)}
    assert seen["account"]["email"] == ("kept", 1)


async def test_nothing_is_accepted_that_was_not_counted(house: House, door: Door) -> None:
    request = await submit(door, ANNA, FEEDBACK_ALONE)

    assert await refused(door, request) == "preview-not-ready"
    assert await refused(door, request, shown=(await preview(door, request))["sha256"]) == "preview-not-ready"
    await house.carry()
    assert await refused(door, request) == "changed-meanwhile"
    await accept(house, door, request)


async def test_what_has_changed_since_it_was_shown_is_not_accepted(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, FEEDBACK_ALONE)
    shown = (await preview(door, request))["sha256"]
    await house["requests"].run(
        "INSERT INTO feedback SELECT gen_random_uuid(), account_id, text, submitted_at FROM feedback"
    )
    await decide(door, request, "preview")
    await house.carry()

    assert await refused(door, request, shown=shown) == "changed-meanwhile"
    assert (await preview(door, request))["sha256"] != shown
    await accept(house, door, request)


async def test_counted_anew_and_the_same_is_what_was_shown(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, SOME)
    shown = (await preview(door, request))["sha256"]
    await decide(door, request, "preview")
    await house.carry()

    assert (await preview(door, request))["sha256"] == shown


async def test_what_was_counted_a_day_ago_is_counted_again_before_it_is_accepted(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, FEEDBACK_ALONE)
    shown = await preview(door, request)
    for room in house.rooms.values():
        assert isinstance(room.clock, HeldClock)
        room.clock.now += timedelta(hours=25)

    assert (await preview(door, request))["waits_for"] == ["account", "device", "notifier", "requests"]
    assert await refused(door, request, shown=shown["sha256"]) == "preview-not-ready"


async def test_an_owner_that_has_not_counted_is_asked_again(house: House, door: Door) -> None:
    request = await submit(door, ANNA, FEEDBACK_ALONE)
    await house["requests"].run("DELETE FROM outbox")
    later = house["requests"].clock() + timedelta(hours=1)
    async with house["requests"].engine.connect() as connection:
        (owed,) = await OWED[RemindOfPreview](connection, later)
    await house["requests"].does(RemindOfPreview(account_id=owed.account_id, request_id=owed.request_id))
    await house.carry()

    assert (await preview(door, request))["waits_for"] == []


async def test_an_owner_that_is_admitted_meanwhile_has_to_count_too(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, FEEDBACK_ALONE)
    shown = await preview(door, request)
    await house["requests"].run("INSERT INTO owners VALUES ('diary', 'data', '{diary}', now(), false, '{}')")

    assert (await preview(door, request))["waits_for"] == ["diary"]
    assert await refused(door, request, shown=shown["sha256"]) == "preview-not-ready"


async def test_a_category_that_cannot_go_alone_is_not_accepted_alone(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, {"kind": "deletion", "categories": ["email", "feedback"]})
    shown = await preview(door, request)

    assert outcomes(shown["owners"])["account"]["email"] == ("kept", 1)
    assert await refused(door, request, shown=shown["sha256"]) == "category-not-apart"
    part = await preview(door, request, "?category=feedback")
    body = {"part": FEEDBACK_ALONE, "shown": part["sha256"], **REASONS}
    await decide(door, request, "accept-in-part", **body)
    await house.carry()
    assert (await status(door, request))["state"] == "fulfilled"
    assert (await certificate(door, request))["categories"] == ["feedback"]


# Everything, by the second door


async def test_everything_is_the_cancellation_by_the_second_door(house: House, door: Door) -> None:
    ben = await house.held_of(BEN)
    request = await asked(house, door, ANNA, EVERYTHING)
    said = await accept(house, door, request)
    await _tell_the_last_message(house)

    assert [each["type"] for each in said].count("AccountCancelled") == 1
    proof = await certificate(door, request)
    assert (proof["origin"], proof["categories"]) == (Origin.REQUEST, "all")
    assert "records of requests: random ids, kinds, states, grounds and times" in {
        each["what"] for each in proof["residue"]
    }
    assert await house.held_of(ANNA) == {"account": {}, "device": {}, "requests": {}, "notifier": {}}
    assert await house.held_of(BEN) == ben
    assert (await status(door, request))["state"] == "fulfilled"


async def _tell_the_last_message(house: House) -> None:
    """Have the notifier send all that it has for Anna, and the last receipt be heard."""
    from services.notifier.commands import Outcome, RecordDelivery  # noqa: PLC0415 - of this step alone

    while mine := [row for row in await house["notifier"].rows("messages") if row["account_id"] == ANNA.account_id]:
        due = [row for row in mine if not row["sent"]] or mine
        for row in due:
            sent = RecordDelivery(account_id=ANNA.account_id, message_id=row["id"], outcome=Outcome.DELIVERED)
            await house["notifier"].does(sent)
        if not [row for row in mine if not row["sent"]]:
            break
        await house.carry()
    await house.carry()


async def test_what_is_held_stays_alone_and_goes_when_the_hold_ends(house: House, door: Door) -> None:
    await owes(house, ANNA)
    request = await asked(house, door, ANNA, EVERYTHING)
    await accept(house, door, request)
    await _tell_the_last_message(house)

    assert (await house.held_of(ANNA))["account"] == {"installments": 1}
    assert outcomes((await certificate(door, request))["owners"])["account"]["installments"] == ("kept", 1)
    settled = SettleInstallment(account_id=ANNA.account_id, installment_id=named("owed", ANNA.name))
    await house["account"].does(settled)
    await house.carry()
    assert (await house.held_of(ANNA))["account"] == {}
    assert outcomes((await certificate(door, request))["owners"])["account"]["installments"] == ("erased", 1)


@pytest.mark.parametrize("app_first", [True, False])
async def test_two_cancellations_by_either_door_are_one_order(house: House, door: Door, *, app_first: bool) -> None:
    request = await asked(house, door, ANNA, EVERYTHING)
    await house["account"].does(cancellation_started(ANNA), cancellation_continued(ANNA))
    shown = await preview(door, request)
    await decide(door, request, "accept", shown=shown["sha256"])
    if app_first:
        await house["account"].does(cancelled_in_app(ANNA))
    else:
        await house.carry()
        await house["account"].does(cancelled_in_app(ANNA))
    await house.carry()
    await _tell_the_last_message(house)

    (order,) = await house["requests"].rows("orders")
    references = {row["reference"]: row["order_id"] for row in await house["requests"].rows("order_references")}
    assert references == dict.fromkeys(["a reference of the person", request["reference"]], order["order_id"])
    assert (await status(door, request))["state"] == "fulfilled"


async def test_what_is_open_and_not_accepted_ends_with_the_account(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, EVERYTHING)
    await house["account"].does(cancellation_started(ANNA), cancellation_continued(ANNA), cancelled_in_app(ANNA))
    await house.carry()

    assert (await status(door, request))["state"] == "account-cancelled"


async def test_an_order_of_categories_is_repeated_to_whoever_owes_and_answered_the_same(
    house: House, door: Door
) -> None:
    from services.requests.commands import Remind  # noqa: PLC0415 - of this test alone

    request = await asked(house, door, ANNA, FEEDBACK_ALONE)
    shown = await preview(door, request)
    await decide(door, request, "accept", shown=shown["sha256"])
    await house["requests"].run("DELETE FROM outbox")  # the order is lost
    await announced(house["requests"])
    (order,) = await house["requests"].rows("orders")
    again = Remind(account_id=ANNA.account_id, order_id=order["order_id"])
    await house["requests"].does(again, again)
    said = [letter["type"] for letter in await house.carry()]

    assert said.count("ErasureOrdered") == said.count("DataErased") == 2
    assert (await status(door, request))["state"] == "fulfilled"
    assert outcomes((await certificate(door, request))["owners"]) == {"requests": {"feedback": ("erased", 1)}}


async def test_only_privacy_staff_sees_a_preview(house: House, door: Door) -> None:
    request = await asked(house, door, ANNA, FEEDBACK_ALONE)
    path = f"/staff/requests/{request['request_id']}/preview"

    assert (await door.ask("GET", path, by=door.token_of(ANNA))).status_code == HTTPStatus.UNAUTHORIZED
    assert (await door.ask("POST", path, by=door.staff("billing"))).status_code == HTTPStatus.FORBIDDEN
    access = await submit(door, ANNA, {"kind": "correction", "values": {"nickname": "A"}})
    nothing = await door.ask("GET", f"/staff/requests/{access['request_id']}/preview", by=door.staff())
    assert slug_of(nothing) == "no-such-preview"
