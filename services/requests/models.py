"""What requests keeps, and what each column is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Boolean, ForeignKey, Index, Integer, SmallInteger, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.contracts.receipts import Phase
from shared.owner import DataOwner
from shared.personal_data import Category, OfAccount, OfNobody, opaque, passing, personal, rows
from shared.sessions import SessionsBase
from shared.tables import COLUMN_TYPES

RANDOM = "random id"
RECORD = OfNobody("random ids, kinds, states, grounds and times: what became of a request, kept for its time")
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
    choosable: Mapped[list[str]] = opaque("what of it can be erased alone", server_default=text("'{}'"))
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
    categories: Mapped[list[str] | None] = opaque("names of categories; none for all, with the account")
    request_id: Mapped[UUID | None] = opaque("random id of the request that it carries out")
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


class Request(Base):
    """What became of a wish: the half that names nobody and stays for its time, also when the account is gone."""

    __tablename__ = "requests"
    __table_args__ = (
        Index("requests_account", "account_id", "received_at", "request_id"),
        Index("requests_queue", "due_at", "request_id", postgresql_where=text("ended_at IS NULL")),
        Index("requests_look", "look_at", postgresql_where=text("ended_at IS NULL")),
        Index("requests_ended", "ended_at"),
        rows(RECORD),
    )

    request_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    kind: Mapped[str | None] = opaque("what is asked for; none until somebody has read it")
    channel: Mapped[str] = opaque("how it came in")
    state: Mapped[str] = opaque("where it stands")
    law: Mapped[str] = opaque("by which law it is answered")
    scope: Mapped[dict[str, Any]] = opaque("names of categories, purposes, services or fields; never a value", JSONB)
    received_at: Mapped[datetime] = opaque("time of receipt")
    due_at: Mapped[datetime] = opaque("by when it has to be answered")
    look_at: Mapped[datetime] = opaque("when time brings the next thing to it")
    ends_at: Mapped[datetime | None] = opaque("until when the state waits")
    stopped_at: Mapped[datetime | None] = opaque("since when the time to answer stands still")
    extended: Mapped[bool] = opaque("takes longer, once", Boolean)
    reminded: Mapped[bool] = opaque("the person was reminded to show who it is", Boolean)
    alarm: Mapped[int] = opaque("how loud staff were told that it is due: 0, 1, 2", SmallInteger)
    tries: Mapped[int] = opaque("counts codes tried", SmallInteger)
    verified_at: Mapped[datetime | None] = opaque("since when it is known who asks")
    decided_at: Mapped[datetime | None] = opaque("time of the decision")
    in_part: Mapped[bool] = opaque("accepted in part", Boolean)
    fee_paid: Mapped[bool] = opaque("a fee was quoted, and paid", Boolean)
    ended_at: Mapped[datetime | None] = opaque("time of the end")
    how: Mapped[str | None] = opaque("how it ended: a slug")
    ground: Mapped[str | None] = opaque("on which ground it was refused")
    audit_count: Mapped[int] = opaque("how many steps were taken", Integer)
    audit_digest: Mapped[str] = opaque("digest of the last line of the audit chain")


class RequestReference(Base):
    """Every reference that a person was given leads to one request."""

    __tablename__ = "request_references"
    __table_args__ = rows(RECORD)

    reference: Mapped[str] = opaque("random secret", primary_key=True)
    request_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Request.request_id, ondelete="CASCADE"), index=True)


class AuditLine(Base):
    """A step of a request: each line holds the digest of the one before: none is changed or taken out unseen."""

    __tablename__ = "audit"
    __table_args__ = rows(RECORD)

    request_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Request.request_id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = opaque("place in the chain, from 1", Integer, primary_key=True)
    at: Mapped[datetime] = opaque("time of the step")
    actor: Mapped[str] = opaque("a part: person, clock, an owner, or staff by a random id")
    step: Mapped[str] = opaque("slug")
    previous: Mapped[str] = opaque("digest of the line before")
    digest: Mapped[str] = opaque("digest of this line")


class Preview(Base):
    """What an owner has counted that a deletion would erase, as it is shown before it is decided."""

    __tablename__ = "previews"
    __table_args__ = (Index("previews_owed", "asked_at", postgresql_where=text("counted_at IS NULL")), rows(RECORD))

    request_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Request.request_id, ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = opaque("name of a service", primary_key=True)
    asked_at: Mapped[datetime] = opaque("time of the last repeat")
    counted_at: Mapped[datetime | None] = opaque("time of the answer")
    items: Mapped[list[dict[str, Any]]] = opaque("categories and counts", JSONB)


class CorrectionDue(Base):
    """What an owner owes to a correction: what became of each field, until it is here."""

    __tablename__ = "correction_dues"
    __table_args__ = (
        Index("correction_dues_owed", "asked_at", postgresql_where=text("answered_at IS NULL")),
        rows(RECORD),
    )

    request_id: Mapped[UUID] = opaque(RANDOM, ForeignKey(Request.request_id, ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = opaque("name of a service", primary_key=True)
    asked_at: Mapped[datetime] = opaque("time of the last repeat")
    answered_at: Mapped[datetime | None] = opaque("time of the answer")
    fields: Mapped[list[dict[str, Any]]] = opaque("names of fields, and what became of each", JSONB)


class RequestWords(Base):
    """What a person has written or wishes, by whichever channel: goes with the account, or at its own end."""

    __tablename__ = "request_words"
    __table_args__ = (
        Index("request_words_account", "account_id"),
        Index("request_words_request", "request_id"),
        Index("request_words_end", "ends_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    request_id: Mapped[UUID] = opaque(RANDOM)
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    text: Mapped[str | None] = personal(Category.REQUEST_MAILS)
    values: Mapped[dict[str, Any] | None] = personal(Category.REQUEST_MAILS, JSONB(none_as_null=True))
    message_id: Mapped[str | None] = personal(Category.REQUEST_MAILS)
    written_at: Mapped[datetime] = personal(Category.REQUEST_MAILS)
    ends_at: Mapped[datetime] = opaque("end of this row")


class ReceivedMail(Base):
    """A mail to the privacy mailbox: by what it is known again, nothing of what it says."""

    __tablename__ = "mails"
    __table_args__ = (
        Index("mails_account", "account_id"),
        Index("mails_request", "request_id"),
        Index("mails_end", "ends_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque("random id: of its words, and of the request that it began", primary_key=True)
    request_id: Mapped[UUID] = opaque("random id: of the request that it belongs to")
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    sender: Mapped[str | None] = opaque("keyed digest, which account alone can make; none until it has")
    answers: Mapped[list[UUID]] = opaque("random ids: what it says to answer", ARRAY(Uuid))
    authenticated: Mapped[bool] = opaque("whether the relay vouches for the sender", Boolean)
    ends_at: Mapped[datetime] = opaque("end of this row")


class MailAttachment(Base):
    """A file that came with a mail, as evidence: its content, or only its name."""

    __tablename__ = "mail_attachments"
    __table_args__ = (
        Index("mail_attachments_account", "account_id"),
        Index("mail_attachments_request", "request_id"),
        Index("mail_attachments_end", "ends_at"),
        rows(OfAccount()),
    )

    mail_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    number: Mapped[int] = opaque("place among its files, from 1", Integer, primary_key=True)
    request_id: Mapped[UUID] = opaque(RANDOM)
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    name: Mapped[str] = personal(Category.REQUEST_EVIDENCE)
    media_type: Mapped[str] = personal(Category.REQUEST_EVIDENCE)
    content: Mapped[bytes | None] = personal(Category.REQUEST_EVIDENCE)
    ends_at: Mapped[datetime] = opaque("end of this row")


class RequestEvidence(Base):
    """What shows that somebody may ask for another person: judged by staff, and gone soon after the end."""

    __tablename__ = "request_evidence"
    __table_args__ = (
        Index("request_evidence_account", "account_id"),
        Index("request_evidence_request", "request_id"),
        Index("request_evidence_end", "ends_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    request_id: Mapped[UUID] = opaque(RANDOM)
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    authority: Mapped[str] = opaque("power of attorney, or guardianship")
    note: Mapped[str] = personal(Category.REQUEST_EVIDENCE)
    given_at: Mapped[datetime] = personal(Category.REQUEST_EVIDENCE)
    accepted: Mapped[bool | None] = opaque("how it was judged", Boolean)
    ends_at: Mapped[datetime] = opaque("end of this row")


class RequestDecision(Base):
    """What staff have told the person about a request, in words: facts, items, remedy, questions, costs."""

    __tablename__ = "request_decisions"
    __table_args__ = (
        Index("request_decisions_account", "account_id"),
        Index("request_decisions_request", "request_id"),
        Index("request_decisions_end", "ends_at"),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    request_id: Mapped[UUID] = opaque(RANDOM)
    account_id: Mapped[UUID] = opaque("random id; the request's own while nobody knows whose it is")
    notice: Mapped[str] = opaque("names a template")
    said: Mapped[dict[str, Any]] = personal(Category.REQUEST_DECISIONS, JSONB)
    said_at: Mapped[datetime] = personal(Category.REQUEST_DECISIONS)
    ends_at: Mapped[datetime] = opaque("end of this row")


class Package(Base):
    """An access that is carried out: owners are waited for, then what they sent is made a package and kept."""

    __tablename__ = "packages"
    __table_args__ = (
        Index("packages_account", "account_id"),
        Index("packages_link", "link_digest"),
        Index("packages_open", "asked_at", postgresql_where=text("made_at IS NULL")),
        Index("packages_end", "ends_at"),
        rows(OfAccount()),
    )

    request_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    public_key: Mapped[dict[str, Any]] = opaque("made for one request")
    private_key: Mapped[bytes | None] = opaque("random, wrapped; deleted when the package is made")
    ordered_at: Mapped[datetime] = opaque("time of the order")
    asked_at: Mapped[datetime] = opaque("time of the last repeat")
    answer_by: Mapped[datetime] = opaque("how long owners are waited for")
    ready: Mapped[bool] = opaque("whether every owner has answered", Boolean)
    made_at: Mapped[datetime | None] = opaque("time of the package")
    attempt: Mapped[UUID | None] = opaque("random id, of the chunks that count")
    content_key: Mapped[bytes | None] = opaque("random, wrapped; deleted with the package")
    chunks: Mapped[int | None] = opaque("counts chunks", Integer)
    size: Mapped[int | None] = opaque("counts bytes", BigInteger)
    link_digest: Mapped[str | None] = opaque("digest of a random secret")
    code_digest: Mapped[str | None] = opaque("digest of a random code")
    code_ends_at: Mapped[datetime | None] = opaque("end of the code")
    fetched_at: Mapped[datetime | None] = opaque("time of the last fetch")
    ends_at: Mapped[datetime | None] = opaque("end of this row")


class ExportDue(Base):
    """What an owner owes to an access: all parts of its export."""

    __tablename__ = "export_dues"
    __table_args__ = (Index("export_dues_account", "account_id"), rows(OfAccount()))

    request_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    owner: Mapped[str] = opaque("name of a service", primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    parts: Mapped[int | None] = opaque("counts parts; none until the owner says how many", Integer)
    counts: Mapped[dict[str, Any] | None] = opaque("categories and counts", JSONB(none_as_null=True))
    answered_at: Mapped[datetime | None] = opaque("time of the answer")


class ExportPart(Base):
    """A part of what an owner has sent, encrypted as it came."""

    __tablename__ = "export_parts"
    __table_args__ = (Index("export_parts_account", "account_id"), rows(OfAccount()))

    request_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    owner: Mapped[str] = opaque("name of a service", primary_key=True)
    number: Mapped[int] = opaque("place in the stream, from 1", Integer, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    sealed: Mapped[str] = passing("deleted when the package is made")


class PackageChunk(Base):
    """A chunk of a package, encrypted."""

    __tablename__ = "package_chunks"
    __table_args__ = (Index("package_chunks_account", "account_id"), rows(OfAccount()))

    request_id: Mapped[UUID] = opaque(RANDOM, primary_key=True)
    attempt: Mapped[UUID] = opaque(
        "random id: of a package that was begun anew only the last attempt counts", primary_key=True
    )
    number: Mapped[int] = opaque("place in the package, from 1", Integer, primary_key=True)
    account_id: Mapped[UUID] = opaque(RANDOM)
    content: Mapped[bytes] = passing("deleted when the person has it, or its time is over")


OWNER = DataOwner("requests", Phase.DATA, Base.metadata, SessionsBase.metadata)
