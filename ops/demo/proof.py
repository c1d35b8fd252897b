"""What has to be true when the story is over: certificate, no leftovers, the bystander as before."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from ops.demo.doors import until
from ops.demo.leftovers import (
    KNOWN_PRODUCTS,
    Marks,
    Raw,
    Rows,
    Search,
    raw_residue,
    rows_about,
    search,
    search_topics,
    take_statistics,
)
from ops.demo.people import Person
from ops.demo.plants import planted
from ops.demo.stage import Stage
from ops.demo.story import FEEDBACK_A_PERSON, READINGS_A_DEVICE, erased
from ops.system import System

PURGE_PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1
PASSING = (".outbox", ".messages")
"""Tables that rows only pass through."""
# The words by which the certificate declares what the engines' files keep.
DECLARED = {
    "log segments of the broker": "log segments",
    "write-ahead log of the databases": "write-ahead log",
    "pages of the databases": "dead rows",
}
PUT_IN = {
    "avatar": 1,
    "nickname": 1,
    "email": 1,
    "password": 1,
    "contact": 1,
    "feedback": FEEDBACK_A_PERSON,
    "device-data": 2 + 2 * READINGS_A_DEVICE,
}
"""What the receipts must count: two bindings among the data of devices."""


@dataclass
class Proof:
    """Collects what was looked at, before and after."""

    system: System
    stage: Stage
    person: Person
    bystander: Person
    since: datetime
    before: dict[str, Rows] = field(default_factory=dict)
    rows_erased: int = 0
    purged_after_ms: int = 0
    search: Search | None = None
    raw: list[Raw] = field(default_factory=list)
    plants: dict[str, str] = field(default_factory=dict)

    async def remember(self) -> None:
        """Note every row of both people, just before the one goes."""
        with self.stage.step("every row is noted down") as step:
            self.before = await self._rows()
            counts = {name: rows.total() for name, rows in self.before.items()}
            step.detail = "; ".join(f"{count:,} of {name}" for name, count in counts.items())
        with self.stage.step("PostgreSQL takes statistics") as step:
            await take_statistics(self.system.installation.database_urls)
            step.detail = "as it does by itself sooner or later; they keep values of rows that are deleted since"

    async def _rows(self) -> dict[str, Rows]:
        """Read both people's rows, once none of them is on its way to somewhere else."""

        async def at_rest() -> dict[str, Rows] | None:
            urls = self.system.installation.database_urls
            people = (self.person, self.bystander)
            rows = {p.name: await rows_about(urls, Marks(*p.marks, str(p.account_id))) for p in people}
            tables = {table for found in rows.values() for table, _ in found}
            return None if any(table.endswith(PASSING) for table in tables) else rows

        return await until("rest in every outbox", at_rest)

    def certificate(self, order: dict[str, Any]) -> None:
        """Show it, and check that it counts what the person had put in."""
        certificate = order["certificate"]
        self.stage.note("the certificate", f"order {certificate['order_id']}, SHA-256 {certificate['sha256']}")
        rows = [(owner["owner"], erased(owner), _otherwise(owner)) for owner in certificate["owners"]]
        self.stage.table("owner", "erased", "otherwise", rows=rows)
        residue = [(each["until"][:16].replace("T", " "), each["what"]) for each in certificate["residue"]]
        self.stage.table("until (UTC)", "what may stay", rows=residue)
        self._check_certificate(certificate)

    def _check_certificate(self, certificate: dict[str, Any]) -> None:
        signed = {name: value for name, value in certificate.items() if name != "sha256"}
        canonical = json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
        if hashlib.sha256(canonical).hexdigest() != certificate["sha256"]:
            self.stage.fail("the certificate's digest does not fit the certificate")
        items = [item for owner in certificate["owners"] for item in owner["items"]]
        counts = {item["category"]: item["count"] for item in items}
        for category, count in PUT_IN.items():
            if counts.get(category) != count:
                self.stage.fail(f"the receipts count {counts.get(category)} of {category}; {count} was put in")

    async def search_everything(self) -> None:
        """Search every table, topic and file for what the person had put in."""
        installation, marks = self.system.installation, Marks(*self.person.marks)
        with self.stage.step("personal topics are emptied") as step:
            step.detail = await self._wait_for_purge(marks)
        with self.stage.step("everything is searched") as step:
            self.search = await search(installation, marks)
            step.detail = said_of(self.search)
        for place in self.search.leftovers:
            self.stage.fail(f"something of {self.person.name} is left in {place}")
        if not self.search.leftovers:
            self.stage.note("leftovers", "none")
        if self.search.found:
            self.stage.note("products", "two serials stand there as of devices that were made, whoever had them")

    async def _wait_for_purge(self, marks: Marks) -> str:
        started = monotonic()
        while True:
            topics = Search(marks)
            await search_topics(topics, self.system.installation.kafka)
            waited = monotonic() - started
            if not topics.found or waited > PURGE_PATIENCE_SECONDS:
                self.purged_after_ms = round(waited * 1000)
                return "behind their readers" if not topics.found else f"not within {waited:.0f} s"
            await asyncio.sleep(POLL_SECONDS)

    def declared_residue(self, certificate: dict[str, Any]) -> None:
        """Count what the engines' raw files still hold: no more than the certificate says, with its end."""
        ends = {each["what"]: each["until"] for each in certificate["residue"]}
        self.raw = raw_residue(self.system.installation.directory, self.person.marks, self.since)
        self.stage.note("declared residue", "what the engines' raw files still hold, each with its end")
        rows = []
        for raw in self.raw:
            end = next((until for what, until in ends.items() if DECLARED[raw.what] in what), "")
            if raw.occurrences and not end:
                self.stage.fail(f"the certificate does not say that the {raw.what} may keep something")
            counts = (f"{raw.occurrences:,}", f"{raw.files:,}") if raw.files else ("not here", "")
            rows.append((raw.what, *counts, end[:16].replace("T", " ")))
        self.stage.table("where", "marks", "files written", "until (UTC)", rows=rows, numbers=(1, 2))

    async def compare(self) -> None:
        """Hold what the tables say now against what was noted down."""
        with self.stage.step("the rows are compared") as step:
            after = await self._rows()
            gone = self.before[self.person.name] - after[self.person.name]
            self.rows_erased = gone.total()
            same = after[self.bystander.name] == self.before[self.bystander.name]
            step.detail = f"{self.rows_erased:,} of {self.person.name}'s are erased; {self.bystander.name}'s " + (
                f"{after[self.bystander.name].total():,} are the same to the letter" if same else "have changed"
            )
        self._show_marks_of_the_closed(after[self.person.name])
        for table, _ in after[self.person.name] - self.before[self.person.name]:
            if table in KNOWN_PRODUCTS:
                self.stage.fail(f"{table} tells of {self.person.name}'s devices what it did not before")
        for table, count in sorted(_difference(self.before, after, self.bystander.name).items()):
            self.stage.fail(f"{count} of {self.bystander.name}'s rows in {table} are not as they were")

    def _show_marks_of_the_closed(self, rows: Rows) -> None:
        tables = Counter(table for table, _ in rows.elements() if table not in KNOWN_PRODUCTS)
        named = ", ".join(f"{table} {count}" for table, count in sorted(tables.items()))
        self.stage.note("random ids, as declared", named)

    async def plant(self) -> None:
        """Plant a leftover everywhere: the search must find each, there, and nothing else."""
        self.stage.scene("The search is put to the test")
        installation, marks = self.system.installation, Marks(*self.person.marks)
        await self.system.supervisor.stop()
        async with planted(installation, self.person.mark) as self.plants:
            found = (await search(installation, marks)).leftovers
        for kind, place in self.plants.items():
            if place in found:
                self.stage.note(kind, f"planted and found in {place}")
            else:
                self.stage.fail(f"what was planted in {kind} was not found in {place}")
        for place in set(found) - set(self.plants.values()):
            self.stage.fail(f"found where nothing was planted: {place}")
        for place in (await search(installation, marks)).leftovers:
            self.stage.fail(f"what was planted could not be taken out of {place}")


def said_of(result: Search) -> str:
    """Say how much was searched."""
    places = ", ".join(f"{count} {kind}" for kind, count in result.places.items())
    return f"{places}: {result.records:,} records, for {len(result.marks)} forms of the marks"


def _otherwise(owner: dict[str, Any]) -> str:
    others = [item for item in owner["items"] if item["outcome"] != "erased"]
    return ", ".join(f"{item['category']}: {item['outcome']}" for item in others)


def _difference(before: dict[str, Rows], after: dict[str, Rows], name: str) -> Counter[str]:
    changed = (before[name] - after[name]) + (after[name] - before[name])
    return Counter(table for table, _ in changed.elements())
