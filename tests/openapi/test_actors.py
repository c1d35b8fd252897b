"""Every public route against everybody who may ask, taken from the OpenAPI documents: no route can be forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib import import_module
from typing import Any

import pytest
from fastapi import FastAPI

from services.requests.commands import Submit
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.requests import Channel, Kind
from shared.security import ACCESS_TOKEN_LIFE
from shared.staff import LONGEST_LIFE
from tests.builders import ANNA, BEN, CARLA, NOON, fact, named
from tests.commands import KNOW_THE_PRODUCT, KNOWN, bound, erased, logged_in, registered
from tests.doors import Door, Tokens, door_of, slug_of
from tests.notifier.facts import contact_of, possible_for
from tests.rooms import SERVICES, OpenRoom, Room

OPEN_TO_ANYBODY = {
    "account POST /v1/registrations": "nobody has an account before",
    "account POST /v1/registrations/{registration_id}/confirm": "the mailed code is the proof",
    "account POST /v1/sessions": "address and password are the proof",
    "account POST /v1/sessions/refresh": "the refresh token is the proof",
    "account POST /v1/password-resets": "who has forgotten the password cannot log in",
    "account POST /v1/password-resets/{reset_id}/confirm": "the mailed code is the proof",
    "account POST /v1/email-undos": "the mailed token is the proof",
    "account GET /v1/cancellations/{reference}": "the reference is the key, also when nobody can log in",
    "account POST /v1/cancellations/{reference}/continue": "the token is the proof",
    "account POST /v1/cancellations/{reference}/confirm": "token and password are the proof",
    "requests POST /v1/package-links/{link}/code": "the code goes to the contact of whose data it is, whoever asks",
    "requests POST /v1/package-links/{link}/fetch": "link and mailed code are the proof",
    "requests POST /v1/package-links/{link}/arrived": "the link is the proof, and ends only what was fetched",
    "requests GET /v1/orders/{reference}": "the reference is the key, also when the account is gone",
    "requests GET /v1/requests/{reference}": "the reference is the key, also when the account is gone",
    "requests POST /v1/requests/{reference}/identity": "the mailed code is the proof",
    "requests GET /v1/requests/ways": "who has no account asks, too",
}
"""Routes without log-in, each with its reason; any other one has to ask who it is."""

WRITTEN = fact(FeedbackSubmitted, ANNA, text="Too loud at night")
WISHED = Submit(
    account_id=ANNA.account_id,
    request_id=named("request"),
    reference="a" * 43,
    kind=Kind.DELETION,
    channel=Channel.APP,
    known=True,
    scope={"everything": True},
)
OF_ANNA: dict[str, str] = {
    "binding_id": str(named("binding", ANNA.name)),
    "session_id": str(named("session", ANNA.name)),
    "feedback_id": str(WRITTEN.id),
    "number": "1",
    "change_id": str(named("change")),
    "reference": "a" * 43,
    "request_id": str(named("request")),
    "mail_id": str(named("mail")),
    "evidence_id": str(named("deed")),
    "link": "b" * 43,
}
"""What stands in the addresses of things that are Anna's; a new kind of thing needs its line here."""


@dataclass(frozen=True)
class Route:
    """One operation of one service."""

    service: str
    method: str
    path: str
    guards: frozenset[str]
    """By which tokens it is opened, if by any: those of people, or those of staff."""

    @property
    def guarded(self) -> bool:
        """Whether it asks who it is."""
        return bool(self.guards)

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def routes() -> Iterator[Route]:
    """Read every operation of every service from its document."""
    for service in SERVICES:
        app = FastAPI()
        app.include_router(import_module(f"services.{service}.api").router)
        for path, operations in app.openapi()["paths"].items():
            for method, operation in operations.items():
                yield Route(service, method.upper(), path, frozenset(guards_of(operation)))


def guards_of(operation: dict[str, Any]) -> set[str]:
    """Name the security schemes of an operation."""
    return {scheme for each in operation.get("security", ()) for scheme in each}


ROUTES = tuple(routes())
STAFF = frozenset({"staff"})
PEOPLES = [route for route in ROUTES if route.guarded and route.guards != STAFF]
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)
guarded_route = pytest.mark.parametrize("route", PEOPLES, ids=str)
staff_route = pytest.mark.parametrize("route", [route for route in ROUTES if route.guards == STAFF], ids=str)


OpenDoor = Callable[[str], Awaitable[Door]]


@pytest.fixture
async def inhabited(room: OpenRoom) -> AsyncIterator[OpenDoor]:
    """Open a service with Anna's things in it."""
    async with AsyncExitStack() as opened:

        async def open_door(service: str) -> Door:
            return await opened.enter_async_context(door_of(await furnished(room, service)))

        yield open_door


async def furnished(room: OpenRoom, service: str) -> Room:
    """Set up a service in which Anna has one of everything, Ben nothing, and Carla was cancelled."""
    ready = await room(service)
    match service:
        case "account":
            for person in (ANNA, BEN, CARLA):
                await ready.does(*registered(person), logged_in(person))
        case "device":
            await ready.run(KNOW_THE_PRODUCT, **KNOWN)
            await ready.does(bound(ANNA))
        case "requests":
            await ready.hears(WRITTEN)
            await ready.does(WISHED)
        case "notifier":
            await ready.hears(contact_of(ANNA), possible_for(ANNA))
            OF_ANNA["notice_id"] = str((await ready.rows("notices"))[0]["id"])
    await close(ready)
    return ready


