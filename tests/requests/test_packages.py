"""A person gets a package of all that is held about them: for a while, whole, and nobody else does."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from importlib import import_module

import httpx
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text

from services.account.commands import ChangeProfile
from services.requests import packing
from services.requests.api.packages import _streamed
from services.requests.commands import AddFeedback, KeepChunk, OpenPackage, Picture
from services.requests.handlers.access import Opened
from services.requests.reminder import remind_once
from services.requests.sealing import Chunks, Wrapping, read_wrapping
from shared.commands import Command
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.receipts import ExportCompleted, ExportPart
from shared.contracts.requests import ExportOrdered, PackageEnded, RequestFulfilled
from shared.personal_data import PROCESSING, Category
from tests.access import Contents, House, settled
from tests.builders import ANNA, BEN, NOON, fact, named
from tests.commands import SERIAL
from tests.doors import door_of, slug_of
from tests.rooms import SERVICES, OpenRoom
from tests.test_every_handler import Killed, killed_before_step

CANCELLED = fact(AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=(), contact_version=1)
A_DAY = timedelta(hours=24)


@pytest.fixture
async def house(room: OpenRoom) -> AsyncIterator[House]:
    rooms = await settled(room)
    async with door_of(rooms["requests"]) as door:
        yield House(rooms, door)


async def say(house: House, words: str, *pictures: bytes) -> None:
    written = AddFeedback(
        account_id=ANNA.account_id,
        feedback_id=named("feedback", words),
        text=words,
        submitted_at=NOON,
        pictures=tuple(Picture(each, "image/png") for each in pictures),
    )
    await house.requests.does(written)


# What is in it


async def test_a_package_holds_what_every_owner_holds_by_owner_and_category(house: House) -> None:
    await say(house, "Too loud at night 🌙")

    package = await house.package()

    assert package.json("account/email/accounts") == [{"email": ANNA.email}]
    assert [each["serial"] for each in package.json("device/device-data/bindings")] == [SERIAL]
    assert [each["text"] for each in package.json("requests/feedback/feedback")] == ["Too loud at night 🌙"]
    rows = list(csv.DictReader(io.StringIO(package.csv("requests/feedback/feedback"))))
    assert [each["text"] for each in rows] == ["Too loud at night 🌙"]
    assert package.json("account/password/accounts") == [{"password_hash": True}]


async def test_the_manifest_says_who_holds_what_why_for_how_long_and_how_much(house: House) -> None:
    package = await house.package()

    said = {each["owner"]: {c["category"]: c for c in each["categories"]} for each in package.manifest["owners"]}
    assert set(said) == set(SERVICES)
    for service, categories in said.items():
        assert set(categories) == set(import_module(f"services.{service}.models").OWNER.erasure.categories)
    why = PROCESSING[Category.DEVICE_DATA]
    assert said["device"]["device-data"] == {"category": "device-data", "count": 1, **vars(why)}
    assert said["account"]["nickname"]["count"] == 0
    assert package.manifest["not_answered"] == []


async def test_every_file_stands_in_the_manifest_with_its_digest(house: House) -> None:
    package = await house.package()

    told = {each["path"]: each["sha256"] for each in package.manifest["files"]}
    assert set(told) == set(package.names) - {"manifest.json"}
    assert all(hashlib.sha256(package.zip.read(path)).hexdigest() == digest for path, digest in told.items())


@pytest.mark.parametrize(("tag", "title"), [("en", "data"), ("de-AT", "Daten"), ("zh-CN", "数据"), ("fr", "data")])
async def test_the_page_is_in_the_language_of_the_person(house: House, tag: str, title: str) -> None:
    await house.rooms["account"].does(ChangeProfile(account_id=ANNA.account_id, changes={"language": tag}))

    page = (await house.package()).page

    assert title in page.partition("<title>")[2].partition("</title>")[0]
    assert SERIAL in page
    assert not any(word in page.lower() for word in ("<script", "http://", "https://", "src="))


async def test_pictures_are_files(house: House) -> None:
    drawn = b"\x89PNG" + bytes(range(256)) * 5000
    await say(house, "See", drawn, b"no kind of picture")

    package = await house.package()

    paths = [each["content"] for each in package.json("requests/feedback/feedback_pictures")]
    assert [path.rpartition(".")[2] for path in paths] == ["png", "bin"]
    assert [package.zip.read(path) for path in paths] == [drawn, b"no kind of picture"]


async def test_very_much_comes_in_parts_and_is_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.exporting.SLICE", 1000)
    monkeypatch.setattr(packing, "CHUNK", 2000)
    for number in range(60):
        await say(house, f"{number} " + "word " * 40)

    package = await house.package()

    assert len({each["text"] for each in package.json("requests/feedback/feedback")}) == 60
    assert package.csv("requests/feedback/feedback").count("\r\n") == 61
    assert len(await house.requests.rows("package_chunks")) > 3


# Attacks by what is in it

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("//evil.example","x")')


@pytest.mark.parametrize("formula", FORMULAS)
async def test_nothing_in_a_spreadsheet_is_a_formula(house: House, formula: str) -> None:
    await say(house, f"{formula}")

    package = await house.package()

    rows = list(csv.DictReader(io.StringIO(package.csv("requests/feedback/feedback"), newline="")))
    assert [each["text"] for each in rows] == [f"'{formula}"]
    assert [each["text"] for each in package.json("requests/feedback/feedback")] == [formula]


async def test_nothing_on_the_page_is_markup(house: House) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7 * 7 }}"
    await say(house, hostile)

    page = (await house.package()).page

    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page


async def test_no_name_leads_out_of_the_archive(house: House) -> None:
    names = ("../../etc/passwd", "C:\\windows", "con", "a/b", "A", "a", "", "." * 200)
    heads = [
        f'{{"table": {quoted(name[:60])}, "columns": [{{"name": "x", "category": "../../up"}}]}}' for name in names
    ]
    request_id = await house.stranger_sends("\n[1]\n".join([*heads, ""]).encode(), {"../../up": len(names)})

    package = await house.fetched(request_id)

    paths = [name for name in package.names if name.startswith("diary/")]
    assert len(paths) == len(set(paths)) == 2 * len(names)
    assert all(len(path.split("/")) == 3 and ".." not in path and "\\" not in path for path in paths)
    assert not any(path.split("/")[2].startswith("con.") for path in paths)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x00\xff",
        b"[1]\n",
        b'{"table": 7}\n',
        b'{"table": "a", "columns": []}\n[1]\n',
        b'{"table": "a", "columns": []}\n[',
        b'{"table": "a", "columns": []}\n{"table": "a", "columns": []}\n',
        b"[" * 100_000 + b"\n",
    ],
)
async def test_an_owner_that_sends_garbage_is_named_and_holds_nobody_up(house: House, stream: bytes) -> None:
    request_id = await house.stranger_sends(stream, {})

    package = await house.fetched(request_id)

    assert package.manifest["not_answered"] == ["diary"]
    assert "diary" in package.page
    assert (await house.told("package-ready"))[0]["missing"] == ["diary"]
    assert package.json("account/email/accounts") == [{"email": ANNA.email}]


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\") + '"'


# Waiting for owners


async def test_nothing_is_made_before_every_owner_has_answered(house: House) -> None:
    await house.wishes()
    await house.owners_answer("account", "device", "requests")
    assert not await house.packs()

    await house.owners_answer("notifier")
    assert await house.packs()
    assert await house.said("requests", RequestFulfilled)


async def test_parts_and_ends_come_in_any_order_and_any_number_of_times(house: House) -> None:
    request_id = await house.wishes()
    (order,) = await house.said("requests", ExportOrdered)
    for owner in SERVICES:
        await house.rooms[owner].hears(order)
        ends, parts = await house.said(owner, ExportCompleted), await house.said(owner, ExportPart)
        again = [each.model_copy(update={"id": named("again", each.id)}) for each in (*ends, *parts)]
        await house.requests.hears(*ends, *parts, *again)
    assert await house.packs()

    assert (await house.fetched(request_id)).json("account/email/accounts") == [{"email": ANNA.email}]


async def test_who_has_not_answered_is_asked_again_and_nobody_else(house: House) -> None:
    await house.wishes()
    await house.owners_answer("account", "requests")
    house.requests.clock.now += timedelta(minutes=1)
    await remind_once(house.door.app.state.service, timedelta(seconds=30))

    first, again = await house.said("requests", ExportOrdered)
    assert again.owners == ("device", "notifier")
    assert again.public_key == first.public_key
    await house.owners_answer("device", "notifier")
    assert await house.packs()


async def test_an_owner_that_has_left_is_waited_for_no_more(house: House) -> None:
    await house.wishes()
    await house.owners_answer("account", "device", "requests")
    await house.requests.run("UPDATE owners SET \"left\" = true WHERE name = 'notifier'")
    house.requests.clock.now += timedelta(minutes=1)
    await remind_once(house.door.app.state.service, timedelta(seconds=30))

    assert await house.packs()


async def test_an_owner_that_does_not_answer_in_time_is_named_and_the_rest_is_given(house: House) -> None:
    request_id = await house.wishes()
    await house.owners_answer("account", "requests", "notifier")
    house.requests.clock.now += timedelta(hours=71)
    assert not await house.packs()
    house.requests.clock.now += timedelta(hours=2)
    assert await house.packs()

    package = await house.fetched(request_id)
    assert package.manifest["not_answered"] == ["device"]
    assert not any(name.startswith("device/") for name in package.names)
    assert (await house.told("package-ready"))[0]["missing"] == ["device"]


async def test_what_an_owner_sends_for_somebody_else_is_not_taken(house: House) -> None:
    request_id = await house.wishes()
    told = {"source": "device", "request_id": request_id}
    await house.requests.hears(fact(ExportPart, BEN, number=1, sealed="x", **told))
    await house.requests.hears(fact(ExportCompleted, BEN, parts=0, counts={}, **told))
    await house.requests.hears(fact(ExportPart, ANNA, number=1, sealed="x", source="diary", request_id=request_id))

    assert await house.requests.rows("export_parts") == []
    assert all(due["parts"] is None for due in await house.requests.rows("export_dues"))


# Keys


async def test_the_private_key_stands_nowhere_unwrapped_and_is_gone_when_the_package_is_made(house: House) -> None:
    await house.wishes()
    (row,) = await house.requests.rows("packages")
    assert len(row["private_key"]) == 40  # 32 bytes, wrapped by RFC 3394
    wrapping = read_wrapping(house.requests.settings.package_keys_file)  # type: ignore[attr-defined] # requests' own
    assert len(wrapping.unwrap(row["private_key"])) == 32
    await house.owners_answer()
    assert await house.packs()

    (row,) = await house.requests.rows("packages")
    assert row["private_key"] is None
    assert await house.requests.rows("export_parts") == []
    assert await house.requests.rows("export_dues") == []


async def test_nothing_of_a_person_can_be_read_in_the_database_of_requests(house: House) -> None:
    await house.package()

    stored = str(await house.requests.rows("package_chunks")) + str(await house.requests.rows("export_parts"))
    assert ANNA.email not in stored
    assert "PK" not in stored[:100]


def test_a_chunk_that_is_changed_moved_dropped_or_of_another_package_does_not_open() -> None:
    chunks = Chunks(named("access", "anna"))
    first, last = chunks.seal(1, b"first", last=False), chunks.seal(2, b"last", last=True)
    another = Chunks(named("access", "ben"), chunks.key)

    assert (chunks.open(1, first, last=False), chunks.open(2, last, last=True)) == (b"first", b"last")
    for opener, number, sealed, is_last in (
        (chunks, 2, first, False),
        (chunks, 1, first, True),
        (chunks, 2, last, False),
        (chunks, 1, bytes([first[0] ^ 1]) + first[1:], False),
        (another, 1, first, False),
    ):
        with pytest.raises(InvalidTag):
            opener.open(number, sealed, last=is_last)


def test_keys_can_be_rotated() -> None:
    old, new, key = (bytes([number]) * 32 for number in (1, 2, 3))
    wrapped = Wrapping([old]).wrap(key)

    assert Wrapping([new, old]).unwrap(wrapped) == key
    assert Wrapping([new]).unwrap(Wrapping([new, old]).wrap(key)) == key


# Making it, killed in the middle


async def test_a_package_that_is_killed_before_any_of_its_steps_is_begun_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 2000)
    request_id = await house.wishes()
    await house.owners_answer()
    engine = house.door.app.state.service.engine

    for number in range(1, 200):
        try:
            with killed_before_step(engine, number):
                assert await house.packs()
        except Killed:
            assert not await house.told("package-ready")
        else:
            break

    assert number > 20  # chunks, their commits, and all that ends it
    assert (await house.fetched(request_id)).json("account/email/accounts") == [{"email": ANNA.email}]
    (row,) = await house.requests.rows("packages")
    assert {each["attempt"] for each in await house.requests.rows("package_chunks")} == {row["attempt"]}
    assert len(await house.told("package-ready")) == 1


async def test_two_that_make_the_same_package_make_one(house: House) -> None:
    request_id = await house.wishes()
    await house.owners_answer()
    made = await asyncio.gather(*(house.packs() for _ in range(4)))

    assert any(made)
    assert len(await house.told("package-ready")) == 1
    await house.fetched(request_id)
    assert len(await house.requests.rows("package_chunks")) == 1


# A cancellation meanwhile


async def test_of_a_cancelled_account_nothing_stays_whenever_it_comes(house: House) -> None:
    request_id = await house.wishes()
    await house.owners_answer()
    await house.requests.hears(CANCELLED)
    assert not await house.packs()
    await house.owners_answer()  # late
    assert await house.requests.held_of(ANNA.account_id) == {}
    answer = await house.door.ask("GET", f"/packages/{request_id}", by=house.door.token_of(ANNA))
    assert slug_of(answer) == "session-ended"


async def test_a_package_that_is_made_goes_with_the_account(house: House) -> None:
    await house.package()
    await house.requests.hears(CANCELLED)

    assert await house.requests.held_of(ANNA.account_id) == {}


async def test_a_cancellation_while_a_package_is_made_leaves_no_chunk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 500)
    await house.wishes()
    await house.owners_answer()
    execute = house.door.app.state.service.bus.execute

    async def cancelled_first(*commands: Command) -> list[object]:
        if any(isinstance(each, KeepChunk) and each.chunk.number == 2 for each in commands):
            await house.requests.hears(CANCELLED)
        return list(await execute(*commands))

    monkeypatch.setattr(house.door.app.state.service.bus, "execute", cancelled_first)
    assert not await house.packs()
    assert await house.requests.held_of(ANNA.account_id) == {}


# Fetching


async def test_another_person_cannot_fetch_it_by_its_id_nor_end_it(house: House) -> None:
    await house.package()
    request_id, by = named("access", "anna"), house.door.token_of(BEN)

    assert slug_of(await house.door.ask("GET", f"/packages/{request_id}", by=by)) == "no-such-package"
    assert slug_of(await house.door.ask("POST", f"/packages/{request_id}/arrived", by=by)) == "no-such-package"
    assert (await house.door.ask("GET", "/packages", by=by)).json() == []
    assert len((await house.door.ask("GET", "/packages", by=house.door.token_of(ANNA))).json()) == 1


async def test_nobody_fetches_it_without_a_log_in(house: House) -> None:
    await house.package()
    for method, path in (
        ("GET", ""),
        ("GET", f"/{named('access', 'anna')}"),
        ("POST", f"/{named('access', 'anna')}/arrived"),
    ):
        assert slug_of(await house.door.ask(method, f"/packages{path}")) == "not-logged-in"


async def test_it_can_be_fetched_again_and_again_for_a_day_and_then_it_is_gone(house: House) -> None:
    package = await house.package()
    house.requests.clock.now += A_DAY - timedelta(minutes=1)
    assert (await house.fetched(named("access", "anna"))).content == package.content
    house.requests.clock.now += timedelta(minutes=1)

    answer = await house.door.ask("GET", f"/packages/{named('access', 'anna')}", by=house.door.token_of(ANNA))
    assert slug_of(answer) == "no-such-package"
    assert not await house.packs()
    assert await house.requests.rows("packages") == []
    assert await house.requests.rows("package_chunks") == []
    assert [each.arrived for each in await house.said("requests", PackageEnded)] == [False]


async def test_when_the_person_has_it_it_is_gone_with_its_key(house: House) -> None:
    await house.package()
    path, by = f"/packages/{named('access', 'anna')}", house.door.token_of(ANNA)
    assert (await house.door.ask("POST", f"{path}/arrived", by=by)).status_code == HTTPStatus.NO_CONTENT

    assert slug_of(await house.door.ask("GET", path, by=by)) == "no-such-package"
    assert slug_of(await house.door.ask("POST", f"{path}/arrived", by=by)) == "no-such-package"
    assert await house.requests.rows("packages") == []
    assert await house.requests.rows("package_chunks") == []
    assert [each.arrived for each in await house.said("requests", PackageEnded)] == [True]


async def test_a_download_of_what_is_ended_meanwhile_breaks_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 500)
    await house.package()
    service = house.door.app.state.service
    fetching = OpenPackage(account_id=ANNA.account_id, request_id=named("access", "anna"))
    (opened,) = await house.requests.does(fetching)
    assert isinstance(opened, Opened)
    stream = _streamed(service, opened)
    got = await anext(stream)
    await house.door.ask("POST", f"/packages/{named('access', 'anna')}/arrived", by=house.door.token_of(ANNA))

    assert [some async for some in stream] == []
    assert len(got) < opened.size


# By link and code


async def link_of(house: House) -> str:
    await house.package()
    return str((await house.told("package-ready"))[0]["package_link"])


async def code_for(house: House, link: str) -> str:
    answer = await house.door.ask("POST", f"/package-links/{link}/code")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    return str((await house.told("package-code"))[-1]["code"])


async def fetch(house: House, link: str, code: str) -> httpx.Response:
    return await house.door.ask("POST", f"/package-links/{link}/fetch", json={"code": code})


async def test_with_link_and_code_it_is_fetched_without_a_log_in(house: House) -> None:
    link = await link_of(house)
    answer = await fetch(house, link, await code_for(house, link))

    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="personal-data.zip"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert Contents(answer.content).json("account/email/accounts") == [{"email": ANNA.email}]


async def test_a_code_works_once_and_for_an_interrupted_download_there_is_another(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)
    assert (await fetch(house, link, code)).is_success

    assert slug_of(await fetch(house, link, code)) == "code-wrong"
    assert (await fetch(house, link, await code_for(house, link))).is_success


async def test_of_a_hundred_parallel_fetches_with_the_right_code_one_succeeds(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)
    answers = await asyncio.gather(*(fetch(house, link, code) for _ in range(100)))

    assert sum(answer.is_success for answer in answers) == 1


async def test_of_a_hundred_parallel_fetches_by_a_used_link_none_succeeds(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)
    assert (await fetch(house, link, code)).is_success
    ended = await house.door.ask("POST", f"/package-links/{link}/arrived")
    assert ended.status_code == HTTPStatus.NO_CONTENT
    answers = await asyncio.gather(*(fetch(house, link, code) for _ in range(100)))

    assert {slug_of(answer) for answer in answers} == {"no-such-package", "too-many-tries"}


async def test_of_a_hundred_parallel_fetches_by_guessed_links_none_succeeds(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)
    guesses = [link[:-2] + f"{number:02}" for number in range(100)]
    answers = await asyncio.gather(*(fetch(house, guess, code) for guess in guesses if guess != link))

    assert {slug_of(answer) for answer in answers} == {"no-such-package"}


async def test_guessed_codes_are_counted_before_they_are_looked_at(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)
    wrong = [f"{number:08}" for number in range(100) if f"{number:08}" != code]
    answers = await asyncio.gather(*(fetch(house, link, each) for each in wrong))

    assert [slug_of(answer) for answer in answers].count("code-wrong") == 10
    assert slug_of(await fetch(house, link, code)) == "too-many-tries"


async def test_a_code_that_was_never_sent_or_is_old_opens_nothing(house: House) -> None:
    link = await link_of(house)
    assert slug_of(await fetch(house, link, "00000000")) == "code-wrong"
    code = await code_for(house, link)
    house.requests.clock.now += timedelta(minutes=15)

    assert slug_of(await fetch(house, link, code)) == "code-wrong"


async def test_a_new_code_takes_the_place_of_the_one_before_and_only_so_many_are_sent(house: House) -> None:
    link = await link_of(house)
    codes = [await code_for(house, link) for _ in range(5)]

    assert slug_of(await house.door.ask("POST", f"/package-links/{link}/code")) == "too-many-tries"
    assert slug_of(await fetch(house, link, codes[0])) == "code-wrong"
    assert (await fetch(house, link, codes[-1])).is_success


async def test_a_link_alone_destroys_nothing(house: House) -> None:
    link = await link_of(house)
    await house.requests.run("UPDATE packages SET fetched_at = NULL")

    assert slug_of(await house.door.ask("POST", f"/package-links/{link}/arrived")) == "not-fetched"
    assert len(await house.requests.rows("packages")) == 1


async def test_neither_link_nor_code_stands_in_the_database(house: House) -> None:
    link = await link_of(house)
    code = await code_for(house, link)

    async with house.requests.engine.connect() as connection:
        stored = str(list(await connection.execute(text("SELECT packages::text FROM packages"))))
    assert link not in stored
    assert code not in stored
