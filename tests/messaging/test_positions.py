"""Positions are locked one by one: readers of different partitions never wait for each other."""

from __future__ import annotations

import asyncio

import pytest

from shared.contracts.topics import FEEDBACK
from shared.messaging.positions import Record, advance
from tests.builders import raw_record
from tests.races import waits_or_is_done
from tests.rooms import OpenRoom, Room


def record_at(partition: int, offset: int) -> Record:
    return raw_record(FEEDBACK, b"", offset=offset, partition=partition)


async def read(room: Room, *records: Record) -> list[Record]:
    """Store the position behind these records; gives those that were new."""
    async with room.engine.begin() as connection:
        return await advance(connection, records, room.topic_ids)


@pytest.mark.parametrize(("partition", "waits"), [(0, True), (1, False)], ids=["the same", "another"])
async def test_who_reads_the_same_partition_waits_and_who_reads_another_does_not(
    room: OpenRoom, partition: int, *, waits: bool
) -> None:
    # Given two partitions that were read before, and a reader of one that has not committed yet
    requests = await room("requests")
    await read(requests, record_at(0, 0), record_at(1, 0))
    async with requests.engine.begin() as connection:
        await advance(connection, [record_at(0, 1)], requests.topic_ids)

        # When another one reads
        other = asyncio.ensure_future(read(requests, record_at(partition, 1)))
        await waits_or_is_done(requests.engine, other)
        waited = not other.done()
    fresh = await other

    # Then it waits only for who reads the same, and sees then what that one has read
    assert waited is waits
    assert len(fresh) == (0 if waits else 1)
