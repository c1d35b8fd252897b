"""The client's consumer, made careful: what cannot be decoded stops its partition, and loses nothing of others.

The client drains partition after partition; where one raises, it forgets what it has drained of the others before.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, UnsupportedCodecError
from faststream.kafka import KafkaBroker

log = logging.getLogger(__name__)

WAIT_MILLISECONDS = 500
"""How long a poll waits for a first record; it ends when there is one."""
LOOK_MILLISECONDS = 1_000


def _is_about_a_record(error: Exception) -> bool:
    """Tell a record that cannot be decoded from a broker that is away, or a stop."""
    return isinstance(error, UnsupportedCodecError) or not isinstance(error, (ConsumerStoppedError, KafkaError))


class CarefulConsumer(AIOKafkaConsumer):  # type: ignore[misc] # the client library has no types
    """Goes back to what was committed when a poll fails, and pauses the partition that cannot be read.

    A paused one is tried again by the next process; until then readiness tells of it.
    """

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        """Poll. Never raises for what stands in a record.

        FastStream sleeps for as long as it polls when it got nothing, deaf to what comes meanwhile: so it is told to
        poll for a moment, and here it is for longer.
        """
        patience = max(timeout_ms, WAIT_MILLISECONDS)
        try:
            return await self._poll(*partitions, timeout_ms=patience, max_records=max_records)
        except Exception as error:
            if not _is_about_a_record(error):
                raise
        await self._pause_what_cannot_be_read()
        return {}

    async def _poll(self, *partitions: TopicPartition, **options: Any) -> dict[TopicPartition, list[Any]]:  # noqa: ANN401
        drained: dict[TopicPartition, list[Any]] = await super().getmany(*partitions, **options)
        return drained

    async def _pause_what_cannot_be_read(self) -> None:
        for partition in self.assignment() - self.paused():
            await self._go_back(partition)
            try:
                await self._poll(partition, timeout_ms=LOOK_MILLISECONDS)
            except Exception as error:
                if not _is_about_a_record(error):
                    raise
                self.pause(partition)
                place = {"topic": partition.topic, "partition": partition.partition}
                log.critical("partition stopped: it has a record that cannot be decoded", extra=place)
            await self._go_back(partition)

    async def _go_back(self, partition: TopicPartition) -> None:
        committed = await self.committed(partition)
        if committed is None:
            await self.seek_to_beginning(partition)
        else:
            self.seek(partition, committed)


async def start_carefully(broker: KafkaBroker) -> None:
    """Start a broker whose subscribers read with `CarefulConsumer`."""
    # Only when it has connected does FastStream say how consumers are made.
    await broker.connect()
    made_by = cast("partial[Any]", broker.config.broker_config.builder)
    broker.config.broker_config.builder = partial(CarefulConsumer, **made_by.keywords)
    await broker.start()
