"""What may be asked of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from shared.commands import Command, EraseAccount, Lock
from shared.contracts.account import Origin
from shared.contracts.receipts import Item, Phase


@dataclass(frozen=True)
class Picture:
    """A picture, decoded and written anew."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Attachment:
    """A file that came with a mail; without content where it is only named."""

    name: str = field(repr=False)
    media_type: str
    content: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AddFeedback(Command):
    """Keep what a person has written."""

    lock: ClassVar[Lock] = Lock.SHARED

    feedback_id: UUID
    text: str
    submitted_at: datetime
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeleteFeedback(Command):
    """Erase what a person has written, with its pictures."""

    feedback_id: UUID


@dataclass(frozen=True, kw_only=True)
class OpenOrder(EraseAccount):
    """Follow an erasure to its end; and erase what requests itself holds."""

    origin: Origin
    references: tuple[str, ...]
    contact_version: int


@dataclass(frozen=True, kw_only=True)
class TakeReceipt(Command):
    """Note what an owner has erased: in any order, any number of times, also before the order is heard of."""

    outlives_account: ClassVar[bool] = True
    overrides_parked: ClassVar[bool] = True

    order_id: UUID
    owner: str
    items: tuple[Item, ...]
    supplement: bool
    remark: str | None


@dataclass(frozen=True, kw_only=True)
class Remind(Command):
    """Ask those who still owe a receipt again, and those too who were admitted since the order opened."""

    outlives_account: ClassVar[bool] = True

    order_id: UUID


@dataclass(frozen=True, kw_only=True)
class AdmitOwner(Command):
    """Ask an owner in every order from now on."""

    owner: str
    phase: Phase
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReleaseOwner(Command):
    """Ask an owner no more: it says that it holds nothing any more."""

    owner: str


def lock_of_owner(owner: str) -> UUID:
    """Give an owner an id to lock by: commands about it name no account."""
    return uuid5(NAMESPACE_OID, owner)
