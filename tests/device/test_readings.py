"""What devices have measured is shown in spans of time, page by page, and taken along as a stream."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import event

from tests.builders import ANNA, BEN, NOON, named
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


@pytest.mark.parametrize("query", ["from=yesterday", "from=2026-11-02T12:00:00", "limit=0", "limit=1001", "after=x"])
async def test_a_span_that_makes_no_sense_is_refused(door: Door, query: str) -> None:
    await measured(door, 1)
    answer = await door.ask("GET", f"{AT}?{query}", by=door.token_of(ANNA))

    assert slug_of(answer) in ("invalid-request", "cursor-invalid")


async def test_all_of_it_can_be_taken_along_as_csv(door: Door) -> None:
    await measured(door, 2_500)
    lines = list(csv.DictReader(io.StringIO((await get(door, f"{AT}.csv")).text)))

    assert sorted(int(line["value"]) for line in lines) == list(range(2_500))
    times = [datetime.fromisoformat(line["measured_at"]) for line in lines]
    assert times == sorted(times)
    assert {line["metric"] for line in lines} == {"pm25"}


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

    assert fetched == [1001, 1001, 1001, 1001, 200]


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
