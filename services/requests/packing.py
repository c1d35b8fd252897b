"""Makes packages of what owners have sent, one process at a time; what was killed in the middle is begun anew."""

from __future__ import annotations

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
from shared import failpoints
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
    await at_once(
        service.bus, [EndPackage(account_id=o.account_id, request_id=o.request_id, arrived=False) for o in over]
    )
    made = [await _make_alone(service, wrapping, row) for row in due]
    return any(made)


async def _make_alone(service: Service, wrapping: Wrapping, row: Row[Any]) -> bool:
    """Make a package; one that fails costs only itself, and is tried again."""
    try:
        await Making(service, row.request_id, row.account_id, wrapping.unwrap(row.private_key)).make(wrapping)
    except NoLongerWanted:
        return False
    except Exception as error:
        if is_transient(error):
            raise
        log.error("package fails", extra={"error": describe(error)})  # noqa: TRY400 - a trace may quote values
        return False
    return True


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
        self._first: dict[str, bytes] = {}

    async def make(self, wrapping: Wrapping) -> None:
        """Write it, keep it, and have the person told. Raises NoLongerWanted."""
        answers = await self._answers()
        about = About(self.request_id, self.service.clock())
        missing = await fill(self._archive, about, answers, self._keep_what_is_ready)
        await self._keep_what_is_ready()
        failpoints.reach("package.written")
        last = self._next(self._archive.close(), last=True)
        finish = FinishPackage(
            account_id=self.account_id,
            request_id=self.request_id,
            actor="requests",
            chunk=last,
            content_key=wrapping.wrap(self._chunks.key),
            size=self.size,
            link=random_secret(),
            missing=tuple(missing),
        )
        await self._do(finish)

    async def _answers(self) -> list[Answer]:
        async with self.service.engine.connect() as connection:
            dues = (await packages.dues(connection, [self.request_id]))[self.request_id]
            first = await packages.first_parts(connection, self.request_id)
        self._first = {owner: open_part(self._private, sealed) for owner, sealed in first.items()}
        return [self._answer(due) for due in dues]

    def _answer(self, due: Due) -> Answer:
        slices: Slices | None = partial(self._slices, due.owner, due.parts or 0) if due.answered else None
        return Answer(due.owner, slices, due.counts)

    async def _slices(self, owner: str, parts: int, first: int) -> AsyncIterator[bytes]:
        for number in range(first, parts + 1):
            known = self._first.get(owner) if number == 1 else None
            yield open_part(self._private, await self._sealed(owner, number)) if known is None else known

    async def _sealed(self, owner: str, number: int) -> str:
        async with self.service.engine.connect() as connection:
            sealed = await packages.part(connection, self.request_id, owner, number)
        if sealed is None:
            raise NoLongerWanted
        return sealed

    async def _keep_what_is_ready(self) -> None:
        while some := self._archive.ready(CHUNK):
            chunk = self._next(some, last=False)
            await self._do(KeepChunk(account_id=self.account_id, request_id=self.request_id, chunk=chunk))
            failpoints.reach("package.chunk")

    def _next(self, content: bytes, *, last: bool) -> Chunk:
        self.number += 1
        self.size += len(content)
        return Chunk(self.attempt, self.number, self._chunks.seal(self.number, content, last=last))

    async def _do(self, command: KeepChunk) -> None:
        (outcome,) = await self.service.bus.execute(command)
        if isinstance(outcome, Refusal):
            raise NoLongerWanted
