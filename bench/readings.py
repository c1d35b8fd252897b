"""Readings taken in, each published twice: by the service, stored once; and by poll and COPY alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from bench.people import Resident, residents, settle
from bench.stages import Ground, adieu, floor, ground, until
from shared.contracts.topics import TELEMETRY

OWNERS = 1_000
TWICE = 2
LOOK_SECONDS = 0.25
_SPAN = (
    "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)) - min(pg_xact_commit_timestamp(xmin)))::float8,"
    " count(*) FROM {table}"
)


@asynccontextmanager
async def _published(readings: int) -> AsyncIterator[Ground]:
    """Put readings on the topic, each of them twice, before anybody reads."""
    async with ground() as on:
        people = residents(OWNERS)
        await settle(on.connections, people, "no hash", readings=0)
        await publish(on, people, readings)
        yield on


async def publish(on: Ground, people: Sequence[Resident], readings: int) -> None:
    """Publish so many readings of these people, each twice."""
    producer = AIOKafkaProducer(bootstrap_servers=on.kafka.bootstrap_servers, linger_ms=20)
    await producer.start()
    try:
        for number in range(readings):
            person = people[number % len(people)]
            key, message = str(person.account_id).encode(), _message(person, number)
            for _ in range(TWICE):
                await producer.send(TELEMETRY.name, message, key)
    finally:
        await producer.stop()


def _message(person: Resident, number: int) -> bytes:
    now = datetime.now(UTC).isoformat()
    event = {
        "type": "ReadingReported",
        "id": str(uuid4()),
        "source": "app",
        "occurred_at": now,
        "correlation_id": str(uuid4()),
        "account_id": str(person.account_id),
        "binding_id": str(person.bindings[number % len(person.bindings)]),
        "measured_at": now,
        "values": {"pm25": number % 100, "humidity": 40 + number % 20},
    }
    return json.dumps(event).encode()


async def exactly_once(readings: int) -> float:
    """Take them in by the service; messages a second. Raises where one is missing or there twice."""
    async with _published(readings) as on, adieu(on):
        return await _rate(on, "readings", readings, TWICE * readings)


async def poll_and_copy(readings: int) -> float:
    """Take them in by the floor; messages a second."""
    async with _published(readings) as on, floor(on, "readings"):
        return await _rate(on, "raw_readings", TWICE * readings, TWICE * readings)


async def _rate(on: Ground, table: str, rows: int, messages: int) -> float:
    device = on.connections["device"]

    async def all_there() -> bool:
        return bool(await device.fetchval(f"SELECT count(*) FROM {table}") >= rows)  # noqa: S608 - a name of ours

    await until(all_there, LOOK_SECONDS)
    (seconds, found), *_ = await device.fetch(_SPAN.format(table=table))
    if found != rows:
        msg = f"{found} rows instead of {rows}"
        raise RuntimeError(msg)
    return messages / float(seconds)
