"""People in the tables, as many as one likes, each as the services would have left them: the doors would hash."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from argon2 import PasswordHasher

from shared.security import digest

DEVICES, READINGS = 3, 60
POLICY = "2026-01"
PASSWORD = "a badger digs by moonlight"  # noqa: S105 - opens nothing
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""As account hashes."""
AT_ONCE = 5_000
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Resident:
    """A person with an account, who has started a cancellation and gone on: only the third tap is missing."""

    account_id: UUID = field(default_factory=uuid4)
    bindings: Sequence[UUID] = field(default_factory=lambda: [uuid4() for _ in range(DEVICES)])

    @property
    def email(self) -> str:
        return f"{self.account_id.hex}@people.example"

    @property
    def reference(self) -> str:
        return f"reference-{self.account_id.hex}"

    @property
    def token(self) -> str:
        return f"token-{self.account_id.hex}"


def residents(count: int) -> list[Resident]:
    """Draw people."""
    return [Resident() for _ in range(count)]


async def settle(
    connections: Mapping[str, asyncpg.Connection],
    people: Sequence[Resident],
    password_hash: str,
    readings: int = READINGS,
) -> None:
    """Put people into the tables: a log-in, three devices, feedback, and so many readings each."""
    now = datetime.now(UTC)
    for start in range(0, len(people), AT_ONCE):
        some = people[start : start + AT_ONCE]
        await _into(connections["account"], _account_rows(some, password_hash, now))
        await _into(connections["device"], _device_rows(some, readings, now))
        await _into(connections["requests"], {"feedback": _feedback(some, now)})
        await _into(connections["notifier"], {"contacts": _contacts(some)})
    for connection in connections.values():
        await connection.execute("VACUUM ANALYZE")


Tables = Mapping[str, tuple[Sequence[str], Iterable[Row]]]


async def _into(connection: asyncpg.Connection, tables: Tables) -> None:
    for table, (columns, rows) in tables.items():
        await connection.copy_records_to_table(table, columns=columns, records=rows)


def _account_rows(people: Sequence[Resident], password_hash: str, now: datetime) -> Tables:
    later = now + timedelta(days=1)
    names = ("id", "email", "password_hash", "region", "language", "policy_version", "nickname")
    accounts = ((p.account_id, p.email, password_hash, "DE", "en", POLICY, "Resident", now, 1, False) for p in people)
    sessions = ((uuid4(), p.account_id, digest(str(uuid4())), now, now, later, False) for p in people)
    started = ((p.reference, p.account_id, digest(p.token), now, later, True, 0) for p in people)
    return {
        "accounts": ((*names, "created_at", "contact_version", "declined"), accounts),
        "agreements": (
            ("account_id", "policy_version", "agreed_at"),
            ((p.account_id, POLICY, now) for p in people),
        ),
        "sessions": (
            ("id", "account_id", "refresh_digest", "logged_in_at", "last_used_at", "expires_at", "ended"),
            sessions,
        ),
        "cancellations": (
            ("reference", "account_id", "token_digest", "started_at", "expires_at", "continued", "tries"),
            started,
        ),
    }


def _device_rows(people: Sequence[Resident], readings: int, now: datetime) -> Tables:
    bound = now - timedelta(days=2)
    owned = [(p, binding) for p in people for binding in p.bindings]
    return {
        "products": (
            ("serial", "model", "pairing_digest"),
            ((binding.hex, "Purifier", "digest") for _, binding in owned),
        ),
        "bindings": (
            ("id", "account_id", "serial", "bound_at"),
            ((binding, p.account_id, binding.hex, bound) for p, binding in owned),
        ),
        "readings": (
            ("account_id", "binding_id", "measured_at", "event_id", "values"),
            _readings(people, readings, now - timedelta(days=1)),
        ),
    }


def _readings(people: Sequence[Resident], count: int, since: datetime) -> Iterator[Row]:
    for number in range(count):  # in the order of time, as they come in
        measured_at = since + timedelta(milliseconds=number)
        values = json.dumps({"pm25": number % 100, "humidity": 40 + number % 20})
        for person in people:
            yield person.account_id, person.bindings[number % DEVICES], measured_at, uuid4(), values


def _feedback(people: Sequence[Resident], now: datetime) -> tuple[Sequence[str], Iterable[Row]]:
    rows = ((uuid4(), p.account_id, "The lamp is too bright at night.", now) for p in people)
    return ("id", "account_id", "text", "submitted_at"), rows


def _contacts(people: Sequence[Resident]) -> tuple[Sequence[str], Iterable[Row]]:
    return ("account_id", "version", "email", "language"), ((p.account_id, 1, p.email, "en") for p in people)
