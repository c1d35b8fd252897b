"""People ask in the app, see what became of it, answer, and pay; what is known is never asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest

from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.billing import RequestFeePaid
from shared.security import reference_for
from tests.builders import ANNA, BEN, fact
from tests.doors import Door, door_of, slug_of
from tests.requests.wishes import (
    ACCESS,
    CORRECTION,
    DAY,
    EVERYTHING,
    FEEDBACK_ALONE,
    REASONS,
    USE,
    WHOLE_POLICY,
    decide,
    status,
    submit,
    time_passes,
)
from tests.rooms import OpenRoom

KEY = {"Idempotency-Key": "a-random-key-of-the-client"}


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    async with door_of(await room("requests")) as opened:
        yield opened


@pytest.mark.parametrize("wish", [ACCESS, CORRECTION, USE, WHOLE_POLICY], ids=lambda wish: str(wish["kind"]))
async def test_what_nobody_has_to_judge_is_accepted_at_once(door: Door, wish: dict[str, Any]) -> None:
    taken = await submit(door, ANNA, wish)

    assert (await status(door, taken))["state"] == "accepted"
    assert "RequestAccepted" in await door.room.types_announced()


@pytest.mark.parametrize("wish", [EVERYTHING, FEEDBACK_ALONE], ids=["everything", "categories"])
async def test_a_deletion_waits_for_staff(door: Door, wish: dict[str, Any]) -> None:
    taken = await submit(door, ANNA, wish)

    assert (await status(door, taken))["state"] == "open"


async def test_a_second_access_within_twelve_months_waits_for_staff_and_one_after_them_does_not(door: Door) -> None:
    first = await submit(door, ANNA, ACCESS)
    await door.room.run("UPDATE requests SET state = 'fulfilled', ended_at = received_at, how = 'fulfilled'")
    door.room.clock.now += 364 * DAY
    second = await submit(door, ANNA, ACCESS)
    assert (await status(door, second))["state"] == "open"
    await decide(door, second, "refuse", **REASONS)
    door.room.clock.now += DAY
    third = await submit(door, ANNA, ACCESS)

    assert (await status(door, first))["state"] == "fulfilled"
    assert (await status(door, third))["state"] == "accepted"


async def test_an_answer_is_promised_within_thirty_days_and_the_person_is_told(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    (told,) = await door.mailed("PersonTold")

    assert taken["due_at"] == told["parameters"]["due_at"] == "2026-12-02T12:00:00Z"
    assert (told["notice"], told["parameters"]["reference"]) == ("request-received", taken["reference"])


async def test_of_several_references_the_list_shows_the_one_that_was_given_first(door: Door) -> None:
    drawn = sorted(
        ("a-first-random-key", "another-random-key"),
        key=lambda key: reference_for(key, "reference", ANNA.account_id),
        reverse=True,
    )
    given = [await submit(door, ANNA, EVERYTHING, headers={"Idempotency-Key": key}) for key in drawn]
    listed = (await door.ask("GET", "/requests", by=door.token_of(ANNA))).json()["items"]

    assert [each["reference"] for each in listed] == [given[0]["reference"]]


async def test_the_same_open_wish_twice_is_one_and_both_references_lead_to_it(door: Door) -> None:
    first, second = await submit(door, ANNA, FEEDBACK_ALONE), await submit(door, ANNA, FEEDBACK_ALONE)
    other, of_ben = await submit(door, ANNA, EVERYTHING), await submit(door, BEN, FEEDBACK_ALONE)

    assert first["request_id"] == second["request_id"]
    assert first["reference"] != second["reference"]
    assert (await status(door, second))["request_id"] == first["request_id"]
    assert len({each["request_id"] for each in (first, other, of_ben)}) == 3
    assert (await door.room.types_announced()).count("RequestReceived") == 3


async def test_two_corrections_of_a_field_are_two_wishes_the_later_value_counts(door: Door) -> None:
    first = await submit(door, ANNA, CORRECTION)
    second = await submit(door, ANNA, {"kind": "correction", "values": {"nickname": "Annika"}})

    assert first["request_id"] != second["request_id"]


async def test_a_lost_answer_is_asked_for_again_by_the_same_key(door: Door) -> None:
    first, again = (
        await submit(door, ANNA, EVERYTHING, headers=KEY),
        await submit(door, ANNA, EVERYTHING, headers=KEY),
    )
    other = await door.ask("POST", "/requests", by=door.token_of(ANNA), json=ACCESS, headers=KEY)
    of_ben = await submit(door, BEN, EVERYTHING, headers=KEY)

    assert first == again
    assert slug_of(other) == "idempotency-key-reused"
    assert of_ben["request_id"] != first["request_id"]


async def test_the_same_key_for_another_value_is_told(door: Door) -> None:
    await submit(door, ANNA, CORRECTION, headers=KEY)
    other = {"kind": "correction", "values": {"nickname": "Annika"}}
    answer = await door.ask("POST", "/requests", by=door.token_of(ANNA), json=other, headers=KEY)

    assert slug_of(answer) == "idempotency-key-reused"


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "curiosity"},
        {"kind": "correction", "values": {}},
        {"kind": "correction", "values": {"password": "the heron reads at dusk"}},
        {"kind": "correction", "values": {"nickname": "a\u0000b"}},
        {"kind": "deletion", "categories": []},
        {"kind": "deletion", "categories": ["everything"]},
        {"kind": "withdrawal"},
        {"kind": "withdrawal", "scopes": USE["scopes"], "whole_policy": True},
        {"kind": "access", "account_id": str(BEN.account_id)},
    ],
    ids=str,
)
async def test_what_no_wish_can_say_is_refused(door: Door, wish: dict[str, Any]) -> None:
    answer = await door.ask("POST", "/requests", by=door.token_of(ANNA), json=wish)

    assert slug_of(answer) == "invalid-request"
    assert await door.room.rows("requests") == []


async def test_people_list_their_own_wishes_latest_first_page_by_page(door: Door) -> None:
    taken = []
    for wish in (EVERYTHING, FEEDBACK_ALONE, ACCESS):
        door.room.clock.now += DAY
        taken.append((await submit(door, ANNA, wish))["request_id"])
    await submit(door, BEN, ACCESS)
    first = (await door.ask("GET", "/requests?limit=2", by=door.token_of(ANNA))).json()
    rest = (await door.ask("GET", f"/requests?after={first['next']}", by=door.token_of(ANNA))).json()

    assert [each["request_id"] for each in first["items"] + rest["items"]] == taken[::-1]
    assert rest["next"] is None


async def test_whoever_comes_by_another_way_is_pointed_to_the_right_one(door: Door) -> None:
    ways = (await door.ask("GET", "/requests/ways?region=DE-BE")).json()

    assert ways == {"app": "POST /v1/requests", "mail": "privacy@adieu.example", "spoken": False}


async def test_a_person_has_so_many_wishes_a_day(door: Door) -> None:
    for number in range(20):
        await submit(door, ANNA, {"kind": "correction", "values": {"nickname": str(number)}})
    answer = await door.ask("POST", "/requests", by=door.token_of(ANNA), json=ACCESS)

    assert slug_of(answer) == "too-many-tries"
    await submit(door, BEN, ACCESS)


async def test_a_question_stops_the_time_to_answer_until_it_is_answered(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    asked = await decide(door, taken, "ask", question="With your devices, too?")
    await time_passes(door.room, 5 * DAY)
    path = f"/requests/{taken['reference']}"
    said = (await door.ask("GET", f"{path}/said", by=door.token_of(ANNA))).json()
    answer = await door.ask("POST", f"{path}/answer", by=door.token_of(ANNA), json={"text": "Yes."})
    whole = await door.ask("GET", f"/staff/requests/{taken['request_id']}", by=door.staff())

    assert (asked["state"], asked["stopped"]) == ("asked", True)
    assert said[0]["said"]["question"] == "With your devices, too?"
    assert (answer.json()["state"], answer.json()["due_at"]) == ("open", "2026-12-07T12:00:00Z")
    assert [each["text"] for each in whole.json()["words"]] == ["Yes."]


async def test_a_record_that_is_not_the_first_costs_what_was_declared_accepted_and_paid(door: Door) -> None:
    await submit(door, ANNA, ACCESS)
    await door.room.run("UPDATE requests SET state = 'fulfilled', ended_at = received_at, how = 'fulfilled'")
    taken = await submit(door, ANNA, ACCESS)
    costs = [{"what": "an hour of work", "amount": "40.00"}, {"what": "postage", "amount": "2.50"}]
    quoted = await decide(door, taken, "fee", currency="EUR", costs=costs)
    agreed = await door.ask("POST", f"/requests/{taken['reference']}/fee", by=door.token_of(ANNA))
    (owed,) = await door.mailed("RequestFeeAccepted")
    await door.room.hears(fact(RequestFeePaid, ANNA, request_id=taken["request_id"]))

    assert (quoted["state"], agreed.json()["state"]) == ("quoted", "paying")
    assert (owed["amount"], owed["currency"]) == ("42.50", "EUR")
    assert (await status(door, taken))["state"] == "open"
    assert (await decide(door, taken, "accept"))["state"] == "accepted"


async def test_the_first_record_is_free_and_so_is_all_else(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    body = {"currency": "EUR", "costs": [{"what": "an hour of work", "amount": "40.00"}]}
    answer = await door.ask("POST", f"/staff/requests/{taken['request_id']}/fee", by=door.staff(), json=body)

    assert slug_of(answer) == "first-record-is-free"


async def test_the_reference_shows_what_became_of_it_when_the_account_is_gone_and_nothing_of_the_person(
    door: Door,
) -> None:
    refused = await submit(door, ANNA, EVERYTHING | {"text": "I am Anna of Elm Street"})
    waiting = await submit(door, ANNA, FEEDBACK_ALONE)
    await decide(door, refused, "refuse", **REASONS)
    cancelled = {"order_id": ANNA.order_id, "origin": Origin.APP, "references": ("ref",), "contact_version": 1}
    await door.room.hears(fact(AccountCancelled, ANNA, **cancelled))
    gone = await door.ask("GET", f"/requests/{refused['reference']}/said", by=door.token_of(ANNA))

    assert await door.room.held_of(ANNA.account_id) == {}
    seen = await status(door, refused)
    assert (seen["state"], seen["ground"]) == ("refused", "repetitive")
    assert (await status(door, waiting))["how"] == "account-cancelled"
    assert "Elm Street" not in str(seen)
    assert gone.status_code == HTTPStatus.UNAUTHORIZED
    assert [each["how"] for each in await door.mailed("RequestEnded")] == ["account-cancelled"]
