"""A try is counted before it is looked at, on all replicas together, and by nobody's name."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from shared.commands import Throttled
from shared.retention import kept_by_every_service, sweep
from shared.throttle import LONGEST_PERIOD, Counter, Limit, forgive, give_back, spend
from tests.builders import A_MINUTE, NOON
from tests.rooms import OpenRoom, Room

FIVE = Limit("five", 5, timedelta(minutes=10))
TWO = Limit("two", 2, timedelta(hours=1))


async def tries(room: Room, *counters: Counter, at: datetime = NOON) -> Throttled | None:
    async with room.engine.begin() as connection:
        return await spend(connection, at, *counters)


async def test_of_a_thousand_at_once_as_many_pass_as_the_limit_says(room: OpenRoom) -> None:
    device = await room("device")
    anna = FIVE.at(device.settings, "anna")
    answers = await asyncio.gather(*(tries(device, anna) for _ in range(1000)))

    assert answers.count(None) == 5


async def test_several_limits_count_together_and_the_strictest_decides(room: OpenRoom) -> None:
    device = await room("device")
    both = FIVE.at(device.settings, "anna"), TWO.at(device.settings, "here")
    answers = await asyncio.gather(*(tries(device, *both[::order]) for order in (1, -1) * 20))

    assert answers.count(None) == 2
    assert {answer.seconds for answer in answers if answer} == {3600}


async def test_a_period_begins_with_the_first_try_and_is_not_prolonged(room: OpenRoom) -> None:
    device = await room("device")
    anna = TWO.at(device.settings, "anna")
    for minutes in (0, 10, 20, 59):
        last = await tries(device, anna, at=NOON + minutes * A_MINUTE)
    assert last == Throttled(seconds=60)

    assert await tries(device, anna, at=NOON + 60 * A_MINUTE) is None


async def test_whoever_was_right_begins_anew_and_nobody_else_does(room: OpenRoom) -> None:
    device = await room("device")
    anna, ben = (TWO.at(device.settings, name) for name in ("anna", "ben"))
    for _ in range(2):
        await tries(device, anna)
        await tries(device, ben)
    async with device.engine.begin() as connection:
        await forgive(connection, [anna])

    assert await tries(device, anna) is None
    assert await tries(device, ben) is not None


async def test_a_try_that_is_given_back_leaves_the_others_counted(room: OpenRoom) -> None:
    device = await room("device")
    anna = TWO.at(device.settings, "anna")
    for _ in range(2):
        await tries(device, anna)
    async with device.engine.begin() as connection:
        await give_back(connection, [anna])

    assert await tries(device, anna) is None
    assert await tries(device, anna) is not None


async def test_who_was_counted_cannot_be_read_from_the_table_nor_guessed_without_the_key(room: OpenRoom) -> None:
    device = await room("device")
    await tries(device, FIVE.at(device.settings, "anna@mail.example"))
    other = device.settings.model_copy(update={"internal_token": "another token that is long enough for it"})

    (row,) = await device.rows("tries")
    assert "anna" not in repr(row)
    assert row["subject"] != FIVE.at(other, "anna@mail.example").subject
    assert row["subject"] != TWO.at(device.settings, "anna@mail.example").subject


async def test_rows_end_with_their_period(room: OpenRoom) -> None:
    device = await room("device")
    await tries(device, FIVE.at(device.settings, "anna"))
    kept = kept_by_every_service(device.owner, device.settings.mark_retention)
    await sweep(device.engine, kept, NOON + 9 * A_MINUTE)
    assert len(await device.rows("tries")) == 1
    await sweep(device.engine, kept, NOON + 11 * A_MINUTE)

    assert await device.rows("tries") == []


def test_no_limit_outlives_what_the_certificate_says() -> None:
    with pytest.raises(ValueError, match="certificate"):
        Limit("long", 1, LONGEST_PERIOD + A_MINUTE)
