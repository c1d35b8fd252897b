"""From the end of all faults to rest: everybody gets done what they want, and nothing is left on its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from chaos.simulation.room import SERVICES
from chaos.simulation.world import World
from shared.contracts.topics import INSTALLMENTS
from shared.messaging.dead_letters import DeadLetterView

ROUNDS = 400
BUSY, IDLE = timedelta(seconds=5), timedelta(minutes=5)
MOST = 100
ALL = 1000


async def come_to_rest(world: World) -> None:
    """End all faults, roll out a good release, and go on until nothing moves; what never does is a violation."""
    world.note("--- the faults are over")
    world.faults.clear()
    world.post.away = False
    world.catch_up()
    for service in SERVICES:
        await world.start(service)
    await settle(world)


async def settle(world: World) -> None:
    """Go on until nothing moves; what never does is a violation."""
    for number in range(ROUNDS):
        moved = await everybody(world)
        if number % 5 == 4:
            await operations(world)
        if not moved and not any(moving(world)):
            return
        world.tick(BUSY if moved else IDLE)
    world.violations.append(f"does not come to rest: {', '.join(moving(world))}")


async def everybody(world: World, *, hurried: bool = True) -> bool:
    """Give everybody a turn, and look at the clock when there is nothing to read; tells whether anything moved.

    Who is hurried does all that they plan at once.
    """
    before = _progress(world)
    for service in sorted(world.silent):
        await world.start(service)
    for person in world.people:
        while person.plan and await world.act(person) and hurried:
            pass
    await everybody_reads(world)
    if before != _progress(world):
        return True
    for service in SERVICES:
        await world.by_the_clock(service)
        await world.purge(service)
    return before != _progress(world)


def _progress(world: World) -> tuple[int, ...]:
    """Count what has happened so far."""
    read = sum(sum(group.positions.values()) for group in world.broker.groups.values())
    waiting = sum(len(world.stores[service].rows("outbox")) for service in SERVICES)
    return len(world.broker.log.history), read, waiting, sum(len(person.plan) for person in world.people)


async def everybody_reads(world: World) -> None:
    """Publish what was announced and read what is there, once."""
    for service in SERVICES:
        if world.stores[service].rows("outbox"):
            await world.relay(service)
        for number, reader in enumerate(world.rooms[service].readers):
            if reader.waiting:
                await world.poll(service, number, MOST, MOST)


async def operations(world: World) -> None:
    """Throw away what nobody can read, and handle anew the rest, but for what a closed account holds."""
    for service in SERVICES:
        for letter in world.letters(service):
            world.violations += parked_wrongly(world, service, letter)
        for letter in filter(partial(_is_due, world), world.letters(service)):
            if not world.is_readable(service, letter):
                await world.discard(service, letter)
        for letter in filter(partial(_is_due, world), world.letters(service)):
            if letter in world.letters(service):
                await world.redrive(service, letter)


def _is_due(world: World, letter: DeadLetterView) -> bool:
    """Tell whether operations deal with a dead letter: patient ones leave what a closed account holds to its end."""
    of_closed = any(world.is_closed(each) and each.account_id == letter.account_id for each in world.people)
    return not (world.patient and of_closed and letter.topic == INSTALLMENTS.name)


ERASES = {
    "account": ("ErasureOrdered",),
    "device": ("AccountCancelled", "ErasureOrdered"),
    "requests": ("AccountCancelled", "ErasureOrdered", "DataErased"),
    "notifier": ("ErasureOrdered", "ErasureSettled"),
}
"""What makes each service erase, or tells that somebody has."""


def parked_wrongly(world: World, service: str, letter: DeadLetterView) -> Iterator[str]:
    """Erasure waits behind nothing, and what passes by itself is not parked."""
    if letter.error.startswith("NotNow"):
        yield f"{service} has parked what would have passed"
    body = world.stores[service].shelves["dead_letters"].rows[(letter.id,)]["body"]
    if letter.reason == "waits-behind" and _type_of(body) in ERASES[service]:
        yield f"{service} has an erasure wait behind a dead letter"


def _type_of(body: bytes) -> str:
    return str(json.loads(body)["type"])


UNTIL = {"outbox": "", "unbound": "", "messages": "sent", "closed_accounts": "erased", "orders": "completed_at"}
"""Rows that somebody still has to do something with, unless this column says that it was done."""


def moving(world: World) -> Iterator[str]:
    """Name what is still on its way."""
    for person in world.people:
        if person.plan:
            yield f"{person.mark} {person.plan[0].name}"
    for service, store in world.stores.items():
        for name, done in UNTIL.items():
            if name in store.shelves and not all(row.get(done) for row in store.rows(name)):
                yield f"{service} {name}"
        if any(_is_due(world, letter) for letter in world.letters(service)):
            yield f"{service} dead letters"
        if any(reader.waiting for reader in world.rooms[service].readers):
            yield f"{service} has not read all"
