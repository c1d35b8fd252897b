"""A person with something in every room, and what it takes to have it deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.contracts.app import FeedbackSubmitted, ReadingReported
from shared.contracts.billing import InstallmentOwed
from tests.builders import ANNA, BEN, NEXT_MONTH, NOON, Person, fact, named
from tests.commands import KNOW_THE_PRODUCT, PAIRING, bound, registered
from tests.doors import Door
from tests.post import carry
from tests.requests.wishes import decide, submit
from tests.rooms import SERVICES, OpenRoom, Room

NICKNAMED = "UPDATE accounts SET nickname = 'Anni', avatar = 'a picture', avatar_media_type = 'image/png'"


@dataclass
class House:
    """All four rooms."""

    rooms: Mapping[str, Room]

    def __getitem__(self, service: str) -> Room:
        return self.rooms[service]

    async def carry(self) -> list[dict[str, Any]]:
        """Carry the post until all is quiet."""
        return await carry(*self.rooms.values())

    async def held_of(self, person: Person) -> dict[str, dict[str, int]]:
        """Count the person's rows, room by room."""
        return {name: await room.held_of(person.account_id) for name, room in self.rooms.items()}


async def announced(*rooms: Room) -> None:
    """Have each room say what it holds, as it does when it starts."""
    for room in rooms:
        async with room.bus.work() as work:
            work.announce(room.owner.announcement(work))


async def house_of(room: OpenRoom) -> House:
    """Open all rooms, with Anna and Ben in each."""
    house = House({service: await room(service) for service in SERVICES})
    await announced(*house.rooms.values())
    for person in (ANNA, BEN):
        await _settle_in(house, person)
    await house.carry()
    return house


async def _settle_in(house: House, person: Person) -> None:
    for command in registered(person):
        await house["account"].does(command)
    await house["account"].run(f"{NICKNAMED} WHERE id = '{person.account_id}'")
    if person is ANNA:
        await house["device"].run(KNOW_THE_PRODUCT, serial="AIR-0001", pairing=PAIRING)
        await house["device"].does(bound(ANNA))
        binding = named("binding", ANNA.name)
        measured = {"binding_id": binding, "measured_at": NOON, "values": {"pm25": 3.5}}
        await house["device"].hears(fact(ReadingReported, ANNA, **measured))
    await house["requests"].hears(fact(FeedbackSubmitted, person, text=f"Too loud, says {person.name}"))


async def owes(house: House, person: Person) -> None:
    """Have the person owe an instalment."""
    owed = {"installment_id": named("owed", person.name), "lapses_at": NEXT_MONTH}
    await house["account"].hears(fact(InstallmentOwed, person, **owed))


async def asked(house: House, door: Door, person: Person, wish: dict[str, Any]) -> dict[str, Any]:
    """Have the person wish a deletion, and every owner count."""
    request = await submit(door, person, wish)
    await house.carry()
    return request


async def preview(door: Door, request: dict[str, Any], query: str = "") -> dict[str, Any]:
    """See what staff sees."""
    answer = await door.ask("GET", f"/staff/requests/{request['request_id']}/preview{query}", by=door.staff())
    assert answer.is_success, answer.text
    seen: dict[str, Any] = answer.json()
    return seen


async def accept(house: House, door: Door, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Accept what is shown, and have it carried out; returns what was said on the way."""
    shown = await preview(door, request)
    await decide(door, request, "accept", shown=shown["sha256"])
    return await house.carry()


async def certificate(door: Door, request: dict[str, Any]) -> dict[str, Any]:
    """Read the certificate by the reference of the request."""
    answer = await door.ask("GET", f"/orders/{request['reference']}")
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["certificate"]
    return found


def outcomes(owners: list[dict[str, Any]]) -> dict[str, dict[str, tuple[str, int]]]:
    """Say by owner and category what became of it and how much it was, but for what nobody holds."""
    return {
        each["owner"]: {
            item["category"]: (item["outcome"], item["count"])
            for item in each["items"]
            if item["outcome"] != "nothing-held"
        }
        for each in owners
    }
