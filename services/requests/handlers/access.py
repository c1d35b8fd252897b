"""What requests does with an accepted access: has every owner export, keeps the package, lets the person fetch it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from services.requests.commands import (
    EndPackage,
    FinishPackage,
    KeepChunk,
    OnRequest,
    OpenPackage,
    RemindOfExport,
    SendPackageCode,
    TakeExportEnd,
    TakeExportPart,
)
from services.requests.domain.cases import CODE_WRONG, Request
from services.requests.domain.exports import answer_by, owing
from services.requests.handlers.desk import fulfil
from services.requests.handlers.registry import handlers
from services.requests.repository import cases, orders, packages
from services.requests.sealing import Chunks, new_pair, read_wrapping
from services.requests.settings import Settings
from shared.bus import Work
from shared.commands import Command, Refusal
from shared.contracts.requests import ExportOrdered, PackageEnded, PersonTold
from shared.security import digest

CODE_LIFE = timedelta(minutes=15)
NO_SUCH_PACKAGE = Refusal("no-such-package")
NOT_FETCHED = Refusal("not-fetched")


@dataclass(frozen=True)
class Opened:
    """A package that may be fetched: where its chunks are, and what opens them."""

    request_id: UUID
    attempt: UUID
    chunks: int
    size: int
    sealed: Chunks = field(repr=False)


def _settings(work: Work) -> Settings:
    return cast("Settings", work.settings)


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Make a pair of keys for this request alone, and have every owner export to it."""
    public, private = new_pair()
    settings = _settings(work)
    owners = sorted(await orders.owners(work.connection))
    values = {
        "request_id": request.request_id,
        "account_id": request.account_id,
        "public_key": public,
        "private_key": read_wrapping(settings.package_keys_file).wrap(private),
        "ordered_at": work.now,
        "asked_at": work.now,
        "answer_by": answer_by(work.now, settings.export_patience, request.due_at),
    }
    await packages.open_package(work.connection, values, owners)
    _order(work, command, request.request_id, owners, public)


def _order(work: Work, command: Command, request_id: UUID, owners: Sequence[str], public: dict[str, str]) -> None:
    told = {"request_id": request_id, "owners": tuple(owners), "public_key": public}
    work.announce(ExportOrdered(**work.stamp(command), **told))


# While owners answer


@handlers.of(TakeExportPart)
async def take_parts(work: Work, commands: Sequence[TakeExportPart]) -> None:
    """Keep what owners send, encrypted as it is."""
    await packages.keep_parts(work.connection, commands)
    await _call_the_roll(work, commands)


@handlers.of(TakeExportEnd)
async def take_ends(work: Work, commands: Sequence[TakeExportEnd]) -> None:
    """Note who has sent all of it."""
    await packages.note_ends(work.connection, commands, work.now)
    await _call_the_roll(work, commands)


async def _call_the_roll(work: Work, commands: Sequence[OnRequest]) -> None:
    dues = await packages.dues(work.connection, {command.request_id for command in commands})
    ready = [request_id for request_id, of_it in dues.items() if not owing(of_it)]
    if ready:
        await packages.note_ready(work.connection, ready)


@handlers.of(RemindOfExport)
async def remind_of_exports(work: Work, commands: Sequence[RemindOfExport]) -> None:
    """Repeat orders to whoever still owes; who has left is waited for no more."""
    owners = await orders.owners(work.connection)
    for command in commands:
        package = await packages.take(work.connection, command)
        if not package or package.made_at or package.ready:
            continue
        dues = await packages.dues(work.connection, [command.request_id])
        asked = owing(dues[command.request_id])
        await packages.forgo(work.connection, command.request_id, set(asked) - owners.keys())
        await packages.note_asked(work.connection, command.request_id, work.now)
        if still := [owner for owner in asked if owner in owners]:
            _order(work, command, command.request_id, still, package.public_key)
        else:
            await packages.note_ready(work.connection, [command.request_id])


# While the package is made


