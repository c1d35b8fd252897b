"""What has to hold when a system has come to rest, line by line."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from chaos.crowd import Crowd, Human, group_marks
from chaos.faults.base import Fault, World
from chaos.faults.services import WrongClock
from chaos.life import READINGS_EACH
from chaos.publisher import all_of
from chaos.rest import readers_of
from ops.demo.leftovers import Marks, Rows, Search, connected, rows_about, search, search_topics
from ops.demo.story import DECLINED, FAREWELL
from ops.installation import SERVICES
from ops.mailbox import Mailbox
from shared.contracts.base import reader
from shared.contracts.catalogue import facts_on
from shared.contracts.receipts import Phase
from shared.contracts.topics import BINDINGS, ORDERS, Topic

PURGE_PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.5
HAD = {
    "avatar": 1,
    "cancellation": 1,
    "contact": 1,
    "creation-time": 1,
    "email": 1,
    "installments": 0,
    "login-times": 2,  # a session, and the client it is on
    "nickname": 1,
    "password": 1,
    "policy-agreement": 2,  # what holds, and when it was agreed to
    "region-and-language": 1,
    "second-factor": 0,
    "unhandled-messages": 0,
}
"""What everybody who leaves has had, and how many of each: so the receipts count them. Messages come and go."""
THEIR_ORDER = {BINDINGS: ("DeviceBound", "DeviceUnbound"), ORDERS: ("ErasureSettled", "ErasureCompleted")}
"""What happens to one thing, in the only order in which it can happen."""
GROWING = ("device.readings", "requests.feedback")
"""Where people who stay go on adding rows."""


@dataclass(frozen=True)
class Line:
    """One thing that has to hold, whether it did, and what was looked at."""

    what: str
    held: bool
    detail: str


async def rows_of_staying(world: World) -> Rows:
    """Read every row about those who stay and do nothing."""
    people = world.life.crowd.staying
    marks = Marks(*group_marks(people), *(str(person.account_id) for person in people))
    return await rows_about(world.installation.database_urls, marks)


async def judged(world: World, faults: Sequence[Fault], before: Rows) -> AsyncIterator[Line]:
    """Check everything, one after the other."""
    crowd = world.life.crowd
    yield Line("every answer is one that a person may get", not world.life.complaints, _some(world.life.complaints))
    yield await _orders(world, crowd, clocks_agree=all(fault.kind != WrongClock.kind for fault in faults))
    yield _mails(world, crowd, again=sum(fault.ends("notifier") for fault in faults))
    yield await _order_of_facts(world)
    yield await _leftovers(world, crowd)
    yield await _topics_are_empty(world, crowd)
    yield _logs(world, crowd)
    yield await _bystanders(world, before)
    yield await _exactly_once(world, crowd)
    yield await _changes(world, crowd)
    yield await _dead_letters(world)
    for fault in faults:
        yield Line(f"it happened: {fault.words}", bool(fault.evidence), fault.evidence or "nothing shows it")


def _some(complaints: Sequence[str]) -> str:
    return "; ".join(complaints[:3]) + (f"; and {len(complaints) - 3} more" if len(complaints) > 3 else "")  # noqa: PLR2004


async def _orders(world: World, crowd: Crowd, *, clocks_agree: bool) -> Line:
    confirmed = [person for person in crowd.leaving if person.confirmed]
    orders = await asyncio.gather(*(_order(world, person) for person in confirmed))
    wrong = [
        fault
        for person, order in zip(confirmed, orders, strict=True)
        if (fault := _wrong_with(order, person) or (clocks_agree and _too_early(order)))
    ]
    async with connected(world.installation.database_urls["requests"]) as connection:
        count = await connection.fetchval("SELECT count(*) FROM orders")
    if count != len(confirmed):
        wrong.append(f"{count} orders")
    detail = _some(wrong) or f"{len(confirmed)} wishes, {count} orders, each with its certificate"
    return Line("every accepted wish is one completed order, with its certificate by reference", not wrong, detail)


async def _order(world: World, person: Human) -> dict[str, Any]:
    answers = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
    return dict((await world.life.doors.ask("requests", "GET", f"/v1/orders/{person.reference}", *answers)).json())


def _wrong_with(order: dict[str, Any], person: Human) -> str:
    certificate = order.get("certificate") or {}
    if order.get("state") != "completed" or not certificate.get("sha256"):
        return f"an order is {order.get('state', 'unknown')}"
    owners = {owner["owner"] for owner in certificate["owners"]}
    if owners != set(SERVICES):
        return f"a certificate names {sorted(owners)}"
    counts: Counter[str] = Counter()
    for item in (item for owner in certificate["owners"] for item in owner["items"]):
        counts[item["category"]] += item["count"]
    miscounted = {
        category: counts[category]
        for category, (fewest, most) in _had_by(person).items()
        if not fewest <= counts[category] <= most
    }
    return f"a certificate miscounts {miscounted}" if miscounted else ""


def _had_by(person: Human) -> dict[str, tuple[int, int]]:
    """Tell how many there were of each category. Some came while the person left: before the erasure or after."""
    devices = len(person.products)
    coming = {
        "device-data": (devices + READINGS_EACH, devices + len(person.readings)),
        "feedback": (1, len(person.feedback_ids)),
    }
    return {category: (count, count) for category, count in HAD.items()} | coming


def _too_early(order: dict[str, Any]) -> str:
    """Tell whether data was answered for after an order settled, or the contact before, by requests' clock."""
    wrong = sorted(
        due["owner"]
        for due in order["owners"]
        if (due["answered_at"] > order["settled_at"]) is (due["phase"] == Phase.DATA)
    )
    return f"an order settled too early or too late for {wrong}" if wrong else ""


