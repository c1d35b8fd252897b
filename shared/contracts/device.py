"""What the service `device` states: which bindings begin and end, by opaque ids."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from shared.contracts.base import AccountEvent
from shared.contracts.topics import BINDINGS


class DeviceBound(AccountEvent):
    """A device belongs to the account; its readings name this binding."""

    topic = BINDINGS
    type: Literal["DeviceBound"] = "DeviceBound"
    binding_id: UUID


class DeviceUnbound(AccountEvent):
    """A device no longer belongs to the account; its readings are erased."""

    topic = BINDINGS
    type: Literal["DeviceUnbound"] = "DeviceUnbound"
    binding_id: UUID
