"""From the outbox to Kafka: in order, nothing lost, one active relay for each service.

A round sends at most one batch to each partition and waits for its acknowledgement, so nothing can overtake: a
batch that fails leaves all behind it in the outbox. Acknowledged rows are deleted; the rest is sent again, which
readers notice by the event's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import failpoints
from shared.background import again_and_again, rest
from shared.database import sole_holder
from shared.messaging.kafka import Kafka
from shared.tables import Outbox

ROWS = 1000
IDLE_SECONDS = 0.2
"""How often the outbox is looked at unasked: for rows that another process of this service has written."""
RESTART_SECONDS = 0.5
MAX_BATCH_BYTES = 1_050_000

_UNSENT = select(Outbox).order_by(Outbox.id).limit(ROWS)
_DELETE = delete(Outbox).where(Outbox.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))

Target = tuple[str, int]


class Relay:
    """Sends what stands in one service's outbox."""

    def __init__(self, engine: AsyncEngine, kafka: Kafka, written: asyncio.Event) -> None:
        self._engine = engine
        self._kafka = kafka
        self._written = written
        self._partition_of = DefaultPartitioner()

    async def run(self) -> None:
        """Relay until cancelled; every failure starts anew at the first row not acknowledged, with a new producer."""
        await again_and_again("relay", self._relay, RESTART_SECONDS)

    async def _relay(self) -> None:
        async with sole_holder(self._engine, "relay") as connection, self._producer() as producer:
            while True:
                await self.drain(connection, producer)
                await rest(self._written, IDLE_SECONDS)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._kafka.client,
            enable_idempotence=True,
            max_request_size=MAX_BATCH_BYTES,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=10_000,
        )

    async def drain(self, connection: AsyncConnection, producer: AIOKafkaProducer) -> None:
        """Send all that stands in the outbox now."""
        while rows := list(await connection.execute(_UNSENT)):
            failpoints.reach("relay.read")
            while rows:
                rows = await self._send_round(connection, producer, rows)

    async def _send_round(
        self, connection: AsyncConnection, producer: AIOKafkaProducer, rows: Sequence[Any]
    ) -> list[Any]:
        """Send one batch to each partition; returns the rows that did not fit. Raises after saving what arrived."""
        batches: dict[Target, Any] = {}
        ids: dict[Target, list[int]] = {}
        later: list[Any] = []
        full: set[Target] = set()
        for row in rows:
            target = await self._target(producer, row)
            batch = batches.setdefault(target, producer.create_batch())
            if target in full or not self._append(batch, row):
                full.add(target)
                later.append(row)
            else:
                ids.setdefault(target, []).append(row.id)
        await self._deliver(connection, producer, batches, ids)
        return later

    @staticmethod
    def _append(batch: Any, row: Any) -> bool:  # noqa: ANN401 - the client library has no types for these
        headers = [("ce_type", row.type.encode()), ("ce_id", str(row.event_id).encode())]
        metadata = batch.append(key=row.key.encode(), value=row.body, timestamp=None, headers=headers)
        return metadata is not None

    async def _target(self, producer: AIOKafkaProducer, row: Any) -> Target:  # noqa: ANN401 - a row
        partitions = sorted(await producer.partitions_for(row.topic))
        return row.topic, self._partition_of(row.key.encode(), partitions, partitions)

    @staticmethod
    async def _deliver(
        connection: AsyncConnection,
        producer: AIOKafkaProducer,
        batches: dict[Target, Any],
        ids: dict[Target, list[int]],
    ) -> None:
        futures = [
            await producer.send_batch(batch, topic, partition=partition)
            for (topic, partition), batch in batches.items()
        ]
        failpoints.reach("relay.sent")
        results = await asyncio.gather(*futures, return_exceptions=True)
        failpoints.reach("relay.acknowledged")
        arrived = [
            row_id
            for target, result in zip(batches, results, strict=True)
            if not isinstance(result, BaseException)
            for row_id in ids[target]
        ]
        if arrived:
            await connection.execute(_DELETE, {"ids": arrived})
            failpoints.reach("relay.deleted")
        for result in results:
            if isinstance(result, BaseException):
                raise result
