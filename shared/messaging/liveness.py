"""Ends the process of a consumer that hangs: whoever supervises it starts it anew, and nothing was lost."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
from collections.abc import Hashable, Sequence
from contextlib import suppress
from time import monotonic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.topics import Topic
from shared.messaging.consumer import Consumer
from shared.messaging.polling import CarefulConsumer

log = logging.getLogger(__name__)

LOOKS = 8
"""How often it looks within the time that a consumer has."""
ANSWER_SECONDS = 5.0
NOTHING_WAITS, NO_ANSWER = "nothing waits", "no answer"
"""Of what the broker says of the partitions."""


class Hangs(Exception):  # noqa: N818 - reads as what it is
    """A consumer has something to do and does nothing."""


class Liveness:
    """A consumer lives when it makes progress, has nothing to do, or was stopped on purpose."""

    def __init__(self, consumers: Sequence[Consumer], seconds: float) -> None:
        self._consumers = consumers
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
            states = {consumer.subscription.topic.name: await state_of(consumer) for consumer in self._consumers}
            # While nobody gets an answer the broker is away: nothing can be said, and nothing be mended here.
            is_there = any(state == NOTHING_WAITS or isinstance(state, frozenset) for state in states.values())
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


async def state_of(consumer: Consumer) -> Hashable | None:
    """Say where a consumer stands, in a way that changes with every progress; None where it rests on purpose."""
    client = consumer.polls and consumer.polls.consumer
    if client is None or consumer.waits_for_somebody:
        return None
    if consumer.busy.locked():
        return "in hand", consumer.tries
    try:
        return frozenset((await _waiting(client, consumer.subscription.topic)).items()) or NOTHING_WAITS
    except (KafkaError, TimeoutError):
        return NO_ANSWER


async def _waiting(client: CarefulConsumer, topic: Topic) -> dict[TopicPartition, int | None]:
    """Find the partitions in which something waits, and where the client stands in each.

    A client that has no partition looks where its whole group stands: others may have them all, and then that moves.
    Or nobody has: a client may fall out of its group without a word when a broker goes.
    """
    if client.assignment():
        places, standing = client.assignment() - client.paused(), client.position
    else:
        async with asyncio.timeout(ANSWER_SECONDS):
            names = [name for name in await client.topics() if topic.covers(name)]
        places, standing = (
            {TopicPartition(name, n) for name in names for n in range(topic.partitions)},
            client.committed,
        )
    async with asyncio.timeout(ANSWER_SECONDS):
        ends = await client.end_offsets(places) if places else {}
    found: dict[TopicPartition, int | None] = {}
    for place, end in ends.items():
        position = None
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                position = await standing(place)
        if end and (position is None or position < end):
            found[place] = position
    return found
