"""Exports for tests: a key as a request has one, the order of that request, and what an owner sends for it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.requests.sealing import new_pair, open_part, private_key
from shared.contracts.requests import ExportOrdered
from tests.builders import Person, fact, named
from tests.rooms import SERVICES, Room


@dataclass
class Wish:
    """An access request of somebody: its id, its pair of keys, the order to all owners."""

    person: Person
    pair: tuple[dict[str, str], bytes] = field(default_factory=new_pair)

    @property
    def request_id(self) -> UUID:
        return named("access", self.person.name)

    def order(self, *owners: str) -> ExportOrdered:
        """State the order, or repeat it."""
        told = {"request_id": self.request_id, "owners": owners or SERVICES, "public_key": self.pair[0]}
        return fact(ExportOrdered, self.person, **told)

    async def stream(self, room: Room) -> bytes:
        """Decrypt what stands in the outbox for this request, and put it together by number."""
        key = private_key(self.pair[1])
        parts = {each["number"]: open_part(key, each["sealed"]) for each in await self._sent(room, "ExportPart")}
        assert sorted(parts) == list(range(1, len(parts) + 1))
        return b"".join(parts[number] for number in sorted(parts))

    async def sheets(self, room: Room) -> dict[str, list[dict[str, Any]]]:
        """Read the rows that were sent, by table; each by the names of its columns."""
        sheets: dict[str, list[dict[str, Any]]] = defaultdict(list)
        table, names = "", []
        for line in map(json.loads, (await self.stream(room)).splitlines()):
            if isinstance(line, dict):
                table, names = line["table"], [column["name"] for column in line["columns"]]
            else:
                sheets[table].append(dict(zip(names, line, strict=True)))
        return dict(sheets)

    async def ends(self, room: Room) -> list[dict[str, Any]]:
        """Read what was said of its end: parts and counts, each time."""
        return [
            {name: each[name] for name in ("parts", "counts")} for each in await self._sent(room, "ExportCompleted")
        ]

    async def _sent(self, room: Room, kind: str) -> list[dict[str, Any]]:
        mine = str(self.request_id)
        return [e for e in await room.announced() if e["type"] == kind and e["request_id"] == mine]
