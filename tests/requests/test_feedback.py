"""People say what they think, with pictures, see it again and delete it."""

from __future__ import annotations

import asyncio
import io
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.app import FeedbackSubmitted
from tests.builders import ANNA, BEN, NOON, fact
from tests.doors import Door, door_of, slug_of
from tests.rooms import OpenRoom

KEY = {"Idempotency-Key": "a-random-key-of-the-client"}


@pytest.fixture
async def door(room: OpenRoom) -> Any:  # noqa: ANN401 - an async generator of a Door
    async with door_of(await room("requests")) as opened:
        yield opened


def drawn(kind: str = "PNG", note: str = "at home") -> bytes:
    written = io.BytesIO()
    metadata = PngInfo()
    metadata.add_text("Comment", note)
    Image.new("RGB", (3, 2), "teal").save(written, kind, **({"pnginfo": metadata} if kind == "PNG" else {}))
    return written.getvalue()


async def say(door: Door, text: str, *pictures: bytes, **more: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
    files = [("pictures", ("../../etc/passwd", each, "image/png")) for each in pictures]
    by = more.pop("by", door.token_of(ANNA))
    return await door.ask("POST", "/feedback", by=by, data={"text": text}, files=files or None, **more)


async def test_feedback_is_given_seen_and_deleted_with_its_pictures(door: Door) -> None:
    given = await say(door, "Too loud at night 🌙", drawn(), drawn("JPEG"), drawn("WEBP"))
    assert given.status_code == HTTPStatus.CREATED, given.text
    at, by = f"/feedback/{given.json()['feedback_id']}", door.token_of(ANNA)
    seen = (await door.ask("GET", at, by=by)).json()
    assert (seen["text"], seen["pictures"]) == ("Too loud at night 🌙", 3)
    kinds = [(await door.ask("GET", f"{at}/pictures/{n}", by=by)).headers["Content-Type"] for n in (1, 2, 3)]
    assert kinds == ["image/png", "image/jpeg", "image/webp"]
    assert (await door.ask("DELETE", at, by=by)).status_code == HTTPStatus.NO_CONTENT
    assert slug_of(await door.ask("GET", at, by=by)) == "no-such-feedback"
    assert await door.room.held_of(ANNA.account_id) == {}


async def test_of_a_picture_only_its_pixels_are_kept(door: Door) -> None:
    await say(door, "See", drawn(note="52.52 N, 13.40 E"))

    assert "52.52" not in repr(await door.room.rows("feedback_pictures"))
    assert "passwd" not in repr([await door.room.rows(table) for table in door.room.tables])


@pytest.mark.parametrize(
    ("pictures", "slug"),
    [
        ([drawn()] * 4, "invalid-request"),
        ([b"no picture"], "no-such-picture"),
        ([b""], "no-such-picture"),
        ([drawn()[:40]], "no-such-picture"),
        ([drawn("GIF")], "no-such-picture"),
        ([b"x" * (1024 * 1024 + 1)], "picture-too-large"),
        ([drawn(), b"no picture"], "no-such-picture"),
    ],
)
async def test_pictures_that_are_none_or_too_many_are_refused_and_nothing_is_kept(
    door: Door, pictures: list[bytes], slug: str
) -> None:
    assert slug_of(await say(door, "See", *pictures)) == slug
    assert await door.room.rows("feedback") == []


@pytest.mark.parametrize("text", ["", "x" * 10_001, "a\x00b"])
async def test_a_text_that_cannot_be_kept_is_refused(door: Door, text: str) -> None:
    assert slug_of(await say(door, text)) == "invalid-request"


async def test_the_longest_text_is_kept_to_the_letter(door: Door) -> None:
    text = "岭<b>{{ 7 * 7 }}</b>"
    text += "🦦" * (10_000 - len(text))
    given = await say(door, text)

    seen = await door.ask("GET", f"/feedback/{given.json()['feedback_id']}", by=door.token_of(ANNA))
    assert seen.json()["text"] == text


async def test_the_same_key_is_the_same_feedback_and_another_text_wants_another_key(door: Door) -> None:
    first = await say(door, "Too loud", headers=KEY)
    again = await asyncio.gather(*(say(door, "Too loud", headers=KEY) for _ in range(5)))
    other = await say(door, "Too quiet", headers=KEY)
    bens = await say(door, "Too loud", headers=KEY, by=door.token_of(BEN))

    assert {answer.text for answer in again} == {first.text}
    assert slug_of(other) == "idempotency-key-reused"
    assert bens.json()["feedback_id"] != first.json()["feedback_id"]
    assert len(await door.room.rows("feedback")) == 2


async def test_twenty_an_hour_are_taken_from_one_person(door: Door) -> None:
    answers = [await say(door, f"Number {n}") for n in range(21)]

    assert [answer.status_code for answer in answers] == [HTTPStatus.CREATED] * 20 + [HTTPStatus.TOO_MANY_REQUESTS]
    assert (await say(door, "Me too", by=door.token_of(BEN))).status_code == HTTPStatus.CREATED


async def test_what_came_by_a_topic_is_seen_and_deleted_alike(door: Door) -> None:
    written = fact(FeedbackSubmitted, ANNA, text="By topic")
    await door.room.hears(written, written)
    by = door.token_of(ANNA)
    (seen,) = (await door.ask("GET", "/feedback", by=by)).json()["items"]
    await door.ask("DELETE", f"/feedback/{seen['feedback_id']}", by=by)

    assert seen["text"] == "By topic"
    assert await door.room.rows("feedback") == []


async def test_pages_give_all_of_it_once_latest_first(door: Door) -> None:
    await door.room.hears_at_once(*(fact(FeedbackSubmitted, ANNA, text=str(n), occurred_at=NOON) for n in range(9)))
    found: list[str] = []
    query = "?limit=2"
    while query:
        page = (await door.ask("GET", f"/feedback{query}", by=door.token_of(ANNA))).json()
        found += [each["text"] for each in page["items"]]
        query = f"?limit=2&after={page['next']}" if page["next"] else ""

    assert sorted(found) == [str(n) for n in range(9)]


async def test_what_somebody_else_has_written_is_not_there(door: Door) -> None:
    given = await say(door, "Mine", drawn())
    at, by = f"/feedback/{given.json()['feedback_id']}", door.token_of(BEN)
    answers = [
        await door.ask("GET", at, by=by),
        await door.ask("GET", f"{at}/pictures/1", by=by),
        await door.ask("DELETE", at, by=by),
    ]

    assert {slug_of(answer) for answer in answers} == {"no-such-feedback", "no-such-picture-here"}
    assert len(await door.room.rows("feedback_pictures")) == 1


async def test_a_closed_account_says_nothing_more_and_its_pictures_are_gone(door: Door) -> None:
    await say(door, "Mine", drawn())
    order = {"order_id": ANNA.order_id, "origin": Origin.APP, "references": (), "contact_version": 1}
    await door.room.hears(fact(AccountCancelled, ANNA, **order))

    assert slug_of(await say(door, "Still here")) == "session-ended"
    assert await door.room.rows("feedback_pictures") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n" + b"A" * 100_000 + b": b\r\n\r\n--x--\r\n",
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % n for n in range(1500))
        + b"--x--",
        b'--x\r\nContent-Disposition: form-data; name="text"; filename="t"\r\n\r\nhello\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="pictures"\r\n\r\nhello\r\n--x--\r\n',
    ],
)
async def test_a_broken_form_is_refused_plainly(door: Door, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await door.ask("POST", "/feedback", by=door.token_of(ANNA), content=body, headers=headers)

    assert HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text
    assert slug_of(answer)
    assert "Traceback" not in answer.text


async def test_ids_of_http_are_not_guessable_from_outside(door: Door) -> None:
    first, second = await say(door, "One"), await say(door, "Two")

    assert {UUID(answer.json()["feedback_id"]).version for answer in (first, second)} == {4}
