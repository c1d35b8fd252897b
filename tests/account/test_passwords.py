"""Passwords: which are taken, how one is changed, and how one that is forgotten is set anew."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher

from services.account.app import PARTS
from services.account.commands import CancelAccount, ResetPassword
from services.account.domain.access import CODE_TRIES, CODE_WRONG, RESET_LIFE
from services.account.domain.cancellations import Ok
from services.account.passwords import Passwords, is_address, is_common
from shared.contracts.account import Origin
from shared.retention import sweep
from shared.security import digest
from tests.builders import NOON
from tests.doors import PASSWORD, POLICY, Door, Tokens, slug_of

ANNA = "anna@mail.example"
NEW = "seven otters in a row"
AT_ONCE = 1000

TOO_COMMON = (
    "1234567890987654321",
    "passwordpassword",
    "PASSWORDpassword",
    "passwordpasswordpassw",
    "123456123456123",
    "123456789012345",
    "aaaaaaaaaaaaaaaa",
    "abababababababab",
    "abcdefghijklmnop",
    "qwertyuiopasdfghjkl",
    "zyxwvutsrqponmlkj",
    "anna@mail.example",
    "annaannaannaannaanna",
    "ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ",  # noqa: RUF001 - as wide as Chinese characters
)
EVERY_KIND = (
    "correct horse battery",
    "   spaces around   ",
    "密码很长很长很长很长很长很长好的",
    "🦦🦀🐙🐳🦦🐡🦦🐋🦈🐙🦦🦦🐟🐠🦭",
    "'; DROP TABLE x;--\t\n",
    "<script>alert(1)</script>",
    "anna@mail.example2",
)


def sign_up_with(password: str) -> dict[str, str]:
    return {"email": ANNA, "password": password, "region": "DE", "language": "en", "policy_version": POLICY}


# How they are kept


async def test_a_password_is_kept_as_argon2id_with_what_owasp_asks_for_at_least(door: Door) -> None:
    await door.sign_up(ANNA)
    (account,) = await door.room.rows("accounts")

    assert account["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_of_many_at_once_only_as_many_are_hashed_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(parallel=2)
    hashing, free = threading.Semaphore(0), threading.Event()

    def slow(*_: object) -> str:
        hashing.release()
        assert free.wait(timeout=20)
        return "a hash"

    monkeypatch.setattr(PasswordHasher, "hash", slow)
    monkeypatch.setattr(PasswordHasher, "verify", slow)
    hashes = [asyncio.create_task(passwords.hash(NEW)) for _ in range(5)]
    checks = [asyncio.create_task(passwords.fits(NEW, "a hash")) for _ in range(5)]
    try:
        for _ in range(2):
            while not hashing.acquire(blocking=False):  # noqa: ASYNC110 - a thread decides
                await asyncio.sleep(0.01)
        assert not hashing.acquire(blocking=False)
    finally:
        free.set()
    assert len(await asyncio.gather(*hashes, *checks)) == 10


# Which are taken


@pytest.mark.parametrize("password", TOO_COMMON)
async def test_a_common_password_is_refused(door: Door, password: str) -> None:
    answer = await door.ask("POST", "/registrations", json=sign_up_with(password))

    assert (answer.status_code, slug_of(answer)) == (422, "password-too-common")
    assert await door.room.rows("registrations") == []


@pytest.mark.parametrize("password", EVERY_KIND)
async def test_every_character_and_every_composition_is_taken_and_logs_in(door: Door, password: str) -> None:
    await door.sign_up(ANNA, password)

    assert await door.log_in(ANNA, password)


@pytest.mark.parametrize(("length", "status"), [(14, 422), (15, 202), (128, 202), (129, 422)])
@pytest.mark.parametrize("alphabet", ["xk7 qz", "岭é🦦密a字"])
async def test_a_password_has_15_to_128_characters_whatever_bytes_they_take(
    door: Door, length: int, status: int, alphabet: str
) -> None:
    varied = "".join(alphabet[(number * number + number // 6) % len(alphabet)] for number in range(length))

    answer = await door.ask("POST", "/registrations", json=sign_up_with(varied))

    assert answer.status_code == status


@pytest.mark.parametrize("password", ["long password \x00 it is", "long password \ud800 it is", 12345678901234567])
async def test_what_is_no_text_is_no_password(door: Door, password: object) -> None:
    body = json.dumps(sign_up_with("") | {"password": password})

    answer = await door.ask("POST", "/registrations", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, slug_of(answer)) == (422, "invalid-request")
    assert "long password" not in answer.text


async def test_two_ways_to_type_the_same_characters_are_one_password(door: Door) -> None:
    await door.sign_up(ANNA, "ein schönes Café am Fluß")

    assert await door.log_in(ANNA, "ein scho\u0308nes Cafe\u0301 am Fluß")


def test_what_only_looks_like_a_common_one_is_taken() -> None:
    assert not is_common("correcthorsebatterystaple")
    assert not is_common("password of my grandmother")
    assert not is_address("anna is who i am", ANNA)


# Changed


async def change(door: Door, by: Tokens, password: str = PASSWORD, new: str = NEW) -> httpx.Response:
    return await door.ask("PUT", "/account/password", by=by, json={"password": password, "new_password": new})


async def test_with_another_password_every_other_session_ends_and_the_person_is_told(door: Door) -> None:
    await door.sign_up(ANNA)
    here, phone, tablet = [await door.log_in(ANNA) for _ in range(3)]

    assert (await change(door, here)).status_code == HTTPStatus.NO_CONTENT

    ended = {each["session_id"] for each in await door.mailed("SessionEnded")}
    assert ended == {phone.given["session_id"], tablet.given["session_id"]}
    assert len(await door.mailed("PasswordChanged")) == 1
    for other in (phone, tablet):
        assert slug_of(await door.ask("GET", "/account", by=other)) == "session-ended"
        refreshed = await door.ask("POST", "/sessions/refresh", json={"refresh_token": other.given["refresh_token"]})
        assert slug_of(refreshed) == "session-ended"
    assert (await door.ask("GET", "/account", by=here)).status_code == HTTPStatus.OK
    refused = await door.ask("POST", "/sessions", json={"email": ANNA, "password": PASSWORD})
    assert slug_of(refused) == "credentials-wrong"
    assert await door.log_in(ANNA, NEW)


async def test_a_password_is_changed_only_by_who_knows_the_one_before(door: Door) -> None:
    await door.sign_up(ANNA)
    here, phone = await door.log_in(ANNA), await door.log_in(ANNA)

    wrong = await change(door, here, "not the password")

    assert (wrong.status_code, slug_of(wrong)) == (403, "password-wrong")
    assert await door.mailed("PasswordChanged") == []
    assert (await door.ask("GET", "/account", by=phone)).status_code == HTTPStatus.OK


async def test_a_changed_password_cannot_be_a_common_one_or_the_address(door: Door) -> None:
    await door.sign_up(ANNA)
    here = await door.log_in(ANNA)

    for common in ("passwordpassword", ANNA):
        assert slug_of(await change(door, here, new=common)) == "password-too-common"


async def test_passwords_can_be_guessed_in_an_open_session_a_few_times_only(door: Door) -> None:
    await door.sign_up(ANNA)
    here = await door.log_in(ANNA)

    answers = [slug_of(await change(door, here, "not the password")) for _ in range(12)]

    assert Counter(answers) == {"password-wrong": 10, "too-many-tries": 2}
    assert slug_of(await change(door, here)) == "too-many-tries"


async def test_a_session_that_ends_while_it_changes_the_password_does_not_change_it(door: Door) -> None:
    await door.sign_up(ANNA)
    thief, here = await door.log_in(ANNA), await door.log_in(ANNA)

    one, other = await asyncio.gather(change(door, thief, new="the thief was faster"), change(door, here))

    assert sorted([one.status_code, other.status_code]) == [204, 401]
    assert len(await door.mailed("PasswordChanged")) == 1


# Forgotten


async def forget(door: Door, email: str = ANNA) -> str:
    answer = await door.ask("POST", "/password-resets", json={"email": email})
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    assert list(answer.json()) == ["reset_id"]
    return str(answer.json()["reset_id"])


async def confirm(door: Door, reset_id: str, code: str, **fields: Any) -> httpx.Response:  # noqa: ANN401 - of the body
    body = {"code": code, "password": NEW} | fields
    return await door.ask("POST", f"/password-resets/{reset_id}/confirm", json=body)


async def code_of(door: Door) -> str:
    return str((await door.mailed("PasswordResetRequested"))[-1]["code"])


async def test_who_has_forgotten_the_password_sets_another_by_the_mailed_code_and_sessions_end(
    door: Door,
) -> None:
    await door.sign_up(ANNA)
    before = [await door.log_in(ANNA) for _ in range(2)]

    reset_id = await forget(door, "Anna@Mail.example")
    (mail,) = await door.mailed("PasswordResetRequested")
    assert (mail["email"], mail["language"], len(mail["code"])) == (ANNA, "en", 8)
    assert (await confirm(door, reset_id, mail["code"])).status_code == HTTPStatus.NO_CONTENT

    ended = {each["session_id"] for each in await door.mailed("SessionEnded")}
    assert ended == {each.given["session_id"] for each in before}
    assert len(await door.mailed("PasswordChanged")) == 1
    assert await door.log_in(ANNA, NEW)
    assert slug_of(await confirm(door, reset_id, mail["code"])) == "code-wrong"


async def test_a_reset_for_an_unknown_address_is_answered_and_confirmed_as_for_a_known_one(door: Door) -> None:
    await door.sign_up(ANNA)
    known, unknown = await forget(door), await forget(door, "nobody@mail.example")

    assert len(await door.mailed("PasswordResetRequested")) == 1
    for _ in range(CODE_TRIES + 2):
        one, other = await confirm(door, known, "wrong"), await confirm(door, unknown, "wrong")
        assert (one.status_code, one.json()) == (other.status_code, other.json())
        assert slug_of(one) == "code-wrong"
    # What the new password looks like tells no more
    for password in (ANNA, "passwordpassword"):
        one = await confirm(door, await forget_elsewhere(door, ANNA), "wrong", password=password)
        other = await confirm(door, await forget_elsewhere(door, "nobody@mail.example"), "wrong", password=password)
        assert (one.status_code, one.json()) == (other.status_code, other.json())
    assert slug_of(await confirm(door, str(uuid4()), "wrong")) == "code-wrong"


async def forget_elsewhere(door: Door, email: str) -> str:
    door.room.clock.now += timedelta(hours=2)
    return await forget(door, email)


async def test_the_address_is_no_password_for_who_has_forgotten_it_either(door: Door) -> None:
    await door.sign_up(ANNA)
    reset_id = await forget(door)

    refused = await confirm(door, reset_id, await code_of(door), password=ANNA)

    assert (refused.status_code, slug_of(refused)) == (422, "password-too-common")
    assert (await confirm(door, reset_id, await code_of(door))).status_code == HTTPStatus.NO_CONTENT


async def test_three_wrong_codes_spend_a_reset(door: Door) -> None:
    await door.sign_up(ANNA)
    reset_id = await forget(door)

    for _ in range(CODE_TRIES):
        assert slug_of(await confirm(door, reset_id, "wrong")) == "code-wrong"

    assert slug_of(await confirm(door, reset_id, await code_of(door))) == "code-wrong"
    assert await door.log_in(ANNA)


async def test_a_code_sets_the_password_only_by_the_reset_that_it_was_mailed_for(door: Door) -> None:
    await door.sign_up(ANNA)
    first = await forget(door)
    await forget(door)

    assert slug_of(await confirm(door, first, await code_of(door))) == "code-wrong"


async def test_a_code_is_good_for_an_hour_and_then_the_reset_is_swept_away(door: Door) -> None:
    await door.sign_up(ANNA)
    reset_id = await forget(door)
    door.room.clock.now = NOON + RESET_LIFE

    assert slug_of(await confirm(door, reset_id, await code_of(door))) == "code-wrong"

    await sweep(door.room.engine, PARTS.retention, NOON + RESET_LIFE + timedelta(seconds=1))
    assert await door.room.rows("password_resets") == []


async def test_a_reset_does_not_go_around_the_second_factor(door: Door) -> None:
    await door.sign_up(ANNA)
    here = await door.log_in(ANNA)
    prepared = await door.ask("POST", "/account/second-factor", by=here, json={"password": PASSWORD})
    totp = pyotp.TOTP(prepared.json()["secret"])
    enabled = await door.ask(
        "POST", "/account/second-factor/confirm", by=here, json={"code": totp.at(door.room.clock.now)}
    )
    assert enabled.status_code == HTTPStatus.OK, enabled.text
    reset_id = await forget(door)
    code = await code_of(door)
    door.room.clock.now += timedelta(minutes=1)

    assert slug_of(await confirm(door, reset_id, code)) == "second-factor-needed"
    assert slug_of(await confirm(door, reset_id, code, second_factor_code="000000")) == "second-factor-wrong"
    assert await door.mailed("PasswordChanged") == []

    done = await confirm(door, reset_id, code, second_factor_code=totp.at(door.room.clock.now))
    assert done.status_code == HTTPStatus.NO_CONTENT
    needed = await door.ask("POST", "/sessions", json={"email": ANNA, "password": NEW})
    assert slug_of(needed) == "second-factor-needed"


async def test_of_a_thousand_codes_at_once_three_are_looked_at(door: Door) -> None:
    # Given a reset, and a thousand tries of which the last ones would be right
    await door.sign_up(ANNA)
    reset_id = await forget(door)
    (kept,) = await door.room.rows("password_resets")
    wrong, right = digest(reset_id, "wrong"), str(kept["code_digest"])
    tries = [_with_code(kept, wrong)] * (AT_ONCE - CODE_TRIES) + [_with_code(kept, right)] * CODE_TRIES

    # When all come at once, the wrong ones first
    outcomes = await asyncio.gather(*(door.room.does(each) for each in tries))

    # Then three were counted, and the right ones came too late
    assert outcomes == [[CODE_WRONG]] * AT_ONCE
    assert [row["tries"] for row in await door.room.rows("password_resets")] == [CODE_TRIES]
    assert await door.mailed("PasswordChanged") == []


def _with_code(kept: dict[str, Any], code_digest: str) -> ResetPassword:
    return ResetPassword(
        account_id=kept["account_id"],
        reset_id=kept["id"],
        code_digest=code_digest,
        second_factor_code=None,
        password_hash="another hash",
    )


async def test_of_two_right_codes_at_once_one_sets_the_password(door: Door) -> None:
    await door.sign_up(ANNA)
    await forget(door)
    (kept,) = await door.room.rows("password_resets")
    right = _with_code(kept, str(kept["code_digest"]))

    outcomes = await asyncio.gather(*(door.room.does(right) for _ in range(CODE_TRIES)))

    assert sorted(map(str, outcomes)) == sorted(map(str, [[Ok()], [CODE_WRONG], [CODE_WRONG]]))
    assert len(await door.mailed("PasswordChanged")) == 1


async def test_a_changed_password_voids_the_codes_for_a_forgotten_one(door: Door) -> None:
    await door.sign_up(ANNA)
    reset_id = await forget(door)
    await change(door, await door.log_in(ANNA))

    assert slug_of(await confirm(door, reset_id, await code_of(door))) == "code-wrong"


async def test_resets_are_asked_for_three_times_an_hour_whether_the_address_is_known_or_not(door: Door) -> None:
    await door.sign_up(ANNA)

    for email in (ANNA, "nobody@mail.example"):
        for _ in range(3):
            await forget(door, email)
        one_too_many = await door.ask("POST", "/password-resets", json={"email": email})
        assert (one_too_many.status_code, slug_of(one_too_many)) == (429, "too-many-tries")
        assert int(one_too_many.headers["Retry-After"]) == 3600

    door.room.clock.now += timedelta(hours=1)
    await forget(door)


@pytest.mark.parametrize("email", [ANNA, "nobody@mail.example"])
async def test_a_reset_that_is_asked_for_again_with_its_key_is_the_same_one(door: Door, email: str) -> None:
    await door.sign_up(ANNA)
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    body = {"email": email}
    first, again = [await door.ask("POST", "/password-resets", json=body, headers=key) for _ in range(2)]

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(await door.room.rows("password_resets")) == 1
    assert len(await door.mailed("PasswordResetRequested")) == (email == ANNA)


async def test_resets_are_asked_for_twenty_times_an_hour_from_one_network_address(door: Door) -> None:
    asked = [
        await door.ask("POST", "/password-resets", json={"email": f"nobody{number}@mail.example"})
        for number in range(21)
    ]

    assert Counter(answer.status_code for answer in asked) == {202: 20, 429: 1}
    elsewhere = await door.ask("POST", "/password-resets", json={"email": ANNA}, network="192.0.2.2")
    assert elsewhere.status_code == HTTPStatus.ACCEPTED


@pytest.mark.parametrize(
    "body", [{}, {"code": "1"}, {"code": 1, "password": NEW}, {"code": "1", "password": NEW, "x": 1}]
)
async def test_a_confirmation_that_makes_no_sense_is_refused_before_it_counts(
    door: Door, body: dict[str, object]
) -> None:
    await door.sign_up(ANNA)
    reset_id = await forget(door)

    answer = await door.ask("POST", f"/password-resets/{reset_id}/confirm", json=body)

    assert slug_of(answer) == "invalid-request"
    assert [row["tries"] for row in await door.room.rows("password_resets")] == [0]


async def test_a_cancelled_account_leaves_nothing_to_set_a_password_for(door: Door) -> None:
    await door.sign_up(ANNA)
    await forget(door)
    (reset,) = await door.room.rows("password_resets")

    await door.room.does(CancelAccount(account_id=reset["account_id"], origin=Origin.REQUEST))

    assert await door.room.rows("password_resets") == []
    assert slug_of(await confirm(door, str(reset["id"]), await code_of(door))) == "code-wrong"
