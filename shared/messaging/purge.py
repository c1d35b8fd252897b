"""Personal topics are emptied behind their reader: up to the position that it has stored with the effect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import failpoints
from shared.background import again_and_again
from shared.contracts.topics import Topic
from shared.database import sole_holder
from shared.errors import NotNow, is_transient
from shared.messaging.kafka import Kafka
from shared.messaging.positions import Place, Stored, stored
from shared.messaging.topic_ids import TopicIds
from shared.metrics import PURGED, TAKEN_IN

log = logging.getLogger(__name__)

PURGE_SECONDS = 1.0
REPEAT_SECONDS = 10.0
"""How often it is purged anew all the same: a broker that was killed brings back what it had already deleted."""


class Purge:
    """Deletes from the broker what this service's database says it has taken in."""

    def __init__(self, engine: AsyncEngine, kafka: Kafka, topics: Sequence[Topic], topic_ids: TopicIds) -> None:
        self._engine = engine
        self._kafka = kafka
        self._topics = topics
        self._topic_ids = topic_ids
        self._purged: dict[Place, int] = {}
        self._again_at = 0.0

    async def run(self) -> None:
        """Purge until cancelled, one process of a service at a time."""
        await again_and_again("purge", self._purge, PURGE_SECONDS)

    async def _purge(self) -> None:
        async with sole_holder(self._engine, "purge") as connection, self._kafka.admin() as admin:
            while True:
                await self.once(connection, admin)
                await asyncio.sleep(PURGE_SECONDS)

    async def once(self, connection: AsyncConnection, admin: AIOKafkaAdminClient) -> None:
        """Purge what has been taken in since the last time; a recreated topic is left alone until it is read.

        Where it fails, the others are purged all the same; then the first failure is raised.
        """
        at = await stored(connection)
        if monotonic() > self._again_at:
            self._purged.clear()
            self._again_at = monotonic() + REPEAT_SECONDS
        due = {place: here for place, here in at.items() if self._is_due(place, here)}
        ids = await self._ids_of({topic for topic, _ in due})
        failures: list[Exception] = []
        for place, here in due.items():
            if ids.get(place[0]) != here.topic_id:
                _tell_no_more_of(place)
                continue
            try:
                await self._empty(admin, place, here.next_offset)
            except Exception as error:
                if not is_transient(error):
                    raise
                failures.append(error)
        if failures:
            raise failures[0]

    async def _empty(self, admin: AIOKafkaAdminClient, place: Place, before: int) -> None:
        TAKEN_IN.labels(*place).set(before)
        purged = PURGED.labels(*place)  # told from the first try on, with 0, so that one that never succeeds is seen
        failpoints.reach("purge.due")
        await self._delete(admin, *place, before)
        failpoints.reach("purge.deleted")
        self._purged[place] = before
        purged.set(before)

    def _is_due(self, place: Place, here: Stored) -> bool:
        mine = any(topic.covers(place[0]) for topic in self._topics)
        return mine and self._purged.get(place) != here.next_offset

    async def _ids_of(self, names: Iterable[str]) -> dict[str, UUID]:
        """Ask which topics these are now, each alone: one that went with its owner holds nobody up."""
        ids = {}
        for name in sorted(names):
            with suppress(NotNow):
                ids[name] = (await self._topic_ids.of([name], anew=True))[name]
        return ids

    @staticmethod
    async def _delete(admin: AIOKafkaAdminClient, topic: str, partition: int, before: int) -> None:
        try:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=before)})
        except OffsetOutOfRangeError:
            log.info("nothing left to purge", extra={"topic": topic})


def _tell_no_more_of(place: Place) -> None:
    """Forget what was told of a topic that is gone: nothing of it is left to be purged."""
    TAKEN_IN.remove(*place)
    PURGED.remove(*place)
