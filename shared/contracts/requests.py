"""What the service `requests` states: its orders, what became of requests, and which data owners are admitted."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.contracts.account import Scope
from shared.contracts.base import AccountEvent, Moment, OwnerEvent, Text
from shared.contracts.topics import (
    ACCOUNT_CORRECTIONS,
    DEVICE_CORRECTIONS,
    MESSAGES,
    ORDERS,
    REQUESTS,
    SENDERS,
)

SLUG = r"^[a-z][a-z-]{0,59}$"
MESSAGE_ID = r"^<[!-;=?-~]{1,198}>$"


class Kind(StrEnum):
    """What a person can ask for."""

    ACCESS = "access"
    CORRECTION = "correction"
    DELETION = "deletion"
    WITHDRAWAL = "withdrawal"


class Channel(StrEnum):
    """How a wish came in."""

    APP = "app"
    MAIL = "e-mail"
    SPOKEN = "spoken"


class Ground(StrEnum):
    """On what the policy allows a request to be refused: these and no others."""

    MEANINGLESS = "meaningless-or-entangled"
    REPETITIVE = "repetitive"
    PRIVACY_OF_OTHERS = "privacy-of-others"
    UNREALISTIC = "extremely-unrealistic"
    DISPROPORTIONATE = "disproportionate-technical-work"
    NOT_REQUIRED = "not-required-by-local-law"
    MADE_PUBLIC = "made-public"
    IN_CONFIDENCE = "given-in-confidence"
    SECURITY = "anti-fraud-or-security"


class ErasureOrdered(AccountEvent):
    """An order to those who owe a receipt: one of categories, or a repeat of the one that a cancellation is."""

    topic = ORDERS
    type: Literal["ErasureOrdered"] = "ErasureOrdered"
    order_id: UUID
    owners: tuple[str, ...]
    contact_version: int
    categories: tuple[str, ...] | None = None
    """Only these, and the account stays; none for all of it, after its cancellation."""


class PreviewOrdered(AccountEvent):
    """A person wants data erased: each of the owners counts what that would erase, and says what it would keep.

    Repeated to whoever still owes; an owner that has counted counts anew.
    """

    topic = ORDERS
    type: Literal["PreviewOrdered"] = "PreviewOrdered"
    request_id: UUID
    owners: tuple[str, ...]


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


class ExportOrdered(AccountEvent):
    """An accepted access request: each of the owners exports what it holds, encrypted to this key alone.

    Repeated to whoever still owes; an owner that has exported answers the same again.
    """

    topic = ORDERS
    type: Literal["ExportOrdered"] = "ExportOrdered"
    request_id: UUID
    owners: tuple[str, ...]
    public_key: dict[str, str]
    """A JWK, made for this request."""


class WithdrawalOrdered(AccountEvent):
    """A verified withdrawal of consent, for account, which owns the ledger; `occurred_at` is when it was wished."""

    topic = ORDERS
    type: Literal["WithdrawalOrdered"] = "WithdrawalOrdered"
    request_id: UUID
    scopes: tuple[Scope, ...]
    whole_policy: bool = False


class CancellationOrdered(AccountEvent):
    """An accepted deletion of everything, for account: the second door of the cancellation."""

    topic = ORDERS
    type: Literal["CancellationOrdered"] = "CancellationOrdered"
    request_id: UUID
    reference: str


class RequestReceived(AccountEvent):
    """A person has asked for something. `account_id` is the request's own while nobody knows whose it is."""

    topic = REQUESTS
    type: Literal["RequestReceived"] = "RequestReceived"
    request_id: UUID
    kind: Kind | None = None
    """None where staff has to read what is wished."""
    channel: Channel
    due_at: Moment


class IdentityVerified(AccountEvent):
    """It is known who asks."""

    topic = REQUESTS
    type: Literal["IdentityVerified"] = "IdentityVerified"
    request_id: UUID


