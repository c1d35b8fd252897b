"""Cursors lead on from where a page ended, and whatever else comes in as one is refused."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from uuid import UUID, uuid4

import pytest

from shared.pages import Cursor, page
from tests.builders import ANNA, NOON
from tests.doors import door_of, slug_of
from tests.rooms import OpenRoom


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = Cursor(NOON, uuid4())

    assert Cursor.read(str(cursor)) == cursor


ID = UUID(int=7)
BAD = [
    "",
    "x",
    "%00",
    "ж",
    "=" * 200,
    urlsafe_b64encode(b"|").decode(),
    urlsafe_b64encode(b"2026-11-02T12:00:00|" + str(ID).encode()).decode(),
    urlsafe_b64encode(b"9999-99-99T12:00:00+00:00|" + str(ID).encode()).decode(),
    urlsafe_b64encode(b"2026-11-02T12:00:00+00:00|no-id").decode(),
    urlsafe_b64encode(b"\xff\xfe").decode(),
    urlsafe_b64encode(f"0001-01-01T00:00:00+23:59|{ID}".encode()).decode(),
    urlsafe_b64encode(f"9999-12-31T23:59:59-23:59|{ID}".encode()).decode(),
]


@pytest.mark.parametrize("text", BAD)
async def test_what_is_no_cursor_is_refused(room: OpenRoom, text: str) -> None:
    async with door_of(await room("device")) as door:
        answer = await door.ask("GET", "/devices", by=door.token_of(ANNA), params={"after": text})

    assert slug_of(answer) in ("cursor-invalid", "invalid-request")


def test_the_last_page_leads_nowhere() -> None:
    rows = [{"n": n} for n in range(3)]

    assert page(rows, 3, lambda _: Cursor(NOON, uuid4()))["next"] is None
    assert page(rows, 2, lambda _: Cursor(NOON, uuid4()))["next"] is not None
