"""Who wants it is asked for a code from the phone besides the password, or for a recovery code."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from http import HTTPStatus

import httpx
import pyotp
import pytest

from tests.builders import NOON
from tests.doors import PASSWORD, Door, Tokens, slug_of

ANNA = "anna@mail.example"
A_STEP = timedelta(seconds=30)


class Phone:
    """Anna with her second factor turned on."""

    def __init__(self, door: Door, by: Tokens, secret: str, recovery: list[str]) -> None:
        self.door = door
        self.by = by
        self.secret = secret
        self.recovery = recovery

    def code(self, steps: int = 0) -> str:
        """Show the code of now, or of so many half minutes later."""
        return pyotp.TOTP(self.secret).at(self.door.room.clock.now + steps * A_STEP)

    async def logs_in(self, code: str | None = None) -> httpx.Response:
        body = {"email": ANNA, "password": PASSWORD} | ({"code": code} if code else {})
        return await self.door.ask("POST", "/sessions", json=body)


@pytest.fixture
async def phone(door: Door) -> Phone:
    await door.sign_up(ANNA)
    by = await door.log_in(ANNA)
    prepared = await door.ask("POST", "/account/second-factor", by=by, json={"password": PASSWORD})
    secret = prepared.json()["secret"]
    code = pyotp.TOTP(secret).at(NOON)
    enabled = await door.ask("POST", "/account/second-factor/confirm", by=by, json={"code": code})
    assert enabled.status_code == HTTPStatus.OK, enabled.text
    door.room.clock.now = NOON + A_STEP
    return Phone(door, by, secret, enabled.json()["recovery_codes"])


async def test_the_password_alone_is_not_enough_any_more(phone: Phone) -> None:
    assert slug_of(await phone.logs_in()) == "second-factor-needed"
    assert slug_of(await phone.logs_in("000000")) == "second-factor-wrong"
    assert (await phone.logs_in(phone.code())).status_code == HTTPStatus.CREATED
    assert [each["enabled"] for each in await phone.door.mailed("SecondFactorChanged")] == [True]


async def test_whether_there_is_a_second_factor_is_told_after_the_right_password_alone(phone: Phone) -> None:
    body = {"email": ANNA, "password": "not the heron at dusk", "code": phone.code()}

    assert slug_of(await phone.door.ask("POST", "/sessions", json=body)) == "credentials-wrong"


async def test_a_code_works_once_also_at_the_same_moment(phone: Phone) -> None:
    answers = await asyncio.gather(*(phone.logs_in(phone.code()) for _ in range(5)))

    assert [answer.status_code for answer in answers].count(HTTPStatus.CREATED) == 1


@pytest.mark.parametrize(("steps", "good"), [(-1, False), (0, True), (1, True), (2, False)])
async def test_a_phone_may_be_half_a_minute_off_and_no_code_from_before_the_last_works(
    phone: Phone, steps: int, *, good: bool
) -> None:
    # The code of the half minute before was used to turn it on.
    answer = await phone.logs_in(phone.code(steps))

    assert (answer.status_code == HTTPStatus.CREATED) is good


async def test_of_many_wrong_codes_at_once_five_are_looked_at(phone: Phone) -> None:
    answers = await asyncio.gather(*(phone.logs_in(f"{n:06}") for n in range(10)))
    slugs = Counter(map(slug_of, answers))

    assert slugs == {"second-factor-wrong": 5, "too-many-tries": 5}
    assert slug_of(await phone.logs_in(phone.code())) == "too-many-tries"
    phone.door.room.clock.now += timedelta(minutes=15)
    assert (await phone.logs_in(phone.code())).status_code == HTTPStatus.CREATED


async def test_a_recovery_code_stands_in_once_however_it_is_typed(phone: Phone) -> None:
    first, second = phone.recovery[:2]
    assert len(set(phone.recovery)) == 10
    assert (await phone.logs_in(f" {first[:10]}-{first[10:]} ".upper())).status_code == HTTPStatus.CREATED
    assert slug_of(await phone.logs_in(first)) == "second-factor-wrong"
    assert (await phone.logs_in(second)).status_code == HTTPStatus.CREATED


async def test_new_recovery_codes_make_the_ones_before_void(phone: Phone) -> None:
    body = {"password": PASSWORD, "code": phone.code()}
    answer = await phone.door.ask("POST", "/account/second-factor/recovery-codes", by=phone.by, json=body)

    assert slug_of(await phone.logs_in(phone.recovery[0])) == "second-factor-wrong"
    assert (await phone.logs_in(answer.json()["recovery_codes"][0])).status_code == HTTPStatus.CREATED


async def test_to_turn_it_off_takes_password_and_code(phone: Phone) -> None:
    async def drop(password: str, code: str) -> httpx.Response:
        body = {"password": password, "code": code}
        return await phone.door.ask("POST", "/account/second-factor/drop", by=phone.by, json=body)

    assert slug_of(await drop("not the heron at dusk", phone.code())) == "password-wrong"
    assert slug_of(await drop(PASSWORD, "000000")) == "second-factor-wrong"
    assert (await drop(PASSWORD, phone.code())).status_code == HTTPStatus.NO_CONTENT
    assert (await phone.logs_in()).status_code == HTTPStatus.CREATED
    assert await phone.door.room.rows("recovery_codes") == []
    assert [each["enabled"] for each in await phone.door.mailed("SecondFactorChanged")] == [True, False]


async def test_one_that_is_on_cannot_be_replaced_by_whoever_has_the_password(phone: Phone) -> None:
    answer = await phone.door.ask("POST", "/account/second-factor", by=phone.by, json={"password": PASSWORD})

    assert slug_of(answer) == "second-factor-enabled"


async def test_secret_and_recovery_codes_never_stand_open_in_the_database(phone: Phone) -> None:
    kept = repr([await phone.door.room.rows(table) for table in phone.door.room.tables])

    assert phone.secret not in kept
    assert not [code for code in phone.recovery if code in kept]


async def test_one_that_was_only_prepared_is_not_asked_for(door: Door) -> None:
    await door.sign_up(ANNA)
    by = await door.log_in(ANNA)
    await door.ask("POST", "/account/second-factor", by=by, json={"password": PASSWORD})
    wrong = await door.ask("POST", "/account/second-factor/confirm", by=by, json={"code": "000000"})

    assert slug_of(wrong) == "second-factor-wrong"
    await door.log_in(ANNA)
    none = await door.ask(
        "POST",
        "/account/second-factor/drop",
        by=await door.log_in(ANNA),
        json={"password": PASSWORD, "code": "000000"},
    )
    assert none.status_code == HTTPStatus.NO_CONTENT