class RequestAccepted(AccountEvent):
    """It will be carried out, wholly or in part."""

    topic = REQUESTS
    type: Literal["RequestAccepted"] = "RequestAccepted"
    request_id: UUID
    kind: Kind
    in_part: bool = False


class RequestRefused(AccountEvent):
    """It will not be carried out, on this ground; the person is told facts and remedy."""

    topic = REQUESTS
    type: Literal["RequestRefused"] = "RequestRefused"
    request_id: UUID
    ground: Ground


class RequestExtended(AccountEvent):
    """It takes longer, and the person was told in time."""

    topic = REQUESTS
    type: Literal["RequestExtended"] = "RequestExtended"
    request_id: UUID
    due_at: Moment


class RequestEscalated(AccountEvent):
    """It is due soon, and nobody has decided: somebody has to look at it now."""

    topic = REQUESTS
    type: Literal["RequestEscalated"] = "RequestEscalated"
    request_id: UUID
    due_at: Moment


class RequestFeeAccepted(AccountEvent):
    """The person agrees to pay the declared costs: for billing, in a currency of ISO 4217."""

    topic = REQUESTS
    type: Literal["RequestFeeAccepted"] = "RequestFeeAccepted"
    request_id: UUID
    amount: str = Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class RequestFulfilled(AccountEvent):
    """It is carried out."""

    topic = REQUESTS
    type: Literal["RequestFulfilled"] = "RequestFulfilled"
    request_id: UUID
    kind: Kind


class RequestEnded(AccountEvent):
    """It ended otherwise: a slug says how (`not-identified`, `lapsed`, `joined`, `account-cancelled`)."""

    topic = REQUESTS
    type: Literal["RequestEnded"] = "RequestEnded"
    request_id: UUID
    how: str = Field(pattern=SLUG)


class PackageEnded(AccountEvent):
    """A package is there no more: the person has it, or its time is over."""

    topic = REQUESTS
    type: Literal["PackageEnded"] = "PackageEnded"
    request_id: UUID
    arrived: bool


class PersonTold(AccountEvent):
    """What the person is to be told about a request: a template's name and what stands in it. Personal.

    With an address it is an answer to whoever has written, of whom nothing else is known; without one it goes to the
    account's contact, in its language.
    """

    topic = MESSAGES
    type: Literal["PersonTold"] = "PersonTold"
    request_id: UUID
    notice: str = Field(pattern=SLUG)
    parameters: dict[str, Any] = Field(default_factory=dict, repr=False)
    address: str | None = Field(default=None, max_length=254, repr=False)
    language: str | None = Field(default=None, max_length=20)
    in_reply_to: str | None = Field(default=None, pattern=MESSAGE_ID, repr=False)
    """The `Message-ID` that this answers: whoever has written has chosen it, and it goes into a header."""


class SenderAsked(AccountEvent):
    """Whose address has written? `account_id` is the request's own. Personal."""

    topic = SENDERS
    type: Literal["SenderAsked"] = "SenderAsked"
    request_id: UUID
    address: str = Field(max_length=254, repr=False)
    on_behalf: bool = False
    """It is not the writer's own, but of whom somebody says to write for."""


class Corrections(BaseModel):
    """Values that are to be put right, by the field's name; none clears."""

    request_id: UUID
    values: dict[str, Text | None] = Field(repr=False)


class AccountCorrectionOrdered(Corrections, AccountEvent):
    """Values of the profile: `nickname`, `region`, `language`. Personal."""

    topic = ACCOUNT_CORRECTIONS
    type: Literal["AccountCorrectionOrdered"] = "AccountCorrectionOrdered"


class DeviceCorrectionOrdered(Corrections, AccountEvent):
    """Names of devices, by binding. Personal."""

    topic = DEVICE_CORRECTIONS
    type: Literal["DeviceCorrectionOrdered"] = "DeviceCorrectionOrdered"
