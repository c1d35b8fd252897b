"""A run by a seed: who does what, what goes wrong when, then rest, and whether all held."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

from chaos.simulation import verdict
from chaos.simulation.people import DAY, Person, people
from chaos.simulation.rest import come_to_rest, everybody_reads, settle
from chaos.simulation.room import SERVICES
from chaos.simulation.world import COMMIT, STATEMENT, Fault, InstantLoop, World, watched
from shared.contracts.base import type_name
from shared.contracts.catalogue import facts_on
from shared.contracts.topics import ACCOUNTS, ALL_TOPICS, CONTACTS, DEVICE_ACTIONS, INSTALLMENTS, PARTITIONS
from shared.failpoints import POINTS

FEWEST_TURNS, MOST_TURNS = 40, 110
SEEDS_EACH = 5
"""In so many seeds one after the other the same people do the same, and other things go wrong."""
_PLAIN: dict[int, World] = {}
"""How the last people fared without faults."""
IN_LINE = (ACCOUNTS, CONTACTS, DEVICE_ACTIONS, INSTALLMENTS)
"""Topics on which much waits behind a dead letter."""
Turn = Callable[[World, Random], Awaitable[object]]


async def _act(world: World, draw: Random) -> None:
    await world.act(draw.choice(world.people))


async def _poll(world: World, draw: Random) -> None:
    waiting = [
        (service, number)
        for service in SERVICES
        for number, reader in enumerate(world.rooms[service].readers)
        if reader.waiting and reader.group.name != world.slow
    ]
    if waiting:
        service, number = draw.choice(waiting)
        await world.poll(service, number, draw.randint(1, PARTITIONS), draw.choice((1, 2, 100)))


async def _relay(world: World, draw: Random) -> None:
    world.broker.fails = lambda _: draw.random() < 0.1
    if services := [service for service in SERVICES if world.stores[service].rows("outbox")]:
        await world.relay(draw.choice(services))
    world.broker.fails = lambda _: False


async def _by_the_clock(world: World, draw: Random) -> None:
    await world.by_the_clock(draw.choice(SERVICES))


async def _purge(world: World, draw: Random) -> None:
    await world.purge(draw.choice(SERVICES))


async def _tick(world: World, draw: Random) -> None:
    world.tick(timedelta(seconds=draw.choice((1, 5, 40))))


async def _again(world: World, draw: Random) -> None:
    if world.broker.log.history:
        world.again(draw.choice(world.broker.log.history))


async def _rewind(world: World, draw: Random) -> None:
    world.rewind(draw.choice(sorted(world.broker.groups)))


async def _restart(world: World, draw: Random) -> None:
    await world.start(draw.choice(sorted(world.silent) or SERVICES))


async def _catch_up(world: World, _: Random) -> None:
    world.catch_up()


async def _skip(world: World, draw: Random) -> None:
    """Lose receipts: whoever owes one is asked again."""
    group = world.broker.groups["requests.any.receipts.v1"]
    place = draw.choice(group.places)
    unread = world.broker.log.behind(place, group.positions[place])
    if unread and all(
        b'"DataErased"' in (each.value or b"") and b'"supplement":false' in (each.value or b"") for each in unread
    ):
        world.skip(group, place)


async def _post(world: World, draw: Random) -> None:
    world.post.away = draw.random() < 0.5


async def _redrive(world: World, draw: Random) -> None:
    service = draw.choice(SERVICES)
    letters = world.letters(service)
    if letters:
        await world.redrive(service, draw.choice(letters))


async def _poison(world: World, draw: Random) -> None:
    """Put on a topic what no reader can read, or should believe, or knows yet."""
    topic = draw.choice(draw.choice((ALL_TOPICS, IN_LINE)))
    person = draw.choice(world.people)
    facts = [type_name(fact) for fact in facts_on(topic)]
    known = draw.choice(facts or ["New"])
    body = {"id": str(person.named("poison", draw.random())), "source": topic.owner}
    body |= {"occurred_at": world.clock().isoformat(), "correlation_id": body["id"]}
    body |= {"account_id": str(person.account_id), "text": person.mark if topic.personal else ""}
    value, key = _bad(draw, body, known), str(person.account_id).encode()
    world.put(topic.name, draw.randrange(PARTITIONS), draw.choice((key, key, b"")), value)


def _bad(draw: Random, body: dict[str, str], known: str) -> bytes | None:
    match draw.randrange(5):
        case 0:
            return None
        case 1:
            return json.dumps(body).encode()[:-3]  # broken
        case 2:
            return json.dumps(body | {"type": known, "source": "somebody-else"}).encode()
        case 3:
            return json.dumps({"type": known, "account_id": body["account_id"]}).encode()  # lacks most
        case _:
            return json.dumps(body | {"type": "New"}).encode()  # from a newer contract


async def _fault(world: World, draw: Random) -> None:
    """Have something go wrong soon."""
    if draw.random() < 0.6:
        world.faults.append(Fault(draw.choice(sorted(POINTS)), draw.randrange(3)))
        return
    failure = draw.choice(("crash", "away", "bug", "bug"))
    at = draw.choice((STATEMENT, STATEMENT, COMMIT))
    service = draw.choice(SERVICES)
    world.faults.append(Fault(at, draw.randrange(12), failure, draw.choice((1, 2, 2, 6)), service))


TURNS: dict[Turn, int] = {
    _act: 16,
    _poll: 36,
    _relay: 20,
    _by_the_clock: 10,
    _tick: 6,
    _purge: 3,
    _fault: 4,
    _again: 3,
    _poison: 2,
    _rewind: 1,
    _restart: 2,
    _skip: 2,
    _catch_up: 1,
    _post: 1,
    _redrive: 1,
}
"""What may happen next, and how often."""


async def run(seed: int, watch: Callable[[World], None] = lambda _: None) -> World:
    """Run a seed to its end, with a verdict."""
    draw = Random(seed)
    world = World(people(seed // SEEDS_EACH))
    watch(world)
    _set_up(world, draw)
    with watched(world):
        await in_trouble(world, draw)
        await come_to_rest(world)
        await judge(world, seed)
    return world


def _set_up(world: World, draw: Random) -> None:
    world.patient = draw.random() < 0.5
    world.slow = draw.choice((None, *sorted(world.broker.groups)))
    world.is_late = lambda: draw.random() < 0.15
    for person in world.people:
        mailbox(world, person, draw)


def mailbox(world: World, person: Person, draw: Random) -> None:
    """Draw how somebody's mailbox takes mails; the one of who stays works."""
    if person.leaves and draw.random() < 0.3:
        if draw.random() < 0.5:
            world.post.gone.add(person.mark)
        world.post.full[person.mark] = draw.randint(1, 4)


