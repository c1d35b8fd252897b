"""A cancellation that is started again with its key is the same one: its reference stays, its token is a new one."""

from __future__ import annotations

import asyncio
import re

import httpx

from tests.doors import PASSWORD, Door, Tokens, slug_of

ANNA, BEN = "anna@mail.example", "ben@mail.example"
KEY = {"Idempotency-Key": "a-key-of-16-or-more-characters"}


async def a_person(door: Door, email: str = ANNA) -> Tokens:
    await door.sign_up(email)
    return await door.log_in(email)


async def start(door: Door, by: Tokens, headers: dict[str, str] = KEY) -> httpx.Response:
    return await door.ask("POST", "/cancellations", by=by, headers=headers)


async def go_on(door: Door, step: str, started: httpx.Response, **fields: str) -> httpx.Response:
    given = started.json()
    return await door.ask(
        "POST", f"/cancellations/{given['reference']}/{step}", json={"token": given["token"]} | fields
    )


async def test_the_same_key_gives_the_same_reference_and_a_new_token(door: Door) -> None:
    anna = await a_person(door)

    first, again = await start(door, anna), await start(door, anna)

    assert first.json()["reference"] == again.json()["reference"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", again.json()["reference"])
    assert len(await door.room.rows("cancellations")) == 1
    assert slug_of(await go_on(door, "continue", first)) == "cancellation-token-invalid"
    assert (await go_on(door, "continue", again)).is_success
    assert (await go_on(door, "confirm", again, password=PASSWORD)).json()["state"] == "cancelled"


async def test_without_a_key_or_for_somebody_else_it_is_another_one(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)

    references = {
        (await start(door, by, headers)).json()["reference"]
        for by, headers in ((anna, KEY), (anna, {}), (anna, {}), (ben, KEY))
    }

    assert len(references) == 4


async def test_started_at_the_same_time_with_one_key_there_is_one(door: Door) -> None:
    anna = await a_person(door)

    answers = await asyncio.gather(*(start(door, anna) for _ in range(10)))

    assert len({answer.json()["reference"] for answer in answers}) == 1
    assert len(await door.room.rows("cancellations")) == 1
    going_on = [await go_on(door, "continue", answer) for answer in answers]
    assert [answer.is_success for answer in going_on].count(True) == 1


async def test_to_start_again_brings_no_password_tries_back(door: Door) -> None:
    anna = await a_person(door)
    started = await start(door, anna)
    await go_on(door, "continue", started)
    for _ in range(5):
        assert slug_of(await go_on(door, "confirm", started, password="a wrong one")) == "password-wrong"

    again = await start(door, anna)

    assert again.json()["reference"] == started.json()["reference"]
    assert slug_of(await go_on(door, "confirm", again, password=PASSWORD)) == "tries-spent"