def _mails(world: World, crowd: Crowd, again: int) -> Line:
    """Count mails. One goes out again only where its sender was ended before that was recorded."""
    mails = Counter(
        (recipient, mail.subject)
        for mail in Mailbox(world.installation.mailbox).mails()
        for recipient in mail.recipients
    )
    farewells = [mails[person.email, FAREWELL] for person in crowd.leaving if person.confirmed]
    wrong = ["somebody left without a last mail" for count in farewells if not count]
    wrong += [f"“{subject}” came {count} times" for (_, subject), count in mails.items() if count > 1 + again]
    wrong += ["somebody was declined without a mail" for person in crowd.owing if not mails[person.email, DECLINED]]
    wrong += ["who stays got a last mail" for person in crowd.remaining if mails[person.email, FAREWELL]]
    detail = _some(wrong) or f"{len(farewells)} got their last mail, {sum(farewells) - len(farewells)} came again"
    often = f"no mail more than {1 + again} times" if again else "no mail twice"
    return Line(f"a last mail to everybody who left, {often}; who may not leave is told", not wrong, detail)


async def _order_of_facts(world: World) -> Line:
    wrong, total = [], 0
    for topic, (before, after) in THEIR_ORDER.items():
        first: dict[tuple[str, str], int] = {}
        for place, fact in enumerate(await _told(world, topic)):
            first.setdefault(fact, place)
        total += len(first)
        wrong += [
            f"{after} stands before {before}"
            for (thing, kind), place in first.items()
            if kind == after and place < first.get((thing, before), -1)
        ]
    return Line("facts stand in the order in which they happened", not wrong, _some(wrong) or f"{total} of them")


async def _told(world: World, topic: Topic) -> list[tuple[str, str]]:
    """List what is told of bindings or orders, each by its id, in the topic's order, less what cannot be read."""
    read, told = reader(*facts_on(topic)), []
    for message in await all_of(world.installation.addresses.kafka, topic):
        with suppress(ValidationError):
            event = read(message.value or b"")
            thing = getattr(event, "binding_id", None) or getattr(event, "order_id", None)
            told.append((str(thing), event.type))
    return told


async def _leftovers(world: World, crowd: Crowd) -> Line:
    everybody = all(person.confirmed for person in crowd.leaving)
    gone = group_marks(crowd.leaving) if everybody else [p.mark for p in crowd.leaving if p.confirmed]
    result = await _until_purged(world, Marks(*gone))
    detail = _some(result.leftovers) or f"{result.records:,} records in {sum(result.places.values())} places"
    return Line("nothing is left of who has left: tables, statistics, topics, files", not result.leftovers, detail)


async def _until_purged(world: World, marks: Marks) -> Search:
    """Search; a broker that was killed brings back what was purged, until it is purged again."""
    waited = 0.0
    while (result := await search(world.installation, marks)).leftovers and waited < PURGE_PATIENCE_SECONDS:
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    return result


