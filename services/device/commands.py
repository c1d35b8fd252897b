"""What may be asked of device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.commands import Command, Lock, Needs


@dataclass(frozen=True, kw_only=True)
class DeviceAction(Command):
    """A wish about a device. By a topic it brings the person's access token; by HTTP that was checked already.

    Its handler asks for consent itself, since who wished by a topic is told that it was refused.
    """

    needs: ClassVar[Needs] = Needs.NOTHING

    access_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class BindDevice(DeviceAction):
    """Add a device, by its serial and the pairing code in its box."""

    serial: str
    pairing_digest: str
    binding_id: UUID
    """The binding's id, if there is none yet."""
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class RenameDevice(Command):
    """Give a device a name of one's own, or none."""

    needs: ClassVar[Needs] = Needs.COLLECTION

    binding_id: UUID
    name: str | None
    version: int | None = None
    """The version that was seen; none where any will do."""


@dataclass(frozen=True, kw_only=True)
class UnbindDevice(DeviceAction):
    """Delete a device, with all that it has reported."""

    binding_id: UUID
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class EraseReadings(Command):
    """Erase a part of what a device had reported that is bound no longer."""

    needs: ClassVar[Needs] = Needs.NOTHING

    binding_id: UUID


@dataclass(frozen=True, kw_only=True)
class RecordReading(Command):
    """Keep what a device has measured, by its binding or its serial. Locks its binding, no account."""

    needs: ClassVar[Needs] = Needs.COLLECTION
    lock: ClassVar[Lock] = Lock.NONE

    binding_id: UUID | None = None
    serial: str | None = None
    event_id: UUID
    measured_at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class EraseBeyond(Command):
    """Erase a part of what devices had measured beyond a withdrawal, and what was taken in all the same."""

    needs: ClassVar[Needs] = Needs.NOTHING
