"""The only way in from Kafka: batches, exactly-once effect, offsets after the commit, dead letters, a brake.

Every poll is one transaction. When that fails for a reason that does not pass, its messages are taken one by one, so
that a bad one costs only itself. Nothing else in Adieu may subscribe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from sqlalchemy import ARRAY, String, Uuid, bindparam, text

from shared import failpoints
from shared.bus import CommandBus, Work, closed_among
from shared.commands import Command, Lock
from shared.contracts.base import Event
from shared.contracts.receipts import Item, Outcome
from shared.contracts.topics import Topic
from shared.database import rows_of
from shared.errors import describe, is_transient
from shared.marks import Marks, is_older, marks_of
from shared.messaging import dead_letters, positions
from shared.messaging.dead_letters import Parked
from shared.messaging.positions import Record
from shared.messaging.reading import Message, Reader, ids_in, taken_at_of
from shared.messaging.topic_ids import TopicIds
from shared.metrics import counts_of
from shared.owner import DataOwner
from shared.personal_data import Category
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

POLL_MILLISECONDS = 1
"""The pause after an empty poll; `polling.py` says why it is so short."""
SESSION_MILLISECONDS = 6_000
"""How long the group waits for a member that was killed: the least that a broker allows by default."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
REBALANCE_MILLISECONDS = 15_000
REVOKE_PATIENCE = 10.0
"""How long a rebalance waits for the batch in hand; the inbox makes up for what takes longer."""

# In one order everywhere, so that two readers of overlapping batches never wait in a circle.
_TAKE = text(
    "INSERT INTO inbox (source, event_id)"
    " SELECT DISTINCT source, event_id FROM unnest(:source, :event_id) AS new(source, event_id) ORDER BY 1, 2"
    " ON CONFLICT DO NOTHING RETURNING source, event_id"
).bindparams(bindparam("source", type_=ARRAY(String)), bindparam("event_id", type_=ARRAY(Uuid)))


class StillUnreadable(Exception):  # noqa: N818 - reads as what it is
    """A parked message cannot be read any better than before; its text says why, without values."""


@dataclass(frozen=True)
class Subscription:
    """Which facts a service reads, and what each makes it want to do."""

    topic: Topic
    command_for: Callable[[Event], Command | None]
    each_alone: bool = False
    """For readings: no inbox row each, since the stored position and their own key tell repeats; none waits behind
    another of its account."""