async def _topics_are_empty(world: World, crowd: Crowd) -> Line:
    marks = Marks(*(mark for group in (crowd.staying, crowd.changing, crowd.owing) for mark in group_marks(group)))
    waited = 0.0
    while True:
        result = Search(marks)
        await search_topics(result, world.installation.kafka)
        if not result.found or waited > PURGE_PATIENCE_SECONDS:
            break
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    detail = _some(sorted(result.found)) or f"{result.places['topics']} topics, keys and headers too"
    return Line("personal topics are emptied behind their readers, of everybody", not result.found, detail)


def _logs(world: World, crowd: Crowd) -> Line:
    groups = (crowd.leaving, crowd.staying, crowd.changing, crowd.owing)
    marks = Marks(*(mark for group in groups for mark in group_marks(group)))
    logs = sorted(world.installation.logs.glob("*.log"))
    found = [log.name for log in logs if marks.within(log.read_bytes())]
    return Line("no log names anybody", not found, _some(found) or f"{len(logs)} logs")


async def _bystanders(world: World, before: Rows) -> Line:
    after = await rows_of_staying(world)
    changed = Counter({table: count for (table, _), count in (before - after).items()})
    new = Counter(table for table, _ in (after - before).elements() if table not in GROWING)
    wrong = [f"{count} rows of {table} are gone or changed" for table, count in changed.items()]
    wrong += [f"{count} rows of {table} are new" for table, count in new.items()]
    return Line(
        "the rows of who stays are as they were", not wrong, _some(wrong) or f"{before.total()} rows, to the letter"
    )


async def _exactly_once(world: World, crowd: Crowd) -> Line:
    people = [person.account_id for person in crowd.remaining]
    queries = {
        "device": ("SELECT event_id FROM readings WHERE account_id = ANY($1)", "readings"),
        "requests": ("SELECT id FROM feedback WHERE account_id = ANY($1)", "feedback_ids"),
    }
    wrong, total = [], 0
    for service, (query, published) in queries.items():
        async with connected(world.installation.database_urls[service]) as connection:
            stored = Counter(row[0] for row in await connection.fetch(query, people))
        expected = Counter(each for person in crowd.remaining for each in getattr(person, published))
        total += expected.total()
        for what, difference in (("lost", expected - stored), ("too many", stored - expected)):
            wrong += [f"{difference.total()} {published} {what}"] * bool(difference)
    return Line(
        "readings and feedback of who stays are there exactly once", not wrong, _some(wrong) or f"{total} of them"
    )


async def _changes(world: World, crowd: Crowd) -> Line:
    people = {person.account_id: person for person in crowd.changing}
    async with connected(world.installation.database_urls["account"]) as connection:
        rows = await connection.fetch("SELECT id, nickname FROM accounts WHERE id = ANY($1)", list(people))
    nicknames = {row["id"]: row["nickname"] for row in rows}
    async with connected(world.installation.database_urls["device"]) as connection:
        query = "SELECT id, account_id, name FROM bindings WHERE account_id = ANY($1)"
        bindings = await connection.fetch(query, list(people))
    wrong = []
    for account_id, person in people.items():
        devices = {row["id"]: row["name"] for row in bindings if row["account_id"] == account_id}
        expected = {world.life.bindings[account_id][0]: f"Device of {person.nickname}"}
        if nicknames.get(account_id) != f"New {person.nickname}" or devices != expected:
            wrong.append("somebody's change is lost")
    return Line("what people changed is as they changed it", not wrong, _some(wrong) or f"{len(people)} people's")


async def _dead_letters(world: World) -> Line:
    parked: Counter[bytes] = Counter()
    for service in SERVICES:
        async with connected(world.installation.database_urls[service]) as connection:
            parked.update(row["body"] for row in await connection.fetch("SELECT body FROM dead_letters"))
    expected = Counter({body: len(readers_of(topic)) for body, topic in world.poison.items()})
    may_be_lost = {body for body, topic in world.poison.items() if topic in world.made_anew}
    missing = [body for body in expected - parked if body not in may_be_lost]
    too_many = parked - expected
    wrong = [f"{len(missing)} planted are not parked"] * bool(missing)
    wrong += [f"{too_many.total()} parked were not planted"] * bool(too_many)
    detail = _some(wrong) or f"{parked.total()} parked, {len(world.poison)} planted"
    return Line("dead letters are what was planted, and nothing else", not wrong, detail)
