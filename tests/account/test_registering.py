"""A registration becomes an account only by the code that was mailed; until then there is none, and it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.account.app import PARTS
from services.account.commands import CancelAccount, ConfirmRegistration, Register
from services.account.domain.access import CODE_LIFE, CODE_WRONG
from services.account.domain.cancellations import Ok
from shared.contracts.account import Origin
from shared.retention import sweep
from tests.builders import NOON, named
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
