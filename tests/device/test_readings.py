"""What devices have measured is shown in spans of time, page by page, and taken along as a stream."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import event
from starlette.types import Message

from services.device.commands import UnbindDevice
from shared.contracts.app import ReadingReported
from shared.contracts.topics import TELEMETRY
from shared.personal_data import CHUNK
from tests.builders import ANNA, BEN, NOON, fact, named, raw_record, record_of
from tests.commands import bound
from tests.doors import Door, slug_of

MANY = (
    "INSERT INTO readings (account_id, binding_id, measured_at, event_id, values)"
    " SELECT :anna, :binding, CAST(:noon AS timestamptz) + n / 2 * interval '1 second', gen_random_uuid(),"
    " jsonb_build_object('pm25', n) FROM generate_series(0, :last) AS n"
)
AT = f"/devices/{named('binding', 'anna')}/readings"


async def measured(door: Door, count: int) -> None:
    """Have a device of Anna's measure so often, always twice at a time."""
    await door.room.does(bound(ANNA))
    binding = named("binding", "anna")
    await door.room.run(MANY, anna=ANNA.account_id, binding=binding, noon=NOON, last=count - 1)


async def get(door: Door, path: str) -> Any:  # noqa: ANN401 - JSON
    answer = await door.ask("GET", path, by=door.token_of(ANNA))
    assert answer.status_code == HTTPStatus.OK, answer.text
    return answer


async def test_pages_give_every_reading_once_latest_first(door: Door) -> None:
    await measured(door, 25)
    found: list[float] = []
    query = "?limit=4"
    while query:
        page = (await get(door, AT + query)).json()
        found += [reading["values"]["pm25"] for reading in page["items"]]
        query = f"?limit=4&after={page['next']}" if page["next"] else ""

    assert sorted(found) == list(range(25))
    assert [int(value) // 2 for value in found] == sorted((n // 2 for n in range(25)), reverse=True)


async def test_a_span_has_its_first_moment_and_not_its_last(door: Door) -> None:
    await measured(door, 20)
    since, until = ((NOON + timedelta(seconds=n)).isoformat().replace("+", "%2B") for n in (2, 5))
    found = (await get(door, f"{AT}?from={since}&to={until}")).json()["items"]

    assert sorted(reading["values"]["pm25"] for reading in found) == [4, 5, 6, 7, 8, 9]


BACKWARDS = "from=2026-11-02T12:00:00Z&to=2026-11-02T11:00:00Z"


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-11-02T12:00:00", "limit=0", "limit=1001", "after=x", BACKWARDS]
)
async def test_a_span_that_makes_no_sense_is_refused(door: Door, query: str) -> None:
    await measured(door, 1)
    answer = await door.ask("GET", f"{AT}?{query}", by=door.token_of(ANNA))

    assert slug_of(answer) in ("invalid-request", "cursor-invalid")


async def test_all_of_it_can_be_taken_along_as_csv(door: Door) -> None:
    await measured(door, 2_500)
    lines = list(csv.DictReader(io.StringIO((await get(door, f"{AT}.csv")).text)))

    assert sorted(float(line["value"]) for line in lines) == list(range(2_500))
    times = [datetime.fromisoformat(line["measured_at"]) for line in lines]
    assert times == sorted(times)
    assert {line["metric"] for line in lines} == {"pm25"}


async def test_csv_is_written_as_its_standard_says(door: Door) -> None:
    await door.room.does(bound(ANNA))
    values = {"pm25": 3.5, "temperature": -4.0, "lux": 1e300}
    binding = named("binding", "anna")
    await door.room.hears(fact(ReadingReported, ANNA, binding_id=binding, measured_at=NOON, values=values))
    answer = await get(door, f"{AT}.csv")

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="readings.csv"'
    head, *lines = answer.text.removesuffix("\r\n").split("\r\n")
    assert head == "measured_at,metric,value"
    at = "2026-11-02T12:00:00+00:00"
    assert set(lines) == {f"{at},pm25,3.5", f"{at},temperature,-4.0", f"{at},lux,1e+300"}


async def test_a_device_that_has_measured_nothing_gives_an_empty_file(door: Door) -> None:
    await door.room.does(bound(ANNA))

    assert (await get(door, f"{AT}.csv")).text == "measured_at,metric,value\r\n"
    assert (await get(door, f"{AT}.ndjson")).text == ""


async def test_all_of_it_can_be_taken_along_as_a_stream_of_json(door: Door) -> None:
    await measured(door, 2_500)
    lines = [json.loads(line) for line in (await get(door, f"{AT}.ndjson")).text.splitlines()]

    assert sorted(line["values"]["pm25"] for line in lines) == list(range(2_500))


