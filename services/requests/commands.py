"""What may be asked of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from shared.commands import Command, EraseAccount, KeepToConsent, Lock, Needs
from shared.contracts.account import Origin
from shared.contracts.receipts import CorrectedField, Item, Phase
from shared.contracts.requests import Channel, Ground, Kind


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
    needs: ClassVar[Needs] = Needs.COLLECTION

    feedback_id: UUID
    text: str
    submitted_at: datetime
    pictures: tuple[Picture, ...] = ()

    @property
    def given_at(self) -> datetime:
        """When it was written."""
        return self.submitted_at


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

    needs: ClassVar[Needs] = Needs.NOTHING
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

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True

    order_id: UUID


@dataclass(frozen=True, kw_only=True)
class AdmitOwner(Command):
    """Ask an owner in every order from now on."""

    needs: ClassVar[Needs] = Needs.NOTHING

    owner: str
    phase: Phase
    categories: tuple[str, ...]
    choosable: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReleaseOwner(Command):
    """Ask an owner no more: it says that it holds nothing any more."""

    needs: ClassVar[Needs] = Needs.NOTHING

    owner: str


def lock_of_owner(owner: str) -> UUID:
    """Give an owner an id to lock by: commands about it name no account."""
    return uuid5(NAMESPACE_OID, owner)


# Requests


@dataclass(frozen=True, kw_only=True)
class OnRequest(Command):
    """Something is done with one request, by somebody. `account_id` is what the request says."""

    needs: ClassVar[Needs] = Needs.NOTHING

    request_id: UUID
    actor: str = "person"
    """Who stands in the audit chain: `person`, `clock`, the name of an owner, or `staff:` and a random id."""


@dataclass(frozen=True, kw_only=True)
class Submit(OnRequest):
    """Ask for something. The same id again is the same request."""

    reference: str
    kind: Kind | None
    channel: Channel
    known: bool
    """Whether it is known who asks: logged in is, a mail is not."""
    scope: Mapping[str, Any]
    region: str | None = None
    text: str | None = None
    values: Mapping[str, str | None] | None = None
    message_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ShowCode(OnRequest):
    """Show by the mailed code that the account's contact is one's own; each try counts."""

    code: str


@dataclass(frozen=True, kw_only=True)
class RecordEvidence(OnRequest):
    """Note what shows that somebody may ask for the person."""

    evidence_id: UUID
    authority: str
    note: str


@dataclass(frozen=True, kw_only=True)
class JudgeEvidence(OnRequest):
    """Accept an authority, or not; accepted, it is known who asks."""

    evidence_id: UUID
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class Classify(OnRequest):
    """Say what is wished, having read it."""

    kind: Kind
    scope: Mapping[str, Any]
    values: Mapping[str, str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Accept(OnRequest):
    """Have it carried out, bound to the preview that was shown."""

    shown: str | None = None
    """Digest of the preview; none where there is none."""


@dataclass(frozen=True, kw_only=True)
class AcceptInPart(Accept):
    """Have a part of it carried out, and refuse the rest on a ground."""

    kind: Kind
    scope: Mapping[str, Any]
    ground: Ground
    facts: str
    items: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Refuse(OnRequest):
    """Do not carry it out, on a ground, and say what helps."""

    ground: Ground
    facts: str
    items: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Extend(OnRequest):
    """Take longer, once, and tell the person in time."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class AskPerson(OnRequest):
    """Ask the person something; the time to answer stands still meanwhile."""

    question: str


@dataclass(frozen=True, kw_only=True)
class AnswerQuestion(OnRequest):
    """Answer what staff has asked."""

    answer_id: UUID
    text: str
    message_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pause(OnRequest):
    """Let it rest until then."""

    until: datetime


@dataclass(frozen=True, kw_only=True)
class Resume(OnRequest):
    """Go on with it."""


@dataclass(frozen=True)
class Cost:
    """What something costs."""

    what: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class QuoteFee(OnRequest):
    """Ask for the declared costs of a record that is not the first."""

    currency: str
    costs: tuple[Cost, ...]


