"""Ends the process of a consumer that hangs: whoever supervises it starts it anew, and nothing was lost."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
from collections.abc import Hashable, Sequence
from contextlib import suppress
from time import monotonic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, for_code

from shared.messaging.consumer import Consumer
from shared.messaging.kafka import Kafka
from shared.messaging.polling import CarefulConsumer

log = logging.getLogger(__name__)

LOOKS = 8
"""How often it looks within the time that a consumer has."""
ANSWER_SECONDS = 5.0
NOTHING_WAITS, NOBODY_READS, NO_ANSWER = "nothing waits", "nobody reads", "no answer"
"""Of what the broker says of the partitions, or of the group of one that has none."""
ANSWERS = {NOTHING_WAITS, NOBODY_READS}
WITHOUT_MEMBERS = {"Empty", "Dead"}
"""The broker's words for the state of such a group."""


class Hangs(Exception):  # noqa: N818 - reads as what it is
    """A consumer has something to do and does nothing."""


class Liveness:
    """A consumer lives when it makes progress, has nothing to do, or was stopped on purpose."""

    def __init__(self, consumers: Sequence[Consumer], kafka: Kafka, seconds: float) -> None:
        self._consumers = consumers
        self._kafka = kafka
        self._seconds = seconds
        self._seen: dict[str, tuple[Hashable, float]] = {}

    async def run(self) -> None:
        """Look until cancelled; raises `Hangs` when one has not moved for so long."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._come_round())
            group.create_task(self._look())

    async def _come_round(self) -> None:
        """Have the process ended from outside Python when it does not come here in time: then nobody can look."""
        try:
            while True:
                faulthandler.dump_traceback_later(self._seconds, exit=True)
                await asyncio.sleep(self._seconds / LOOKS)
        finally:
            faulthandler.cancel_dump_traceback_later()

    async def _look(self) -> None:
        while True:
            states = {each.subscription.topic.name: await state_of(each, self._kafka) for each in self._consumers}
            # While nobody gets an answer the broker is away: nothing can be said, and nothing be mended here.
            is_there = any(state in ANSWERS or isinstance(state, frozenset) for state in states.values())
            for name, state in states.items():
                is_moot = state == NOTHING_WAITS or (state == NO_ANSWER and not is_there)
                self._judge(name, None if is_moot else state)
            await asyncio.sleep(self._seconds / LOOKS)

    def _judge(self, name: str, state: Hashable | None) -> None:
        before, since = self._seen.get(name, (None, 0.0))
        if state is None or state != before:
            self._seen[name] = state, monotonic()
        elif monotonic() - since > self._seconds:
            log.critical("consumer hangs", extra={"topic": name})
            raise Hangs(name)


async def state_of(consumer: Consumer, kafka: Kafka) -> Hashable | None:
    """Say where a consumer stands, in a way that changes with every progress; None where it rests on purpose.

    One that has no partition is well while others of its group have them, whether they move or not. Where nobody is
    in the group, it has fallen out of it: a client may do so without a word when a broker goes.
    """
    client = consumer.polls and consumer.polls.consumer
    if client is None or consumer.waits_for_somebody:
        return None
    if consumer.busy.locked():
        return "in hand", consumer.tries
    try:
        if not client.assignment():
            return NOTHING_WAITS if await _has_members(kafka, consumer.polls.group_id) else NOBODY_READS
        if places := client.assignment() - client.paused():
            return frozenset((await _waiting(client, places)).items()) or NOTHING_WAITS
    except (KafkaError, TimeoutError):
        return NO_ANSWER
    return None


async def _has_members(kafka: Kafka, group: str) -> bool:
    async with asyncio.timeout(ANSWER_SECONDS), kafka.admin() as admin:
        ((code, _, state, *_),) = (await admin.describe_consumer_groups([group]))[0].groups
    if code:
        raise for_code(code)
    return state not in WITHOUT_MEMBERS


async def _waiting(client: CarefulConsumer, places: set[TopicPartition]) -> dict[TopicPartition, int | None]:
    """Find the partitions in which something waits, and where the client stands in each."""
    async with asyncio.timeout(ANSWER_SECONDS):
        ends = await client.end_offsets(places)
    found: dict[TopicPartition, int | None] = {}
    for place, end in ends.items():
        position = None
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                position = await client.position(place)
        if end and (position is None or position < end):
            found[place] = position
    return found
