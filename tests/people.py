"""People as tests need them: each with marked data, using the system through its public doors only."""

from __future__ import annotations

import asyncio
import io
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ops.mailbox import Mailbox
from ops.system import System

PATIENCE_SECONDS = 60.0


def drawn(note: str) -> bytes:
    """Draw a small picture with a note in its metadata."""
    written = io.BytesIO()
    metadata = PngInfo()
    metadata.add_text("Comment", note)
    Image.new("RGB", (2, 2), "teal").save(written, "PNG", pnginfo=metadata)
    return written.getvalue()


async def eventually(holds: Callable[[], Awaitable[Any]], what: str, patience: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401
    """Wait until something is so, and return it; fails with `what` when patience ends."""
    async with asyncio.timeout(patience):
        try:
            while not (found := await holds()):  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            print(f"still waiting for: {what}")  # noqa: T201 - shown with the failure
            raise
        return found


@dataclass
class Person:
    """One person; `mark` stands in everything they ever put in."""

    system: System
    http: httpx.AsyncClient
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    account_id: str = ""
    reference: str = ""
    _token: str = ""
    _access: str = ""
    bindings: list[str] = field(default_factory=list)

    @property
    def email(self) -> str:
        return f"{self.mark}@people.example"

    @property
    def password(self) -> str:
        return f"a long password {self.mark}"

    async def ask(self, service: str, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401
        """Ask until the service answers: it may just be dead, or without its database."""
        url = f"{self.system.addresses.services[service]}/v1{path}"
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {self._access}"} if self._access else {})

        async def answer() -> httpx.Response | None:
            try:
                response = await self.http.request(method, url, headers=headers, **request)
            except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.TimeoutException):
                return None
            return None if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else response

        response: httpx.Response = await eventually(answer, f"{method} {path}")
        return response

    async def register(self) -> None:
        body = {
            "email": self.email,
            "password": self.password,
            "region": "DE",
            "language": "en",
            "policy_version": "2026-01",
        }
        answer = await self.ask("account", "POST", "/registrations", json=body, headers=_once())
        self.account_id = answer.json()["registration_id"]

    async def confirm(self, code: str) -> None:
        answer = await self.ask("account", "POST", f"/registrations/{self.account_id}/confirm", json={"code": code})
        assert answer.status_code == HTTPStatus.CREATED, answer.text

    async def log_in(self) -> None:
        body = {"email": self.email, "password": self.password}
        self._access = (await self.ask("account", "POST", "/sessions", json=body)).json()["access_token"]
        await self.ask("account", "PATCH", "/account", json={"nickname": f"Nick {self.mark}"})
        picture = {"content": drawn(self.mark), "headers": {"Content-Type": "image/png"}}
        answer = await self.ask("account", "PUT", "/account/avatar", **picture)
        assert answer.status_code == HTTPStatus.NO_CONTENT, answer.text

    async def bind(self, serial: str) -> None:
        body = {"serial": serial, "pairing_code": "0000"}
        answer = await self.ask("device", "POST", "/devices", json=body, headers=_once())
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        self.bindings.append(answer.json()["binding_id"])

    async def start_to_leave(self) -> httpx.Response:
        """First and second tap."""
        answer = await self.ask("account", "POST", "/cancellations")
        if answer.status_code == HTTPStatus.CREATED:
            self.reference, self._token = answer.json()["reference"], answer.json()["token"]
            path = f"/cancellations/{self.reference}/continue"
            await self.ask("account", "POST", path, json={"token": self._token})
        return answer

    async def leave(self) -> httpx.Response:
        """Third tap; asked again with the same token where no answer came."""
        body = {"token": self._token, "password": self.password}
        return await self.ask("account", "POST", f"/cancellations/{self.reference}/confirm", json=body)

    async def order(self) -> dict[str, Any]:
        answer = await self.ask("requests", "GET", f"/orders/{self.reference}")
        return dict(answer.json()) if answer.status_code == HTTPStatus.OK else {"state": "unknown"}

    async def gone(self) -> bool:
        return bool((await self.order())["state"] == "completed")

    def event(self, event_type: str, source: str, **fields: object) -> bytes:
        """Write an app event about this person, as any Kafka client would."""
        now = datetime.now(UTC).isoformat()
        body = {
            "type": event_type,
            "id": str(uuid4()),
            "source": source,
            "occurred_at": now,
            "correlation_id": str(uuid4()),
            "account_id": self.account_id,
            **fields,
        }
        return json.dumps(body).encode()

    async def report(self, producer: AIOKafkaProducer, readings: int) -> None:
        """Have the devices report, and write feedback."""
        for number in range(readings):
            fields = {"binding_id": self.bindings[number % len(self.bindings)], "values": {f"pm_{self.mark}": number}}
            event = self.event("ReadingReported", "app", measured_at=datetime.now(UTC).isoformat(), **fields)
            await producer.send("app.telemetry.v1", event, key=self.account_id.encode())
        feedback = self.event("FeedbackSubmitted", "app", text=f"Feedback of {self.mark}")
        await producer.send_and_wait("app.feedback.v1", feedback, key=self.account_id.encode())


def _once() -> dict[str, str]:
    """Have it done once, however often it is asked because no answer came in time."""
    return {"Idempotency-Key": secrets.token_hex(8)}


def mails_by_address(mailbox: Mailbox) -> dict[str, list[str]]:
    """Read all mails once: the texts of each address, newest first."""
    found: dict[str, list[str]] = {}
    for mail in mailbox.mails():
        for address in mail.recipients:
            found.setdefault(address, []).append(f"{mail.subject}\n{mail.text}")
    return found


async def settle_in(people: Sequence[Person], mailbox: Mailbox) -> None:
    """Have people register, confirm, log in and bind a device each."""
    await _import_products(people)
    await asyncio.gather(*(person.register() for person in people))

    async def all_codes() -> dict[str, list[str]] | None:
        mails = await asyncio.to_thread(mails_by_address, mailbox)
        return mails if all(person.email in mails for person in people) else None

    mails = await eventually(all_codes, "confirmation codes")
    await asyncio.gather(*(_move_in(person, mails[person.email][0]) for person in people))


async def _move_in(person: Person, mail: str) -> None:
    code = re.search(r"\b\d{8}\b", mail)
    assert code, mail
    await person.confirm(code[0])
    await person.log_in()
    await person.bind(f"SN-{person.mark}")


async def _import_products(people: Sequence[Person]) -> None:
    person = people[0]
    products = [{"serial": f"SN-{each.mark}", "model": "Purifier", "pairing_code": "0000"} for each in people]
    url = f"{person.system.addresses.services['device']}/internal/products"
    headers = {"X-Internal-Token": person.system.installation.internal_token}
    answer = await person.http.post(url, json={"products": products}, headers=headers)
    assert answer.status_code == HTTPStatus.OK, answer.text
