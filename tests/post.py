"""The post between rooms: what one has announced is taken to all that read it, until nobody has anything to say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.contracts.base import Event, reader
from shared.contracts.catalogue import FACTS
from shared.messaging.positions import Record
from tests.builders import record_of
from tests.rooms import Room

read = reader(*FACTS)


def taken(event: Event, at: datetime) -> Record:
    """Put a fact as the broker hands it over that took it at that time."""
    return replace(record_of(event), timestamp=int(at.timestamp() * 1000))


async def carry(*rooms: Room) -> list[dict[str, Any]]:
    """Carry all there is, round after round; returns what was carried."""
    carried: list[dict[str, Any]] = []
    while letters := [letter for room in rooms for letter in await _emptied(room)]:
        carried += letters
        for letter in letters:
            await deliver(letter, *rooms)
    return carried


async def deliver(letter: dict[str, Any], *rooms: Room) -> None:
    """Take one fact to every room that reads its topic."""
    event = read(letter["body"])
    for room in rooms:
        if any(each.topic == event.topic for each in room.subscriptions):
            await room.reads(event.topic, taken(event, room.clock()))


async def _emptied(room: Room) -> list[dict[str, Any]]:
    letters = await room.rows("outbox")
    await room.run("DELETE FROM outbox")
    return letters
