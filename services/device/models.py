"""What device keeps, and what each column is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Integer, text
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.changes import ChangesBase
from shared.contracts.receipts import Phase
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, OfNobody, opaque, personal, rows
from shared.sessions import SessionsBase
from shared.tables import COLUMN_TYPES

RANDOM = "random id"


class Base(DeclarativeBase):
    """The metadata of device's own tables."""

    type_annotation_map = COLUMN_TYPES


class Product(Base):
    """A device that was made, whoever owns it."""

    __tablename__ = "products"
    __table_args__ = rows(OfNobody("what was made, not who has it"))

    serial: Mapped[str] = opaque("stands on every device, bound or not", primary_key=True)
    model: Mapped[str] = opaque("kind of device")
    pairing_digest: Mapped[str] = opaque("digest of the code in the box")


class Binding(Base):
    """A device that belongs to an account; the database holds that it is one at a time.

    Declared before the readings: an erasure empties tables in this order, and who stores readings has locked
    the bindings that it found, so it is waited for, and what it stored is then erased too.
    """

    __tablename__ = "bindings"
    __table_args__ = (Index("bindings_account", "account_id"), rows(OfAccount(about=Category.DEVICE_DATA)))

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True, shown=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    serial: Mapped[str] = personal(Category.DEVICE_DATA, unique=True)
    name: Mapped[str | None] = personal(Category.DEVICE_DATA)
    bound_at: Mapped[datetime] = personal(Category.DEVICE_DATA)
    version: Mapped[int] = opaque("counts changes", Integer, server_default=text("1"))
    silent: Mapped[Any | None] = personal(Category.CONSENT, TSTZMULTIRANGE)
    """When nothing may be collected; none where that was never withdrawn.

    It stands here because whoever stores readings locks the binding, and sees this as it is by then.
    """


class BeyondConsent(Base):
    """An account of which much was taken in beyond a withdrawal, while that is being erased."""

    __tablename__ = "beyond_consent"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)


class Unbound(Base):
    """A binding that has ended, while its many readings are being erased."""

    __tablename__ = "unbound"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    binding_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)


class Reading(Base):
    """What a device has measured while it was bound. Its key makes a repeat no second one, and orders by time."""

    __tablename__ = "readings"
    __table_args__ = rows(OfAccount(many=True, part_of=("binding_id", "bindings")))

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    binding_id: Mapped[UUID] = opaque(RANDOM, primary_key=True, shown=True)
    measured_at: Mapped[datetime] = personal(Category.DEVICE_DATA, primary_key=True)
    event_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    values: Mapped[dict[str, Any]] = personal(Category.DEVICE_DATA)


OWNER = DataOwner("device", Phase.DATA, Base.metadata, ChangesBase.metadata, SessionsBase.metadata)
