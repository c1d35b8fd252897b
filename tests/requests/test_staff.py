"""Privacy staff see the queue and decide, with reasons; nobody else does; every step stands in the audit chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.requests import law
from services.requests.law import POLICY
from shared.contracts.requests import Ground
from shared.staff import LONGEST_LIFE, Staff, issue_staff_token
from tests.builders import ANNA, BEN, NOON, named
from tests.doors import Door, Tokens, door_of, slug_of
from tests.requests.wishes import (
    ACCESS,
    DAY,
    EVERYTHING,
    FEEDBACK_ALONE,
    REASONS,
    code_for,
    decide,
    status,
    submit,
    time_passes,
    written,
)
from tests.rooms import OpenRoom


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    async with door_of(await room("requests")) as opened:
        yield opened


async def no(door: Door, request: dict[str, Any], step: str, **body: Any) -> str:  # noqa: ANN401 - as httpx
    """Try to decide something; tells the slug of the refusal."""
    answer = await door.ask("POST", f"/staff/requests/{request['request_id']}/{step}", by=door.staff(), json=body)
    return slug_of(answer)


# Who may


@pytest.mark.parametrize("path", ["", f"/{named('request')}", f"/{named('request')}/audit"])
async def test_only_staff_with_the_role_are_let_in(door: Door, path: str) -> None:
    stranger = Staff("s-1", frozenset({"privacy"}))
    forged = issue_staff_token(Ed25519PrivateKey.generate(), stranger, NOON)
    unsigned = jwt.encode({"sub": "s-1", "roles": ["privacy"], "aud": "adieu-staff"}, "", algorithm="none")
    actors = {
        "nobody": None,
        "a person": door.token_of(ANNA),
        "the internal door": Tokens({"access_token": door.room.settings.internal_token}),
        "a key of nobody's": Tokens({"access_token": forged}),
        "no signature": Tokens({"access_token": unsigned}),
        "expired": door.staff(at=NOON - LONGEST_LIFE),
    }
    for name, by in actors.items():
        answer = await door.ask("GET", f"/staff/requests{path}", by=by)
        assert (answer.status_code, slug_of(answer)) == (HTTPStatus.UNAUTHORIZED, "not-staff"), name
    without = await door.ask("GET", f"/staff/requests{path}", by=door.staff("support"))
    assert (without.status_code, slug_of(without)) == (HTTPStatus.FORBIDDEN, "role-missing")


async def test_a_token_of_staff_opens_no_door_of_a_person(door: Door) -> None:
    answer = await door.ask("GET", "/requests", by=door.staff())

    assert slug_of(answer) == "not-logged-in"


# The queue


async def test_the_queue_goes_by_due_date_with_the_days_left_page_by_page(door: Door) -> None:
    late = await submit(door, ANNA, EVERYTHING)
    door.room.clock.now += 5 * DAY
    early = await submit(door, BEN, EVERYTHING)
    first = (await door.ask("GET", "/staff/requests?limit=1", by=door.staff())).json()
    rest = (await door.ask("GET", f"/staff/requests?after={first['next']}", by=door.staff())).json()

    seen = [(each["request_id"], each["days_left"]) for each in first["items"] + rest["items"]]
    assert seen == [(late["request_id"], 25), (early["request_id"], 30)]


async def test_what_has_ended_is_in_the_queue_no_more(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    await decide(door, taken, "refuse", **REASONS)

    assert (await door.ask("GET", "/staff/requests", by=door.staff())).json()["items"] == []


async def test_while_the_clock_stands_no_day_is_lost(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    await decide(door, taken, "pause", until=(NOON + 20 * DAY).isoformat())
    await time_passes(door.room, 10 * DAY)
    (waiting,) = (await door.ask("GET", "/staff/requests", by=door.staff())).json()["items"]
    resumed = await decide(door, taken, "resume")

    assert (waiting["days_left"], waiting["stopped"]) == (30, True)
    assert (resumed["state"], resumed["days_left"]) == ("open", 30)


async def test_a_pause_ends_by_itself(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    await decide(door, taken, "pause", until=(NOON + 20 * DAY).isoformat())
    await time_passes(door.room, 20 * DAY)

    assert (await status(door, taken))["state"] == "open"


# Decisions


@pytest.mark.parametrize("ground", Ground)
async def test_a_refusal_names_ground_facts_items_and_remedy_to_the_person(door: Door, ground: Ground) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    after = await decide(door, taken, "refuse", **REASONS | {"ground": ground})
    told = (await door.mailed("PersonTold"))[-1]

    assert (after["state"], after["ground"]) == ("refused", ground)
    assert told["notice"] == "request-refused"
    assert {name: told["parameters"][name] for name in REASONS} == REASONS | {"ground": ground}


@pytest.mark.parametrize("left_out", REASONS)
async def test_a_refusal_without_a_reason_is_none(door: Door, left_out: str) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    body = {name: value for name, value in REASONS.items() if name != left_out}

    assert await no(door, taken, "refuse", **body) == "invalid-request"
    assert (await status(door, taken))["state"] == "open"


async def test_a_ground_that_the_law_does_not_know_refuses_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(POLICY, grounds=frozenset({Ground.SECURITY}))
    monkeypatch.setitem(law.LAWS, POLICY.name, strict)
    taken = await submit(door, ANNA, EVERYTHING)

    assert await no(door, taken, "refuse", **REASONS) == "ground-not-allowed"


async def test_a_part_is_accepted_and_why_not_the_rest_is_told(door: Door) -> None:
    await submit(door, ANNA, ACCESS)
    await door.room.run("UPDATE requests SET state = 'fulfilled', ended_at = received_at, how = 'fulfilled'")
    taken = await submit(door, ANNA, ACCESS)
    after = await decide(door, taken, "accept-in-part", **REASONS, part=ACCESS)
    told = (await door.mailed("PersonTold"))[-1]

    assert (after["state"], after["in_part"], after["ground"]) == ("accepted", True, "repetitive")
    assert told["notice"] == "request-accepted-in-part"


async def test_a_part_is_of_the_kind_that_was_asked_for(door: Door) -> None:
    taken = await submit(door, ANNA, FEEDBACK_ALONE)

    assert await no(door, taken, "accept-in-part", **REASONS, part=ACCESS) == "part-of-another-kind"


async def test_an_extension_is_told_with_its_reason_before_the_first_date(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    door.room.clock.now += 29 * DAY
    after = await decide(door, taken, "extend", reason="Many devices.")
    told = (await door.mailed("PersonTold"))[-1]

    assert (after["due_at"], after["extended"]) == ("2027-01-01T12:00:00Z", True)
    assert (told["notice"], told["parameters"]["reason"]) == ("request-extended", "Many devices.")
    assert [each["due_at"] for each in await door.mailed("RequestExtended")] == ["2027-01-01T12:00:00Z"]
    assert await no(door, taken, "extend", reason="Still many.") == "extended-already"


async def test_what_a_mail_wishes_is_said_by_who_has_read_it_before_it_is_decided(door: Door) -> None:
    request = await written(door.room, ANNA, None)
    by_id = {"request_id": str(request.request_id)}
    await decide(door, by_id, "kind", kind="deletion", categories=["feedback"])
    reference = (await door.room.rows("request_references"))[0]["reference"]
    shown = await door.ask("POST", f"/requests/{reference}/identity", json={"code": code_for(door.room, request)})

    assert (shown.json()["kind"], shown.json()["state"]) == ("deletion", "open")


async def test_nothing_is_accepted_that_nobody_has_read(door: Door) -> None:
    request = await written(door.room, ANNA, None)
    path = f"/requests/{(await door.room.rows('request_references'))[0]['reference']}/identity"
    await door.ask("POST", path, json={"code": code_for(door.room, request)})

    assert await no(door, {"request_id": str(request.request_id)}, "accept") == "kind-not-known"


async def test_a_correction_that_somebody_has_read_out_of_a_mail_is_accepted_with_its_values(door: Door) -> None:
    request = await written(door.room, ANNA, None)
    by_id = {"request_id": str(request.request_id)}
    path = f"/requests/{(await door.room.rows('request_references'))[0]['reference']}/identity"
    await door.ask("POST", path, json={"code": code_for(door.room, request)})
    after = await decide(door, by_id, "kind", kind="correction", values={"nickname": "Anni"})
    whole = (await door.ask("GET", f"/staff/requests/{request.request_id}", by=door.staff())).json()

    assert after["state"] == "accepted"
    assert [(each["text"], each["values"]) for each in whole["words"]] == [
        ("Please send me what you have.", {"nickname": "Anni"})
    ]


# Spoken


SPOKEN = {"account_id": str(ANNA.account_id), "region": "XX-1", "wish": ACCESS}


async def test_what_is_only_spoken_is_not_taken_where_the_law_asks_for_writing(door: Door) -> None:
    answer = await door.ask("POST", "/staff/requests", by=door.staff(), json=SPOKEN)

    assert slug_of(answer) == "spoken-not-allowed"
    assert await door.room.rows("requests") == []


async def test_a_spoken_wish_is_recorded_where_the_law_recognises_it_and_confirmed_by_the_person(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(law.LAWS, "spoken", replace(POLICY, name="spoken", spoken_allowed=True))
    monkeypatch.setitem(law.BY_REGION, "XX", "spoken")
    answer = await door.ask("POST", "/staff/requests", by=door.staff(), json=SPOKEN)
    told = [each["notice"] for each in await door.mailed("PersonTold")]

    assert (answer.json()["state"], answer.json()["channel"]) == ("unverified", "spoken")
    assert told == ["request-received", "prove-it-is-you"]


# The audit chain


async def audit(door: Door, request: dict[str, Any]) -> dict[str, Any]:
    answer = await door.ask("GET", f"/staff/requests/{request['request_id']}/audit", by=door.staff())
    found: dict[str, Any] = answer.json()
    return found


async def test_every_step_stands_in_the_audit_chain_with_who_took_it_and_without_a_word_of_a_person(
    door: Door,
) -> None:
    taken = await submit(door, ANNA, EVERYTHING | {"text": "I am Anna of Elm Street"})
    await decide(door, taken, "ask", question="With your devices, Anna?")
    path = f"/requests/{taken['reference']}/answer"
    await door.ask("POST", path, by=door.token_of(ANNA), json={"text": "Yes, Anna"})
    await decide(door, taken, "refuse", **REASONS)
    chain = await audit(door, taken)

    assert [(each["actor"], each["step"]) for each in chain["lines"]] == [
        ("person", "receive"),
        ("staff:s-1", "ask"),
        ("person", "answer"),
        ("staff:s-1", "refuse"),
    ]
    assert chain["fault"] is None
    assert "Anna" not in str(await door.room.rows("audit"))


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        ("UPDATE audit SET actor = 'person' WHERE number = 2", 2),
        ("UPDATE audit SET at = at - interval '1 day' WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 2", 2),
    ],
)
async def test_who_changes_a_line_of_it_is_found_out(door: Door, tampering: str, fault: int) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    await decide(door, taken, "refuse", **REASONS)
    await door.room.run(tampering)

    assert (await audit(door, taken))["fault"] == fault


# What time brings


async def test_while_nobody_decides_staff_are_warned_and_the_person_is_told_in_time_that_it_takes_longer(
    door: Door,
) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    await time_passes(door.room, 30 * DAY)
    steps = [each["step"] for each in (await audit(door, taken))["lines"]]
    escalated = await door.mailed("RequestEscalated")
    (extended,) = await door.mailed("RequestExtended")

    assert steps == ["receive", "warn", "escalate", "extend"]
    assert extended["occurred_at"] < taken["due_at"] == escalated[0]["due_at"]
    assert (await status(door, taken))["due_at"] == "2027-01-01T12:00:00Z"


async def test_costs_that_nobody_accepts_lapse_and_the_person_is_told(door: Door) -> None:
    await submit(door, ANNA, ACCESS)
    await door.room.run("UPDATE requests SET state = 'fulfilled', ended_at = received_at, how = 'fulfilled'")
    taken = await submit(door, ANNA, ACCESS)
    await decide(door, taken, "fee", currency="EUR", costs=[{"what": "an hour of work", "amount": "40.00"}])
    await time_passes(door.room, 30 * DAY)

    assert (await status(door, taken))["how"] == "lapsed"
    assert (await door.mailed("PersonTold"))[-1]["notice"] == "request-lapsed"


async def test_what_was_written_ends_in_its_time_and_the_record_stays(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING | {"text": "Everything, please."})
    await decide(door, taken, "refuse", **REASONS)
    (words,), (decision,) = await door.room.rows("request_words"), await door.room.rows("request_decisions")

    assert (words["ends_at"], decision["ends_at"]) == (NOON + 90 * DAY, NOON + 365 * DAY)


async def test_somebody_elses_request_is_nobodys_by_a_command_that_names_it(door: Door) -> None:
    taken = await submit(door, ANNA, EVERYTHING)
    path = f"/requests/{taken['reference']}"
    for method, at in (("GET", "said"), ("POST", "answer"), ("POST", "fee")):
        body = {"text": "mine"} if at == "answer" else None
        answer = await door.ask(method, f"{path}/{at}", by=door.token_of(BEN), json=body)
        assert slug_of(answer) == "no-such-request"
    assert (await status(door, taken))["state"] == "open"
