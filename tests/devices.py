"""Devices for tests: bound, and reporting."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.app import ReadingReported
from tests.builders import ANNA, NOON, Person, fact, named
from tests.commands import KNOW_THE_PRODUCT, KNOWN, bound
from tests.rooms import OpenRoom, Room


async def with_bound_device(room: OpenRoom) -> tuple[Room, UUID]:
    """Open the room of `device` with a device of Anna's; gives its binding too."""
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    await device.does(bound(ANNA))
    (binding,) = await device.rows("bindings")
    found: UUID = binding["id"]
    return device, found


def reading_of(person: Person, binding: UUID, number: int) -> ReadingReported:
    """State what a device has measured; the same number is the same reading."""
    return fact(
        ReadingReported,
        person,
        id=named("reading", number),
        binding_id=binding,
        measured_at=NOON,
        values={"pm25": float(number)},
    )