@handlers.of(KeepChunk)
async def keep_chunks(work: Work, commands: Sequence[KeepChunk]) -> list[Refusal | None]:
    """Keep chunks of packages that are still wanted."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        wanted = await packages.is_open(work.connection, command)
        if wanted:
            await packages.keep_chunk(work.connection, command, command.chunk)
        outcomes.append(None if wanted else NO_SUCH_PACKAGE)
    return outcomes


@handlers.of(FinishPackage)
async def finish_packages(work: Work, commands: Sequence[FinishPackage]) -> list[Refusal | None]:
    """Keep what was made, forget what it was made of, and tell the person."""
    return [await _finish(work, command) for command in commands]


async def _finish(work: Work, command: FinishPackage) -> Refusal | None:
    package = await packages.take(work.connection, command)
    if not package or package.made_at:
        return NO_SUCH_PACKAGE
    await packages.keep_chunk(work.connection, command, command.chunk)
    ends_at = work.now + _settings(work).package_kept
    made = {"made_at": work.now, "attempt": command.chunk.attempt, "chunks": command.chunk.number, "ends_at": ends_at}
    kept = {"content_key": command.content_key, "size": command.size, "link_digest": digest(command.link)}
    await packages.finish(work.connection, command, made | kept)
    told: dict[str, Any] = {"fetch_by": ends_at, "package_link": command.link, "missing": command.missing}
    await fulfil(work, command, command.request_id, notice="package-ready", **told)
    return None


# When it is fetched


@handlers.of(SendPackageCode)
async def send_codes(work: Work, commands: Sequence[SendPackageCode]) -> list[Refusal | None]:
    """Send a code to the account's contact; it takes the place of one that was sent before."""
    return [await _send_code(work, command) for command in commands]


async def _send_code(work: Work, command: SendPackageCode) -> Refusal | None:
    if not await _fetchable(work, command):
        return NO_SUCH_PACKAGE
    ends_at = work.now + CODE_LIFE
    kept = {"code_digest": _code_digest(command, command.code), "code_ends_at": ends_at}
    await packages.change(work.connection, command.request_id, **kept)
    reference = await cases.reference_of(work.connection, command.request_id)
    said = {"reference": reference, "code": command.code, "expires_at": ends_at}
    stamp = work.stamp(command)
    work.announce(PersonTold(**stamp, request_id=command.request_id, notice="package-code", parameters=said))
    return None


def _code_digest(command: OnRequest, code: str) -> str:
    return digest(str(command.request_id), code)


async def _fetchable(work: Work, command: OnRequest) -> Any:  # noqa: ANN401 - a row
    package = await packages.take(work.connection, command)
    return package if package and package.made_at and package.ends_at > work.now else None


@handlers.of(OpenPackage)
async def open_packages(work: Work, commands: Sequence[OpenPackage]) -> list[Opened | Refusal]:
    """Let the person fetch it. A code is used up by the first fetch, whatever becomes of that; the link is not."""
    return [await _open(work, command) for command in commands]


async def _open(work: Work, command: OpenPackage) -> Opened | Refusal:
    package = await _fetchable(work, command)
    if not package:
        return NO_SUCH_PACKAGE
    if command.code is not None and not _is_code(work, command, package):
        return CODE_WRONG
    used = {} if command.code is None else {"code_digest": None, "code_ends_at": None}
    await packages.change(work.connection, command.request_id, fetched_at=work.now, **used)
    key = read_wrapping(_settings(work).package_keys_file).unwrap(package.content_key)
    sealed = Chunks(command.request_id, key)
    return Opened(command.request_id, package.attempt, package.chunks, package.size, sealed)


def _is_code(work: Work, command: OpenPackage, package: Any) -> bool:  # noqa: ANN401 - a row
    if not package.code_digest or package.code_ends_at <= work.now:
        return False
    return hmac.compare_digest(package.code_digest, _code_digest(command, command.code or ""))


@handlers.of(EndPackage)
async def end_packages(work: Work, commands: Sequence[EndPackage]) -> list[Refusal | None]:
    """Erase chunks and key."""
    return [await _end(work, command) for command in commands]


async def _end(work: Work, command: EndPackage) -> Refusal | None:
    package = await packages.take(work.connection, command)
    if not package or not package.made_at:
        return NO_SUCH_PACKAGE
    if command.by_link and not package.fetched_at:
        return NOT_FETCHED
    if not command.arrived and package.ends_at > work.now:
        return NO_SUCH_PACKAGE
    await packages.end(work.connection, command.request_id)
    ended = {"request_id": command.request_id, "arrived": command.arrived}
    work.announce(PackageEnded(**work.stamp(command), **ended))
    return None
