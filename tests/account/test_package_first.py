"""Who leaves can have a copy of the data first: the account goes when it has been fetched, or thirty days later."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest

from services.account.due import due
from shared.contracts.account import CancellationScheduled
from shared.contracts.requests import PackageEnded
from tests.builders import ANNA, NEXT_MONTH, fact, named
from tests.doors import PASSWORD, Door, door_of
from tests.rooms import OpenRoom

DAY = timedelta(days=1)
EMAIL = "ada@mail.example"


async def left(door: Door, body: dict[str, Any] | None) -> dict[str, Any]:
    """Go through the three taps; tells what the third one said."""
    await door.sign_up(EMAIL)
    by = await door.log_in(EMAIL)
    started = (await door.ask("POST", "/cancellations", by=by, json=body)).json()
    path, token = f"/cancellations/{started['reference']}", {"token": started["token"]}
    await door.ask("POST", f"{path}/continue", json=token)
    answer = await door.ask("POST", f"{path}/confirm", json=token | {"password": PASSWORD})
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def fetched(door: Door) -> None:
    """Let account hear that the package has arrived."""
    (account,) = await door.room.rows("accounts")
    await door.room.hears(
        fact(PackageEnded, ANNA, account_id=account["id"], request_id=named("package"), arrived=True)
    )


async def is_due(door: Door) -> bool:
    """Tell whether the clock would carry the cancellation out now."""
    return bool(await due(door.app.state.service))


@pytest.mark.parametrize("body", [None, {}, {"package": "none"}], ids=["nothing said", "nothing chosen", "none"])
async def test_without_a_package_the_account_is_cancelled_at_once(
    room: OpenRoom, body: dict[str, Any] | None
) -> None:
    async with door_of(await room("account")) as door:
        assert (await left(door, body))["state"] == "cancelled"


async def test_with_a_package_first_it_is_carried_out_once_that_was_fetched(room: OpenRoom) -> None:
    async with door_of(await room("account")) as door:
        said = await left(door, {"package": "first"})
        (scheduled,) = await door.mailed("CancellationScheduled")
        assert not await is_due(door)
        await fetched(door)

        assert (said["state"], scheduled["package_first"]) == ("scheduled", True)
        assert await is_due(door)


async def test_a_package_that_never_comes_holds_nobody_for_more_than_thirty_days(room: OpenRoom) -> None:
    async with door_of(await room("account")) as door:
        await left(door, {"package": "first"})
        door.room.clock.now += 30 * DAY - timedelta(seconds=1)
        assert not await is_due(door)
        door.room.clock.now += timedelta(seconds=1)

        assert await is_due(door)


async def test_a_package_does_not_shorten_the_time_to_think_it_over(room: OpenRoom) -> None:
    async with door_of(await room("account"), cooling_off_days=3) as door:
        door.room.bus.settings = door.app.state.service.settings
        await left(door, {"package": "first"})
        await fetched(door)
        assert not await is_due(door)
        door.room.clock.now += 3 * DAY

        assert await is_due(door)


async def test_a_package_that_ends_brings_no_other_cancellation_forward(room: OpenRoom) -> None:
    async with door_of(await room("account"), cooling_off_days=3) as door:
        await left(door, {"package": "none"})
        await fetched(door)

        assert not await is_due(door)


def scheduled(*, package_first: bool) -> CancellationScheduled:
    return fact(CancellationScheduled, ANNA, reference="ref", due_at=NEXT_MONTH, package_first=package_first)


async def test_requests_opens_an_access_for_who_leaves_and_joins_one_that_is_open(room: OpenRoom) -> None:
    requests = await room("requests")
    await requests.hears(scheduled(package_first=False))
    assert await requests.rows("requests") == []
    await requests.hears(scheduled(package_first=True), scheduled(package_first=True))
    (request,) = await requests.rows("requests")

    assert (request["kind"], request["state"], request["account_id"]) == ("access", "accepted", ANNA.account_id)
