"""Device's HTTP door: request -> command -> status code. No rules."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field, StringConstraints

from services.device import repository
from services.device.commands import BindDevice, UnbindDevice
from services.device.domain import Bound
from shared.commands import Command, Refusal
from shared.contracts.base import Text
from shared.http import Body, Problem
from shared.security import digest, internal_door
from shared.service import Running, Service
from shared.sessions import Asking

router = APIRouter()

Name = Annotated[Text, StringConstraints(min_length=1, max_length=64)]


class NewDevice(Body):
    """What stands on the device, and in its box."""

    serial: Name
    pairing_code: Name


class Product(Body):
    """A device that was made."""

    serial: Name
    model: Name
    pairing_code: Name


class Products(Body):
    """Devices that were made."""

    products: list[Product] = Field(min_length=1, max_length=1000)


async def _done(service: Service, command: Command, refused: HTTPStatus) -> object:
    (outcome,) = await service.bus.execute(command)
    if isinstance(outcome, Refusal):
        raise Problem(refused, outcome.slug)
    return outcome


@router.post("/v1/devices", status_code=HTTPStatus.CREATED)
async def add_device(body: NewDevice, person: Asking, service: Running) -> dict[str, Any]:
    """Add a device. The binding's id is what its readings name."""
    pairing_digest = digest(body.serial, body.pairing_code)
    command = BindDevice(account_id=person.account_id, serial=body.serial, pairing_digest=pairing_digest)
    match await _done(service, command, HTTPStatus.CONFLICT):
        case Bound(binding_id, model):
            return {"binding_id": binding_id, "serial": body.serial, "model": model}
    return {}


@router.get("/v1/devices")
async def list_devices(person: Asking, service: Running) -> list[dict[str, Any]]:
    """List one's devices."""
    async with service.engine.connect() as connection:
        return [dict(row) for row in await repository.bindings(connection, person.account_id)]


@router.delete("/v1/devices/{binding_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_device(binding_id: UUID, person: Asking, service: Running) -> None:
    """Delete a device of one's own, with all that it has reported."""
    command = UnbindDevice(account_id=person.account_id, binding_id=binding_id)
    await _done(service, command, HTTPStatus.NOT_FOUND)


@router.get("/v1/devices/{binding_id}/readings")
async def list_readings(
    binding_id: UUID, person: Asking, service: Running, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[dict[str, Any]]:
    """List the latest readings of a device of one's own."""
    async with service.engine.connect() as connection:
        found = await repository.readings(connection, person.account_id, binding_id, limit)
    return [dict(row) for row in found]


@router.post("/internal/products", dependencies=[Depends(internal_door)], include_in_schema=False)
async def import_products(body: Products, service: Running) -> dict[str, int]:
    """Make devices known, for operations."""
    rows = [
        {"serial": each.serial, "model": each.model, "pairing_digest": digest(each.serial, each.pairing_code)}
        for each in body.products
    ]
    async with service.engine.begin() as connection:
        await repository.add_products(connection, rows)
    return {"imported": len(rows)}
