"""The one road below both doors: lock the accounts, bar what may not be, hand each command to its one handler."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypedDict, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import failpoints
from shared.clock import Clock
from shared.commands import ACCOUNT_CLOSED, CATEGORY_ERASED, CONSENT_WITHDRAWN, Command, Lock, Refusal
from shared.consents import barred_among
from shared.contracts.base import AccountEvent, Event
from shared.database import lock_accounts
from shared.marks import older_than_marks
from shared.messaging import outbox
from shared.settings import ServiceSettings
from shared.tables import ClosedAccount

C = TypeVar("C", bound=Command)
Handler = Callable[["Work", Sequence[Any]], Awaitable[Sequence[object] | None]]
H = TypeVar("H", bound=Handler)

_CLOSED = select(ClosedAccount.account_id).where(
    ClosedAccount.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid)))
)


class Stamp(TypedDict):
    """The fields that every event about an account has."""

    id: UUID
    source: str
    occurred_at: datetime
    account_id: UUID
    correlation_id: UUID
    causation_id: UUID | None


class Work:
    """One transaction: its connection, its time, and what it will announce when it commits."""

    def __init__(self, connection: AsyncConnection, source: str, now: datetime, settings: ServiceSettings) -> None:
        self.connection = connection
        self.source = source
        self.now = now
        self.settings = settings
        self.announced: list[Event] = []
        self._exclusive: set[UUID] = set()

    async def lock(self, commands: Iterable[Command]) -> None:
        """Take the lock of every account that the commands name, each once and in its strongest mode."""
        wanted: dict[UUID, Lock] = {}
        for command in commands:
            wanted[command.account_id] = max(command.lock, wanted.get(command.account_id, Lock.NONE))
        await self.lock_all(wanted)

    async def lock_all(self, wanted: dict[UUID, Lock]) -> None:
        """Take these locks; all that a transaction needs come in one call, or two could wait in a circle."""
        await lock_accounts(self.connection, wanted)
        self._exclusive |= {account_id for account_id, mode in wanted.items() if mode is Lock.EXCLUSIVE}

    def stamp(self, command: Command) -> Stamp:
        """Say of an event where it comes from: `AccountCancelled(**work.stamp(command), ...)`."""
        cause = command.caused_by
        return Stamp(
            id=uuid4(),
            source=self.source,
            occurred_at=self.now,
            account_id=command.account_id,
            correlation_id=cause.correlation_id if cause else uuid4(),
            causation_id=cause.id if cause else None,
        )

    def announce(self, event: Event) -> None:
        """Publish the event with this transaction. Its account has to be locked exclusively.

        An outbox id drawn without that lock could stand before one of an earlier commit.
        """
        if isinstance(event, AccountEvent) and event.account_id not in self._exclusive:
            msg = f"{event.type} announced without its account's lock"
            raise RuntimeError(msg)
        self.announced.append(event)


async def closed_among(work: Work, accounts: Collection[UUID]) -> set[UUID]:
    """Tell which of the accounts are closed here. Without their locks the answer would be worth nothing."""
    return set(await work.connection.scalars(_CLOSED, {"accounts": sorted(accounts)}))


def waves(commands: Sequence[Command]) -> Iterator[list[int]]:
    """Cut a batch into groups of one type, as large as can be while each account's commands keep their order."""
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    last: dict[UUID, tuple[int, str]] = {}
    for index, command in enumerate(commands):
        name = type(command).__name__
        wave, before = last.get(command.account_id, (0, name))
        last[command.account_id] = here = (wave if name == before else wave + 1, name)
        groups[here].append(index)
    for _, group in sorted(groups.items()):
        yield group


class Handlers:
    """Which function carries out which command: one each."""

    def __init__(self) -> None:
        self._by_command: dict[type[Command], Handler] = {}

    def of(self, command: type[C]) -> Callable[[H], H]:
        """Register the one handler of a command (decorator)."""

        def register(handler: H) -> H:
            if self._by_command.setdefault(command, handler) is not handler:
                msg = f"{command.__name__} has a handler"
                raise RuntimeError(msg)
            return handler

        return register

    def __getitem__(self, command: type[Command]) -> Handler:
        return self._by_command[command]

    def __iter__(self) -> Iterator[type[Command]]:
        return iter(self._by_command)


class CommandBus:
    """Carries commands out, each in a transaction with what it announces."""

    def __init__(
        self, source: str, handlers: Handlers, engine: AsyncEngine, clock: Clock, settings: ServiceSettings
    ) -> None:
        self.source = source
        self.engine = engine
        self.clock = clock
        self.settings = settings
        self.written = asyncio.Event()
        """Set after a commit that has announced something: wakes the relay."""
        self.worked = asyncio.Event()
        """Set after every commit: wakes who does what a command has left to be done."""
        self._handlers = handlers

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Open a transaction; on leaving, what was announced goes to the outbox and all of it is committed."""
        async with self.engine.begin() as connection:
            work = Work(connection, self.source, self.clock(), self.settings)
            yield work
            await outbox.add(connection, work.announced)
        self.worked.set()
        if work.announced:
            failpoints.reach("outbox.committed")
            self.written.set()

    async def execute(self, *commands: Command) -> list[object]:
        """Carry commands out in a transaction of their own: the road from the HTTP door and from the clock."""
        async with self.work() as work:
            await work.lock(commands)
            return await self.carry_out(work, commands)

    async def carry_out(self, work: Work, commands: Sequence[Command]) -> list[object]:
        """Carry out commands whose accounts are locked; one outcome each, in their order."""
        outcomes: list[object] = [None] * len(commands)
        for wave in waves(commands):
            # Asked anew for each wave: the one before may have closed an account, or withdrawn consent.
            barred = await self._barred(work, [commands[i] for i in wave])
            for index, refusal in zip(wave, barred, strict=True):
                outcomes[index] = refusal
            due = [index for index in wave if outcomes[index] is None]
            if due:
                handler = self._handlers[type(commands[wave[0]])]
                failpoints.reach("bus.handling")
                answers = await handler(work, [commands[i] for i in due]) or [None] * len(due)
                failpoints.reach("bus.handled")
                for index, answer in zip(due, answers, strict=True):
                    outcomes[index] = answer
        return outcomes

    async def _barred(self, work: Work, wave: Sequence[Command]) -> list[Refusal | None]:
        """Say of each of these commands why it is barred: account closed, category erased since, consent withdrawn.

        Without a lock the answer would be worth nothing.
        """
        if wave[0].lock is Lock.NONE:
            return [None] * len(wave)
        closed: set[UUID] = set()
        if not wave[0].outlives_account:
            closed = await closed_among(work, {command.account_id for command in wave})
        withdrawn = await barred_among(work.connection, self.source, wave, self.settings.lateness)
        older = await older_than_marks(work.connection, wave)
        barred: list[Refusal | None] = []
        for command, is_withdrawn, is_old in zip(wave, withdrawn, older, strict=True):
            if command.account_id in closed:
                barred.append(ACCOUNT_CLOSED)
            elif is_old:
                barred.append(CATEGORY_ERASED)
            else:
                barred.append(CONSENT_WITHDRAWN if is_withdrawn else None)
        return barred
