"""Device's HTTP door: request -> command -> status code. No rules."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import RowMapping

from services.device import repository
from services.device.commands import BindDevice, RenameDevice, UnbindDevice
from services.device.domain import GivenName
from services.device.repository import Span
from shared.contracts.base import Moment, Text
from shared.http import (
    Body,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Problem,
    done,
    etag,
    expected_version,
    id_for,
)
from shared.pages import After, Cursor, Limit, Page, page
from shared.security import Person, digest, internal_door
from shared.service import Running, Service
from shared.sessions import Asking, AskingStill, AskingToUse

router = APIRouter(tags=["devices"])

Name = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
Since = Annotated[Moment | None, Query(alias="from", description="The first moment of the span.")]
Until = Annotated[Moment | None, Query(alias="to", description="The moment after the span.")]
STREAMED = 250
"""So many readings are fetched at a time for a stream: what is in memory of it."""


class NewDevice(Body):
    """What stands on the device and in its box, and a name of one's own."""

    serial: Name
    pairing_code: Name
    name: GivenName | None = None


class NewName(Body):
    """Another name; `null` for none."""

    name: GivenName | None


class Device(BaseModel):
    """A device of one's own. The binding's id is what its readings name."""

    binding_id: UUID
    serial: str
    name: str | None
    model: str
    bound_at: datetime


class Measured(BaseModel):
    """What a device has measured at a time."""

    measured_at: datetime
    values: dict[str, float]


class Latest(Measured):
    """The latest reading of a device."""

    binding_id: UUID


class Product(Body):
    """A device that was made."""

    serial: Name
    model: Name
    pairing_code: Name


class Products(Body):
    """Devices that were made."""

    products: list[Product] = Field(min_length=1, max_length=1000)


@router.post("/v1/devices", status_code=HTTPStatus.CREATED)
async def add_device(
    body: NewDevice, person: Asking, service: Running, response: Response, key: IdempotencyKey = None
) -> Device:
    """Add a device. One's own again is the same; whatever is wrong, the answer does not tell who has it."""
    command = BindDevice(
        account_id=person.account_id,
        serial=body.serial,
        pairing_digest=digest(body.serial, body.pairing_code),
        binding_id=id_for(key, "binding", person.account_id, body.serial),
        name=body.name,
    )
    bound = await done(service.bus, command)
    device, response.headers["ETag"] = await _device(service, person, bound.binding_id)
    return device


async def _device(service: Service, person: Person, binding_id: UUID) -> tuple[Device, str]:
    async with service.engine.connect() as connection:
        found = await repository.bindings(connection, person.account_id, only=binding_id)
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-device")
    return Device(**found[0]), etag(found[0]["version"])


@router.get("/v1/devices")
async def list_devices(
    person: AskingStill, service: Running, limit: Limit = 100, after: After = None
) -> Page[Device]:
    """List one's devices, in the order in which they were added."""
    async with service.engine.connect() as connection:
        found = await repository.bindings(connection, person.account_id, limit, after)
    return Page[Device](**page(found, limit, lambda row: Cursor(row["bound_at"], row["binding_id"])))


@router.get("/v1/devices/{binding_id}", responses={HTTPStatus.NOT_MODIFIED: {"description": "As it was seen."}})
async def see_device(
    binding_id: UUID, person: AskingStill, service: Running, response: Response, seen: IfNoneMatch = None
) -> Device:
    """See a device of one's own."""
    device, tag = await _device(service, person, binding_id)
    if seen == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})  # type: ignore[return-value] # FastAPI sends a response as it is
    response.headers["ETag"] = tag
    return device


@router.patch("/v1/devices/{binding_id}")
async def rename_device(
    binding_id: UUID, body: NewName, person: Asking, service: Running, response: Response, *, seen: IfMatch = None
) -> Device:
    """Give a device of one's own another name."""
    version = expected_version(seen)
    command = RenameDevice(account_id=person.account_id, binding_id=binding_id, name=body.name, version=version)
    await done(service.bus, command)
    device, response.headers["ETag"] = await _device(service, person, binding_id)
    return device


