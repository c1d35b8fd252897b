"""What the doors answer to anybody, logged in or not: the real application on its database, without a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from http import HTTPStatus
from importlib import import_module

import httpx
import pytest

from shared.contracts.topics import INSTALLMENTS
from shared.security import random_secret
from shared.service import MOST_BYTES
from tests.builders import ANNA, raw_record
from tests.commands import cancellation_started, cancelled_by_request, registered
from tests.rooms import OpenRoom, Room

DoorOf = Callable[[Room], httpx.AsyncClient]
FIVE_MEGABYTES = b"x" * 5 * 1024 * 1024


@pytest.fixture
async def door_of() -> AsyncIterator[DoorOf]:
    """Open the door of a room: its application, answering by the clock of the room."""
    async with AsyncExitStack() as opened:

        def open_door(room: Room) -> httpx.AsyncClient:
            app = import_module(f"services.{room.service}.app").create_app(room.settings, room.clock)
            opened.push_async_callback(app.state.service.engine.dispose)
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(transport=transport, base_url=f"http://{room.service}.example")
            opened.push_async_callback(client.aclose)
            return client

        yield open_door


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Send a body without saying how long it is."""
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in pieces"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/sessions"), ("PUT", "/v1/account/avatar")])
async def test_a_body_beyond_all_measure_is_not_read_from_anybody(
    room: OpenRoom, door_of: DoorOf, method: str, path: str, *, announced: bool
) -> None:
    door = door_of(await room("account"))
    assert len(FIVE_MEGABYTES) > MOST_BYTES

    content = FIVE_MEGABYTES if announced else in_pieces(FIVE_MEGABYTES)
    answer = await door.request(method, path, content=content)

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_a_reference_tells_how_far_a_cancellation_is_until_it_is_carried_out(
    room: OpenRoom, door_of: DoorOf
) -> None:
    # Given a cancellation that was started
    account, reference = await room("account"), random_secret()
    for command in registered(ANNA):
        await account.does(command)
    start = replace(cancellation_started(ANNA), reference=reference)
    await account.does(start)
    door = door_of(account)

    # When its status is asked for, by the reference alone
    answer = await door.get(f"/v1/cancellations/{reference}")

    # Then it is started, with the end of its token
    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "reference": reference,
        "state": "started",
        "confirm_until": start.expires_at.isoformat().replace("+00:00", "Z"),
        "due_at": None,
    }

    # And when it was carried out, account knows nothing of it
    await account.does(cancelled_by_request(ANNA))
    answer = await door.get(f"/v1/cancellations/{reference}")
    assert (answer.status_code, answer.json()["title"]) == (HTTPStatus.NOT_FOUND, "no-such-cancellation")


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("account", "GET", "/v1/cancellations/{}"),
        ("account", "POST", "/v1/cancellations/{}/continue"),
        ("account", "POST", "/v1/cancellations/{}/confirm"),
        ("requests", "GET", "/v1/orders/{}"),
    ],
)
async def test_a_reference_that_no_database_can_hold_is_refused(
    room: OpenRoom, door_of: DoorOf, service: str, method: str, path: str
) -> None:
    door = door_of(await room(service))

    body = {"token": "a token", "password": "a password"} if path.endswith("confirm") else {"token": "a token"}
    answer = await door.request(method, path.format("0123456789012345678901%00"), json=body)

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "path.reference" in [fault["field"] for fault in answer.json()["faults"]]


async def test_who_handles_an_unreadable_message_anew_is_told_which_field_it_is(
    room: OpenRoom, door_of: DoorOf
) -> None:
    account = await room("account")
    body = b'{"type": "InstallmentOwed", "account_id": "%s"}' % str(ANNA.account_id).encode()
    await account.reads(INSTALLMENTS, raw_record(INSTALLMENTS, body))
    (letter,) = await account.rows("dead_letters")

    headers = {"X-Internal-Token": account.settings.internal_token}
    answer = await door_of(account).post(f"/internal/dead-letters/{letter['id']}/redrive", headers=headers)

    assert (answer.status_code, answer.json()["title"]) == (HTTPStatus.CONFLICT, "still-unreadable")
    assert "installment_id: missing" in answer.json()["detail"]