@dataclass
class Consumer:
    """Takes the records of one subscription; returns only when every one has had its effect or is parked."""

    subscription: Subscription
    bus: CommandBus
    topic_ids: TopicIds
    admitted: asyncio.Event
    """Unset while no order would ask this owner: until then it takes no personal data."""
    brake_after: int = 20
    joined: bool = False
    braked: bool = False
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    polls: Any = None
    """The FastStream subscriber, which has the client's consumer while it runs."""
    tries: int = 0
    """How often it has tried a batch: who looks sees by it that work in hand goes on."""
    _failed_in_a_row: int = 0

    def __post_init__(self) -> None:
        self._reader = Reader(self.subscription.topic, self.subscription.command_for)
        self._counts = counts_of(self.subscription.topic.name)

    @property
    def unreadable(self) -> bool:
        """Whether a partition was stopped because a record in it cannot be decoded."""
        client = self.polls and self.polls.consumer
        return bool(client and client.paused())

    @property
    def waits_for_somebody(self) -> bool:
        """Whether it holds what it has on purpose: until somebody looks, or until its owner is admitted."""
        return self.braked or (self.subscription.topic.personal and not self.admitted.is_set())

    async def take(self, records: Sequence[Record]) -> None:
        """Handle a poll's records: all in one transaction, or else each in its own."""
        if self.subscription.topic.personal:
            await self.admitted.wait()
        async with self.busy:
            failpoints.reach("consumer.polled")
            began = perf_counter()
            try:
                await self._until_it_passes(lambda: self._handle(records))
            except Exception as error:  # noqa: BLE001 - whatever it is, only the message at fault may pay for it
                self._counts.failed.inc()
                log.warning("batch failed, taken one by one", extra=self._context(error, count=len(records)))
                for record in records:
                    await self._handle_or_park(record)
            self._counts.seconds.observe(perf_counter() - began)
            self._counts.handled.inc(len(records))

    async def _handle_or_park(self, record: Record) -> None:
        try:
            await self._until_it_passes(lambda: self._handle([record]))
        except Exception as error:  # noqa: BLE001 - it is parked with what went wrong
            reason = describe(error)
            self._counts.failed.inc()
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self.brake_after:
                await self.stop("every message fails: a bad release must not park everything")
            await self._until_it_passes(lambda: self._park(record, reason))

    async def stop(self, why: str) -> None:
        """Hold the partitions without an acknowledgement until somebody looks; readiness tells."""
        self.braked = True
        log.critical("consumer stopped: %s", why, extra=self._context(None))
        await asyncio.Event().wait()

    async def _until_it_passes(self, attempt: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while True:
            self.tries += 1
            try:
                return await attempt()
            except Exception as error:
                if not is_transient(error):
                    raise
                self._counts.retried.inc()
                log.warning("waits and tries again", extra=self._context(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _handle(self, records: Sequence[Record]) -> None:
        async with self.bus.work() as work:
            messages = await self._fresh(work, records)
            failpoints.reach("consumer.taken")
            await self._lock(work, messages)
            ready, letters = await self._sorted_out(work, messages)
            await dead_letters.park(work.connection, letters)
            commands = [message.command for message in ready if message.command]
            await self.bus.carry_out(work, commands)
            failpoints.reach("consumer.handled")
        self._tell_of(letters)
        if commands:  # what was only parked or passed over proves nothing about this release
            self._failed_in_a_row = 0

    async def _park(self, record: Record, error: str) -> None:
        async with self.bus.work() as work:
            messages = await self._fresh(work, [record])
            await work.lock_all({m.account_id: Lock.EXCLUSIVE for m in messages if m.account_id})
            failed = [message.parked("failed", error) for message in messages]
            await dead_letters.park(work.connection, failed)
        self._tell_of(failed)

    def _tell_of(self, letters: Sequence[Parked]) -> None:
        for letter in letters:
            self._counts.parked[letter.reason].inc()
            told = {"partition": letter.partition, "offset": letter.offset, "error": letter.error}
            log.error(
                "message parked: %s", letter.reason, extra={"topic": letter.topic, **told, **ids_in(letter.body)}
            )

    async def _fresh(self, work: Work, records: Sequence[Record]) -> list[Message]:
        """Read the records that have not had their effect yet, and note that they have."""
        if self.subscription.topic.personal:
            records = await positions.advance(work.connection, records, self.topic_ids)
        messages = [self._reader.message(record) for record in records]
        return messages if self.subscription.each_alone else await self._first_seen(work, messages)

    async def _first_seen(self, work: Work, messages: list[Message]) -> list[Message]:
        result = await work.connection.execute(_TAKE, rows_of(("source", "event_id"), [m.name for m in messages]))
        new = {(row.source, row.event_id) for row in result}
        first = []
        for message in messages:
            if message.name in new:
                first.append(message)
                new.remove(message.name)
        return first

    async def _lock(self, work: Work, messages: Sequence[Message]) -> None:
        wanted: dict[UUID, Lock] = {}
        for message in messages:
            account_id, mode = message.account_id, Lock.EXCLUSIVE
            if message.command:
                account_id, mode = message.command.account_id, message.command.lock
            if account_id and (message.command or message.reason):
                wanted[account_id] = max(mode, wanted.get(account_id, Lock.NONE))
        await work.lock_all(wanted)

    async def _sorted_out(self, work: Work, messages: list[Message]) -> tuple[list[Message], list[Parked]]:
        """Separate what is handled now from what is parked: the unreadable, and what follows a parked message."""
        behind = await self._behind(work, messages)
        bars = await self._bars(work, messages)
        ready, letters = [], []
        for message in messages:
            place = (message.account_id, message.record.topic)
            if message.reason:
                letters.append(message.parked(message.reason, message.error))
                if message.account_id and not self.subscription.each_alone and not self._dropped(message, *bars):
                    behind.add(place)
            elif place in behind and message.command and not message.command.overrides_parked:
                letters.append(message.parked("waits-behind", ""))
            else:
                ready.append(message)
        return ready, letters

    async def _behind(self, work: Work, messages: Sequence[Message]) -> set[tuple[UUID | None, str]]:
        accounts = sorted({m.account_id for m in messages if m.account_id})
        if self.subscription.each_alone or not accounts:
            return set()
        topics = sorted({m.record.topic for m in messages})
        return {*await dead_letters.standing_before(work.connection, accounts, topics)}

    async def _bars(self, work: Work, messages: Sequence[Message]) -> tuple[set[UUID], Marks]:
        """Tell what drops unreadable messages instead of parking them, so that nothing waits behind them."""
        named = sorted({m.account_id for m in messages if m.reason and m.account_id})
        closed = await closed_among(work, named) if named else set()
        return closed, await marks_of(work.connection, named if self.subscription.topic.adds_to else [])

    def _dropped(self, message: Message, closed: set[UUID], marks: Marks) -> bool:
        account_id, category = message.account_id, self.subscription.topic.adds_to
        if not account_id or account_id in closed:
            return True
        return bool(category) and is_older(taken_at_of(message.record), marks.get((account_id, category or "")))

    def _context(self, error: BaseException | None, **more: object) -> dict[str, object]:
        told = {"error": describe(error)} if error else {}
        return {"topic": self.subscription.topic.name, **told, **more}

    async def redrive(self, letter: dead_letters.DeadLetterView) -> int:
        """Handle a parked message anew, with all of its account in that topic, in order; returns how many.

        All or nothing: raises what the first failing one raises, and leaves everything parked.
        """
        async with self.bus.work() as work:
            if letter.account_id:
                await work.lock_all({letter.account_id: Lock.EXCLUSIVE})
            rows = await dead_letters.in_line(work.connection, letter)
            messages = [self._reader.message(_record_of(row)) for row in rows]
            for message in messages:
                if message.reason:
                    raise StillUnreadable(message.error)
            commands = [message.command for message in messages if message.command]
            if not letter.account_id:
                await work.lock(commands)
            await dead_letters.remove(work.connection, [row.id for row in rows])
            await self.bus.carry_out(work, commands)
            await self._no_longer_held(work, letter, len(rows))
        return len(rows)

    async def discard(self, letter: dead_letters.DeadLetterView) -> None:
        """Forget a parked message, because somebody has decided so."""
        async with self.bus.work() as work:
            if letter.account_id:
                await work.lock_all({letter.account_id: Lock.EXCLUSIVE})
            gone = await dead_letters.remove(work.connection, [letter.id])
            await self._no_longer_held(work, letter, gone)

    @staticmethod
    async def _no_longer_held(work: Work, letter: dead_letters.DeadLetterView, count: int) -> None:
        """Tell the certificate, where the account is closed: these were kept as a hold."""
        if letter.account_id and count:
            item = Item(category=Category.UNHANDLED_MESSAGES, outcome=Outcome.ERASED, count=count)
            await DataOwner.supplement(work, Command(account_id=letter.account_id), [item])


def _record_of(row: Any) -> Record:  # noqa: ANN401 - a row
    taken_at = int(row.taken_at.timestamp() * 1000)
    return Record(row.topic, row.partition, row.offset, taken_at, 1, b"", row.body, None, -1, len(row.body), ())


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc] # the client library has no types
    """Notes when the group has been joined, and lets partitions go only after the batch in hand."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_assigned(self, _: set[TopicPartition]) -> None:
        self._consumer.joined = True

    async def on_partitions_revoked(self, _: set[TopicPartition]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_PATIENCE), self._consumer.busy:
                pass


async def _without_headers(records: tuple[Record, ...], parse: Callable[..., Awaitable[Any]]) -> Any:  # noqa: ANN401
    # FastStream decodes headers before anything of ours runs, and skips the record where that fails.
    return await parse(tuple(replace(record, headers=()) if record.headers else record for record in records))


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message


def subscribe(broker: KafkaBroker, service: str, consumer: Consumer, settings: ServiceSettings) -> None:
    """Connect a consumer to its topic: from the earliest message, acknowledged by hand after the commit."""
    topic = consumer.subscription.topic
    names = () if topic.is_pattern else (topic.name,)
    subscriber = broker.subscriber(
        *names,
        pattern=topic.regex if topic.is_pattern else None,
        group_id=topic.group_of(service),
        batch=True,
        group_instance_id=settings.replica and f"{service}-{settings.replica}",
        max_records=settings.batch_records,
        batch_timeout_ms=POLL_MILLISECONDS,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MILLISECONDS,
        rebalance_timeout_ms=REBALANCE_MILLISECONDS,
        heartbeat_interval_ms=SESSION_MILLISECONDS // 4,
        ack_policy=AckPolicy.MANUAL,
        parser=_without_headers,
        decoder=_as_it_is,
        listener=_Rebalance(consumer),
        include_in_schema=False,
    )

    consumer.polls = subscriber

    @subscriber
    async def take(message: KafkaMessage) -> None:
        try:
            await consumer.take(message.raw_message)
        except Exception as error:  # noqa: BLE001 - FastStream would swallow it, and the next ack pass over the batch
            await consumer.stop(describe(error))
        failpoints.reach("consumer.committed")
        await message.ack()
        failpoints.reach("consumer.acknowledged")
