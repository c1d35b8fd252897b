"""Background work ends when it is told to, begins anew after what passes, and lets one failure cost only itself."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event

from services.requests.commands import AddFeedback
from services.requests.repository import feedback as repository
from shared.background import again_and_again, at_once, each_alone
from shared.errors import NotNow
from tests.builders import ANNA, BEN, CARLA, NOON, Person, named
from tests.rooms import OpenRoom


class BeganAnewError(Exception):
    """It was told to stop, and did not."""


async def test_work_that_is_told_to_stop_stops_although_it_fails_on_the_way_out() -> None:
    started = asyncio.Event()

    async def attempt() -> None:
        if started.is_set():
            raise BeganAnewError
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError

    work = asyncio.create_task(again_and_again("work", attempt, 0))
    await started.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert work.cancelled()


async def test_work_begins_anew_after_what_passes_and_ends_with_what_does_not() -> None:
    failures = [OSError(), NotNow(), BeganAnewError()]

    async def attempt() -> None:
        raise failures.pop(0)

    with pytest.raises(BeganAnewError):
        await again_and_again("work", attempt, 0)

    assert failures == []


def feedback(person: Person, text: str) -> AddFeedback:
    feedback_id = named("feedback", person.name)
    return AddFeedback(account_id=person.account_id, feedback_id=feedback_id, text=text, submitted_at=NOON)


async def test_many_commands_are_carried_out_in_one_transaction(room: OpenRoom) -> None:
    requests = await room("requests")
    commits: list[object] = []
    event.listen(requests.engine.sync_engine, "commit", commits.append)

    assert await at_once(requests.bus, [feedback(ANNA, "a"), feedback(BEN, "b"), feedback(CARLA, "c")]) == []

    assert len(commits) == 1
    assert {row["text"] for row in await requests.rows("feedback")} == {"a", "b", "c"}


async def test_of_no_commands_there_is_no_transaction_and_nobody_is_woken(room: OpenRoom) -> None:
    requests = await room("requests")
    requests.bus.worked.clear()

    assert await at_once(requests.bus, []) == []

    assert not requests.bus.worked.is_set()


async def test_where_one_transaction_fails_each_command_has_its_own(room: OpenRoom) -> None:
    requests = await room("requests")
    unstorable = feedback(BEN, "no\x00text")

    assert await at_once(requests.bus, [feedback(ANNA, "a"), unstorable, feedback(CARLA, "c")]) == [unstorable]

    assert {row["text"] for row in await requests.rows("feedback")} == {"a", "c"}


async def test_of_many_commands_one_that_fails_for_good_costs_only_itself(room: OpenRoom) -> None:
    requests = await room("requests")

    await each_alone(requests.bus, [feedback(ANNA, "a"), feedback(BEN, "no\x00text"), feedback(CARLA, "c")])

    assert {row["text"] for row in await requests.rows("feedback")} == {"a", "c"}


async def test_of_many_commands_what_passes_by_itself_is_raised(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = await room("requests")

    async def away(*_: object) -> None:
        raise NotNow

    monkeypatch.setattr(repository, "add_feedback", away)

    with pytest.raises(NotNow):
        await each_alone(requests.bus, [feedback(ANNA, "a")])
