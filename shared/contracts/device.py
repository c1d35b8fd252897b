"""What the service `device` states: which bindings begin and end, by opaque ids."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import AccountEvent
from shared.contracts.topics import BINDINGS


class DeviceBound(AccountEvent):
    """A device belongs to the account; its readings name this binding."""

    topic = BINDINGS
    type: Literal["DeviceBound"] = "DeviceBound"
    binding_id: UUID


class DeviceUnbound(AccountEvent):
    """A device no longer belongs to the account; its readings are erased, many of them within minutes."""

    topic = BINDINGS
    type: Literal["DeviceUnbound"] = "DeviceUnbound"
    binding_id: UUID


class DeviceActionRefused(AccountEvent):
    """A wish by `app.device-actions.v1` was not carried out: `causation_id` names it, the slug says why."""

    topic = BINDINGS
    type: Literal["DeviceActionRefused"] = "DeviceActionRefused"
    reason: str = Field(pattern=r"^[a-z-]{1,60}$")
