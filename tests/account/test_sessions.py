"""People log in and out; who has stolen a password, a token or a phone is slowed, told on, thrown out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from services.account.domain.access import HISTORY_KEPT, MOST_CLIENTS, SESSION_IDLE, SESSION_LIFE
from services.account.passwords import Passwords
from services.account.repository.sessions import session_open
from shared.logging import JsonLines
from tests.builders import NOON, named
from tests.doors import PASSWORD, Door, Tokens, slug_of

ANNA, BEN = "anna@mail.example", "ben@mail.example"
WRONG = "not the heron at dusk"


@pytest.fixture
async def anna(door: Door) -> Tokens:
    await door.sign_up(ANNA)
    return await door.log_in(ANNA, client_name="Anna's phone")


async def tries(door: Door, email: str, password: str = WRONG, **more: Any) -> httpx.Response:  # noqa: ANN401
    network = more.pop("network", "192.0.2.1")
    return await door.ask("POST", "/sessions", json={"email": email, "password": password} | more, network=network)


async def open_sessions(door: Door, by: Tokens) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await door.ask("GET", "/sessions", by=by)).json()["items"]
    return found


async def works(door: Door, by: Tokens) -> bool:
    return (await door.ask("GET", "/account", by=by)).status_code == HTTPStatus.OK


async def refresh(door: Door, token: str) -> httpx.Response:
    return await door.ask("POST", "/sessions/refresh", json={"refresh_token": token})


async def test_an_unknown_address_gets_the_answer_and_costs_the_work_of_a_wrong_password(
    door: Door, anna: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    real = Passwords.fits

    async def fits(self: Passwords, password: str, kept: str | None) -> bool:
        checked.append(kept)
        return await real(self, password, kept)

    monkeypatch.setattr(Passwords, "fits", fits)
    known, unknown = await tries(door, ANNA), await tries(door, "nobody@mail.example")

    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert slug_of(known) == "credentials-wrong"
    assert len(checked) == 2
    assert checked[1] is None
    assert anna


@pytest.mark.parametrize("email", [ANNA, "nobody@mail.example"])
async def test_of_a_thousand_wrong_passwords_at_once_ten_are_looked_at(
    door: Door, anna: Tokens, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    async def fits(_: Passwords, password: str, _kept: str | None) -> bool:
        looked_at.append(password)
        return False

    monkeypatch.setattr(Passwords, "fits", fits)
    answers = await asyncio.gather(*(tries(door, email, network=f"192.0.2.{n % 250}") for n in range(1000)))

    assert Counter(map(slug_of, answers)) == {"credentials-wrong": 10, "too-many-tries": 990}
    assert len(looked_at) == 10
    assert anna


async def test_nobody_can_lock_a_person_out_of_a_phone_that_is_known(door: Door, anna: Tokens) -> None:
    for _ in range(11):
        last = await tries(door, ANNA)
    assert slug_of(last) == "too-many-tries"
    assert slug_of(await tries(door, ANNA, PASSWORD)) == "too-many-tries"

    known = await tries(door, ANNA, PASSWORD, client_token=anna.given["client_token"])
    assert known.status_code == HTTPStatus.CREATED


async def test_one_network_cannot_try_one_password_on_everybody(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fits(*_: object) -> bool:
        return False

    monkeypatch.setattr(Passwords, "fits", fits)
    answers = [await tries(door, f"person-{n}@mail.example") for n in range(101)]

    assert slug_of(answers[99]) == "credentials-wrong"
    assert slug_of(answers[100]) == "too-many-tries"
    assert slug_of(await tries(door, "person-0@mail.example", network="192.0.2.2")) == "credentials-wrong"


async def test_a_right_password_begins_anew_and_waiting_helps(door: Door, anna: Tokens) -> None:
    for _ in range(9):
        await tries(door, ANNA)
    await door.log_in(ANNA)
    for _ in range(11):
        last = await tries(door, ANNA)
    assert slug_of(last) == "too-many-tries"

    door.room.clock.now = NOON + timedelta(minutes=15)
    assert (await tries(door, ANNA, PASSWORD)).status_code == HTTPStatus.CREATED
    assert anna


async def test_a_log_in_from_a_new_client_is_told_and_one_from_a_known_client_is_not(
    door: Door, anna: Tokens
) -> None:
    assert await door.mailed("NewClientSeen") == []  # the first one after registering is no surprise
    again = await door.log_in(ANNA, client_token=anna.given["client_token"])
    assert await door.mailed("NewClientSeen") == []
    await door.log_in(ANNA, client_token=again.given["client_token"])
    await door.log_in(ANNA, client_token="a guess")

    assert len(await door.mailed("NewClientSeen")) == 1


async def test_what_makes_one_persons_client_known_is_nothing_to_another_account(door: Door, anna: Tokens) -> None:
    await door.sign_up(BEN)
    await door.log_in(BEN)
    await door.log_in(BEN, client_token=anna.given["client_token"])

    assert len(await door.mailed("NewClientSeen")) == 1


async def test_only_so_many_clients_are_remembered(door: Door, anna: Tokens) -> None:
    for n in range(MOST_CLIENTS):
        door.room.clock.now = NOON + timedelta(minutes=n + 1)
        await door.log_in(ANNA)
    told = len(await door.mailed("NewClientSeen"))
    await door.log_in(ANNA, client_token=anna.given["client_token"])

    assert len(await door.room.rows("clients")) == MOST_CLIENTS
    assert len(await door.mailed("NewClientSeen")) == told + 1


async def test_a_log_in_repeated_with_its_key_is_the_same_session_and_told_once(door: Door, anna: Tokens) -> None:
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    body = {"email": ANNA, "password": PASSWORD}
    first, again = [await door.ask("POST", "/sessions", json=body, headers=key) for _ in range(2)]

    assert first.json()["session_id"] == again.json()["session_id"]
    assert len(await open_sessions(door, anna)) == 2
    assert len(await door.mailed("NewClientSeen")) == 1
    assert slug_of(await refresh(door, first.json()["refresh_token"])) == "session-ended"
    assert (await refresh(door, again.json()["refresh_token"])).status_code == HTTPStatus.OK


async def test_a_log_in_repeated_with_its_key_after_it_was_ended_opens_nothing(door: Door, anna: Tokens) -> None:
    key = {"Idempotency-Key": "a-random-key-of-the-client"}
    body = {"email": ANNA, "password": PASSWORD}
    first = await door.ask("POST", "/sessions", json=body, headers=key)
    await door.ask("DELETE", f"/sessions/{first.json()['session_id']}", by=anna)

    again = await door.ask("POST", "/sessions", json=body, headers=key)
    assert (again.status_code, slug_of(again)) == (HTTPStatus.UNAUTHORIZED, "session-ended")


async def test_a_log_in_with_a_password_that_is_changed_meanwhile_opens_nothing(
    door: Door, anna: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Passwords.fits

    async def fits_and_is_changed(self: Passwords, password: str, kept: str | None) -> bool:
        monkeypatch.setattr(Passwords, "fits", real)
        fitted = await real(self, password, kept)
        body = {"password": PASSWORD, "new_password": "the otter sleeps at noon"}
        changed = await door.ask("PUT", "/account/password", by=anna, json=body)
        assert changed.status_code == HTTPStatus.NO_CONTENT
        return fitted

    monkeypatch.setattr(Passwords, "fits", fits_and_is_changed)
    thief = await tries(door, ANNA, PASSWORD)

    assert (thief.status_code, slug_of(thief)) == (HTTPStatus.UNAUTHORIZED, "credentials-wrong")
    assert [each["current"] for each in await open_sessions(door, anna)] == [True]


async def test_sessions_are_listed_with_their_times_and_clients(door: Door, anna: Tokens) -> None:
    door.room.clock.now = NOON + timedelta(minutes=1)
    await door.log_in(ANNA, client_name="a tablet")
    found = await open_sessions(door, anna)

    assert [each["client_name"] for each in found] == ["a tablet", "Anna's phone"]
    assert [each["current"] for each in found] == [False, True]
    assert found[0]["logged_in_at"] == "2026-11-02T12:01:00Z"


async def test_the_history_of_log_ins_is_kept_for_half_a_year(door: Door, anna: Tokens) -> None:
    await door.ask("DELETE", "/sessions/current", by=anna)
    again = await door.log_in(ANNA)
    history = (await door.ask("GET", "/log-ins", by=again)).json()["items"]
    assert sorted(each["open"] for each in history) == [False, True]
    rule = next(each for each in door.app.state.service.parts.retention if each.since.key == "logged_in_at")

    assert rule.period == HISTORY_KEPT


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/sessions/current", {"b", "c"}),
        ("/sessions/others", {"a"}),
        ("/sessions", set()),
        ("/sessions/{b}", {"a", "c"}),
    ],
)
async def test_people_end_this_session_others_all_or_one(door: Door, path: str, left: set[str]) -> None:
    await door.sign_up(ANNA)
    tokens = {name: await door.log_in(ANNA) for name in "abc"}
    await door.sign_up(BEN)
    ben = await door.log_in(BEN)
    path = path.format(b=tokens["b"].given["session_id"])
    assert (await door.ask("DELETE", path, by=tokens["a"])).status_code == HTTPStatus.NO_CONTENT

    assert {name for name, by in tokens.items() if await works(door, by)} == left
    assert len(await door.mailed("SessionEnded")) == 3 - len(left)
    ended = tokens.keys() - left
    assert {slug_of(await refresh(door, tokens[name].given["refresh_token"])) for name in ended} == {"session-ended"}
    assert await works(door, ben)


async def test_the_session_of_somebody_else_is_not_there(door: Door, anna: Tokens) -> None:
    await door.sign_up(BEN)
    ben = await door.log_in(BEN)
    answers = [
        await door.ask("DELETE", f"/sessions/{session}", by=ben)
        for session in (anna.given["session_id"], named("no session"))
    ]

    assert {slug_of(answer) for answer in answers} == {"no-such-session"}
    assert await works(door, anna)


async def test_a_refresh_token_works_once_and_shown_again_ends_the_session(door: Door, anna: Tokens) -> None:
    stolen = anna.given["refresh_token"]
    fresh = (await refresh(door, stolen)).json()
    assert slug_of(await refresh(door, stolen)) == "session-ended"

    assert not await works(door, Tokens(fresh))
    assert slug_of(await refresh(door, fresh["refresh_token"])) == "session-ended"
    assert len(await door.mailed("SessionEnded")) == 1


async def test_of_many_who_refresh_with_one_token_at_once_one_at_most_gets_another(door: Door, anna: Tokens) -> None:
    answers = await asyncio.gather(*(refresh(door, anna.given["refresh_token"]) for _ in range(20)))

    assert [answer.status_code for answer in answers].count(HTTPStatus.OK) <= 1
    assert {answer.status_code for answer in answers} <= {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}
    assert len(await door.mailed("SessionEnded")) == 1


async def test_a_session_ends_after_thirty_days_however_often_it_was_refreshed(door: Door, anna: Tokens) -> None:
    fresh = anna.given
    for days in (10, 20, 29):
        door.room.clock.now = NOON + timedelta(days=days)
        fresh = (await refresh(door, fresh["refresh_token"])).json()
    door.room.clock.now = NOON + SESSION_LIFE

    assert slug_of(await refresh(door, fresh["refresh_token"])) == "session-ended"
    assert not await works(door, Tokens(fresh))
    async with door.room.engine.connect() as connection:
        assert not await session_open(connection, anna.given["session_id"], door.room.clock.now)


async def test_tokens_and_their_secrets_are_kept_as_digests_alone(door: Door, anna: Tokens) -> None:
    kept = repr([await door.room.rows(table) for table in door.room.tables])

    for secret in ("refresh_token", "client_token", "access_token"):
        assert anna.given[secret] not in kept
    assert PASSWORD not in kept


async def test_who_logs_in_is_told_that_there_is_a_policy_to_agree_to(door: Door, anna: Tokens) -> None:
    assert anna.given["agreement_needed"] is False
    await door.room.run("UPDATE accounts SET policy_version = '2025-01'")

    assert (await door.log_in(ANNA)).given["agreement_needed"] is True


async def test_a_session_that_is_not_used_for_two_weeks_has_ended(door: Door, anna: Tokens) -> None:
    door.room.clock.now = NOON + SESSION_IDLE - timedelta(seconds=1)
    fresh = (await refresh(door, anna.given["refresh_token"])).json()
    door.room.clock.now += SESSION_IDLE

    assert slug_of(await refresh(door, fresh["refresh_token"])) == "session-ended"


async def test_operations_can_end_all_sessions_of_an_account(door: Door, anna: Tokens) -> None:
    path = f"http://door.example/internal/accounts/{anna.given['account_id']}/sessions"
    assert slug_of(await door.ask("DELETE", path, by=anna)) == "not-internal"
    token = {"X-Internal-Token": door.room.settings.internal_token}
    assert (await door.ask("DELETE", path, headers=token)).status_code == HTTPStatus.NO_CONTENT

    assert not await works(door, anna)
    assert len(await door.mailed("SessionEnded")) == 1


async def test_log_ins_and_refusals_stand_in_the_log_without_a_word_of_who_or_what(
    door: Door, anna: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await door.log_in(ANNA)
    await tries(door, ANNA)
    await door.ask("GET", "/account")
    lines = [JsonLines("account").format(record) for record in caplog.records]
    told = [json.loads(line) for line in lines if '"shared.http"' in line or "logged in" in line]

    assert [each.get("slug", each["message"]) for each in told] == ["logged in", "credentials-wrong", "not-logged-in"]
    assert told[1]["route"] == "POST /v1/sessions"
    assert told[1]["at"].endswith("+00:00")
    for secret in (ANNA, WRONG, PASSWORD, anna.given["access_token"], anna.given["account_id"]):
        assert secret not in "".join(lines)
