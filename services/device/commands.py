"""What may be asked of device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.commands import Command, Lock


@dataclass(frozen=True, kw_only=True)
class BindDevice(Command):
    """Add a device, by its serial and the pairing code in its box."""

    serial: str
    pairing_digest: str


@dataclass(frozen=True, kw_only=True)
class UnbindDevice(Command):
    """Delete a device, with all that it has reported."""

    binding_id: UUID


@dataclass(frozen=True, kw_only=True)
class RecordReading(Command):
    """Keep what a device has measured. Locks no account: its binding is locked instead."""

    lock: ClassVar[Lock] = Lock.NONE

    binding_id: UUID | None = None
    serial: str | None = None
    event_id: UUID
    measured_at: datetime
    values: Mapping[str, float]
