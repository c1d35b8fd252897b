"""How far a personal topic has had its effect here, stored with that effect; and which topic of that name it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from aiokafka import ConsumerRecord
from sqlalchemy import ARRAY, BigInteger, Integer, String, Uuid, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import rows_of
from shared.messaging.topic_ids import TopicIds
from shared.tables import Position

Record: TypeAlias = ConsumerRecord[bytes, bytes]
Place: TypeAlias = tuple[str, int]

# In one order everywhere, so that two readers of overlapping partitions never wait in a circle.
_LOCKED = text(
    "SELECT topic, partition, topic_id, next_offset FROM positions"
    " WHERE (topic, partition) IN (SELECT * FROM unnest(:topic, :partition))"
    " ORDER BY topic, partition FOR UPDATE"
).bindparams(bindparam("topic", type_=ARRAY(String)), bindparam("partition", type_=ARRAY(Integer)))
_STORED = select(Position)
_STORE = text(
    "INSERT INTO positions (topic, partition, topic_id, next_offset)"
    " SELECT * FROM unnest(:topic, :partition, :topic_id, :next_offset)"
    " ON CONFLICT (topic, partition) DO UPDATE"
    " SET topic_id = excluded.topic_id, next_offset = excluded.next_offset"
).bindparams(
    bindparam("topic", type_=ARRAY(String)),
    bindparam("partition", type_=ARRAY(Integer)),
    bindparam("topic_id", type_=ARRAY(Uuid)),
    bindparam("next_offset", type_=ARRAY(BigInteger)),
)


@dataclass(frozen=True)
class Stored:
    """A position as it is stored."""

    topic_id: UUID
    next_offset: int


async def stored(connection: AsyncConnection) -> dict[Place, Stored]:
    """Read all positions: a topic with one for each owner has as many as owners have sent something."""
    result = await connection.execute(_STORED)
    return {(row.topic, row.partition): Stored(row.topic_id, row.next_offset) for row in result}


async def _locked(connection: AsyncConnection, places: Iterable[Place]) -> dict[Place, Stored]:
    """Read and lock positions: who reads the same partition at the same time waits."""
    result = await connection.execute(_LOCKED, rows_of(("topic", "partition"), sorted(places)))
    return {(row.topic, row.partition): Stored(row.topic_id, row.next_offset) for row in result}


async def advance(connection: AsyncConnection, records: Sequence[Record], topic_ids: TopicIds) -> list[Record]:
    """Store the position behind these records, and return those that have not had their effect yet.

    A record before the stored position is a repeat, unless the topic was recreated since.
    """
    topics = sorted({record.topic for record in records})
    before = await _locked(connection, {(record.topic, record.partition) for record in records})
    ids = await topic_ids.of(topics)
    fresh = _not_before(records, before, ids)
    if len(fresh) < len(records):
        ids = await topic_ids.of(topics, anew=True)
        fresh = _not_before(records, before, ids)
    ends: dict[Place, int] = {}
    for record in fresh:
        place = (record.topic, record.partition)
        ends[place] = max(ends.get(place, 0), record.offset + 1)
    if ends:
        values = [(topic, partition, ids[topic], end) for (topic, partition), end in sorted(ends.items())]
        names = ("topic", "partition", "topic_id", "next_offset")
        await connection.execute(_STORE, rows_of(names, values))
    return fresh


def _not_before(records: Sequence[Record], before: Mapping[Place, Stored], ids: Mapping[str, UUID]) -> list[Record]:
    known = {place: at.next_offset for place, at in before.items() if at.topic_id == ids[place[0]]}
    return [record for record in records if record.offset >= known.get((record.topic, record.partition), 0)]
