"""People see and change what their account says of them: name, picture, region, language, agreements."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.builders import NOON
from tests.doors import POLICY, Door, Tokens, door_of, slug_of

ANNA, BEN = "anna@mail.example", "ben@mail.example"
NEXT_POLICY = "2027-01"
SECRET_NOTE = b"taken at 52.52 N, 13.40 E"

NO_NAMES = (
    "",
    "   ",
    "\u3000",
    "a" * 61,
    "Anna\r\nBcc: everybody@mail.example",
    "Anna\nBcc",
    "Anna\x00",
    "Anna\x1b[31m",
    "Anna\x7f",
    "Anna\u0085",
    "Anna\u2028",
    *(f"Anna{chr(code)}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    5,
    ["Anna"],
)
NAMES = ("Anna", "岭" * 60, "🦦" * 60, "O'Neill; DROP TABLE accounts", "<b>{{ 7 * 7 }}</b> ${x} %s", "أنّا", "a")


async def a_person(door: Door, email: str = ANNA) -> Tokens:
    await door.sign_up(email)
    return await door.log_in(email)


async def seen(door: Door, by: Tokens) -> dict[str, Any]:
    answer = await door.ask("GET", "/account", by=by)
    assert answer.status_code == HTTPStatus.OK, answer.text
    return dict(answer.json())


async def change(door: Door, by: Tokens, **changes: Any) -> httpx.Response:  # noqa: ANN401 - of the body
    return await door.ask("PATCH", "/account", by=by, json=changes)


# What one sees and changes


async def test_people_see_all_that_the_account_says_of_them_and_no_secrets(door: Door) -> None:
    account = await seen(door, await a_person(door))

    assert account == {
        "email": ANNA,
        "nickname": None,
        "region": "DE",
        "language": "en",
        "created_at": "2026-11-02T12:00:00Z",
        "has_avatar": False,
        "second_factor": False,
        "policy": {
            "agreed": POLICY,
            "agreed_at": "2026-11-02T12:00:00Z",
            "current": POLICY,
            "agreement_needed": False,
        },
    }


async def test_only_what_is_sent_is_changed_and_null_clears_the_nickname(door: Door) -> None:
    anna = await a_person(door)

    assert (await change(door, anna, nickname="Anni")).json()["nickname"] == "Anni"
    changed = (await change(door, anna, region="CN-GD")).json()
    assert (changed["nickname"], changed["region"], changed["language"]) == ("Anni", "CN-GD", "en")
    assert (await change(door, anna)).json() == changed
    assert (await change(door, anna, nickname=None)).json()["nickname"] is None


async def test_messages_follow_a_new_language(door: Door) -> None:
    anna = await a_person(door)

    await change(door, anna, language="zh-hans")

    contacts = [(each["version"], each["email"], each["language"]) for each in await door.mailed("ContactChanged")]
    assert contacts == [(1, ANNA, "en"), (2, ANNA, "zh-Hans")]


async def test_what_is_so_already_changes_nothing(door: Door) -> None:
    anna = await a_person(door)
    before = (await door.ask("GET", "/account", by=anna)).headers["ETag"]

    again = await change(door, anna, language="en", region="DE", nickname=None)

    assert again.headers["ETag"] == before
    assert len(await door.mailed("ContactChanged")) == 1


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
async def test_a_name_cannot_change_what_stands_around_it(door: Door, name: object) -> None:
    anna = await a_person(door)

    refused = await change(door, anna, nickname=name)

    assert (refused.status_code, slug_of(refused)) == (422, "invalid-request")
    assert (await seen(door, anna))["nickname"] is None


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_is_kept_as_it_is(door: Door, name: str) -> None:
    anna = await a_person(door)

    await change(door, anna, nickname=name)

    assert (await seen(door, anna))["nickname"] == name


@pytest.mark.parametrize(
    "changes",
    [
        {"region": None},
        {"language": None},
        {"region": "XX"},
        {"region": ""},
        {"language": "no language"},
        {"language": ""},
        {"email": BEN},
        {"version": 7},
        {"nickname": "Anni", "password": "x"},
    ],
    ids=str,
)
async def test_nothing_else_is_changed_that_way(door: Door, changes: dict[str, Any]) -> None:
    anna = await a_person(door)
    before = await seen(door, anna)

    assert slug_of(await change(door, anna, **changes)) == "invalid-request"

    assert await seen(door, anna) == before


async def test_who_changes_what_somebody_else_has_changed_meanwhile_is_told_so(door: Door) -> None:
    anna = await a_person(door)
    tag = (await door.ask("GET", "/account", by=anna)).headers["ETag"]
    await change(door, anna, nickname="from the phone")

    for stale in (tag, '"0"', "nonsense", f"W/{tag}"):
        late = await door.ask("PATCH", "/account", by=anna, json={"nickname": "late"}, headers={"If-Match": stale})
        assert (late.status_code, slug_of(late)) == (412, "changed-meanwhile")

    assert (await seen(door, anna))["nickname"] == "from the phone"


async def test_of_many_who_have_seen_the_same_one_changes_it(door: Door) -> None:
    anna = await a_person(door)
    tag = (await door.ask("GET", "/account", by=anna)).headers["ETag"]

    answers = await asyncio.gather(
        *(
            door.ask("PATCH", "/account", by=anna, json={"nickname": f"{number}"}, headers={"If-Match": tag})
            for number in range(10)
        )
    )

    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 9}
    (winner,) = [answer for answer in answers if answer.status_code == HTTPStatus.OK]
    assert (await seen(door, anna))["nickname"] == winner.json()["nickname"]


async def test_what_was_seen_is_not_sent_again_until_it_changes(door: Door) -> None:
    anna = await a_person(door)
    tag = (await door.ask("GET", "/account", by=anna)).headers["ETag"]

    unchanged = await door.ask("GET", "/account", by=anna, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)

    await change(door, anna, nickname="Anni")
    changed = await door.ask("GET", "/account", by=anna, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["nickname"]) == (200, "Anni")
    assert changed.headers["ETag"] != tag


async def test_people_see_and_change_only_their_own(door: Door) -> None:
    anna, ben = await a_person(door), await a_person(door, BEN)

    await change(door, anna, nickname="Anni")
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("PNG"), headers=PNG)

    assert (await seen(door, ben))["nickname"] is None
    assert slug_of(await door.ask("GET", "/account/avatar", by=ben)) == "no-such-avatar"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/account"),
        ("PATCH", "/account"),
        ("PUT", "/account/avatar"),
        ("GET", "/account/avatar"),
        ("DELETE", "/account/avatar"),
        ("GET", "/account/agreements"),
        ("POST", "/account/agreements"),
        ("PUT", "/account/password"),
        ("POST", "/account/email"),
    ],
)
async def test_nobody_sees_or_changes_anything_without_a_log_in(door: Door, method: str, path: str) -> None:
    anna = await a_person(door)
    forged = Tokens({"access_token": str(anna.given["access_token"])[:-4] + "AAAA"})

    for by in (None, forged):
        answer = await door.ask(method, path, by=by, json={})
        assert (answer.status_code, slug_of(answer)) == (401, "not-logged-in")


# The avatar

PNG, JPEG, WEBP = ({"Content-Type": f"image/{kind}"} for kind in ("png", "jpeg", "webp"))


def picture(kind: str, **options: Any) -> bytes:  # noqa: ANN401 - as Pillow takes it
    written = io.BytesIO()
    Image.new("RGB", (32, 16), "teal").save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize(("kind", "headers"), [("PNG", PNG), ("JPEG", JPEG), ("WEBP", WEBP)])
async def test_an_avatar_is_kept_as_its_pixels_alone(door: Door, kind: str, headers: dict[str, str]) -> None:
    anna = await a_person(door)
    exif = Image.Exif()
    exif[0x010E] = SECRET_NOTE.decode()
    sent = picture(kind, exif=exif) + SECRET_NOTE

    put = await door.ask("PUT", "/account/avatar", by=anna, content=sent, headers=headers)
    got = await door.ask("GET", "/account/avatar", by=anna)

    assert put.status_code == HTTPStatus.NO_CONTENT, put.text
    assert SECRET_NOTE in sent
    assert SECRET_NOTE not in got.content
    assert got.headers["Content-Type"] == headers["Content-Type"]
    assert got.headers["Content-Disposition"] == 'inline; filename="avatar"'
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    with Image.open(io.BytesIO(got.content)) as shown:
        assert (shown.format, shown.size) == (kind, (32, 16))
    assert (await seen(door, anna))["has_avatar"] is True


async def test_an_avatar_that_was_seen_is_not_sent_again_until_it_changes(door: Door) -> None:
    anna = await a_person(door)
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("PNG"), headers=PNG)
    tag = (await door.ask("GET", "/account/avatar", by=anna)).headers["ETag"]

    unchanged = await door.ask("GET", "/account/avatar", by=anna, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")

    await door.ask("PUT", "/account/avatar", by=anna, content=picture("WEBP"), headers=WEBP)
    changed = await door.ask("GET", "/account/avatar", by=anna, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["Content-Type"]) == (200, "image/webp")


@pytest.mark.parametrize("change", [{"method": "PUT", "content": picture("WEBP")}, {"method": "DELETE"}])
async def test_an_avatar_changes_only_if_it_is_still_what_was_seen(door: Door, change: dict[str, Any]) -> None:
    anna = await a_person(door)
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("PNG"), headers=PNG)
    tag = (await door.ask("GET", "/account/avatar", by=anna)).headers["ETag"]
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("JPEG"), headers=JPEG)

    late = await door.ask(path="/account/avatar", by=anna, headers={"If-Match": tag}, **change)
    assert (late.status_code, slug_of(late)) == (412, "changed-meanwhile")
    shown = await door.ask("GET", "/account/avatar", by=anna)
    assert shown.headers["Content-Type"] == "image/jpeg"

    now = await door.ask(path="/account/avatar", by=anna, headers={"If-Match": shown.headers["ETag"]}, **change)
    assert now.status_code == HTTPStatus.NO_CONTENT


async def test_an_avatar_can_be_taken_away_also_twice(door: Door) -> None:
    anna = await a_person(door)
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("PNG"), headers=PNG)

    for _ in range(2):
        assert (await door.ask("DELETE", "/account/avatar", by=anna)).status_code == HTTPStatus.NO_CONTENT

    assert slug_of(await door.ask("GET", "/account/avatar", by=anna)) == "no-such-avatar"
    assert (await seen(door, anna))["has_avatar"] is False


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (b"", 415, "no-such-picture"),
        (b"\x89PNG\r\n\x1a\nno picture", 415, "no-such-picture"),
        (picture("GIF"), 415, "no-such-picture"),
        (picture("BMP"), 415, "no-such-picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", 415, "no-such-picture"),
        (picture("PNG")[:-30], 415, "no-such-picture"),
        (picture("PNG") + bytes(1024 * 1024), 413, "picture-too-large"),
    ],
    ids=["nothing", "a head alone", "GIF", "BMP", "SVG", "half", "too many bytes"],
)
async def test_what_is_no_picture_that_can_be_taken_changes_nothing(
    door: Door, content: bytes, status: int, slug: str
) -> None:
    anna = await a_person(door)
    await door.ask("PUT", "/account/avatar", by=anna, content=picture("JPEG"), headers=JPEG)
    before = (await door.ask("GET", "/account/avatar", by=anna)).content

    refused = await door.ask("PUT", "/account/avatar", by=anna, content=content, headers=PNG)

    assert (refused.status_code, slug_of(refused)) == (status, slug)
    assert (await door.ask("GET", "/account/avatar", by=anna)).content == before


async def test_a_small_file_that_claims_to_be_a_huge_picture_is_not_decoded(door: Door) -> None:
    anna = await a_person(door)
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")

    refused = await door.ask("PUT", "/account/avatar", by=anna, content=bomb.getvalue(), headers=PNG)

    assert (refused.status_code, slug_of(refused)) == (413, "picture-too-large")


async def test_avatars_are_set_twenty_times_an_hour_whatever_they_are(door: Door) -> None:
    anna = await a_person(door)

    async def put(content: bytes) -> int:
        return (await door.ask("PUT", "/account/avatar", by=anna, content=content, headers=PNG)).status_code

    assert [await put(b"no picture") for _ in range(20)] == [415] * 20
    assert await put(picture("PNG")) == HTTPStatus.TOO_MANY_REQUESTS

    door.room.clock.now += timedelta(hours=1)
    anna = await door.log_in(ANNA)
    assert await put(picture("PNG")) == HTTPStatus.NO_CONTENT


# Agreements


async def test_people_agree_to_a_new_policy_when_it_comes_and_see_to_what_they_agreed(door: Door) -> None:
    # Given somebody who has seen the account before a new policy came
    anna = await a_person(door)
    tag = (await door.ask("GET", "/account", by=anna)).headers["ETag"]
    async with door_of(door.room, policy_version=NEXT_POLICY) as later:
        # Then it says so, although nothing of the account has changed
        shown = await later.ask("GET", "/account", by=anna, headers={"If-None-Match": tag})
        assert shown.json()["policy"] == {
            "agreed": POLICY,
            "agreed_at": "2026-11-02T12:00:00Z",
            "current": NEXT_POLICY,
            "agreement_needed": True,
        }
        assert (await later.log_in(ANNA)).given["agreement_needed"] is True

        # When they agree, also twice, it is kept with its first time
        for minute in (3, 4):
            door.room.clock.now = NOON.replace(minute=minute)
            agreed = await later.ask("POST", "/account/agreements", by=anna, json={"policy_version": NEXT_POLICY})
            assert (agreed.status_code, agreed.json()["agreement_needed"]) == (201, False)
        assert (await later.ask("GET", "/account/agreements", by=anna)).json() == [
            {"policy_version": NEXT_POLICY, "agreed_at": "2026-11-02T12:03:00Z"},
            {"policy_version": POLICY, "agreed_at": "2026-11-02T12:00:00Z"},
        ]


@pytest.mark.parametrize("version", ["2025-01", "9999-99", ""])
async def test_only_the_current_policy_can_be_agreed_to(door: Door, version: str) -> None:
    anna = await a_person(door)

    refused = await door.ask("POST", "/account/agreements", by=anna, json={"policy_version": version})

    assert (refused.status_code, slug_of(refused)) == (409, "policy-outdated")
    assert refused.json()["current"] == POLICY
    assert (await seen(door, anna))["policy"]["agreed"] == POLICY
