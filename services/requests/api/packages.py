"""The HTTP doors to a package: logged in, or by the link and a code that is sent to the person's contact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, StringConstraints

from services.requests.commands import EndPackage, OpenPackage, SendPackageCode
from services.requests.handlers.access import NO_SUCH_PACKAGE, Opened
from services.requests.repository import packages
from shared.http import Body, count_try, done, refused
from shared.security import digest, random_code
from shared.service import Running, Service
from shared.sessions import AskingStill
from shared.throttle import Limit

router = APIRouter(prefix="/v1", tags=["packages"])

FETCHES_BY_LINK = Limit("package-fetches-by-link", 10, timedelta(hours=1))
CODES_BY_LINK = Limit("package-codes-by-link", 5, timedelta(hours=1))

Link = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Zip(StreamingResponse):
    """The package."""

    media_type = "application/zip"


class Code(Body):
    """The code that was sent to the person's contact."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{8}$")]


class Package(BaseModel):
    """A package that can be fetched."""

    request_id: UUID
    made_at: datetime
    size: int
    ends_at: datetime


# Logged in


@router.get("/packages")
async def list_packages(person: AskingStill, service: Running) -> list[Package]:
    """List the packages that one can fetch now."""
    async with service.engine.connect() as connection:
        found = await packages.of_account(connection, person.account_id)
    return [Package.model_validate(row, from_attributes=True) for row in found]


@router.get("/packages/{request_id}", response_class=Zip)
async def fetch_package(request_id: UUID, person: AskingStill, service: Running) -> Zip:
    """Fetch a package of one's own: a ZIP."""
    return await _fetched(service, OpenPackage(account_id=person.account_id, request_id=request_id))


@router.post("/packages/{request_id}/arrived", status_code=HTTPStatus.NO_CONTENT)
async def package_arrived(request_id: UUID, person: AskingStill, service: Running) -> None:
    """Say that one has it: here it is erased."""
    await done(service.bus, EndPackage(account_id=person.account_id, request_id=request_id, arrived=True))


# By link and code


@router.post("/package-links/{link}/code", status_code=HTTPStatus.ACCEPTED)
async def send_package_code(link: Link, service: Running) -> None:
    """Have a code sent to the contact of whose data it is."""
    account_id, request_id = await _found(service, link, CODES_BY_LINK)
    sends = SendPackageCode(account_id=account_id, request_id=request_id, code=random_code())
    await done(service.bus, sends)


@router.post("/package-links/{link}/fetch", response_class=Zip)
async def fetch_package_by_link(link: Link, body: Code, service: Running) -> Zip:
    """Fetch the package: a ZIP. The code is used up by it; for another try have another one sent."""
    account_id, request_id = await _found(service, link, FETCHES_BY_LINK)
    return await _fetched(service, OpenPackage(account_id=account_id, request_id=request_id, code=body.code))


@router.post("/package-links/{link}/arrived", status_code=HTTPStatus.NO_CONTENT)
async def package_arrived_by_link(link: Link, service: Running) -> None:
    """Say that one has fetched it: here it is erased."""
    account_id, request_id = await _found(service, link, FETCHES_BY_LINK)
    ends = EndPackage(account_id=account_id, request_id=request_id, arrived=True, by_link=True)
    await done(service.bus, ends)


async def _found(service: Service, link: str, limit: Limit) -> tuple[UUID, UUID]:
    """Count a try at a link, be it one or not; then look whose package it is, and of which request."""
    link_digest = digest(link)
    await count_try(service.bus, limit.at(service.settings, link_digest))
    async with service.engine.connect() as connection:
        found = await packages.by_link(connection, link_digest)
    if not found:
        raise refused(NO_SUCH_PACKAGE)
    return found.account_id, found.request_id


async def _fetched(service: Service, command: OpenPackage) -> Zip:
    opened: Opened = await done(service.bus, command)
    headers = {
        "Content-Disposition": 'attachment; filename="personal-data.zip"',
        "Content-Length": str(opened.size),
        "Cache-Control": "no-store",
    }
    return Zip(_streamed(service, opened), headers=headers)


async def _streamed(service: Service, opened: Opened) -> AsyncIterator[bytes]:
    """Decrypt chunk by chunk. What is erased meanwhile breaks off: it is shorter than was said."""
    for number in range(1, opened.chunks + 1):
        async with service.engine.connect() as connection:
            sealed = await packages.chunk(connection, opened.request_id, opened.attempt, number)
        if sealed is None:
            return
        yield opened.sealed.open(number, sealed, last=number == opened.chunks)
