"""The whole system in memory, with one step at a time: whoever drives it chooses the step and the fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from aiokafka.partitioner import DefaultPartitioner

from chaos.simulation.broker import Broker, Group
from chaos.simulation.people import PAIRING_CODE, Person
from chaos.simulation.post import Post
from chaos.simulation.room import SERVICES, Room, Stopped, owner_of
from chaos.simulation.store import Store
from services.account.domain.cancellations import Cancelled
from services.device import repository as device
from shared import failpoints, personal_data
from shared.commands import Command
from shared.contracts.account import Origin
from shared.contracts.base import Event
from shared.contracts.topics import INSTALLMENTS, PARTITIONS
from shared.errors import NotNow, is_transient
from shared.messaging.consumer import StillUnreadable, _record_of
from shared.messaging.dead_letters import DeadLetterView
from shared.messaging.positions import Place, Record
from shared.security import digest

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
MANY = 3
"""So few readings are erased at a time here, so that erasing takes several parts."""
MINIMUM = {"account": "data", "device": "data", "requests": "data", "notifier": "contact"}
"""Whom every order asks, as the first migration of requests has it."""


class Crash(BaseException):
    """The process is gone."""


class Bug(Exception):  # noqa: N818 - reads as what it is
    """What a bad release raises."""


class Interrupted(Exception):  # noqa: N818 - not an error: the person tries again
    """Whoever asked got no answer."""


FAILURES: Mapping[str, Callable[[], BaseException]] = {"crash": Crash, "away": NotNow, "bug": Bug}
STATEMENT, COMMIT = "statement", "commit"
"""Besides the failpoints: before a statement of the database, and before a commit."""


@dataclass
class Fault:
    """What goes wrong: at which place, after how many passes, how, and how often."""

    at: str
    passes: int
    failure: str = "crash"
    times: int = 1
    service: str | None = None

    def strikes(self, place: str, service: str) -> bool:
        """Count a pass; tell whether it is this one."""
        if place != self.at or self.service not in (None, service) or not self.times:
            return False
        if self.passes:
            self.passes -= 1
            return False
        self.times -= 1
        return True


class HeldClock:
    """A clock that only the simulation moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop in which nobody waits."""

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override] # noqa: ARG002
        return self.call_soon(callback, *args, context=context)


@dataclass
class World:
    """Four services, their databases, the broker, the post, and people."""

    people: Sequence[Person]
    faults: list[Fault] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    """The places at which something has gone wrong, in order."""
    trace: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    announced: dict[tuple[str, str], list[UUID]] = field(default_factory=dict)
    """What was committed to be published, by topic and key, in the order of the commits."""

    def __post_init__(self) -> None:
        self.clock = HeldClock()
        self.broker = Broker(self.clock)
        self.post = Post()
        self.running = ""
        self.patient = False
        """Whether operations leave alone what a closed account holds, until it lapses."""
        self.slow: str | None = None
        """A group that does not get to read while there is trouble."""
        self.passed_over = False
        """Whether somebody has not read all."""
        self.silent: set[str] = set()
        """Services that were started anew and have not said so."""
        self.late: list[Event] = []
        self.is_late: Callable[[], bool] = lambda: False
        self._attempts = count(1)
        self._seen = dict.fromkeys(SERVICES, 0)
        self._partition_of = DefaultPartitioner()
        self.stores = {name: self._store(name) for name in SERVICES}
        self.rooms = {name: self._room(name) for name in SERVICES}
        for name, phase in MINIMUM.items():
            holds: dict[str, list[str]] = {"categories": [], "choosable": []}
            owner = {"name": name, "phase": phase, **holds, "admitted_at": START, "left": False}
            self.stores["requests"].shelves["owners"].rows[(name,)] = owner

    def _store(self, service: str) -> Store:
        store = Store(owner_of(service).metadata, self.clock)
        store.watch = self.reach
        return store

    def _room(self, service: str) -> Room:
        return Room(service, self.stores[service], self.broker, self.post, self.clock)

    # What goes wrong

    def reach(self, place: str) -> None:
        """Pass a place where something may go wrong."""
        for fault in self.faults:
            if fault.strikes(place, self.running):
                self.crashed.append(place)
                self.note(f"    {fault.failure} at {place}")
                failure = FAILURES[fault.failure]()
                raise failure

    def note(self, what: str) -> None:
        self.trace.append(what)

    async def _in(self, service: str, what: str, work: Callable[[Room], Awaitable[Any]]) -> Any:
        """Let a service do something; where it crashes, it is started anew. Raises `Interrupted` then."""
        self.note(f"{self.clock.now:%d %H:%M:%S} {service}: {what}")
        self.running = service
        try:
            return await work(self.rooms[service])
        except (Crash, Stopped) as crash:
            self.rooms[service] = self._room(service)
            self.silent.add(service)
            raise Interrupted from crash
        except Exception as error:
            if isinstance(error, (Bug, StillUnreadable)) or is_transient(error):
                raise Interrupted from error
            raise
        finally:
            self._gather_announced(service)

    async def step(self, service: str, what: str, work: Callable[[Room], Awaitable[Any]]) -> bool:
        """Let a service do something; false where it was interrupted."""
        try:
            await self._in(service, what, work)
        except Interrupted:
            return False
        return True

    def _gather_announced(self, service: str) -> None:
        for row in self.stores[service].rows("outbox"):
            if row["id"] > self._seen[service]:
                self._seen[service] = row["id"]
                self.announced.setdefault((row["topic"], row["key"]), []).append(row["event_id"])

    # Steps

    async def start(self, service: str) -> bool:
        """End a service's process, if there is one, and start it anew."""
        self.rooms[service] = self._room(service)
        self.silent.discard(service)
        return await self.step(service, "starts", lambda room: room.announce())

    async def relay(self, service: str) -> bool:
        """Let a service publish what it has announced."""
        return await self.step(service, "relays", lambda room: room.relay())

    async def poll(self, service: str, number: int, places: int, most: int) -> bool:
        """Let a service read one of its topics, so many of its partitions and records."""
        reader = self.rooms[service].readers[number]
        waiting = reader.waiting[:places]
        if not waiting:
            return True
        what = f"reads {', '.join(f'{topic}/{partition}' for topic, partition in waiting)}, {most} at most"
        return await self.step(service, what, lambda room: room.readers[number].poll(waiting, most))

    async def by_the_clock(self, service: str) -> bool:
        """Let a service do what the time brings."""
        return await self.step(service, "looks at the clock", lambda room: room.by_the_clock())

    async def purge(self, service: str) -> bool:
        """Let a service empty its personal topics."""
        return await self.step(service, "purges", lambda room: room.purge())

    async def sweep(self, service: str) -> bool:
        """Let a service forget what was kept for its time."""
        return await self.step(service, "sweeps", lambda room: room.sweep())

    def tick(self, time: timedelta) -> None:
        """Let time pass."""
        self.clock.now += time
        self.note(f"{self.clock.now:%d %H:%M:%S} time has passed")

    async def act(self, person: Person) -> bool:
        """Let a person do the next thing; false where it has to be tried again."""
        if not person.plan:
            return True
        action = person.plan[0]
        self.note(f"{self.clock.now:%d %H:%M:%S} {person.mark} {action.name}")
        try:
            done = await action.does(self, person)
        except Interrupted:
            return False
        if done:
            person.plan.remove(action)
        return done

    def rewind(self, group: str) -> None:
        """Have a group read its topics from the beginning again, as when its offsets are lost."""
        self.note(f"{group} begins again")
        self.broker.groups[group].positions.clear()

    def skip(self, group: Group, place: Place) -> None:
        """Have a group pass over what stands in a partition, as when its offsets are lost the other way."""
        self.note(f"{group.name} passes over {place[0]}/{place[1]}")
        group.positions[place] = self.broker.log.ends[place]
        self.passed_over = True

    def again(self, record: Record) -> None:
        """Put a record on its topic once more."""
        self.note(f"again: {record.topic}/{record.partition} offset {record.offset}")
        self.broker.log.append(record.topic, record.partition, record.key, record.value)

    def put(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        """Put any bytes on a topic."""
        self.note(f"put on {topic}/{partition}: {value!r}")
        self.broker.log.append(topic, partition, key, value)

    async def redrive(self, service: str, letter: DeadLetterView) -> bool:
        """Let operations have a dead letter handled anew."""
        consumer = self._consumer_of(service, letter)
        return await self.step(service, f"redrives {letter.topic}", lambda _: consumer.redrive(letter))

    async def discard(self, service: str, letter: DeadLetterView) -> bool:
        """Let operations throw a dead letter away."""
        consumer = self._consumer_of(service, letter)
        return await self.step(service, f"discards {letter.topic}", lambda _: consumer.discard(letter))

    def is_readable(self, service: str, letter: DeadLetterView) -> bool:
        """Tell whether a dead letter is one that a reader understands: what failed may have been neither."""
        row = self.stores[service].shelves["dead_letters"].rows[(letter.id,)]
        record = _record_of(SimpleNamespace(**row))
        return not self._consumer_of(service, letter)._reader.message(record).reason

    def _consumer_of(self, service: str, letter: DeadLetterView) -> Any:
        return next(c for c in self.rooms[service].consumers if c.subscription.topic.covers(letter.topic))

    def letters(self, service: str) -> list[DeadLetterView]:
        """List what is parked, as operations see it."""
        names = [each.name for each in fields(DeadLetterView)]
        return [DeadLetterView(*(row[name] for name in names)) for row in self.stores[service].rows("dead_letters")]

    # What people do, and see

    async def ask(self, service: str, command: Command) -> Any:
        """Ask a service by its HTTP door."""
        outcomes = await self._in(service, f"is asked: {type(command).__name__}", lambda room: room.does(command))
        return outcomes[0]

    def publish(self, event: Event, *, punctual: bool = False) -> None:
        """State a fact as somebody outside: now, or as late as the driver has it."""
        if not punctual and self.is_late():
            self.late.append(event)
            self.note(f"{event.type} will be late")
            return
        key = event.key.encode()
        partitions = list(range(PARTITIONS))
        partition = self._partition_of(key, partitions, partitions)
        self.put(event.topic.name, partition, key, event.model_dump_json().encode())

    def catch_up(self) -> None:
        """Publish what is late."""
        late, self.late, self.is_late = self.late, [], lambda: False
        for event in late:
            self.publish(event)

    def attempt(self) -> int:
        """Give an attempt a number, so that no secret is used twice."""
        return next(self._attempts)

    def make_device(self, serial: str) -> None:
        """Have a device made."""
        row = {"serial": serial, "model": "Purifier", "pairing_digest": digest(serial, PAIRING_CODE)}
        self.stores["device"].shelves["products"].rows[(serial,)] = row

    def account_of(self, person: Person) -> Mapping[str, Any]:
        """Show the account, if there is one."""
        return self.stores["account"].shelves["accounts"].rows.get((person.account_id,), {})

    def is_closed(self, person: Person, service: str = "account") -> bool:
        """Tell whether a service has closed the account."""
        return (person.account_id,) in self.stores[service].shelves["closed_accounts"].rows

    def scheduled(self, person: Person) -> str | None:
        """Show the reference of a cancellation that is held back."""
        rows = self.stores["account"].rows("cancellations")
        mine = (row["reference"] for row in rows if row["account_id"] == person.account_id and row["due_at"])
        return next(mine, None)

    def held_of(self, person: Person) -> set[object]:
        """Show what postpones a cancellation in the app, and is kept after one by a request."""
        account = self.stores["account"]
        owed = {
            row["installment_id"]
            for row in account.rows("installments")
            if row["account_id"] == person.account_id and row["settled_at"] is None
        }
        unread = {
            row["id"]
            for row in account.rows("dead_letters")
            if row["account_id"] == person.account_id and row["topic"] == INSTALLMENTS.name
        }
        return owed | unread

    def saw_cancellation(self, person: Person, command: Any, outcome: object, held: set[object]) -> None:
        """Compare what was held with what a cancellation has made of it."""
        if not isinstance(outcome, Cancelled):
            return
        if held and command.origin is Origin.APP:
            self.violations.append(f"{person.mark} was cancelled in the app while {held} was held")
        if lost := held - self.held_of(person):
            self.violations.append(f"{person.mark} was cancelled, and {lost} was not held")


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Have the failpoints of this process report to this world; and few readings are many in it."""
    with (
        patch.object(failpoints, "hook", world.reach),
        patch.object(personal_data, "CHUNK", MANY),
        patch.object(device, "CHUNK", MANY),
    ):
        yield
