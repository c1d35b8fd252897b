"""The third tap, when we are not able to carry it out: the person is not locked out for asking again."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from services.account.domain.cancellations import PASSWORD_TRIES
from shared import failpoints
from tests.account.test_starting_once import a_person, go_on, start
from tests.doors import PASSWORD, Door, slug_of


def fail_while_erasing(point: str) -> None:
    """Be a disk that is full."""
    if point == "owner.erasing":
        msg = "full"
        raise OSError(msg)


async def test_who_is_told_to_ask_again_loses_no_try_of_the_password(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await start(door, await a_person(door))
    await go_on(door, "continue", started)
    with monkeypatch.context() as disk_full:
        disk_full.setattr(failpoints, "hook", fail_while_erasing)
        for _ in range(PASSWORD_TRIES + 1):
            with pytest.raises(OSError, match="full"):
                await go_on(door, "confirm", started, password=PASSWORD)

    confirmed = await go_on(door, "confirm", started, password=PASSWORD)

    assert (confirmed.status_code, confirmed.json()["state"]) == (HTTPStatus.ACCEPTED, "cancelled")


async def test_who_was_wrong_before_gets_no_more_tries_by_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await start(door, await a_person(door))
    await go_on(door, "continue", started)
    for _ in range(PASSWORD_TRIES - 1):
        await go_on(door, "confirm", started, password="a wrong one")
    with monkeypatch.context() as disk_full:
        disk_full.setattr(failpoints, "hook", fail_while_erasing)
        with pytest.raises(OSError, match="full"):
            await go_on(door, "confirm", started, password=PASSWORD)

    assert slug_of(await go_on(door, "confirm", started, password="a wrong one")) == "password-wrong"
    assert slug_of(await go_on(door, "confirm", started, password=PASSWORD)) == "tries-spent"
