"""A service's room without its walls: the real database, its bus and its consumers, driven by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, Table, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.bus import CommandBus, Handlers
from shared.commands import Command
from shared.contracts.base import Event
from shared.contracts.topics import Topic
from shared.database import engine_for
from shared.messaging.consumer import Consumer, Subscription
from shared.messaging.positions import Record
from shared.messaging.topic_ids import TopicIds
from shared.owner import DataOwner
from shared.personal_data import OfAccount
from shared.settings import ServiceSettings
from tests.builders import NOON, named, record_of

SERVICES = ("account", "device", "requests", "notifier")
SEALED = re.compile(r"eyJ[\w-]+(\.[\w-]*){4}")
"""A JWE: encrypted, and so by chance."""
WRAPPED_BYTES = 40
"""Of a random key, wrapped."""
TIMELESS = 4
"""The version of a UUID that was drawn at random."""


class HeldClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class NamedTopics(TopicIds):
    """Tells topics apart as the broker would, without one; a topic can be recreated."""

    def __init__(self) -> None:
        super().__init__("nowhere.example:9092")
        self._generation: dict[str, int] = {}

    def recreate(self, topic: str) -> None:
        """Replace a topic by another one of the same name."""
        self._generation[topic] = self._generation.get(topic, 0) + 1

    async def of(self, topics: Any, *, anew: bool = False) -> dict[str, UUID]:  # noqa: ANN401, ARG002 - as the real one
        return {name: named("topic", name, self._generation.get(name, 0)) for name in topics}


class Room:
    """One service in a test."""

    def __init__(self, service: str, database_url: str, settings: ServiceSettings) -> None:
        self.service = service
        self.settings = settings
        self.clock = HeldClock()
        self.engine: AsyncEngine = engine_for(database_url)
        self.handlers: Handlers = import_module(f"services.{service}.handlers").handlers
        self.owner: DataOwner = import_module(f"services.{service}.models").OWNER
        self.subscriptions: Sequence[Subscription] = import_module(f"services.{service}.consumers").SUBSCRIPTIONS
        self.bus = CommandBus(service, self.handlers, self.engine, self.clock, settings)
        self.topic_ids = NamedTopics()
        self._consumers: dict[Topic, Consumer] = {}

    def consumer(self, topic: Topic) -> Consumer:
        """Find what reads a topic here; always the same one."""
        if topic not in self._consumers:
            subscription = next(each for each in self.subscriptions if each.topic == topic)
            brake_after = self.settings.brake_after
            self._consumers[topic] = Consumer(
                subscription, self.bus, self.topic_ids, self.owner.admitted, brake_after
            )
        return self._consumers[topic]

    async def hears(self, *events: Event) -> None:
        """Let facts arrive one after the other, each by its topic."""
        for event in events:
            await self.consumer(event.topic).take([record_of(event)])

    async def hears_at_once(self, *events: Event) -> None:
        """Let facts of one topic arrive in one poll."""
        await self.consumer(events[0].topic).take([record_of(event) for event in events])

    async def reads(self, topic: Topic, *records: Record) -> None:
        """Let records of one topic arrive in one poll."""
        await self.consumer(topic).take(records)

    async def does(self, *commands: Command) -> list[object]:
        """Carry out commands as the HTTP door would."""
        return await self.bus.execute(*commands)

    @property
    def tables(self) -> dict[str, Table]:
        """All tables of this service, its shared ones included."""
        return {table.name: table for each in self.owner.metadata for table in each.tables.values()}

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Read a table, in the order of its key."""
        found = self.tables[table]
        async with self.engine.connect() as connection:
            result = await connection.execute(select(found).order_by(*found.primary_key.columns))
            return [dict(row._mapping) for row in result]  # noqa: SLF001 - its public name

    async def announced(self) -> list[dict[str, Any]]:
        """Read what stands in the outbox, in order, as a reader will see it."""
        return [json.loads(row["body"]) for row in await self.rows("outbox")]

    async def types_announced(self) -> list[str]:
        """Name what stands in the outbox, in order."""
        return [row["type"] for row in await self.rows("outbox")]

    async def run(self, statement: str, **values: object) -> None:
        """Run a statement of the test's own."""
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), values)

    async def held_of(self, account_id: UUID) -> dict[str, int]:
        """Count the account's rows in every table that says whose its rows are."""
        found = {}
        async with self.engine.connect() as connection:
            for name, table in self.tables.items():
                word = table.info["rows"]
                if isinstance(word, OfAccount):
                    query = select(table).where(table.columns[word.column] == account_id)
                    found[name] = len(list(await connection.execute(query)))
        return {name: number for name, number in found.items() if number}

    async def state(self, *without: str) -> dict[str, list[Any]]:
        """Show all tables, but for what is drawn at random or by the database's clock."""
        found = {}
        for name, table in self.tables.items():
            if name not in without:
                columns = [column.name for column in table.columns if not _by_chance(column)]
                rows = [{column: _plain(row[column]) for column in columns} for row in await self.rows(name)]
                found[name] = rows if name == "outbox" else sorted(rows, key=repr)
        return found


SettingsFor = Callable[..., ServiceSettings]
"""What the fixture `settings_for` gives: the settings of a service on a database."""
OpenRoom = Callable[[str], Awaitable[Room]]
"""What the fixture `room` gives: opens the room of a service, on a fresh database."""


def _by_chance(column: Column[Any]) -> bool:
    drawn = column.identity is not None
    return drawn or (column.server_default is not None and isinstance(column.type, DateTime))


def _plain(value: object) -> object:
    match value:
        case bytes():
            return _plain_bytes(value)
        case dict():
            return "a key" if "kty" in value else {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case UUID():
            return "by chance" if value.version == TIMELESS else str(value)
        case str():
            return _plain_text(value)
    return value


def _plain_bytes(value: bytes) -> object:
    if len(value) == WRAPPED_BYTES:
        return "a wrapped key"
    return _plain(json.loads(value)) if value.startswith(b"{") else value


def _plain_text(value: str) -> str:
    if SEALED.fullmatch(value):
        return "sealed"
    try:
        return str(_plain(UUID(value)))
    except ValueError:
        return value
