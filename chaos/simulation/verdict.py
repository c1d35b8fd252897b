"""What has to hold when the system is at rest, whatever went wrong before; each violation is a sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chaos.simulation.people import Person
from chaos.simulation.room import SERVICES
from chaos.simulation.world import World
from services.notifier.commands import Kind
from shared.contracts.account import POLICY
from shared.contracts.topics import INSTALLMENTS
from shared.personal_data import OfAccount

DRAWN = 4
"""The version of ids that are drawn at random."""


def at_rest(world: World) -> Iterator[str]:
    """Name what does not hold."""
    for person in world.people:
        if person.leaves:
            yield from _gone(world, person)
            yield from _proven(world, person)
            yield from _told(world, person)
        elif any(world.is_closed(person, service) for service in SERVICES):
            yield f"{person.mark} was cancelled without having wished so"
        yield from _silent(world, person)
    yield from _in_order(world)


def _silent(world: World, person: Person) -> Iterator[str]:
    """Look whether nothing is there that was collected while that was withdrawn, by account's ledger."""
    periods = [
        row
        for row in world.stores["account"].rows("consent_periods")
        if row["account_id"] == person.account_id and not row["given"]
    ]
    for service, table, column in (("device", "readings", "measured_at"), ("requests", "feedback", "submitted_at")):
        at = [r[column] for r in world.stores[service].rows(table) if r["account_id"] == person.account_id]
        scopes = (POLICY, f"collection:{service}")
        if any(
            row["since"] <= moment and (row["until"] is None or moment < row["until"])
            for row in periods
            for moment in at
            if row["scope"] in scopes
        ):
            yield f"{person.mark}: {service} has {table} of a time in which that was withdrawn"


def _held(table: str, row: Mapping[str, Any]) -> bool:
    """Tell whether a row of a closed account is what it may hold."""
    return table == "installments" or (table == "dead_letters" and row["topic"] == INSTALLMENTS.name)


def _gone(world: World, person: Person) -> Iterator[str]:
    for service, store in world.stores.items():
        if not world.is_closed(person, service):
            yield f"{person.mark} is not closed in {service}"
        for name, shelf in store.shelves.items():
            word = shelf.table.info["rows"]
            for row in shelf.rows.values():
                mine = isinstance(word, OfAccount) and row[word.column] == person.account_id
                if (mine and not _held(name, row)) or person.mark in repr(row):
                    yield f"{person.mark} is left in {service}'s {name}"
    for record in (each for records in world.broker.log.records.values() for each in records):
        if person.mark.encode() in (record.key or b"") + (record.value or b""):
            yield f"{person.mark} is left on {record.topic}"


def _proven(world: World, person: Person) -> Iterator[str]:
    orders = [row for row in world.stores["requests"].rows("orders") if row["account_id"] == person.account_id]
    if len(orders) != 1:
        yield f"{person.mark} has {len(orders)} orders"
        return
    order = orders[0]
    facts = list(_facts_about(world, person))
    names = [fact["type"] for fact in facts]
    for name in ("AccountCancelled", "ErasureSettled", "ErasureCompleted"):
        if names.count(name) != 1:
            yield f"{person.mark}: {names.count(name)} times {name}"
    certificate = order["certificate"] or {"owners": []}
    answered = [each["owner"] for each in certificate["owners"] if each["answered_at"]]
    if answered != sorted(SERVICES):
        yield f"{person.mark}: the certificate names {answered}"
    yield from _phases(person, facts)


def _phases(person: Person, facts: list[dict[str, Any]]) -> Iterator[str]:
    """Everybody answers before the order settles but the contact, which answers before it completes."""
    settled = completed = False
    answered: set[str] = set()
    for fact in facts:
        match fact["type"]:
            case "DataErased":
                answered.add(fact["source"])
                if fact["source"] == "notifier" and not settled:
                    yield f"{person.mark}: notifier has answered before the order was settled"
            case "ErasureSettled":
                settled = True
                if answered != set(SERVICES) - {"notifier"}:
                    yield f"{person.mark}: settled when {sorted(answered)} had answered"
            case "ErasureCompleted":
                completed = True
                if answered != set(SERVICES):
                    yield f"{person.mark}: completed when {sorted(answered)} had answered"
    if settled != completed:
        yield f"{person.mark}: settled, not completed"


def _facts_about(world: World, person: Person) -> Iterator[dict[str, Any]]:
    """List what the services have stated about a person, each fact once, in the order in which the broker took it."""
    seen = set()
    for record in world.broker.log.history:
        if (
            record.topic.partition(".")[0] in SERVICES
            and record.key == str(person.account_id).encode()
            and record.value
        ):
            try:
                fact = json.loads(record.value)
            except ValueError:
                continue
            owner = record.topic.partition(".")[0]
            if fact.get("id") and fact["id"] not in seen and fact.get("source") == owner and fact["type"] != "New":
                seen.add(fact["id"])
                yield fact


