"""The tables that every service has: outbox, inbox, positions, dead letters, closed accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.personal_data import Category, OfAccount, OfNobody, opaque, passing, personal, rows, secret

BROKER = "names a place in the broker"


COLUMN_TYPES = {
    datetime: DateTime(timezone=True),
    dict[str, Any]: JSONB,
    list[str]: ARRAY(Text),
    bytes: LargeBinary,
    str: Text,
    UUID: Uuid,
}
"""How the types of annotations are stored, in every service."""


class SharedBase(DeclarativeBase):
    """The metadata of what every service has in its database besides its own."""

    type_annotation_map = COLUMN_TYPES


class Outbox(SharedBase):
    """Events on their way to the broker: written with the change they tell of, deleted when acknowledged."""

    __tablename__ = "outbox"
    __table_args__ = rows(OfNobody("stays only until the broker has it; its reader erases what is personal"))

    id: Mapped[int] = opaque("order of sending", BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[str] = opaque(BROKER)
    key: Mapped[str] = opaque("keys are opaque ids")
    type: Mapped[str] = opaque("type of the event")
    event_id: Mapped[UUID] = opaque("random id")
    body: Mapped[bytes] = passing("deleted when the broker has acknowledged it")


class Inbox(SharedBase):
    """Which events have had their effect here; outlives every topic's retention."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("inbox_taken_at", "taken_at"),
        rows(OfNobody("random ids, forgotten after the longest retention of a topic")),
    )

    source: Mapped[str] = opaque("name of a service", primary_key=True)
    event_id: Mapped[UUID] = opaque("random id", primary_key=True)
    taken_at: Mapped[datetime] = opaque("time of handling", server_default=func.now())


class Position(SharedBase):
    """Up to where a personal topic has had its effect here; what lies before may be purged."""

    __tablename__ = "positions"
    __table_args__ = rows(OfNobody("counts messages, of nobody in particular"))

    topic: Mapped[str] = opaque(BROKER, primary_key=True)
    partition: Mapped[int] = opaque(BROKER, Integer, primary_key=True)
    topic_id: Mapped[UUID] = opaque("tells a recreated topic from the one before")
    next_offset: Mapped[int] = opaque(BROKER, BigInteger)


class DeadLetter(SharedBase):
    """Messages that could not be handled, and those that wait behind them; in order of `id`."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("dead_letters_account", "account_id", "topic", "id"),
        rows(OfAccount()),
    )

    id: Mapped[int] = opaque("order of parking", BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[str] = opaque(BROKER, shown=True)
    partition: Mapped[int] = opaque(BROKER, Integer)
    offset: Mapped[int] = opaque(BROKER, BigInteger)
    taken_at: Mapped[datetime] = opaque("when the broker took the message", shown=True)
    account_id: Mapped[UUID | None] = opaque("random id; none where the bytes name no account")
    reason: Mapped[str] = opaque("slug")
    error: Mapped[str] = opaque("type and place of the error, never its values")
    parked_at: Mapped[datetime] = opaque("time of parking", server_default=func.now())
    body: Mapped[bytes] = secret(Category.UNHANDLED_MESSAGES)  # may hold a code, or an access token


class ConsentPeriod(SharedBase):
    """A time in which consent is withdrawn in one scope, or given again. Account's are the ledger, others repeat it.

    Each begins at its own time, whenever it was heard of, and ends where the next one of its scope begins.
    """

    __tablename__ = "consent_periods"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    scope: Mapped[str] = personal(Category.CONSENT, primary_key=True)
    since: Mapped[datetime] = personal(Category.CONSENT, primary_key=True)
    until: Mapped[datetime | None] = personal(Category.CONSENT)
    given: Mapped[bool] = personal(Category.CONSENT, Boolean)


class ClosedAccount(SharedBase):
    """The mark of an account that is erased here: bars latecomers, and repeats the receipt when asked again."""

    __tablename__ = "closed_accounts"
    __table_args__ = (
        Index("closed_accounts_closed_at", "closed_at"),
        rows(OfNobody("random ids and counts, forgotten when nothing can bring the account back")),
    )

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    order_id: Mapped[UUID] = opaque("random id")
    closed_at: Mapped[datetime] = opaque("time of the erasure")
    receipt: Mapped[list[dict[str, Any]]] = opaque("categories and counts", JSONB)
    remark: Mapped[str | None] = opaque("slug")
    erased: Mapped[bool] = opaque("false while much is being erased in chunks", Boolean)


class CategoryMark(SharedBase):
    """The mark of a category that was erased while the account stays: drops latecomers, and repeats the receipt."""

    __tablename__ = "category_marks"
    __table_args__ = (
        Index("category_marks_account", "account_id"),
        Index("category_marks_marked_at", "marked_at"),
        Index("category_marks_unfinished", "order_id", postgresql_where=text("NOT erased")),
        rows(OfNobody("random ids, names of categories and counts, forgotten when nothing older can come")),
    )

    order_id: Mapped[UUID] = opaque("random id", primary_key=True)
    category: Mapped[str] = opaque("name of a category", primary_key=True)
    account_id: Mapped[UUID] = opaque("random id")
    marked_at: Mapped[datetime] = opaque("when the broker took the order: what it took until then is older")
    count: Mapped[int] = opaque("counts rows", Integer)
    ground: Mapped[str | None] = opaque("slug: why it was kept all the same")
    erased: Mapped[bool] = opaque("false while much is being erased in chunks", Boolean)


class Tries(SharedBase):
    """How often something was tried in a period: by whom or at what is a keyed digest, which nobody can undo."""

    __tablename__ = "tries"
    __table_args__ = (
        Index("tries_ends_at", "ends_at"),
        rows(OfNobody("keyed digests and counters, for the period of a limit")),
    )

    subject: Mapped[str] = opaque("keyed digest", primary_key=True)
    count: Mapped[int] = opaque("counts tries", Integer)
    ends_at: Mapped[datetime] = opaque("end of this row")


class Export(SharedBase):
    """How far an export has come; kept for a time, to say again that it has ended. Goes with the account."""

    __tablename__ = "exports"
    __table_args__ = (
        Index("exports_account", "account_id"),
        Index("exports_ordered_at", "ordered_at"),
        Index("exports_unfinished", "request_id", postgresql_where=text("NOT ended")),
        rows(OfAccount()),
    )

    request_id: Mapped[UUID] = opaque("random id", primary_key=True)
    account_id: Mapped[UUID] = opaque("random id")
    public_key: Mapped[dict[str, Any]] = opaque("made for one request")
    ordered_at: Mapped[datetime] = opaque("time of the order")
    sheet: Mapped[int] = opaque("which table is next", Integer, server_default=text("0"))
    after: Mapped[list[str] | None] = passing("emptied when the export has ended", ARRAY(Text))
    parts: Mapped[int] = opaque("counts parts", Integer, server_default=text("0"))
    counts: Mapped[dict[str, Any]] = opaque("categories and counts", server_default=text("'{}'"))
    ended: Mapped[bool] = opaque("whether all of it was sent", Boolean, server_default=false())