@dataclass(frozen=True, kw_only=True)
class AcceptFee(OnRequest):
    """Agree to the costs."""


@dataclass(frozen=True, kw_only=True)
class TakePayment(OnRequest):
    """The costs are paid."""


@dataclass(frozen=True, kw_only=True)
class PassTime(OnRequest):
    """Do what time brings to a request."""

    actor: str = "clock"


# Access


@dataclass(frozen=True, kw_only=True)
class TakeExportPart(OnRequest):
    """Keep a part of what an owner has sent, encrypted as it came."""

    owner: str
    number: int
    sealed: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TakeExportEnd(OnRequest):
    """Note how many parts an owner has sent, and what it has counted in them."""

    owner: str
    parts: int
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class RemindOfExport(OnRequest):
    """Ask those owners again that still owe their export."""


@dataclass(frozen=True)
class Chunk:
    """An encrypted chunk of a package, and in which attempt it was made."""

    attempt: UUID
    number: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class KeepChunk(OnRequest):
    """Keep a chunk of a package that is being made."""

    lock: ClassVar[Lock] = Lock.SHARED

    chunk: Chunk


@dataclass(frozen=True, kw_only=True)
class FinishPackage(KeepChunk):
    """Keep the last chunk of a package: it is made, and the person is told."""

    lock: ClassVar[Lock] = Lock.EXCLUSIVE

    content_key: bytes = field(repr=False)
    """Wrapped."""
    size: int
    link: str = field(repr=False)
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SendPackageCode(OnRequest):
    """Send a code to the person's contact, by which whoever has the link can fetch the package, once."""

    code: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OpenPackage(OnRequest):
    """Begin to fetch a package: by the code that was sent, or none where the person is logged in."""

    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class EndPackage(OnRequest):
    """Erase a package: the person has it, or its time is over."""

    arrived: bool
    by_link: bool = False
    """Then only after it was fetched: a link alone destroys nothing."""


# Deletion and correction


@dataclass(frozen=True, kw_only=True)
class AskPreview(OnRequest):
    """Have every owner count anew what a deletion would erase."""


@dataclass(frozen=True, kw_only=True)
class TakeCount(OnRequest):
    """Note what an owner has counted."""

    owner: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class RemindOfPreview(OnRequest):
    """Ask those owners again that have not counted yet."""


@dataclass(frozen=True, kw_only=True)
class TakeCorrected(OnRequest):
    """Note what became of each value that an owner was to put right."""

    owner: str
    fields: tuple[CorrectedField, ...]


@dataclass(frozen=True, kw_only=True)
class RemindOfCorrection(OnRequest):
    """Order a correction again of those owners that have not answered yet."""


# Consent


@dataclass(frozen=True, kw_only=True)
class TakeConsent(KeepToConsent):
    """Keep to what was withdrawn or given again; what was withdrawn stands on record as a request."""

    event_id: UUID
    """The record's id, where the person has withdrawn without a request."""
    request_id: UUID | None = None
    reference: str | None = None


# By mail


@dataclass(frozen=True, kw_only=True)
class TakeMail(OnRequest):
    """Take in what somebody has written to the privacy mailbox, and answer. The same mail again is the same."""

    actor: str = "sender"
    reference: str
    sender: str = field(repr=False)
    kind: Kind | None
    """What it seems to wish."""
    language: str
    text: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    message_id: str | None = field(default=None, repr=False)
    answers: tuple[UUID, ...] = ()
    """The requests that the mails it answers were about, it says."""
    references: tuple[str, ...] = field(default=(), repr=False)
    """Those that its subject names."""
    authenticated: bool = False


@dataclass(frozen=True, kw_only=True)
class KnowSender(OnRequest):
    """Go on with a mail now that account has said whose address it came from, or whose is named in it."""

    actor: str = "sender"
    matched: bool
    region: str | None
    sender: str
    on_behalf: bool = False


@dataclass(frozen=True, kw_only=True)
class AskContact(OnRequest):
    """Have the person for whom somebody says to write confirm it, through the contact of the account."""

    address: str = field(repr=False)
