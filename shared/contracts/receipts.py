"""What every data owner states: that it exists, and what it has erased."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.contracts.base import AccountEvent, Moment, OwnerEvent
from shared.contracts.topics import EXPORTS, RECEIPTS


class Phase(StrEnum):
    """When an owner is asked: the contact goes last, since it carries the last message."""

    DATA = "data"
    CONTACT = "contact"


class Outcome(StrEnum):
    """What became of one category."""

    ERASED = "erased"
    KEPT = "kept"
    NOTHING_HELD = "nothing-held"


class Item(BaseModel):
    """What became of one category of a person's data. Counts rows, names no content."""

    model_config = ConfigDict(frozen=True)

    category: str
    outcome: Outcome
    count: int = Field(ge=0)
    ground: str | None = None
    until: Moment | None = None


ITEMS = TypeAdapter(tuple[Item, ...])
"""Reads and writes all items of a receipt at once."""


class DataErased(AccountEvent):
    """A receipt: the owner has erased, but for what it names as kept, with ground and end."""

    topic = RECEIPTS
    type: Literal["DataErased"] = "DataErased"
    order_id: UUID
    items: tuple[Item, ...]
    supplement: bool = False
    """Follows when a hold has ended: adds to the first receipt, and to the certificate."""
    remark: str | None = Field(default=None, pattern=r"^[a-z-]{1,60}$")
    """A slug, such as that the last message could not be delivered."""


class DataCounted(AccountEvent):
    """A receipt: what an erasure of everything would erase now, and what it would keep."""

    topic = RECEIPTS
    type: Literal["DataCounted"] = "DataCounted"
    request_id: UUID
    items: tuple[Item, ...]


class OwnerAnnounced(OwnerEvent):
    """A data owner says what it will hold, before it takes any."""

    topic = RECEIPTS
    type: Literal["OwnerAnnounced"] = "OwnerAnnounced"
    phase: Phase
    categories: tuple[str, ...]
    choosable: tuple[str, ...] = ()
    """Which of them can be erased while the account stays."""


class OwnerLeft(OwnerEvent):
    """A data owner holds nothing any more and leaves: a deliberate act, never concluded from silence."""

    topic = RECEIPTS
    type: Literal["OwnerLeft"] = "OwnerLeft"


class FieldOutcome(StrEnum):
    """What became of one value that was to be put right."""

    CORRECTED = "corrected"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class CorrectedField(BaseModel):
    """One field: named, never with its value."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,59}$")
    """Of the profile by its name, of a device by its binding."""
    outcome: FieldOutcome
    reason: str | None = Field(default=None, pattern=r"^[a-z-]{1,60}$")


class DataCorrected(AccountEvent):
    """A receipt: what became of each value that was to be put right."""

    topic = RECEIPTS
    type: Literal["DataCorrected"] = "DataCorrected"
    request_id: UUID
    fields: tuple[CorrectedField, ...]


class ExportCompleted(AccountEvent):
    """A receipt: the owner has sent all parts of its export; counts by category as in a receipt of an erasure."""

    topic = RECEIPTS
    type: Literal["ExportCompleted"] = "ExportCompleted"
    request_id: UUID
    parts: int = Field(ge=0)
    counts: dict[str, int]


class ExportPart(AccountEvent):
    """One part of an export, encrypted (JWE) to the key of the one request that asked for it. Personal.

    The plain text is a slice of one stream for each owner; parts are put together by their numbers, from 1.
    """

    topic = EXPORTS
    type: Literal["ExportPart"] = "ExportPart"
    request_id: UUID
    number: int = Field(ge=1)
    sealed: str = Field(repr=False)
