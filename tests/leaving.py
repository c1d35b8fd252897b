"""Many people leave at once while something is done to the system, and what has to hold when all are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import httpx
from aiokafka import AIOKafkaProducer

from ops.demo.leftovers import Marks, search
from ops.system import System
from tests.people import Person, eventually, mails_by_address, settle_in
from tests.whole_system import lines_about, rows

READINGS = 20
PATIENCE_SECONDS = 240.0
"""Longer than a consumer may hang."""

Strike = Callable[[], Awaitable[None]]


async def many_leave(
    system: System, http: httpx.AsyncClient, each: int, *strikes: Strike, within: float = 0.0
) -> list[Person]:
    """Have so many leave at each strike, which comes in the middle of them; check all that has to hold.

    All at once, or, for strikes that last, one after the other within so many seconds.
    """
    *people, bystander = await _people(system, http, each * len(strikes) + 1)
    before = await _arrived(system, bystander)

    for number, strike in enumerate(strikes):
        await _leave_while(people[number * each : (number + 1) * each], strike, within)

    async def all_gone() -> bool:
        return all(await asyncio.gather(*(person.gone() for person in people)))

    await eventually(all_gone, f"{len(people)} completed orders", PATIENCE_SECONDS)
    await system.supervisor.wait_until_ready()
    await eventually(lambda: _at_rest(system), "empty outboxes")
    await eventually(lambda: nothing_left(system, people), "no mark in any table, statistic, topic and file")
    tables = await rows(system)
    del tables["device.products"]  # what was made, whoever had it: serials stand there before and after
    assert lines_about([bystander.mark], tables) == before
    assert [text for name, texts in tables.items() if name.endswith("dead_letters") for text in texts] == []
    _assert_everybody_was_told_once(system, people)
    return people


async def _people(system: System, http: httpx.AsyncClient, count: int) -> list[Person]:
    people = [Person(system, http) for _ in range(count)]
    assert system.mailbox
    await settle_in(people, system.mailbox)
    producer = AIOKafkaProducer(**system.installation.kafka.client, enable_idempotence=True)
    await producer.start()
    await asyncio.gather(*(person.report(producer, readings=READINGS) for person in people))
    await producer.stop()
    await asyncio.gather(*(person.start_to_leave() for person in people))
    return people


async def _leave_while(people: Sequence[Person], strike: Strike, within: float) -> None:
    """Strike when less than a third have had their answer: the rest are in the middle of it."""
    first = len(people) * 3 // 10

    async def leave(person: Person, turn: int) -> None:
        await asyncio.sleep(within * max(0, turn - first) / len(people))
        await person.leave()

    leaving = [asyncio.create_task(leave(person, turn)) for turn, person in enumerate(people)]
    for finished in asyncio.as_completed(leaving[:first]):
        await finished
    await strike()
    await asyncio.gather(*leaving)


async def _arrived(system: System, bystander: Person) -> dict[str, list[str]]:
    """Wait for the bystander's readings, feedback and contact, and remember all of their rows."""

    async def there() -> dict[str, list[str]] | None:
        about = lines_about([bystander.mark], await rows(system))
        about.pop("device.products", None)
        arrived = len(about.get("device.readings", [])) == READINGS
        arrived &= {"requests.feedback", "notifier.contacts"} <= about.keys()
        return about if arrived and not any(map(_passes, about)) else None

    found: dict[str, list[str]] = await eventually(there, "the bystander's data")
    return found


async def nothing_left(system: System, people: Sequence[Person]) -> bool:
    """Search as the demo does; a broker that was killed brings back what was purged, until it is purged again."""
    leftovers = (await search(system.installation, Marks(*(person.mark for person in people)))).leftovers
    if leftovers:
        print("left:", leftovers)  # noqa: T201 - shown with the failure
    return not leftovers


async def _at_rest(system: System) -> bool:
    tables = await rows(system)
    return not any(texts for name, texts in tables.items() if _passes(name))


def _passes(table: str) -> bool:
    """Tell whether what stands there is on its way."""
    return table.endswith((".outbox", ".messages"))


def _assert_everybody_was_told_once(system: System, people: Sequence[Person]) -> None:
    assert system.mailbox
    mails = mails_by_address(system.mailbox)
    for person in people:
        farewells = [text for text in mails[person.email] if "erased" in text.splitlines()[0]]
        # A kill between sending and noting it may repeat the mail; never may it be missing.
        assert 1 <= len(farewells) <= 2, mails[person.email]
