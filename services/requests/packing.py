"""Makes packages of what owners have sent, one process at a time; what was killed in the middle is begun anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from services.requests.commands import Chunk, EndPackage, FinishPackage, KeepChunk
from services.requests.domain.exports import Due
from services.requests.package.archive import Archive
from services.requests.package.contents import About, Answer, fill
from services.requests.package.sheets import Slices
from services.requests.repository import packages
from services.requests.sealing import Chunks, Wrapping, open_part, private_key, read_wrapping
from services.requests.settings import Settings
from shared.background import again_and_again, at_once, rest
from shared.commands import Refusal
from shared.database import sole_holder
from shared.errors import describe, is_transient
from shared.security import random_secret
from shared.service import Service, Task

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
IDLE_SECONDS = 1.0
RESTART_SECONDS = 0.5


class NoLongerWanted(Exception):  # noqa: N818 - reads as what it is
    """The account was closed, or another process was faster."""


def packer(settings: Settings) -> Task:
    """Make the task that makes packages, and ends those whose time is over."""
    wrapping = read_wrapping(settings.package_keys_file)

    async def pack_for_ever(service: Service) -> None:
        async def pack() -> None:
            async with sole_holder(service.engine, "packer"):
                while True:
                    if not await pack_once(service, wrapping):
                        await rest(service.bus.worked, IDLE_SECONDS)

        await again_and_again("packer", pack, RESTART_SECONDS)

    return pack_for_ever


async def pack_once(service: Service, wrapping: Wrapping) -> bool:
    """Make what can be made now, and end what is over; false where there was nothing to make, or nothing could be."""
    async with service.engine.connect() as connection:
        due = await packages.to_make(connection, service.clock())
        over = await packages.over(connection, service.clock())
    ends = [EndPackage(account_id=each.account_id, request_id=each.request_id, arrived=False) for each in over]
    written = await asyncio.gather(*(_written(service, wrapping, row) for row in due))
    finished = [each for each in written if each]
    await at_once(service.bus, ends)
    failed = await at_once(service.bus, finished)
    return len(failed) < len(finished)


async def _written(service: Service, wrapping: Wrapping, row: Row[Any]) -> FinishPackage | None:
    """Write a package; one that fails costs only itself, and is tried again."""
    try:
        making = Making(service, row.request_id, row.account_id, wrapping.unwrap(row.private_key))
        return await making.written(wrapping)
    except NoLongerWanted:
        return None
    except Exception as error:
        if is_transient(error):
            raise
        log.error("package fails", extra={"error": describe(error)})  # noqa: TRY400 - a trace may quote values
        async with service.engine.begin() as connection:
            await packages.note_asked(connection, row.request_id, service.clock())  # others come before it
        return None


@dataclass
class Making:
    """One attempt at a package: its chunks are kept as they come, under a key that nobody has before it is made."""

    service: Service
    request_id: UUID
    account_id: UUID
    key: bytes = field(repr=False)
    attempt: UUID = field(default_factory=uuid4)
    number: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        self._archive = Archive(self.service.clock())
        self._chunks = Chunks(self.request_id)
        self._private = private_key(self.key)
        self._first: dict[str, str] = {}
        self._opened: dict[str, bytes] = {}

    async def written(self, wrapping: Wrapping) -> FinishPackage:
        """Write it, and say what is left to be done, together with others. Raises NoLongerWanted."""
        about = About(self.request_id, self.service.clock())
        missing = await fill(self._archive, about, await self._answers(), self._keep_what_is_ready)
        await self._keep_what_is_ready()
        return FinishPackage(
            account_id=self.account_id,
            request_id=self.request_id,
            actor="requests",
            chunk=self._next(self._archive.close(), last=True),
            content_key=wrapping.wrap(self._chunks.key),
            size=self.size,
            link=random_secret(),
            missing=tuple(missing),
        )

    async def _answers(self) -> list[Answer]:
        async with self.service.engine.connect() as connection:
            dues = (await packages.dues(connection, [self.request_id]))[self.request_id]
            self._first = await packages.first_parts(connection, self.request_id)
        return [self._answer(due) for due in dues]

    def _answer(self, due: Due) -> Answer:
        slices: Slices | None = partial(self._slices, due.owner, due.parts or 0) if due.answered else None
        return Answer(due.owner, slices, due.counts)

    async def _slices(self, owner: str, parts: int, first: int) -> AsyncIterator[bytes]:
        for number in range(first, parts + 1):
            if number > 1:
                yield open_part(self._private, await self._sealed(owner, number))
                continue
            # Of most there is no other part, and it is read again for every file.
            if owner not in self._opened:
                self._opened[owner] = open_part(self._private, self._first[owner])
            yield self._opened[owner]

    async def _sealed(self, owner: str, number: int) -> str:
        async with self.service.engine.connect() as connection:
            sealed = await packages.part(connection, self.request_id, owner, number)
        if sealed is None:
            raise NoLongerWanted
        return sealed

    async def _keep_what_is_ready(self) -> None:
        while some := self._archive.ready(CHUNK):
            chunk = self._next(some, last=False)
            keep = KeepChunk(account_id=self.account_id, request_id=self.request_id, chunk=chunk)
            (outcome,) = await self.service.bus.execute(keep)
            if isinstance(outcome, Refusal):
                raise NoLongerWanted

    def _next(self, content: bytes, *, last: bool) -> Chunk:
        self.number += 1
        self.size += len(content)
        return Chunk(self.attempt, self.number, self._chunks.seal(self.number, content, last=last))
