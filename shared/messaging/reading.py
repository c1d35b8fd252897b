"""From a record's bytes to what it asks for, or to the reason why it cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from shared.commands import Command
from shared.contracts.base import AccountEvent, Event, reader
from shared.contracts.catalogue import facts_on
from shared.contracts.topics import Topic
from shared.errors import describe
from shared.logging import IDS
from shared.messaging.dead_letters import Parked
from shared.messaging.positions import Record


@dataclass
class Message:
    """A record as it was read: an event and what it asks for, or the reason why it cannot be read."""

    record: Record
    account_id: UUID | None
    event: Event | None = None
    command: Command | None = None
    reason: str = ""
    error: str = ""

    @property
    def name(self) -> tuple[str, UUID]:
        """What tells a repeat of this message: the event's id, or else place and content of the bytes."""
        if self.event:
            return self.event.source, self.event.id
        record = self.record
        place = f"{record.topic}/{record.partition}/{record.offset}/".encode()
        return "unreadable", UUID(bytes=sha256(place + (record.value or b"")).digest()[:16])

    @property
    def outlives_account(self) -> bool:
        """Whether what it asks for is done for a closed account too."""
        return self.command is not None and self.command.outlives_account

    def parked(self, reason: str, error: str) -> Parked:
        """Describe this message for the shelf of dead letters."""
        record = self.record
        body = record.value or b""
        place = (record.topic, record.partition, record.offset)
        taken_at = taken_at_of(record)
        return Parked(*place, taken_at, self.account_id, reason, error, body, self.outlives_account)


def taken_at_of(record: Record) -> datetime:
    """When the broker took the record, by its clock."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def account_named_by(record: Record) -> UUID | None:
    """Find the account that an unreadable message names, in its body or else in its key."""
    candidates: list[Any] = []
    with suppress(ValueError):
        body = from_json(record.value or b"")
        candidates.append(body.get("account_id") if isinstance(body, dict) else None)
    with suppress(ValueError):
        candidates.append((record.key or b"").decode())
    for candidate in candidates:
        with suppress(ValueError, TypeError, AttributeError):
            return UUID(candidate)
    return None


def ids_in(body: bytes) -> dict[str, UUID]:
    """Find the ids that a message names, for the log: of the event, its wish and its order. Nothing else of it."""
    with suppress(ValueError):
        found = from_json(body)
        if isinstance(found, dict):
            return dict(_ids_among(found))
    return {}


def _ids_among(found: dict[str, Any]) -> Iterator[tuple[str, UUID]]:
    for name, key in IDS.items():
        with suppress(LookupError, ValueError, TypeError, AttributeError):
            yield name, UUID(found[key])


class Reader:
    """Turns the records of one topic into messages."""

    def __init__(self, topic: Topic, command_for: Callable[[Event], Command | None]) -> None:
        self._topic = topic
        self._command_for = command_for
        self._read = reader(*facts_on(topic))

    def message(self, record: Record) -> Message:
        """Read one record; what cannot be read says so, and is never tried twice."""
        try:
            event = self._read(record.value or b"")
        except ValidationError as error:
            return self._unreadable(record, "unreadable", describe(error))
        if event.source != self._topic.owner_of(record.topic):
            return self._unreadable(record, "wrong-source", "the topic is not this source's")
        account_id = event.account_id if isinstance(event, AccountEvent) else None
        command = self._command_for(event)
        if command:
            command = replace(command, taken_at=taken_at_of(record))
        return Message(record, account_id, event, command)

    @staticmethod
    def _unreadable(record: Record, reason: str, error: str) -> Message:
        return Message(record, account_named_by(record), reason=reason, error=error)
