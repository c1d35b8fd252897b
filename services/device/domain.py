"""Rules of device: when a device can be bound, and whose a reading is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter, ValidationError

from services.device.commands import BindDevice
from shared.commands import Refusal
from shared.contracts.base import Label

NOT_AVAILABLE = Refusal("device-not-available")
"""One answer for a wrong serial, a wrong code and a device of somebody else: it does not tell who owns what."""
NO_SUCH_DEVICE = Refusal("no-such-device")
VALUE_NOT_ALLOWED = Refusal("value-not-allowed")
NOT_LOGGED_IN = Refusal("not-logged-in")
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clock of a device may be off. What was measured before the binding is not its owner's; nothing was
measured after the broker had it."""


GivenName = Annotated[Label, StringConstraints(min_length=1, max_length=64)]
"""What a person calls a device."""
_NAME: TypeAdapter[str | None] = TypeAdapter(GivenName | None)


@dataclass(frozen=True)
class Product:
    """A known device, and the binding it is in."""

    model: str
    pairing_digest: str
    bound_to: UUID | None
    binding_id: UUID | None


@dataclass(frozen=True)
class Bound:
    """The device is the account's; `new` unless it was already."""

    binding_id: UUID
    model: str
    new: bool


def decide_bind(product: Product | None, command: BindDevice) -> Bound | Refusal:
    """Bind a device that nobody has, with its code; one's own again is the same binding."""
    if not product or not hmac.compare_digest(product.pairing_digest, command.pairing_digest):
        return NOT_AVAILABLE
    if product.binding_id is None:
        return Bound(command.binding_id, product.model, new=True)
    if product.bound_to == command.account_id:
        return Bound(product.binding_id, product.model, new=False)
    return NOT_AVAILABLE


def decide_correct(field: str, value: str | None) -> tuple[UUID, str | None] | Refusal:
    """Give the binding whose device is to have another name, and that name; or say why it cannot."""
    try:
        return UUID(field), _NAME.validate_python(value)
    except ValidationError:
        return VALUE_NOT_ALLOWED
    except ValueError:
        return NO_SUCH_DEVICE