def _told(world: World, person: Person) -> Iterator[str]:
    mails = [each for each in world.post.delivered if each.account_id == person.account_id]
    last = {each.message for each in mails if each.kind is Kind.CANCELLATION_COMPLETED}
    received = {each.message for each in mails if each.kind is Kind.CANCELLATION_RECEIVED}
    receipt = world.stores["notifier"].shelves["closed_accounts"].rows.get((person.account_id,), {})
    undeliverable = receipt.get("remark") == "undeliverable"
    if len(last) > 1 or (not last and not undeliverable):
        yield f"{person.mark} got {len(last)} last messages"
    if len(received) > 1 or (last and not received):
        yield f"{person.mark} got {len(received)} messages that the cancellation was received"
    if last and mails[-1].kind is not Kind.CANCELLATION_COMPLETED:
        yield f"{person.mark} got {mails[-1].kind} after the last message"
    if last and mails[-1].email != person.email:
        yield f"{person.mark} was told at an address of before"


def _in_order(world: World) -> Iterator[str]:
    """Look whether what was committed to be published stands on its topic, in the order of the commits."""
    first: dict[tuple[str, str], list[UUID]] = {}
    known: Counter[UUID] = Counter()
    for record in world.broker.log.history:
        place = record.topic, (record.key or b"").decode(errors="replace")
        if place in world.announced:
            event_id = _id_of(record.value)
            if event_id in world.announced[place] and not known[event_id]:
                known[event_id] += 1
                first.setdefault(place, []).append(event_id)
    for place, announced in world.announced.items():
        if first.get(place, []) != announced:
            yield f"{place[0]}: facts of one key are missing or out of order"


def _id_of(value: bytes | None) -> UUID:
    try:
        return UUID(json.loads(value or b"")["id"])
    except (ValueError, LookupError, TypeError):
        return UUID(int=0)


def bystanders(world: World, plain: World) -> Iterator[str]:
    """Name what is not as in a run without faults of what belongs to people who stay."""
    for person in plain.people:
        mine, meant = _rows_of(world, person), _rows_of(plain, person)
        yield from (
            f"{person.mark}: {place} is {mine[place]}, without faults {meant[place]}"
            for place in meant
            if mine[place] != meant[place]
        )


def _rows_of(world: World, person: Person) -> dict[str, list[Any]]:
    found = {}
    for service, store in world.stores.items():
        for name, shelf in store.shelves.items():
            word = shelf.table.info["rows"]
            if isinstance(word, OfAccount) and not (person.wavers and name in ("notices", "cancellations")):
                rows = [row for row in shelf.rows.values() if row[word.column] == person.account_id]
                found[f"{service}'s {name}"] = sorted((_plain(row) for row in rows), key=repr)
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show a row without what the clock or chance has said.

    Nor when an instalment lapses: that it was paid may be heard first, and then nobody asks when it would.
    """
    return {
        name: _plain(value) if isinstance(value, dict) else value
        for name, value in row.items()
        if not _by_chance(name, value)
    }


BY_CHANCE = ("declined", "lapses_at", "occurred_at", "undo_until", "silent", "reference")
"""Columns and parameters in which the clock or chance has the word."""


def _by_chance(name: str, value: object) -> bool:
    drawn = isinstance(value, UUID) and value.version == DRAWN
    return drawn or isinstance(value, datetime) or name in BY_CHANCE


def state(world: World) -> dict[str, Any]:
    """Show all that the services know, to see whether it changes."""
    return {
        f"{service} {name}": {key: dict(row) for key, row in shelf.rows.items()}
        for service, store in world.stores.items()
        for name, shelf in store.shelves.items()
        if name not in ({"positions", "inbox"} if world.passed_over else {"positions"})
    }


def holds_anything(world: World) -> bool:
    """Tell whether something of people who have left is kept on a ground."""
    return any(
        mark in repr(world.stores["account"].shelves)
        for person in world.people
        for mark in person.marks[1:]
        if person.leaves
    ) or any(
        row["account_id"] == person.account_id
        for person in world.people
        if person.leaves
        for row in world.stores["account"].rows("dead_letters")
    )


def nothing_held(world: World) -> Iterator[str]:
    """Name what is left of people whose holds have ended, and what the certificate does not say of them."""
    for person in (each for each in world.people if each.leaves):
        for service, store in world.stores.items():
            for name, shelf in store.shelves.items():
                if any(mark in repr(row) for row in shelf.rows.values() for mark in person.marks):
                    yield f"{person.mark} is left in {service}'s {name}"
        yield from _supplemented(world, person)


def _supplemented(world: World, person: Person) -> Iterator[str]:
    """Look whether what was kept of each category has been erased since, and the certificate says so."""
    for order in world.stores["requests"].rows("orders"):
        if order["account_id"] == person.account_id:
            for entry in (order["certificate"] or {"owners": []})["owners"]:
                kept: Counter[str] = Counter()
                for item in entry["items"]:
                    kept[item["category"]] += item["count"] if item["outcome"] == "kept" else 0
                for item in entry["items"]:
                    kept[item["category"]] -= (
                        item["count"] if item["outcome"] == "erased" and kept[item["category"]] else 0
                    )
                if any(number > 0 for number in kept.values()):
                    yield f"{person.mark}: {entry['owner']} still keeps {+kept} by the certificate"