async def in_trouble(world: World, draw: Random) -> None:
    """Let everything happen that may, in the order of the seed."""
    for service in SERVICES:
        await world.start(service)
    await lived(world, draw)
    turns, weights = list(TURNS), list(TURNS.values())
    for turn in draw.choices(turns, weights, k=draw.randint(FEWEST_TURNS, MOST_TURNS)):
        await turn(world, draw)


async def lived(world: World, draw: Random) -> None:
    """Let people live for a while without trouble: mostly until they are about to leave."""
    for person in world.people:
        half = len(person.plan) // 2
        about_to_leave = next((n for n, each in enumerate(person.plan) if "leave" in each.name), half)
        for _ in range(about_to_leave if draw.random() < 0.7 else draw.randint(0, about_to_leave)):
            await world.act(person)
    if draw.random() < 0.5:
        await everybody_reads(world)


async def judge(world: World, seed: int) -> None:
    """Look at the world at rest, after everything was read again, and after all holds have ended."""
    world.violations += verdict.at_rest(world)
    world.violations += verdict.bystanders(world, await without_faults(seed // SEEDS_EACH))
    await replayed(world)
    if verdict.holds_anything(world):
        await after_a_month(world)


async def without_faults(number: int) -> World:
    """Let those who stay do the same, with nothing in their way and nobody beside them."""
    if number not in _PLAIN:
        plain = World([person for person in people(number) if not person.leaves])
        with watched(plain):
            await come_to_rest(plain)
        _PLAIN.clear()
        _PLAIN[number] = plain
    return _PLAIN[number]


async def replayed(world: World) -> None:
    """Read all topics from the beginning; nothing may change, and nobody may come back."""
    world.note("--- everything is read again")
    before, taken = verdict.state(world), len(world.broker.log.history)
    for group in world.broker.groups:
        world.rewind(group)
    await settle(world)
    after = verdict.state(world)
    world.violations += [
        f"{place} has changed when all was read again" for place in before if before[place] != after[place]
    ]
    if len(world.broker.log.history) != taken:
        world.violations.append("something new was published when all was read again")


async def after_a_month(world: World) -> None:
    """Let every hold end."""
    world.note("--- a month later")
    for _ in range(2):
        world.tick(16 * DAY)
        world.broker.log.expire()
        for service in SERVICES:
            await world.sweep(service)
        await settle(world)
    world.violations += [f"after a month: {each}" for each in verdict.nothing_held(world)]


def simulate(seed: int) -> World:
    """Run a seed."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(run(seed))
