"""What notifier keeps, and what each column is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Identity, Index, Integer, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.contracts.receipts import Phase
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, opaque, personal, rows, secret
from shared.sessions import SessionsBase
from shared.tables import COLUMN_TYPES

RANDOM = "random id"


class Base(DeclarativeBase):
    """The metadata of notifier's own tables."""

    type_annotation_map = COLUMN_TYPES


class Contact(Base):
    """Where messages to a person go."""

    __tablename__ = "contacts"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    version: Mapped[int] = opaque("counts changes", Integer)
    email: Mapped[str] = personal(Category.CONTACT)
    language: Mapped[str] = personal(Category.CONTACT)


class Message(Base):
    """A message to go out; an account's go in order of `id`.

    Of what was sent only `cancellation-received` stays, until the person's erasure: the facts that ask for it come by
    two topics, in any order, and it is told once, before the last message.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_account", "account_id", "id"),
        Index("messages_due", "next_attempt_at", "id", postgresql_where=text("NOT sent")),
        Index(
            "messages_received",
            "account_id",
            unique=True,
            postgresql_where=text("kind = 'cancellation-received'"),
        ),
        Index("messages_last", "account_id", unique=True, postgresql_where=text("order_id IS NOT NULL")),
        rows(OfAccount()),
    )

    id: Mapped[int] = opaque("order of queueing", BigInteger, Identity(always=True), primary_key=True)
    account_id: Mapped[UUID] = opaque("random id, of an account or of a registration that may become one")
    kind: Mapped[str] = opaque("names a template", shown=True)
    parameters: Mapped[dict[str, Any]] = secret(
        Category.MESSAGES
    )  # of a code, what shows that a mailbox is one's own
    email: Mapped[str | None] = personal(Category.MESSAGES)
    language: Mapped[str | None] = personal(Category.MESSAGES)
    contact_version: Mapped[int | None] = opaque("the oldest contact that will do", Integer)
    order_id: Mapped[UUID | None] = opaque("random id; only the last message to a person has one")
    queued_at: Mapped[datetime] = opaque("time of queueing", shown=True)
    attempts: Mapped[int] = opaque("counts attempts", Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime] = opaque("time of the next attempt")
    sent: Mapped[bool] = opaque("attempted for good", Boolean, server_default=false())
    notice_id: Mapped[UUID | None] = opaque("random id of what the app shows of it")


class Notice(Base):
    """A message as the app shows it, for a time."""

    __tablename__ = "notices"
    __table_args__ = (
        Index("notices_account", "account_id", "told_at", "id"),
        Index("notices_told_at", "told_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    kind: Mapped[str] = opaque("names a template", shown=True)
    parameters: Mapped[dict[str, Any]] = personal(Category.MESSAGES)
    told_at: Mapped[datetime] = personal(Category.MESSAGES)
    read_at: Mapped[datetime | None] = personal(Category.MESSAGES)
    mailed: Mapped[str] = opaque(
        "what became of the mail: waiting, delivered, undeliverable, expired, withheld", shown=True
    )


OWNER = DataOwner("notifier", Phase.CONTACT, Base.metadata, SessionsBase.metadata)
