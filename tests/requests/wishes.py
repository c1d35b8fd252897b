"""What people and staff ask for in tests, by the doors of requests."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from services.requests.codes import code_of
from services.requests.commands import PassTime, Submit
from services.requests.domain.cases import Request
from shared.contracts.requests import Channel, Kind
from tests.builders import Person, named
from tests.doors import Door
from tests.rooms import HeldClock, Room

ACCESS: dict[str, Any] = {"kind": "access"}
CORRECTION: dict[str, Any] = {"kind": "correction", "values": {"nickname": "Anni"}}
EVERYTHING: dict[str, Any] = {"kind": "deletion"}
FEEDBACK_ALONE: dict[str, Any] = {"kind": "deletion", "categories": ["feedback"]}
USE: dict[str, Any] = {"kind": "withdrawal", "scopes": [{"purpose": "use", "service": "device"}]}
WHOLE_POLICY: dict[str, Any] = {"kind": "withdrawal", "whole_policy": True}
REASONS: dict[str, Any] = {
    "ground": "repetitive",
    "facts": "The same was asked, and answered, a week ago.",
    "items": ["feedback"],
    "remedy": "Look into the package that you have.",
}
DAY = timedelta(days=1)


async def submit(door: Door, person: Person, wish: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx
    """Ask for something in the app."""
    answer = await door.ask("POST", "/requests", by=door.token_of(person), json=wish, **more)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


async def decide(door: Door, request: dict[str, Any], step: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx
    """Decide something as staff."""
    path = f"/staff/requests/{request['request_id']}/{step}"
    answer = await door.ask("POST", path, by=door.staff(), json=body)
    assert answer.is_success, answer.text
    after: dict[str, Any] = answer.json()
    return after


async def status(door: Door, request: dict[str, Any]) -> dict[str, Any]:
    """See what became of it, by the reference alone."""
    answer = await door.ask("GET", f"/requests/{request['reference']}")
    assert answer.status_code == HTTPStatus.OK, answer.text
    seen: dict[str, Any] = answer.json()
    return seen


async def written(room: Room, person: Person, kind: Kind | None = Kind.ACCESS, *words: object) -> Request:
    """Have a wish come in by mail, of whose sender it is known which account has the address."""
    (request,) = await room.does(unverified(person, kind, *words))
    assert isinstance(request, Request)
    return request


def unverified(person: Person, kind: Kind | None = Kind.ACCESS, *words: object) -> Submit:
    """Make the command of a wish of which nobody knows yet whether it is the person's."""
    return Submit(
        account_id=person.account_id,
        request_id=named("request", person.name, kind, *words),
        reference=reference_of(person, kind, *words),
        kind=kind,
        channel=Channel.MAIL,
        known=False,
        scope={},
        text="Please send me what you have.",
    )


def reference_of(person: Person, kind: Kind | None = Kind.ACCESS, *words: object) -> str:
    """Give the reference of such a wish."""
    return named("reference", person.name, kind, *words).hex


def code_for(room: Room, request: Request) -> str:
    """Read the code as its mail says it."""
    return code_of(room.settings.internal_token, request.request_id, request.account_id)


async def time_passes(room: Room, by: timedelta) -> None:
    """Move the clock, day by day, and let the watcher do what each day brings."""
    assert isinstance(room.clock, HeldClock)
    end = room.clock.now + by
    while room.clock.now < end:
        room.clock.now = min(end, room.clock.now + DAY)
        while found := [row for row in await room.rows("requests") if _due(row, room)]:
            whose = [(row["account_id"], row["request_id"]) for row in found]
            await room.does(*(PassTime(account_id=account, request_id=request) for account, request in whose))


def _due(row: dict[str, Any], room: Room) -> bool:
    return row["ended_at"] is None and row["look_at"] <= room.clock()
