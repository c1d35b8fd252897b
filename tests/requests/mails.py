"""Mails to requests' room, and what account says of their senders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from services.requests.codes import code_of
from services.requests.intake.mime import Unusable
from services.requests.intake.taking import Intake
from services.requests.settings import Settings
from shared.contracts.account import SenderMatched
from shared.contracts.base import reader
from shared.contracts.requests import PersonTold
from tests.builders import Person, fact
from tests.mails import mail
from tests.rooms import Room


@dataclass
class PrivacyMailbox:
    """The way from a mail to a request, without a relay."""

    room: Room

    def __post_init__(self) -> None:
        self.intake = Intake(self.room.bus, cast("Settings", self.room.settings))

    async def gets(self, content: bytes, return_path: str | None = None) -> Unusable | None:
        """Bring a mail."""
        return await self.intake.take(content, return_path)

    async def begun(self, content: bytes) -> UUID:
        """Bring a mail; returns the request that it began."""
        before = {row["request_id"] for row in await self.room.rows("requests")}
        assert await self.gets(content) is None
        (new,) = {row["request_id"] for row in await self.room.rows("requests")} - before
        return cast("UUID", new)

    async def told(self) -> list[PersonTold]:
        """List what people were told, in order."""
        read = [reader(PersonTold)(row["body"]) for row in await self.room.rows("outbox")]
        return [event for event in read if isinstance(event, PersonTold)]

    async def request(self, request_id: UUID) -> dict[str, Any]:
        """Read a request."""
        (row,) = [row for row in await self.room.rows("requests") if row["request_id"] == request_id]
        return row

    async def states(self) -> list[str]:
        """List where the requests stand, the oldest first."""
        rows = sorted(await self.room.rows("requests"), key=lambda row: row["received_at"])
        return [row["state"] for row in rows]

    def code(self, request_id: UUID, person: Person) -> str:
        """Give the code that the person's contact gets."""
        return code_of(self.room.settings.internal_token, request_id, person.account_id)

    async def matched(self, person: Person, content: bytes | None = None) -> UUID:
        """Bring a person's mail, and have account say that the address is theirs."""
        request_id = await self.begun(content or mail(sender=person.email))
        await self.room.hears(known(request_id, person))
        return request_id


def known(request_id: UUID, person: Person, sender: str = "", **more: Any) -> SenderMatched:  # noqa: ANN401 - fields
    """Let account say that the address is this person's."""
    values = {
        "request_id": request_id,
        "matched": True,
        "region": "DE-BE",
        "sender": sender or f"digest of {person.name}",
    }
    return fact(SenderMatched, person, **values | more)


def unknown(request_id: UUID, sender: str = "digest of somebody", **more: Any) -> SenderMatched:  # noqa: ANN401 - fields
    """Let account say that the address is nobody's."""
    values = {"request_id": request_id, "matched": False, "sender": sender, "account_id": request_id}
    return fact(SenderMatched, Person("nobody"), **values | more)


def answering(request_id: UUID) -> str:
    """Write the header of a mail that answers one of ours about a request."""
    return f"In-Reply-To: <{'0' * 40}.{request_id}@adieu.example>"


def without_chance(told: PersonTold) -> str:
    """Show what somebody is told, but for ids and words that are drawn at random."""
    shown = told.model_dump_json(
        exclude={"address", "id", "correlation_id", "account_id", "request_id", "in_reply_to"}
    )
    return re.sub(re.escape(str(told.parameters["reference"])), "reference", shown)