@router.delete("/v1/devices/{binding_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_device(binding_id: UUID, person: Asking, service: Running, seen: IfMatch = None) -> None:
    """Delete a device of one's own, with all that it has reported."""
    version = expected_version(seen)
    await done(service.bus, UnbindDevice(account_id=person.account_id, binding_id=binding_id, version=version))


@router.get("/v1/readings/latest")
async def latest_readings(person: AskingToUse, service: Running) -> list[Latest]:
    """See the latest reading of each device of one's own."""
    async with service.engine.connect() as connection:
        return [Latest(**row) for row in await repository.latest(connection, person.account_id)]


async def _span(
    binding_id: UUID, person: AskingStill, service: Running, since: Since = None, until: Until = None
) -> Span:
    if since and until and since > until:
        faults = [{"field": "query.to", "fault": "before_from"}]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "See `faults`.", faults=faults)
    await _device(service, person, binding_id)
    return Span(person.account_id, binding_id, since, until)


Asked = Annotated[Span, Depends(_span)]


@router.get("/v1/devices/{binding_id}/readings")
async def list_readings(
    span: Asked, _: AskingToUse, service: Running, limit: Limit = 100, after: After = None
) -> Page[Measured]:
    """List what a device of one's own has measured in a span of time, latest first."""
    async with service.engine.connect() as connection:
        found = await repository.readings(connection, span, limit, after, latest_first=True)
    return Page[Measured](**page(found, limit, _place))


def _place(row: RowMapping) -> Cursor:
    return Cursor(row["measured_at"], row["event_id"])


class CsvFile(StreamingResponse):
    """Comma-separated values (RFC 4180), to be kept as a file."""

    media_type = "text/csv"


class JsonLinesFile(StreamingResponse):
    """A JSON object on each line, to be kept as a file."""

    media_type = "application/x-ndjson"


def _kept_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@router.get("/v1/devices/{binding_id}/readings.csv", response_class=CsvFile)
async def readings_as_csv(span: Asked, service: Running) -> CsvFile:
    """Take along what a device of one's own has measured, earliest first: a line for each value."""
    lines = _streamed(service, span, _as_csv, "measured_at,metric,value\r\n")
    return CsvFile(lines, headers=_kept_as("readings.csv"))


@router.get("/v1/devices/{binding_id}/readings.ndjson", response_class=JsonLinesFile)
async def readings_as_stream(span: Asked, service: Running) -> JsonLinesFile:
    """Take along what a device of one's own has measured, earliest first: a JSON object on each line."""
    return JsonLinesFile(_streamed(service, span, _as_ndjson), headers=_kept_as("readings.ndjson"))


async def _streamed(
    service: Service, span: Span, written: Callable[[Sequence[RowMapping]], str], head: str = ""
) -> AsyncIterator[str]:
    """Write page by page. Between two pages no connection is held: who reads slowly holds nobody up."""
    yield head
    after: Cursor | None = None
    while True:
        async with service.engine.connect() as connection:
            found = await repository.readings(connection, span, STREAMED, after, latest_first=False)
        yield written(found[:STREAMED])
        if len(found) <= STREAMED:
            return
        after = _place(found[STREAMED - 1])


def _as_csv(found: Sequence[RowMapping]) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows(
        (row["measured_at"].isoformat(), metric, value) for row in found for metric, value in _values(row).items()
    )
    return lines.getvalue()


def _as_ndjson(found: Sequence[RowMapping]) -> str:
    lines = ({"measured_at": row["measured_at"].isoformat(), "values": _values(row)} for row in found)
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _values(row: RowMapping) -> dict[str, float]:
    # The database writes a large number with all of its digits.
    return {metric: float(value) for metric, value in row["values"].items()}


@router.post("/internal/products", dependencies=[Depends(internal_door)], include_in_schema=False)
async def import_products(body: Products, service: Running) -> dict[str, int]:
    """Make devices known, for operations."""
    rows: list[dict[str, Any]] = [
        {"serial": each.serial, "model": each.model, "pairing_digest": digest(each.serial, each.pairing_code)}
        for each in body.products
    ]
    async with service.engine.begin() as connection:
        await repository.add_products(connection, rows)
    return {"imported": len(rows)}
