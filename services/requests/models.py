"""What requests keeps, and what each column is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.contracts.receipts import Phase
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, OfNobody, opaque, personal, rows
from shared.sessions import SessionsBase
from shared.tables import COLUMN_TYPES

RANDOM = "random id"
PROOF = OfNobody("random ids, categories, counts and times: the proof of an erasure, kept for its time")


class Base(DeclarativeBase):
    """The metadata of requests' own tables."""

    type_annotation_map = COLUMN_TYPES


class Feedback(Base):
    """What a person has written in the app."""

    __tablename__ = "feedback"
    __table_args__ = (Index("feedback_account", "account_id", "submitted_at", "id"), rows(OfAccount()))

    id: Mapped[UUID] = opaque("random id, of the event", primary_key=True, shown=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    text: Mapped[str] = personal(Category.FEEDBACK)
    submitted_at: Mapped[datetime] = personal(Category.FEEDBACK)


class FeedbackPicture(Base):
    """A picture that belongs to what a person has written."""

    __tablename__ = "feedback_pictures"
    __table_args__ = (Index("feedback_pictures_account", "account_id"), rows(OfAccount()))

    feedback_id: Mapped[UUID] = opaque("random id", primary_key=True, shown=True)
    number: Mapped[int] = opaque("place among its pictures, from 1", Integer, primary_key=True, shown=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    content: Mapped[bytes] = personal(Category.FEEDBACK)
    media_type: Mapped[str] = personal(Category.FEEDBACK)


class Owner(Base):
    """A data owner that every order asks."""

    __tablename__ = "owners"
    __table_args__ = rows(OfNobody("names of services"))

    name: Mapped[str] = opaque("name of a service", primary_key=True)
    phase: Mapped[str] = opaque("when it is asked")
    categories: Mapped[list[str]] = opaque("what it holds")
    admitted_at: Mapped[datetime] = opaque("since when it is asked")
    left: Mapped[bool] = opaque("asked no more", Boolean)


class Order(Base):
    """An erasure order: from the cancellation, or from a receipt that was faster, to the certificate."""

    __tablename__ = "orders"
    __table_args__ = (
        # The open ones are what is watched; they are few.
        Index("orders_open", "asked_at", postgresql_where=text("completed_at IS NULL")),
        rows(PROOF),
    )

    order_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    origin: Mapped[str | None] = opaque("by which door")
    references: Mapped[list[str]] = opaque("random secrets")
    contact_version: Mapped[int] = opaque("counts changes", Integer)
    opened_at: Mapped[datetime | None] = opaque("time of the order; none while only a receipt is here")
    asked_at: Mapped[datetime | None] = opaque("time of the last repeat")
    settled_at: Mapped[datetime | None] = opaque("time when the phase `data` was answered")
    completed_at: Mapped[datetime | None] = opaque("time of the last receipt")
    certificate: Mapped[dict[str, Any] | None] = opaque("categories, counts and times", JSONB)


class Reference(Base):
    """Every reference that a person was given leads to one order."""

    __tablename__ = "order_references"
    __table_args__ = rows(PROOF)

    reference: Mapped[str] = opaque("random secret", primary_key=True)
    order_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Order.order_id, ondelete="CASCADE"), index=True)


class Due(Base):
    """What an owner owes to an order: a receipt, until it is here."""

    __tablename__ = "dues"
    __table_args__ = rows(PROOF)

    order_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Order.order_id, ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = opaque("name of a service", primary_key=True)
    phase: Mapped[str] = opaque("when it is asked")
    answered_at: Mapped[datetime | None] = opaque("time of the receipt")
    items: Mapped[list[dict[str, Any]]] = opaque("categories and counts", JSONB)
    remark: Mapped[str | None] = opaque("slug")


OWNER = DataOwner("requests", Phase.DATA, Base.metadata, SessionsBase.metadata)
