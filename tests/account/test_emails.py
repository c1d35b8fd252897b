"""An address changes when the new one is confirmed; the old one is told, and can be taken back for seven days."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from services.account.app import PARTS
from services.account.commands import CancelAccount, ChangeEmail
from services.account.domain.access import CODE_LIFE, CODE_TRIES, CODE_WRONG, UNDO_LIFE
from shared.contracts.account import Origin
from shared.retention import sweep
from shared.security import digest
from tests.builders import NOON
from tests.doors import PASSWORD, POLICY, Door, Tokens, slug_of

ANNA, BEN, ANNI, THIEF, THIEF_TOO = (f"{name}@mail.example" for name in ("anna", "ben", "anni", "thief", "thief-too"))
AT_ONCE = 1000


async def a_person(door: Door, email: str = ANNA) -> Tokens:
    await door.sign_up(email)
    return await door.log_in(email)


async def want(door: Door, by: Tokens, email: str, password: str = PASSWORD) -> httpx.Response:
    return await door.ask("POST", "/account/email", by=by, json={"email": email, "password": password})


async def confirm(door: Door, by: Tokens, change_id: str, code: str) -> httpx.Response:
    return await door.ask("POST", f"/account/email/{change_id}/confirm", by=by, json={"code": code})


async def code_of(door: Door) -> str:
    return str((await door.mailed("EmailChangeRequested"))[-1]["code"])


async def change(door: Door, by: Tokens, email: str) -> str:
    """Change the address, and return the token that was mailed to the old one."""
    wanted = await want(door, by, email)
    changed = await confirm(door, by, wanted.json()["change_id"], await code_of(door))
    assert changed.status_code == HTTPStatus.NO_CONTENT, changed.text
    return str((await door.mailed("EmailChanged"))[-1]["undo_token"])


async def undo(door: Door, token: str) -> httpx.Response:
    return await door.ask("POST", "/email-undos", json={"token": token})


async def address_of(door: Door) -> str:
    (account,) = await door.room.rows("accounts")
    return str(account["email"])


# Another address


async def test_an_address_changes_only_when_the_new_one_is_confirmed_and_the_old_one_is_told(door: Door) -> None:
    anna = await a_person(door)

    wanted = await want(door, anna, "Anni@Mail.example")
    (asked,) = await door.mailed("EmailChangeRequested")
    assert (asked["email"], asked["language"], len(asked["code"])) == (ANNI, "en", 8)
    assert await address_of(door) == ANNA

    await confirm(door, anna, wanted.json()["change_id"], asked["code"])

    assert await address_of(door) == ANNI
    (told,) = await door.mailed("EmailChanged")
    assert (told["email"], told["undo_until"]) == (ANNA, "2026-11-09T12:00:00Z")
    contacts = [(each["version"], each["email"]) for each in await door.mailed("ContactChanged")]
    assert contacts == [(1, ANNA), (2, ANNI)]
    assert (await door.ask("GET", "/account", by=anna)).json()["email"] == ANNI
    assert await door.log_in(ANNI)
    old = await door.ask("POST", "/sessions", json={"email": ANNA, "password": PASSWORD})
    assert slug_of(old) == "credentials-wrong"


async def test_an_address_is_changed_only_by_who_knows_the_password(door: Door) -> None:
    anna = await a_person(door)

    refused = await want(door, anna, ANNI, "not the password")

    assert (refused.status_code, slug_of(refused)) == (403, "password-wrong")
    assert await door.mailed("EmailChangeRequested") == []


async def test_somebody_elses_address_gets_the_same_answer_and_its_owner_is_told(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)

    known, unknown = await want(door, anna, BEN), await want(door, anna, ANNI)

    assert known.status_code == unknown.status_code == HTTPStatus.ACCEPTED
    assert list(known.json()) == list(unknown.json()) == ["change_id"]
    (told,) = await door.mailed("AddressRegisteredAgain")
    assert told["account_id"] == ben.given["account_id"]
    assert [each["email"] for each in await door.mailed("EmailChangeRequested")] == [ANNI]
    for _ in range(CODE_TRIES + 1):
        one = await confirm(door, anna, known.json()["change_id"], "wrong")
        other = await confirm(door, anna, unknown.json()["change_id"], "wrong")
        assert (one.status_code, one.json()) == (other.status_code, other.json())
        assert slug_of(one) == "code-wrong"


async def test_an_address_that_can_still_be_taken_back_is_nobody_elses(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)
    await change(door, anna, ANNI)

    # Neither by a change, nor by a registration
    await want(door, ben, ANNA)
    body = {"email": ANNA, "password": PASSWORD, "region": "DE", "language": "en", "policy_version": POLICY}
    assert (await door.ask("POST", "/registrations", json=body)).status_code == HTTPStatus.ACCEPTED

    told = [each["account_id"] for each in await door.mailed("AddressRegisteredAgain")]
    assert told == [anna.given["account_id"]] * 2
    assert await door.room.rows("registrations") == []


async def test_a_code_from_before_does_not_change_to_an_address_that_somebody_else_can_take_back(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)
    wanted = await want(door, ben, ANNI)
    code = await code_of(door)
    await change(door, anna, ANNI)
    await change(door, anna, "anna@home.example")

    answer = await confirm(door, ben, wanted.json()["change_id"], code)

    assert slug_of(answer) == "code-wrong"
    assert {row["email"] for row in await door.room.rows("accounts")} == {"anna@home.example", BEN}


async def test_a_registration_from_before_opens_no_account_for_an_address_that_can_be_taken_back(door: Door) -> None:
    anna = await a_person(door)
    body = {"email": ANNI, "password": PASSWORD, "region": "DE", "language": "en", "policy_version": POLICY}
    asked = await door.ask("POST", "/registrations", json=body)
    code = (await door.mailed("ConfirmationRequested"))[-1]["code"]
    await change(door, anna, ANNI)
    await change(door, anna, "anna@home.example")

    path = f"/registrations/{asked.json()['registration_id']}/confirm"
    assert slug_of(await door.ask("POST", path, json={"code": code})) == "code-wrong"
    assert await address_of(door) == "anna@home.example"


async def test_of_two_who_want_one_address_the_first_to_confirm_has_it(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)
    by_anna = (await want(door, anna, ANNI)).json()["change_id"]
    to_anna = await code_of(door)
    by_ben = (await want(door, ben, ANNI)).json()["change_id"]
    to_ben = await code_of(door)

    answers = await asyncio.gather(confirm(door, anna, by_anna, to_anna), confirm(door, ben, by_ben, to_ben))

    assert Counter(answer.status_code for answer in answers) == {204: 1, 409: 1}
    assert [slug_of(answer) for answer in answers if answer.is_error] == ["code-wrong"]
    assert [row["email"] for row in await door.room.rows("accounts")].count(ANNI) == 1
    assert len(await door.mailed("EmailChanged")) == 1


async def test_of_many_confirmations_at_once_one_changes_the_address(door: Door) -> None:
    anna = await a_person(door)
    change_id = (await want(door, anna, ANNI)).json()["change_id"]
    code = await code_of(door)

    answers = await asyncio.gather(*(confirm(door, anna, change_id, code) for _ in range(10)))

    assert Counter(answer.status_code for answer in answers) == {204: 1, 409: 9}
    assert len(await door.mailed("EmailChanged")) == len(await door.room.rows("email_undos")) == 1


async def test_of_a_thousand_codes_at_once_three_are_looked_at(door: Door) -> None:
    # Given a change, and a thousand tries of which the last ones would be right
    anna = await a_person(door)
    await want(door, anna, ANNI)
    (kept,) = await door.room.rows("email_changes")
    wrong, right = digest("wrong"), str(kept["code_digest"])
    tries = [_with_code(kept, wrong)] * (AT_ONCE - CODE_TRIES) + [_with_code(kept, right)] * CODE_TRIES

    # When all come at once, the wrong ones first
    outcomes = await asyncio.gather(*(door.room.does(each) for each in tries))

    # Then three were counted, and the right ones came too late
    assert outcomes == [[CODE_WRONG]] * AT_ONCE
    assert [row["tries"] for row in await door.room.rows("email_changes")] == [CODE_TRIES]
    assert await address_of(door) == ANNA


def _with_code(kept: dict[str, Any], code_digest: str) -> ChangeEmail:
    return ChangeEmail(
        account_id=kept["account_id"],
        change_id=kept["id"],
        code_digest=code_digest,
        undo_token="undo",
        undo_digest="undo",
        undo_until=NOON + UNDO_LIFE,
    )


async def test_a_code_is_good_for_a_day_and_then_the_change_is_swept_away(door: Door) -> None:
    anna = await a_person(door)
    change_id = (await want(door, anna, ANNI)).json()["change_id"]
    door.room.clock.now = NOON + CODE_LIFE
    later = await door.log_in(ANNA)

    assert slug_of(await confirm(door, later, change_id, await code_of(door))) == "code-wrong"

    await sweep(door.room.engine, PARTS.retention, NOON + CODE_LIFE + timedelta(seconds=1))
    assert await door.room.rows("email_changes") == []


async def test_nobody_confirms_somebody_elses_change(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)
    change_id = (await want(door, anna, ANNI)).json()["change_id"]
    code = await code_of(door)

    assert slug_of(await confirm(door, ben, change_id, code)) == "code-wrong"

    assert [row["tries"] for row in await door.room.rows("email_changes")] == [0]
    assert (await confirm(door, anna, change_id, code)).status_code == HTTPStatus.NO_CONTENT


async def test_a_change_drops_the_others_and_the_codes_for_a_forgotten_password(door: Door) -> None:
    anna = await a_person(door)
    await door.ask("POST", "/password-resets", json={"email": ANNA})
    other = (await want(door, anna, "other@mail.example")).json()["change_id"]
    to_other = await code_of(door)

    await change(door, anna, ANNI)

    assert slug_of(await confirm(door, anna, other, to_other)) == "code-wrong"
    assert await door.room.rows("email_changes") == []
    assert await door.room.rows("password_resets") == []


async def test_another_address_is_asked_for_three_times_an_hour(door: Door) -> None:
    anna = await a_person(door)

    answers = [await want(door, anna, f"anni{number}@mail.example") for number in range(4)]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert slug_of(answers[-1]) == "too-many-tries"


async def test_to_one_address_codes_are_mailed_three_times_an_hour_whoever_asks(door: Door) -> None:
    people = [await a_person(door, f"{name}@mail.example") for name in ("anna", "ben", "carla", "dora")]

    answers = [await want(door, person, "victim@mail.example") for person in people]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert len(await door.mailed("EmailChangeRequested")) == 3


async def test_a_change_that_is_asked_for_again_with_its_key_is_the_same_one(door: Door) -> None:
    anna = await a_person(door)
    body = {"email": ANNI, "password": PASSWORD}
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    first, again = [await door.ask("POST", "/account/email", by=anna, json=body, headers=key) for _ in range(2)]

    assert first.json() == again.json()
    assert len(await door.mailed("EmailChangeRequested")) == 1
    changed = await confirm(door, anna, again.json()["change_id"], await code_of(door))
    assert changed.status_code == HTTPStatus.NO_CONTENT


@pytest.mark.parametrize(
    "email",
    ["anni", "", "anni@mail.example\r\nBcc: all@mail.example", "a@b@mail.example", "anni\x00@mail.example", None, 5],
    ids=ascii,
)
async def test_what_is_no_address_is_refused(door: Door, email: object) -> None:
    anna = await a_person(door)

    answer = await door.ask("POST", "/account/email", by=anna, json={"email": email, "password": PASSWORD})

    assert (answer.status_code, slug_of(answer)) == (422, "invalid-request")
    assert await door.mailed("EmailChangeRequested") == []


# And back


async def test_who_has_the_old_address_takes_it_back_and_every_session_ends(door: Door) -> None:
    anna = await a_person(door)
    phone = await door.log_in(ANNA)
    token = await change(door, anna, THIEF)

    assert (await undo(door, token)).status_code == HTTPStatus.NO_CONTENT

    assert await address_of(door) == ANNA
    contacts = [(each["version"], each["email"]) for each in await door.mailed("ContactChanged")]
    assert contacts == [(1, ANNA), (2, THIEF), (3, ANNA)]
    assert len(await door.mailed("EmailRestored")) == 1
    ended = {each["session_id"] for each in await door.mailed("SessionEnded")}
    assert ended == {anna.given["session_id"], phone.given["session_id"]}
    for by in (anna, phone):
        assert slug_of(await door.ask("GET", "/account", by=by)) == "session-ended"
    assert (await undo(door, token)).status_code == HTTPStatus.NOT_FOUND


async def test_a_thief_who_changes_the_address_twice_gains_nothing(door: Door) -> None:
    # Given a thief who has changed the address twice, and wants a third one and another password
    thief = await a_person(door)
    token = await change(door, thief, THIEF)
    door.room.clock.now += timedelta(minutes=1)
    token_of_thief = await change(door, thief, THIEF_TOO)
    await door.ask("POST", "/password-resets", json={"email": THIEF_TOO})
    (reset,) = await door.room.rows("password_resets")
    reset_code = (await door.mailed("PasswordResetRequested"))[-1]["code"]
    wanted = (await want(door, thief, "third@mail.example")).json()["change_id"]
    wanted_code = await code_of(door)

    # When the owner takes the first address back
    assert (await undo(door, token)).status_code == HTTPStatus.NO_CONTENT

    # Then nothing that the thief has leads anywhere
    assert await address_of(door) == ANNA
    assert slug_of(await undo(door, token_of_thief)) == "no-such-undo"
    assert slug_of(await confirm(door, thief, wanted, wanted_code)) == "session-ended"
    by_code = {"code": reset_code, "password": "a password of the thief"}
    assert slug_of(await door.ask("POST", f"/password-resets/{reset['id']}/confirm", json=by_code)) == "code-wrong"
    for table in ("email_changes", "email_undos", "password_resets"):
        assert await door.room.rows(table) == []
    assert await address_of(door) == ANNA


async def test_an_undo_of_the_last_change_leaves_the_way_back_to_the_first_address(door: Door) -> None:
    anna = await a_person(door)
    first = await change(door, anna, ANNI)
    door.room.clock.now += timedelta(minutes=1)
    last = await change(door, anna, THIEF)

    assert (await undo(door, last)).status_code == HTTPStatus.NO_CONTENT
    assert await address_of(door) == ANNI
    assert (await undo(door, first)).status_code == HTTPStatus.NO_CONTENT
    assert await address_of(door) == ANNA


async def test_of_many_undos_at_once_one_takes_the_address_back(door: Door) -> None:
    token = await change(door, await a_person(door), THIEF)

    answers = await asyncio.gather(*(undo(door, token) for _ in range(10)))

    assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 9}
    assert len(await door.mailed("EmailRestored")) == 1


async def test_an_address_can_be_taken_back_for_seven_days_and_is_then_anybodys(door: Door) -> None:
    token = await change(door, await a_person(door), ANNI)
    door.room.clock.now = NOON + UNDO_LIFE

    assert slug_of(await undo(door, token)) == "no-such-undo"
    assert await address_of(door) == ANNI

    await sweep(door.room.engine, PARTS.retention, NOON + UNDO_LIFE + timedelta(seconds=1))
    await door.sign_up(ANNA)


async def test_a_day_before_the_seven_are_over_it_can_still_be_taken_back(door: Door) -> None:
    token = await change(door, await a_person(door), ANNI)
    door.room.clock.now = NOON + timedelta(days=6)

    assert (await undo(door, token)).status_code == HTTPStatus.NO_CONTENT
    assert await address_of(door) == ANNA


@pytest.mark.parametrize("token", ["", "wrong", "a" * 100, "\x00", "岭"], ids=ascii)
async def test_a_wrong_token_takes_nothing_back(door: Door, token: str) -> None:
    await change(door, await a_person(door), ANNI)

    refused = await undo(door, token)

    assert (refused.status_code, slug_of(refused)) == (404, "no-such-undo")
    assert await address_of(door) == ANNI


async def test_the_old_address_goes_with_a_cancelled_account(door: Door) -> None:
    anna = await a_person(door)
    token = await change(door, anna, ANNI)
    await want(door, anna, "third@mail.example")
    (account,) = await door.room.rows("accounts")

    await door.room.does(CancelAccount(account_id=account["id"], origin=Origin.REQUEST))

    assert await door.room.held_of(account["id"]) == {}
    assert slug_of(await undo(door, token)) == "no-such-undo"
