"""Whatever comes in by HTTP, the answer is plain, safe, and the same in every service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from uuid import UUID

import httpx
import pytest

from shared.http import expected_version, id_for
from tests.builders import ANNA
from tests.doors import Door, door_of, slug_of
from tests.rooms import OpenRoom

JSON = {"Content-Type": "application/json"}
PAGE = "https://app.example"


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    async with door_of(await room("device"), cors_origins=(PAGE,)) as opened:
        yield opened


async def post(door: Door, body: bytes, **headers: str) -> httpx.Response:
    return await door.ask("POST", "/devices", by=door.token_of(ANNA), content=body, headers=JSON | headers)


BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"serial": "\xff"}',
    "very deep": b"[" * 100_000,
    "very deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "a list": b"[]",
    "a number": b"7",
    "a huge number": b'{"serial": ' + b"9" * 5_000 + b', "pairing_code": "1"}',
    "no number": b'{"serial": NaN, "pairing_code": "1"}',
    "half a character": b'{"serial": "\\ud800", "pairing_code": "1"}',
    "NUL": b'{"serial": "a\\u0000", "pairing_code": "1"}',
    "too long": b'{"serial": "' + b"x" * 65 + b'", "pairing_code": "1"}',
    "an unknown field": b'{"serial": "a", "pairing_code": "1", "secret-of-mine": 1}',
    "a list for a text": b'{"serial": ["a"], "pairing_code": "1"}',
    "a field missing": b'{"serial": "a"}',
}


@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_a_bad_body_is_refused_plainly_and_never_repeated(door: Door, kind: str) -> None:
    answer = await post(door, BAD_BODIES[kind])

    assert answer.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY), answer.text
    assert slug_of(answer) in ("invalid-request", "bad-request")
    assert "secret-of-mine" not in answer.text
    assert "Traceback" not in answer.text


async def test_another_kind_of_body_is_refused(door: Door) -> None:
    answer = await post(door, b"serial=a", **{"Content-Type": "application/x-www-form-urlencoded"})

    assert slug_of(answer) == "invalid-request"


async def test_a_path_or_method_that_is_not_there_is_a_problem_too(door: Door) -> None:
    assert slug_of(await door.ask("GET", "/nothing")) == "not-found"
    not_allowed = await door.ask("PUT", "/devices")
    assert slug_of(not_allowed) == "method-not-allowed"
    assert not_allowed.headers["Allow"]


async def test_what_nobody_expected_says_nothing_of_itself(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of Anna")

    monkeypatch.setattr("services.device.repository.bindings", fail)
    transport = httpx.ASGITransport(door.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door.example") as client:
        answer = await client.get("/v1/devices", headers=door.token_of(ANNA).headers)

    assert (answer.status_code, slug_of(answer)) == (HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected")
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/devices", "/nothing", "/health/live"])
async def test_every_answer_tells_browsers_what_to_heed(door: Door, path: str) -> None:
    answer = await door.ask("GET", path)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "server" not in answer.headers


async def test_only_pages_that_were_configured_may_ask(door: Door, room: OpenRoom) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Idempotency-Key"}
    allowed = await door.ask("OPTIONS", "/devices", headers={"Origin": PAGE, **asks})
    foreign = await door.ask("OPTIONS", "/devices", headers={"Origin": "https://evil.example", **asks})
    async with door_of(await room("device")) as closed:
        by_default = await closed.ask("GET", "/devices", headers={"Origin": PAGE})

    assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert "Access-Control-Allow-Origin" not in by_default.headers
    assert "Access-Control-Allow-Credentials" not in allowed.headers


async def test_the_page_of_the_doors_comes_from_this_host_alone(door: Door) -> None:
    page = await door.ask("GET", "http://door.example/docs")
    assert page.status_code == HTTPStatus.OK
    assert "://" not in page.text
    assert "<script>" not in page.text
    for file in ("/docs/start.js", "/docs/files/swagger-ui.css", "/docs/files/swagger-ui-bundle.js"):
        assert file in page.text
        assert (await door.ask("GET", f"http://door.example{file}")).status_code == HTTPStatus.OK
    outside = await door.ask("GET", "http://door.example/docs/files/..%2f..%2f__init__.py")
    assert outside.status_code == HTTPStatus.NOT_FOUND


def test_an_id_by_key_is_the_same_each_time_and_another_for_everybody_and_everything() -> None:
    key = "a-random-key-of-the-client"
    same = {id_for(key, "feedback", ANNA.account_id) for _ in range(3)}
    others = {
        id_for(key, "feedback", UUID(int=1)),
        id_for(key, "binding", ANNA.account_id),
        id_for(key + "x", "feedback", ANNA.account_id),
        id_for(None, "feedback", ANNA.account_id),
    }

    assert len(same) == 1
    assert len(same | others) == 5


@pytest.mark.parametrize("key", ["short", "x" * 101, "with a space in it", "a-key-of-\xfc-somebody", ""])
async def test_a_key_that_can_be_guessed_or_kept_badly_is_refused(door: Door, key: str) -> None:
    token = door.token_of(ANNA).headers["Authorization"].encode()
    headers = [(b"Idempotency-Key", key.encode("latin-1")), (b"Authorization", token)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="http://door.example") as client:
        answer = await client.post("/v1/devices", json={"serial": "a", "pairing_code": "1"}, headers=headers)

    assert slug_of(answer) == "invalid-request"


@pytest.mark.parametrize(
    ("sent", "version"),
    [
        (None, None),
        ("*", None),
        ('"7"', 7),
        ("7", 7),
        ('W/"7"', -1),
        ("seven", -1),
        ('"7", "8"', -1),
        ("٣", -1),
        ("", -1),
    ],
)
def test_a_tag_that_makes_no_sense_never_matches(sent: str | None, version: int | None) -> None:
    assert expected_version(sent) == version