async def close(room: Room) -> None:
    """Have Carla's account closed here."""
    if room.service == "account":
        await room.run("DELETE FROM sessions WHERE account_id = :carla", carla=CARLA.account_id)
    async with room.bus.work() as work:
        await work.lock([erased(CARLA)])
        await room.owner.erase(work, [erased(CARLA)])


async def ask(door: Door, route: Route, by: Tokens | None, **more: Any) -> Any:  # noqa: ANN401 - as httpx
    path = route.path.removeprefix("/v1").format(**OF_ANNA)
    if route.path.endswith("avatar"):
        more.setdefault("content", b"no picture")
    elif route.method in ("POST", "PUT", "PATCH"):
        more.setdefault("json", {})
    return await door.ask(route.method, path, by=by, **more)


def test_every_route_asks_who_it_is_or_says_why_not() -> None:
    assert {str(route) for route in ROUTES if not route.guarded} == set(OPEN_TO_ANYBODY)


@guarded_route
async def test_nobody_staff_and_bad_tokens_are_refused(inhabited: OpenDoor, route: Route) -> None:
    door = await inhabited(route.service)
    before = await door.room.state("outbox", "inbox")
    token = door.room.settings.internal_token
    actors = {
        "nobody": await ask(door, route, None),
        "staff": await ask(door, route, None, headers={"X-Internal-Token": token}),
        "staff as bearer": await ask(door, route, Tokens({"access_token": token})),
        "expired": await ask(door, route, door.token_of(ANNA, NOON - ACCESS_TOKEN_LIFE - timedelta(seconds=1))),
        "cancelled": await ask(door, route, door.token_of(CARLA)),
    }

    assert {name: answer.status_code for name, answer in actors.items()} == dict.fromkeys(
        actors, HTTPStatus.UNAUTHORIZED
    )
    assert {slug_of(answer) for answer in actors.values()} <= {"not-logged-in", "session-ended"}
    assert await door.room.state("outbox", "inbox") == before


ABOUT_A_THING = [route for route in PEOPLES if "{" in route.path]


@pytest.mark.parametrize("route", ABOUT_A_THING, ids=str)
async def test_what_is_annas_does_not_exist_for_anybody_else(inhabited: OpenDoor, route: Route) -> None:
    door = await inhabited(route.service)
    before = await door.room.state("tries")
    body: dict[str, Any] = {"name": "mine now"} if route.method == "PATCH" else {"code": "12345678"}
    if route.path.endswith("/answer"):
        body = {"text": "mine now"}
    answer = await ask(door, route, door.token_of(BEN), json=body if route.method in ("POST", "PATCH") else None)

    assert answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT), answer.text
    assert slug_of(answer).startswith("no-such-") or slug_of(answer) in ("code-wrong", "cancellation-not-scheduled")
    assert await door.room.state("tries") == before


@guarded_route
async def test_the_owner_is_let_in_at_every_door(inhabited: OpenDoor, route: Route) -> None:
    door = await inhabited(route.service)
    answer = await ask(door, route, door.token_of(ANNA))

    assert answer.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), answer.text
    assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text


@staff_route
async def test_nobody_but_staff_with_the_role_is_let_in_where_staff_decide(inhabited: OpenDoor, route: Route) -> None:
    door = await inhabited(route.service)
    before = await door.room.state("outbox", "inbox")
    actors = {
        "nobody": (await ask(door, route, None), "not-staff"),
        "whose it is": (await ask(door, route, door.token_of(ANNA)), "not-staff"),
        "operations": (
            await ask(door, route, Tokens({"access_token": door.room.settings.internal_token})),
            "not-staff",
        ),
        "expired": (await ask(door, route, door.staff(at=NOON - LONGEST_LIFE)), "not-staff"),
        "of another role": (await ask(door, route, door.staff("support")), "role-missing"),
    }

    assert {name: slug_of(answer) for name, (answer, _) in actors.items()} == {
        name: slug for name, (_, slug) in actors.items()
    }
    assert await door.room.state("outbox", "inbox") == before


@staff_route
async def test_staff_with_the_role_are_let_in_at_every_door_of_theirs(inhabited: OpenDoor, route: Route) -> None:
    door = await inhabited(route.service)
    answer = await ask(door, route, door.staff())

    assert answer.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), answer.text
    assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text


@pytest.mark.parametrize("service", SERVICES)
async def test_the_internal_door_opens_to_its_token_alone(inhabited: OpenDoor, service: str) -> None:
    door = await inhabited(service)
    for headers in ({}, {"X-Internal-Token": "a guess"}, door.token_of(ANNA).headers):
        answer = await door.ask("GET", "http://door.example/internal/dead-letters", headers=headers)
        assert answer.status_code == HTTPStatus.UNAUTHORIZED, answer.text
    mine = {"X-Internal-Token": door.room.settings.internal_token}
    let_in = await door.ask("GET", "http://door.example/internal/dead-letters", headers=mine)
    assert let_in.status_code == HTTPStatus.OK, let_in.text
