"""An access request in tests, from wish to package: the rooms of all owners, and what they say to each other."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zipfile import ZipFile

from joserfc.jwe import encrypt_compact
from joserfc.jwk import OKPKey
from sqlalchemy import insert

from services.requests.commands import Submit
from services.requests.models import Owner
from services.requests.packing import pack_once
from services.requests.sealing import read_wrapping
from services.requests.settings import Settings
from shared.background import each_alone
from shared.contracts.base import Event
from shared.contracts.receipts import ExportCompleted, ExportPart
from shared.contracts.requests import Channel, ExportOrdered, Kind
from shared.exporting import SEALED_AS, unfinished
from tests.builders import ANNA, NOON, Person, fact, named
from tests.commands import KNOW_THE_PRODUCT, KNOWN, bound, logged_in, registered
from tests.doors import Door
from tests.rooms import SERVICES, OpenRoom, Room


@dataclass
class House:
    """All rooms, and the door of requests."""

    rooms: dict[str, Room]
    door: Door

    @property
    def requests(self) -> Room:
        return self.rooms["requests"]

    async def wishes(self, person: Person = ANNA) -> UUID:
        """Have a person ask for a record, logged in; gives the id of the request."""
        request_id = named("access", person.name)
        wish = Submit(
            account_id=person.account_id,
            request_id=request_id,
            reference=f"the reference of {person.name}",
            kind=Kind.ACCESS,
            channel=Channel.APP,
            known=True,
            scope={},
        )
        await self.requests.does(wish)
        return request_id

    async def owners_answer(self, *owners: str) -> None:
        """Have the owners export, and requests hear of it."""
        order = (await self.said("requests", ExportOrdered))[-1]
        for owner in owners or SERVICES:
            await self.rooms[owner].hears(order)
            while left := await unfinished(self.rooms[owner].bus):
                assert await each_alone(self.rooms[owner].bus, left) == []
            await self.requests.hears(*await self.said(owner, ExportPart), *await self.said(owner, ExportCompleted))

    async def said(self, owner: str, kind: type[Event]) -> list[Any]:
        """Read what an owner has announced of a kind."""
        return [kind.model_validate(e) for e in await self.rooms[owner].announced() if e["type"] == kind.__name__]

    async def stranger_sends(self, stream: bytes, counts: dict[str, int], person: Person = ANNA) -> UUID:
        """Have an owner that nobody knew of answer with these bytes, all others as they do, and the package made."""
        named_owner = {"name": "diary", "phase": "data", "categories": [], "admitted_at": NOON, "left": False}
        async with self.requests.engine.begin() as connection:
            await connection.execute(insert(Owner), named_owner)
        request_id = await self.wishes(person)
        await self.owners_answer()
        key = OKPKey.import_key((await self.said("requests", ExportOrdered))[-1].public_key)
        told = {"source": "diary", "request_id": request_id}
        sealed = encrypt_compact(SEALED_AS, stream, key)
        await self.requests.hears(
            fact(ExportPart, person, number=1, sealed=sealed, **told),
            fact(ExportCompleted, person, parts=1, counts=counts, **told),
        )
        assert await self.packs()
        return request_id

    async def packs(self) -> bool:
        """Make what can be made."""
        settings = self.requests.settings
        assert isinstance(settings, Settings)
        return await pack_once(self.door.app.state.service, read_wrapping(settings.package_keys_file))

    async def told(self, notice: str) -> list[dict[str, Any]]:
        """Read what the person was told."""
        messages = [e for e in await self.requests.announced() if e["type"] == "PersonTold"]
        return [each["parameters"] for each in messages if each["notice"] == notice]

    async def package(self, person: Person = ANNA) -> Contents:
        """Go all the way, logged in: ask, have it made, fetch it."""
        request_id = await self.wishes(person)
        await self.owners_answer()
        assert await self.packs()
        return await self.fetched(request_id, person)

    async def fetched(self, request_id: UUID, person: Person = ANNA) -> Contents:
        """Fetch a package, logged in."""
        answer = await self.door.ask("GET", f"/packages/{request_id}", by=self.door.token_of(person))
        assert answer.is_success, answer.text
        return Contents(answer.content)


class Contents:
    """What is in a package."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.zip = ZipFile(io.BytesIO(content))
        assert self.zip.testzip() is None
        self.names = self.zip.namelist()
        self.manifest = json.loads(self.zip.read("manifest.json"))
        self.page = self.zip.read("index.html").decode()

    def json(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Read a file for programs."""
        return json.loads(self.zip.read(f"{path}.json"))

    def csv(self, path: str) -> str:
        """Read a file for spreadsheets."""
        return self.zip.read(f"{path}.csv").decode("utf-8-sig")


async def settled(room: OpenRoom) -> dict[str, Room]:
    """Open all rooms, with an account, a device, and where messages go."""
    rooms = {service: await room(service) for service in SERVICES}
    await rooms["account"].does(*registered(ANNA), logged_in(ANNA))
    await rooms["device"].run(KNOW_THE_PRODUCT, **KNOWN)
    await rooms["device"].does(bound(ANNA))
    return rooms