async def test_a_stream_is_fetched_page_by_page_and_never_whole(door: Door) -> None:
    await measured(door, 4_200)
    fetched: list[int] = []

    @event.listens_for(door.app.state.service.engine.sync_engine, "after_cursor_execute")
    def count(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - as SQLAlchemy calls it
        if "FROM readings" in statement:
            fetched.append(cursor.rowcount)

    await get(door, f"{AT}.ndjson")

    assert fetched == [251] * 16 + [200]


async def take_along(door: Door, path: str, on_part: Callable[[bytes], Awaitable[bool]]) -> bool:
    """Read a stream part by part, as long as one likes to; tells whether it came to its end."""
    gone, ended = asyncio.Event(), False

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.body":
            ended = not message.get("more_body")
            if message["body"] and not await on_part(message["body"]):
                gone.set()

    headers = [(name.lower().encode(), value.encode()) for name, value in door.token_of(ANNA).headers.items()]
    scope = {"type": "http", "method": "GET", "path": f"/v1{path}", "query_string": b"", "headers": headers}
    await door.app(scope, receive, send)
    return ended


async def test_who_reads_slowly_holds_no_connection(door: Door) -> None:
    await measured(door, 2_500)
    held: list[int] = []

    async def slowly(_: bytes) -> bool:
        held.append(door.app.state.service.engine.pool.checkedout())
        return True

    assert await take_along(door, f"{AT}.ndjson", slowly)
    assert held == [0] * 10


async def test_for_who_has_gone_nothing_more_is_fetched(door: Door) -> None:
    await measured(door, 5_000)
    parts: list[bytes] = []

    async def once(part: bytes) -> bool:
        parts.append(part)
        return False

    assert not await take_along(door, f"{AT}.ndjson", once)
    assert len(parts) < 5
    assert door.app.state.service.engine.pool.checkedout() == 0


async def test_a_stream_of_a_device_that_is_deleted_meanwhile_ends_there(door: Door) -> None:
    await measured(door, 2 * CHUNK)
    lines: list[bytes] = []

    async def delete_it(part: bytes) -> bool:
        lines.extend(part.splitlines())
        await door.room.does(UnbindDevice(account_id=ANNA.account_id, binding_id=named("binding", "anna")))
        return True

    assert await take_along(door, f"{AT}.ndjson", delete_it)
    assert len(lines) == 250
    assert len(await door.room.rows("readings")) == CHUNK


async def test_readings_that_are_dropped_are_counted_by_reason_and_without_a_word_of_whose(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await door.room.does(bound(ANNA))
    mine = {"binding_id": named("binding", "anna"), "values": {"pm25": 3.5}}
    good = fact(ReadingReported, ANNA, measured_at=NOON, **mine)
    await door.room.hears_at_once(
        good,
        good.model_copy(),
        fact(ReadingReported, BEN, measured_at=NOON, **mine),
        fact(ReadingReported, ANNA, measured_at=NOON.replace(year=1970), **mine),
        fact(ReadingReported, ANNA, measured_at=NOON - timedelta(hours=1), **mine),
        fact(ReadingReported, ANNA, measured_at=NOON + timedelta(hours=1), **mine),
        fact(ReadingReported, ANNA, serial="AIR-9999", measured_at=NOON, values={"pm25": 3.5}),
    )

    told = {(record.getMessage(), getattr(record, "count", None)) for record in caplog.records}
    assert told == {
        ("readings dropped: no such binding", 2),
        ("readings dropped: before the binding", 2),
        ("readings dropped: after the broker had it", 1),
        ("readings dropped: repeat", 1),
    }
    assert len(await door.room.rows("readings")) == 1


async def test_a_bad_reading_is_parked_alone_and_the_good_ones_beside_it_land(door: Door) -> None:
    await door.room.does(bound(ANNA))
    good = fact(ReadingReported, ANNA, binding_id=named("binding", "anna"), measured_at=NOON, values={"pm25": 3.5})
    said = good.model_dump_json().encode()
    bad = [said.replace(b"3.5", word) for word in (b"NaN", b"Infinity", b"1e999", b'"much"', b"null")]
    bad += [said[:-1], b"\xff" * 20, b"[" * 100_000, b"x" * 1_000_000]
    records = [raw_record(TELEMETRY, body, b"\xff\xfe", source="app") for body in bad]
    await door.room.reads(TELEMETRY, *records, record_of(good))

    assert len(await door.room.rows("readings")) == 1
    assert len(await door.room.rows("dead_letters")) == len(bad)


async def test_the_latest_reading_of_each_device_is_one_query_away(door: Door) -> None:
    await measured(door, 9)
    (latest,) = (await get(door, "/readings/latest")).json()

    assert latest["binding_id"] == str(named("binding", "anna"))
    assert latest["values"] == {"pm25": 8}
    nothing = await door.ask("GET", "/readings/latest", by=door.token_of(BEN))
    assert nothing.json() == []


@pytest.mark.parametrize("kind", ["", ".csv", ".ndjson"])
async def test_the_readings_of_somebody_else_are_not_there(door: Door, kind: str) -> None:
    await measured(door, 3)
    answer = await door.ask("GET", AT + kind, by=door.token_of(BEN))

    assert slug_of(answer) == "no-such-device"
