"""A service's HTTP door without a socket: the real application, on a room's database and by its clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from importlib import import_module
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.security import Person as Asker
from shared.security import issue_access_token
from shared.staff import PRIVACY, Staff, issue_staff_token
from tests.builders import Person, named
from tests.rooms import Room

PASSWORD = "the heron reads at dusk"
POLICY = "2026-01"


@dataclass
class Door:
    """Where people ask; `network` is the address that they seem to come from."""

    room: Room
    app: Any

    async def ask(
        self,
        method: str,
        path: str,
        *,
        by: Tokens | None = None,
        network: str = "192.0.2.1",
        **request: Any,  # noqa: ANN401 - as httpx takes it
    ) -> httpx.Response:
        """Ask once."""
        headers = request.pop("headers", {}) | (by.headers if by else {})
        transport = httpx.ASGITransport(self.app, client=(network, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://door.example/v1") as client:
            return await client.request(method, path, headers=headers, **request)

    def token_of(self, person: Person, at: datetime | None = None) -> Tokens:
        """Sign a token as account does, for a service that knows people by their tokens alone."""
        private = self.room.settings.access_token_public_key_file.with_name("private.pem").read_bytes()
        asker = Asker(person.account_id, named("session", person.name))
        key = load_pem_private_key(private, password=None)
        return Tokens({"access_token": issue_access_token(key, asker, at or self.room.clock())})

    def staff(self, *roles: str, staff_id: str = "s-1", at: datetime | None = None) -> Tokens:
        """Sign a token of staff, as whoever knows them does; with the role `privacy` unless others are named."""
        private = self.room.settings.access_token_public_key_file.with_name("staff-private.pem").read_bytes()
        who = Staff(staff_id, frozenset(roles or (PRIVACY,)))
        key = load_pem_private_key(private, password=None)
        return Tokens({"access_token": issue_staff_token(key, who, at or self.room.clock())})

    async def mailed(self, fact: str) -> list[dict[str, Any]]:
        """List what was announced of this kind, in order."""
        return [each for each in await self.room.announced() if each["type"] == fact]

    async def sign_up(self, email: str, password: str = PASSWORD, **fields: Any) -> None:  # noqa: ANN401 - of the body
        """Register and confirm."""
        body = {"email": email, "password": password, "region": "DE", "language": "en", "policy_version": POLICY}
        asked = await self.ask("POST", "/registrations", json=body | fields)
        code = (await self.mailed("ConfirmationRequested"))[-1]["code"]
        path = f"/registrations/{asked.json()['registration_id']}/confirm"
        opened = await self.ask("POST", path, json={"code": code})
        assert opened.status_code == HTTPStatus.CREATED, opened.text

    async def log_in(self, email: str, password: str = PASSWORD, **fields: Any) -> Tokens:  # noqa: ANN401 - of the body
        """Log in."""
        answer = await self.ask("POST", "/sessions", json={"email": email, "password": password} | fields)
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        return Tokens(answer.json())


@dataclass(frozen=True)
class Tokens:
    """What a log-in gave."""

    given: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.given['access_token']}"}


@asynccontextmanager
async def door_of(room: Room, **settings: object) -> AsyncIterator[Door]:
    """Open the door of a room; with other settings it is the door of a later release."""
    told = room.settings.model_copy(update=settings)
    app = import_module(f"services.{room.service}.app").create_app(told, room.clock)
    try:
        yield Door(room, app)
    finally:
        await app.state.service.engine.dispose()


def slug_of(answer: httpx.Response) -> str:
    """Read what a program goes by in a refusal."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix("urn:adieu:")
