"""What the service `requests` states: how far an erasure order is, and which data owners are admitted."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from shared.contracts.base import AccountEvent, OwnerEvent
from shared.contracts.topics import ORDERS


class ErasureOrdered(AccountEvent):
    """A repeat of an open order to those who still owe a receipt."""

    topic = ORDERS
    type: Literal["ErasureOrdered"] = "ErasureOrdered"
    order_id: UUID
    owners: tuple[str, ...]
    contact_version: int


class ErasureSettled(AccountEvent):
    """Every owner of the phase `data` has answered: the last message may go out, then the contact goes."""

    topic = ORDERS
    type: Literal["ErasureSettled"] = "ErasureSettled"
    order_id: UUID
    references: tuple[str, ...]
    contact_version: int


class ErasureCompleted(AccountEvent):
    """The last receipt is in and the certificate is written."""

    topic = ORDERS
    type: Literal["ErasureCompleted"] = "ErasureCompleted"
    order_id: UUID


class OwnerAdmitted(OwnerEvent):
    """From now on the owner is asked in every order, and may take data."""

    topic = ORDERS
    type: Literal["OwnerAdmitted"] = "OwnerAdmitted"
