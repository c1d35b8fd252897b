"""Plants a mark in every kind of place where something could stay behind, to see that the search finds it there.

The one exception to the rule that operations never write into a database of a service. The services are stopped
meanwhile, so that nobody handles what is planted; leaving a context takes its plant out again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from ops.demo.leftovers import connected
from ops.installation import Installation
from shared.contracts.topics import FEEDBACK, TELEMETRY, Topic
from shared.messaging.kafka import Kafka

_OUTBOX = "INSERT INTO outbox (topic, key, type, event_id, body) VALUES ($1, 'planted', 'Planted', $2, $3)"
_DEAD_LETTER = (
    'INSERT INTO dead_letters (topic, partition, "offset", taken_at, reason, error, body)'
    " VALUES ($1, 0, 0, now(), 'planted', 'planted', $2)"
)
_FEEDBACK = "INSERT INTO feedback (id, account_id, text, submitted_at) VALUES ($1, $1, $2, now())"


@asynccontextmanager
async def planted(installation: Installation, mark: str) -> AsyncIterator[dict[str, str]]:
    """Plant everywhere; yields each kind of place with the place that the search should name."""
    urls, raw, kafka = installation.database_urls, mark.encode(), installation.kafka
    async with AsyncExitStack() as stack:
        account = await stack.enter_async_context(connected(urls["account"]))
        device = await stack.enter_async_context(connected(urls["device"]))
        notifier = await stack.enter_async_context(connected(urls["notifier"]))
        requests = await stack.enter_async_context(connected(urls["requests"]))
        plants = {
            "a table's row": _row(requests, "requests.feedback", _FEEDBACK, uuid4(), mark),
            "an outbox": _row(account, "account.outbox", _OUTBOX, FEEDBACK.name, uuid4(), raw),
            "an inbox": _row(device, "device.inbox", "INSERT INTO inbox VALUES ($1, $2)", mark, uuid4()),
            "a dead letter": _row(notifier, "notifier.dead_letters", _DEAD_LETTER, FEEDBACK.name, raw),
            "the planner's statistics": _statistics(device, mark),
            "a message's body": _message(kafka, FEEDBACK, b64encode(raw), []),
            "a message's header": _message(kafka, TELEMETRY, b"planted", [("planted", raw)]),
            "a file": _file(installation, raw.hex()),
            "a log": _log(installation, f'{{"message": "planted {mark.upper()}"}}\n'),
        }
        yield {kind: await stack.enter_async_context(plant) for kind, plant in plants.items()}


@asynccontextmanager
async def _row(connection: asyncpg.Connection, table: str, statement: str, *values: object) -> AsyncIterator[str]:
    name = table.partition(".")[2]
    place = await connection.fetchval(f"{statement} RETURNING ctid", *values)
    yield table
    await connection.execute(f"DELETE FROM {name} WHERE ctid = $1", place)  # noqa: S608 - named above


@asynccontextmanager
async def _statistics(connection: asyncpg.Connection, mark: str) -> AsyncIterator[str]:
    """Leave a value in the statistics of a table that has no row any more."""
    await connection.execute("CREATE TABLE planted (word text)")
    try:
        await connection.execute("INSERT INTO planted SELECT $1 FROM generate_series(1, 3)", mark)
        await connection.execute("ANALYZE planted")
        await connection.execute("DELETE FROM planted")
        yield "device.statistics.planted.word"
    finally:
        await connection.execute("DROP TABLE planted")


@asynccontextmanager
async def _message(kafka: Kafka, topic: Topic, body: bytes, headers: list[tuple[str, bytes]]) -> AsyncIterator[str]:
    async with AIOKafkaProducer(**kafka.client) as producer:
        sent = await producer.send_and_wait(topic.name, body, headers=headers)
    yield f"topic {topic.name}"
    async with kafka.admin() as admin:
        place = TopicPartition(topic.name, sent.partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=sent.offset + 1)})


@asynccontextmanager
async def _file(installation: Installation, text: str) -> AsyncIterator[str]:
    path = installation.directory / "planted.txt"
    path.write_text(text)
    yield f"file {path.name}"
    path.unlink()


@asynccontextmanager
async def _log(installation: Installation, line: str) -> AsyncIterator[str]:
    path = installation.logs / "device.log"
    before = path.stat().st_size
    with path.open("a") as log:
        log.write(line)
    yield f"file {path.relative_to(installation.directory).as_posix()}"
    with path.open("r+b") as log:
        log.truncate(before)
