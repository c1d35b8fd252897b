"""A registration becomes an account only by the code that was mailed; until then there is none, and it ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from services.account.app import PARTS
from services.account.commands import CancelAccount, ConfirmRegistration, Register
from services.account.domain.access import CODE_LIFE, CODE_TRIES, CODE_WRONG
from services.account.domain.cancellations import Ok
from shared.contracts.account import Origin
from shared.retention import sweep
from tests.builders import NOON, named
from tests.doors import PASSWORD, POLICY, Door, slug_of
from tests.rooms import OpenRoom


def register(name: str = "Ada's registration") -> Register:
    return Register(
        account_id=named(name),
        email="ada@people.example",
        password_hash="hash",
        region="DE",
        language="en",
        policy_version="1",
        code="12345678",
        code_digest="right",
        expires_at=NOON + CODE_LIFE,
    )


def confirm(name: str = "Ada's registration", code: str = "right") -> ConfirmRegistration:
    return ConfirmRegistration(account_id=named(name), code_digest=code)


async def test_before_the_code_there_is_no_account_and_nobody_hears_of_one(room: OpenRoom) -> None:
    account = await room("account")

    await account.does(register())

    assert await account.rows("accounts") == []
    assert await account.types_announced() == ["ConfirmationRequested"]


async def test_three_wrong_codes_spend_the_registration(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())

    for _ in range(3):
        assert await account.does(confirm(code="wrong")) == [CODE_WRONG]

    assert await account.does(confirm()) == [CODE_WRONG]
    assert await account.rows("accounts") == []


async def test_two_wrong_codes_leave_the_third_try(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())
    await account.does(confirm(code="wrong"))
    await account.does(confirm(code="wrong"))

    assert await account.does(confirm()) == [Ok()]


async def test_a_code_is_good_for_a_day_and_then_the_registration_is_swept_away(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())
    account.clock.now = NOON + CODE_LIFE + timedelta(seconds=1)

    assert await account.does(confirm()) == [CODE_WRONG]
    await sweep(account.engine, PARTS.retention, account.clock())

    assert await account.rows("registrations") == []


async def test_somebody_elses_registration_for_the_address_cannot_ride_on_the_persons_code(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(replace(register("Mallory's"), password_hash="Mallory's password"))
    await account.does(register())

    assert await account.does(confirm()) == [Ok()]

    assert [row["password_hash"] for row in await account.rows("accounts")] == ["hash"]
    assert await account.rows("registrations") == []


async def test_a_known_address_is_not_mailed_a_code_and_cannot_be_taken(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())
    await account.does(confirm())
    before = await account.rows("accounts")

    await account.does(replace(register("a second one"), password_hash="another"))

    assert await account.does(confirm("a second one")) == [CODE_WRONG]
    assert await account.rows("accounts") == before
    assert (await account.types_announced()).count("ConfirmationRequested") == 1


@pytest.mark.parametrize("first", ["one", "other"])
async def test_of_two_registrations_for_one_address_the_first_confirmed_is_the_account(
    room: OpenRoom, first: str
) -> None:
    account = await room("account")
    second = {"one": "other", "other": "one"}[first]
    await account.does(register("one"))
    await account.does(register("other"))

    assert await account.does(confirm(first)) == [Ok()]
    assert await account.does(confirm(second)) == [CODE_WRONG]

    assert [row["id"] for row in await account.rows("accounts")] == [named(first)]


async def test_a_registration_begun_while_another_was_confirmed_goes_with_the_account(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())
    await account.does(confirm())
    await account.run(
        "INSERT INTO registrations VALUES (:late, 'ada@people.example', 'hash', 'DE', 'en', '1', 'x', 0, :noon),"
        " (:ben, 'ben@people.example', 'hash', 'DE', 'en', '1', 'x', 0, :noon)",
        late=named("late"),
        ben=named("Ben's registration"),
        noon=NOON,
    )

    await account.does(CancelAccount(account_id=named("Ada's registration"), origin=Origin.REQUEST))

    assert [row["email"] for row in await account.rows("registrations")] == ["ben@people.example"]


# By the door

ADA, BEN = "ada@people.example", "ben@people.example"
KEY = "a-key-of-16-or-more-characters"


async def ask(
    door: Door,
    email: str = ADA,
    key: str | None = None,
    **fields: Any,  # noqa: ANN401 - of the body
) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "region": "DE", "language": "en", "policy_version": POLICY}
    return await door.ask(
        "POST", "/registrations", json=body | fields, headers={"Idempotency-Key": key} if key is not None else {}
    )


async def test_a_person_registers_and_has_agreed_to_the_policy(door: Door) -> None:
    await door.sign_up("Ada@People.example")

    (account,) = await door.room.rows("accounts")
    assert (account["email"], account["policy_version"]) == (ADA, POLICY)
    (agreement,) = await door.room.rows("agreements")
    assert agreement == {"account_id": account["id"], "policy_version": POLICY, "agreed_at": NOON}
    assert await door.room.types_announced() == ["ConfirmationRequested", "AccountRegistered", "ContactChanged"]


async def test_a_known_address_gets_the_answer_of_a_new_one_and_its_owner_is_told(door: Door) -> None:
    await door.sign_up(ADA)
    (account,) = await door.room.rows("accounts")

    known, new = await ask(door, "ADA@people.example"), await ask(door, BEN)

    assert known.status_code == new.status_code == HTTPStatus.ACCEPTED
    assert list(known.json()) == list(new.json()) == ["registration_id"]
    told = [each["account_id"] for each in await door.mailed("AddressRegisteredAgain")]
    assert told == [str(account["id"])]
    assert [each["email"] for each in await door.mailed("ConfirmationRequested")] == [ADA, BEN]
    for _ in range(CODE_TRIES + 1):
        one, other = [
            await door.ask("POST", f"/registrations/{each.json()['registration_id']}/confirm", json={"code": "no"})
            for each in (known, new)
        ]
        assert (one.status_code, one.json()) == (other.status_code, other.json())
        assert slug_of(one) == "code-wrong"


async def test_a_known_address_costs_the_work_of_a_new_one(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.sign_up(ADA)
    hashed = []
    hasher = door.app.state.passwords
    hash_it = hasher.hash

    async def noting(password: str) -> str:
        hashed.append(password)
        return str(await hash_it(password))

    monkeypatch.setattr(hasher, "hash", noting)

    await ask(door, ADA)
    await ask(door, BEN)

    assert hashed == [PASSWORD] * 2


async def test_a_registration_that_is_asked_for_again_with_its_key_is_the_same_one(door: Door) -> None:
    first = await ask(door, key=KEY)
    again = await ask(door, key=KEY)

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(await door.room.rows("registrations")) == 1
    assert len(await door.mailed("ConfirmationRequested")) == 1

    # Also when it has become an account meanwhile: nobody else has asked
    code = (await door.mailed("ConfirmationRequested"))[0]["code"]
    path = f"/registrations/{first.json()['registration_id']}/confirm"
    assert (await door.ask("POST", path, json={"code": code})).status_code == HTTPStatus.CREATED
    assert (await ask(door, key=KEY)).json() == first.json()
    assert await door.mailed("AddressRegisteredAgain") == []


async def test_one_key_at_the_same_time_makes_one_registration(door: Door) -> None:
    answers = await asyncio.gather(*(ask(door, key=KEY) for _ in range(3)))

    assert len({answer.text for answer in answers}) == 1
    assert len(await door.room.rows("registrations")) == len(await door.mailed("ConfirmationRequested")) == 1


async def test_one_key_for_two_addresses_makes_two_registrations(door: Door) -> None:
    one, other = await ask(door, key=KEY), await ask(door, BEN, key=KEY)

    assert one.json() != other.json()
    assert len(await door.room.rows("registrations")) == 2


@pytest.mark.parametrize("key", ["short", "with blanks in it, and long", "a" * 101, ""])
async def test_a_key_that_others_may_have_too_is_refused(door: Door, key: str) -> None:
    assert slug_of(await ask(door, key=key)) == "invalid-request"


async def test_only_the_current_policy_opens_an_account(door: Door) -> None:
    refused = await ask(door, policy_version="2020-01")

    assert (refused.status_code, slug_of(refused)) == (409, "policy-outdated")
    assert refused.json()["current"] == POLICY
    assert await door.room.rows("registrations") == []


async def test_an_address_is_registered_three_times_an_hour_known_or_not_whatever_else_is_wrong(door: Door) -> None:
    await door.sign_up(ADA)
    ways: tuple[dict[str, str], ...] = ({"policy_version": "2020-01"}, {"password": "passwordpassword"}, {})

    for email, tried in ((ADA, ways[1:]), (BEN, ways)):
        for fields in tried:
            assert slug_or_status(await ask(door, email, **fields)) != "too-many-tries"
        one_too_many = await ask(door, email)
        assert (one_too_many.status_code, slug_of(one_too_many)) == (429, "too-many-tries")
        assert int(one_too_many.headers["Retry-After"]) == 3600

    door.room.clock.now += timedelta(hours=1)
    assert (await ask(door, BEN)).status_code == HTTPStatus.ACCEPTED


def slug_or_status(answer: httpx.Response) -> object:
    return slug_of(answer) if answer.is_error else answer.status_code


async def test_twenty_registrations_an_hour_come_from_one_network_address(door: Door) -> None:
    outdated = {"policy_version": "2020-01"}

    answers = [await ask(door, f"nobody{number}@people.example", **outdated) for number in range(21)]

    assert Counter(map(slug_of, answers)) == {"policy-outdated": 20, "too-many-tries": 1}


async def test_of_many_registrations_of_an_address_at_once_three_are_looked_at(door: Door) -> None:
    answers = await asyncio.gather(*(ask(door) for _ in range(10)))

    assert Counter(answer.status_code for answer in answers) == {202: 3, 429: 7}
    assert len(await door.room.rows("registrations")) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "no address"},
        {"email": "ada@people.example\r\nBcc: all@people.example"},
        {"email": "ada\x00@people.example"},
        {"email": "ada\ud800@people.example"},
        {"email": None},
        {"password": None},
        {"region": "XX"},
        {"region": "D\x00"},
        {"language": "no language"},
        {"language": "e\ud800"},
        {"policy_version": ["2026-01"]},
        {"policy_version": "\ud800"},
        {"admin": True},
    ],
    ids=ascii,
)
async def test_what_makes_no_sense_is_refused_field_by_field(door: Door, fields: dict[str, object]) -> None:
    body = {"email": ADA, "password": PASSWORD, "region": "DE", "language": "en", "policy_version": POLICY}
    text = json.dumps(body | fields)

    refused = await door.ask("POST", "/registrations", content=text, headers={"Content-Type": "application/json"})

    assert (refused.status_code, slug_of(refused)) == (422, "invalid-request")
    assert [fault["field"].rpartition(".")[2] for fault in refused.json()["faults"]] == [
        name if name in body else "body" for name in fields
    ]
    assert await door.room.rows("registrations") == []


@pytest.mark.parametrize("code", ["", "1" * 41, "\ud800", "\x00", 12345678, None], ids=ascii)
async def test_a_code_that_makes_no_sense_opens_nothing(door: Door, code: object) -> None:
    registration_id = (await ask(door)).json()["registration_id"]

    refused = await door.ask(
        "POST",
        f"/registrations/{registration_id}/confirm",
        content=json.dumps({"code": code}),
        headers={"Content-Type": "application/json"},
    )

    assert slug_of(refused) in ("invalid-request", "code-wrong")
    assert await door.room.rows("accounts") == []


async def test_of_two_confirmations_at_once_one_opens_the_account(door: Door) -> None:
    registration_id = (await ask(door)).json()["registration_id"]
    code = (await door.mailed("ConfirmationRequested"))[0]["code"]
    path = f"/registrations/{registration_id}/confirm"

    answers = await asyncio.gather(*(door.ask("POST", path, json={"code": code}) for _ in range(2)))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 1}
    assert len(await door.mailed("AccountRegistered")) == 1


async def test_of_a_thousand_codes_at_once_three_are_looked_at(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(register())
    tries = [confirm(code="wrong")] * (1000 - CODE_TRIES) + [confirm()] * CODE_TRIES

    outcomes = await asyncio.gather(*(account.does(each) for each in tries))

    assert outcomes == [[CODE_WRONG]] * 1000
    assert await account.rows("accounts") == []
