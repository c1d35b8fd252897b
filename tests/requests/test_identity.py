"""Who writes is known by a code to the account's contact, or by an authority that staff accepts; nobody by less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from services.requests.codes import code_of
from shared.contracts.requests import Kind
from tests.builders import ANNA, BEN, named
from tests.doors import Door, door_of, slug_of
from tests.requests.wishes import (
    ACCESS,
    DAY,
    EVERYTHING,
    code_for,
    decide,
    reference_of,
    status,
    submit,
    time_passes,
    unverified,
    written,
)
from tests.rooms import OpenRoom

BY_MAIL = {"reference": reference_of(ANNA), "request_id": str(named("request", ANNA.name, Kind.ACCESS))}


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    async with door_of(await room("requests")) as opened:
        yield opened


async def show(door: Door, code: str, reference: str = BY_MAIL["reference"]) -> str:
    """Show a code; tells the state that followed, or the slug of the refusal."""
    answer = await door.ask("POST", f"/requests/{reference}/identity", json={"code": code})
    return str(answer.json()["state"]) if answer.is_success else slug_of(answer)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


async def test_the_code_goes_to_the_contact_of_the_account_by_mail_alone_and_nothing_happens_before_it_is_shown(
    door: Door,
) -> None:
    request = await written(door.room, ANNA)
    told = {each["notice"]: each for each in await door.mailed("PersonTold")}

    assert told["prove-it-is-you"]["parameters"]["code"] == code_for(door.room, request)
    assert told["prove-it-is-you"]["address"] is None
    assert request.state == "unverified"
    assert "RequestAccepted" not in await door.room.types_announced()
    assert await show(door, code_for(door.room, request)) == "accepted"
    assert {"IdentityVerified", "RequestAccepted"} <= set(await door.room.types_announced())


async def test_the_code_stands_nowhere_in_the_database_but_in_what_is_sent(door: Door) -> None:
    request = await written(door.room, ANNA)

    assert code_for(door.room, request) not in str(await door.room.state("outbox"))


def test_a_code_is_bound_to_its_request_and_to_the_key() -> None:
    codes = {
        code_of(key, named(request), ANNA.account_id)
        for key in ("a key", "another key")
        for request in ("one", "another")
    }

    assert len(codes) == 4
    assert code_of("a key", named("one"), ANNA.account_id) in codes


async def test_of_forty_codes_at_once_three_are_looked_at(door: Door) -> None:
    request = await written(door.room, ANNA)
    right = code_for(door.room, request)
    guesses = [wrong(right)] * 39 + [right]
    command = unverified(ANNA)
    limits = await asyncio.gather(*(show(door, code) for code in guesses))
    row = (await door.room.rows("requests"))[0]

    assert limits.count("code-wrong") + limits.count("accepted") <= 3
    assert row["tries"] <= 3
    assert command.request_id == row["request_id"]


async def test_after_three_wrong_codes_the_right_one_is_of_no_use(door: Door) -> None:
    request = await written(door.room, ANNA)
    right = code_for(door.room, request)
    seen = [await show(door, code) for code in (wrong(right), wrong(right), wrong(right), right)]

    assert seen == ["code-wrong", "code-wrong", "code-wrong", "tries-spent"]


async def test_who_does_not_show_it_is_reminded_and_told_when_it_ends_as_not_identified(door: Door) -> None:
    await written(door.room, ANNA)
    await time_passes(door.room, 14 * DAY)
    assert (await status(door, BY_MAIL))["state"] == "unverified"
    await time_passes(door.room, DAY)
    told = [each["notice"] for each in await door.mailed("PersonTold")]

    assert (await status(door, BY_MAIL))["how"] == "not-identified"
    assert told == ["request-received", "prove-it-is-you", "prove-it-is-you-reminder", "not-identified"]
    assert (await door.mailed("RequestEnded"))[0]["how"] == "not-identified"


async def test_an_unverified_wish_neither_displaces_nor_blocks_a_real_one(door: Door) -> None:
    await written(door.room, ANNA, Kind.DELETION)
    real = await submit(door, ANNA, EVERYTHING)
    again = await submit(door, ANNA, EVERYTHING)

    assert real["request_id"] != str(named("request", ANNA.name, Kind.DELETION))
    assert again["request_id"] == real["request_id"]
    assert (await status(door, real))["state"] == "open"


async def test_a_duplicate_by_mail_does_not_skip_the_code(door: Door) -> None:
    real = await submit(door, ANNA, ACCESS)
    spoofed = await written(door.room, ANNA)

    assert spoofed.state == "unverified"
    assert (await status(door, BY_MAIL))["request_id"] != real["request_id"]


async def test_verified_it_is_joined_with_the_same_open_wish_and_its_reference_leads_there(door: Door) -> None:
    real = await submit(door, ANNA, ACCESS)
    request = await written(door.room, ANNA)
    answer = await show(door, code_for(door.room, request))

    assert answer == "joined"
    assert (await status(door, BY_MAIL))["request_id"] == real["request_id"]
    assert [each["how"] for each in await door.mailed("RequestEnded")] == ["joined"]


async def test_the_status_tells_the_same_of_a_wish_whoever_has_an_account(door: Door) -> None:
    await written(door.room, ANNA)
    nobody = await written(door.room, BEN)
    seen = [await status(door, each) for each in (BY_MAIL, {"reference": reference_of(BEN)})]

    assert {name for each in seen for name, value in each.items() if value != seen[0][name]} == {"request_id"}
    assert nobody.state == "unverified"


async def test_a_code_for_a_reference_that_is_nobodys_is_limited_as_well(door: Door) -> None:
    seen = [await show(door, "12345678", "x" * 43) for _ in range(11)]

    assert seen == ["no-such-request"] * 10 + ["too-many-tries"]


# Authority


async def given(door: Door, authority: str = "power-of-attorney") -> str:
    path = f"/staff/requests/{BY_MAIL['request_id']}/evidence"
    body = {"authority": authority, "note": "A copy of the deed, compared with the register."}
    answer = await door.ask("POST", path, by=door.staff(), json=body)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    return str(answer.json()["id"])


async def test_somebody_authorised_is_known_once_staff_has_accepted_the_evidence(door: Door) -> None:
    await written(door.room, ANNA)
    evidence = await given(door)
    assert (await status(door, BY_MAIL))["state"] == "unverified"
    after = await decide(door, BY_MAIL, f"evidence/{evidence}/judgement", accepted=True)

    assert after["state"] == "accepted"
    assert "IdentityVerified" in await door.room.types_announced()


async def test_an_agent_without_authority_gets_nothing_and_the_person_can_still_confirm(door: Door) -> None:
    request = await written(door.room, ANNA)
    evidence = await given(door)
    after = await decide(door, BY_MAIL, f"evidence/{evidence}/judgement", accepted=False)

    assert after["state"] == "unverified"
    assert await show(door, code_for(door.room, request)) == "accepted"


async def test_evidence_is_judged_at_the_request_that_it_was_given_for(door: Door) -> None:
    await written(door.room, ANNA)
    evidence = await given(door)
    other = await written(door.room, BEN)
    path = f"/staff/requests/{other.request_id}/evidence/{evidence}/judgement"
    answer = await door.ask("POST", path, by=door.staff(), json={"accepted": True})

    assert slug_of(answer) == "no-such-evidence"
