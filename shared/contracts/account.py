"""What the service `account` states: accounts, their contacts, their sessions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import SOURCE_PATTERN, AccountEvent, Moment
from shared.contracts.topics import ACCOUNTS, CONSENTS, CONTACTS, SESSIONS


class Origin(StrEnum):
    """By which door a cancellation came: what only postpones it in the app never declines a request."""

    APP = "app"
    REQUEST = "request"


class DeclineReason(StrEnum):
    """Why a cancellation is not possible now."""

    UNPAID_INSTALLMENTS = "unpaid-installments"
    PAYMENT_MESSAGE_UNREADABLE = "payment-message-unreadable"


class Decline(BaseModel):
    """One reason with what it concerns, and how many; the remedy follows from the reason."""

    model_config = ConfigDict(frozen=True)

    reason: DeclineReason
    count: int


class AccountRegistered(AccountEvent):
    """A person has confirmed the address and has an account from now on."""

    topic = ACCOUNTS
    type: Literal["AccountRegistered"] = "AccountRegistered"


class AddressRegisteredAgain(AccountEvent):
    """Somebody has tried to register with the address of this account; nothing came of it."""

    topic = ACCOUNTS
    type: Literal["AddressRegisteredAgain"] = "AddressRegisteredAgain"


class NewClientSeen(AccountEvent):
    """Somebody has logged in with a client (a phone, a browser) that this account was not used with before."""

    topic = ACCOUNTS
    type: Literal["NewClientSeen"] = "NewClientSeen"
    session_id: UUID


class PasswordChanged(AccountEvent):
    """The password is another one from now on."""

    topic = ACCOUNTS
    type: Literal["PasswordChanged"] = "PasswordChanged"


class SecondFactorChanged(AccountEvent):
    """To log in takes a second factor from now on, or no longer does."""

    topic = ACCOUNTS
    type: Literal["SecondFactorChanged"] = "SecondFactorChanged"
    enabled: bool


class EmailRestored(AccountEvent):
    """A change of the address was undone by whoever has the old one; every session has ended."""

    topic = ACCOUNTS
    type: Literal["EmailRestored"] = "EmailRestored"


class CancellationDeclined(AccountEvent):
    """A cancellation is not possible now; nothing was erased."""

    topic = ACCOUNTS
    type: Literal["CancellationDeclined"] = "CancellationDeclined"
    declines: tuple[Decline, ...]


class CancellationPossible(AccountEvent):
    """What had declined a cancellation is settled."""

    topic = ACCOUNTS
    type: Literal["CancellationPossible"] = "CancellationPossible"


class CancellationScheduled(AccountEvent):
    """A confirmed cancellation is held back for the cooling-off period, or for a package."""

    topic = ACCOUNTS
    type: Literal["CancellationScheduled"] = "CancellationScheduled"
    reference: str
    due_at: Moment
    package_first: bool = False
    """The person wants a copy of the data first: it is carried out when that is fetched, or then at the latest."""


class CancellationUndone(AccountEvent):
    """The person keeps the account."""

    topic = ACCOUNTS
    type: Literal["CancellationUndone"] = "CancellationUndone"
    reference: str


class AccountCancelled(AccountEvent):
    """The pivot: from here on it only rolls forward. Every data owner erases."""

    topic = ACCOUNTS
    type: Literal["AccountCancelled"] = "AccountCancelled"
    order_id: UUID
    origin: Origin
    references: tuple[str, ...]
    """Every reference that the person was given: each leads to this one order."""
    contact_version: int
    """The contact that the last message goes to."""


class SessionEnded(AccountEvent):
    """Access tokens of this session are no longer good, although they may not have expired."""

    topic = SESSIONS
    type: Literal["SessionEnded"] = "SessionEnded"
    session_id: UUID


class ContactChanged(AccountEvent):
    """Where messages to the person go, from this version on. Personal."""

    topic = CONTACTS
    type: Literal["ContactChanged"] = "ContactChanged"
    version: int
    email: str
    language: str


class ConfirmationRequested(AccountEvent):
    """Somebody registers with this address and has to show that it is theirs. Personal.

    `account_id` is the registration's id, which becomes the account's if it is confirmed.
    """

    topic = CONTACTS
    type: Literal["ConfirmationRequested"] = "ConfirmationRequested"
    email: str
    language: str
    code: str
    expires_at: Moment


class PasswordResetRequested(AccountEvent):
    """Somebody has forgotten the password of the account with this address. Personal."""

    topic = CONTACTS
    type: Literal["PasswordResetRequested"] = "PasswordResetRequested"
    email: str
    language: str
    code: str
    expires_at: Moment


class EmailChangeRequested(AccountEvent):
    """The person wants this new address, and has to show that it is theirs. Personal."""

    topic = CONTACTS
    type: Literal["EmailChangeRequested"] = "EmailChangeRequested"
    email: str
    language: str
    code: str
    expires_at: Moment


class EmailChanged(AccountEvent):
    """The account has another address; whoever has the old one, named here, can undo that for a time. Personal."""

    topic = CONTACTS
    type: Literal["EmailChanged"] = "EmailChanged"
    email: str
    language: str
    undo_token: str
    undo_until: Moment


class SenderMatched(AccountEvent):
    """Whose address has written to the privacy mailbox: `account_id` is the one of the request where it is nobody's.

    `sender` is a keyed digest of the address, the same for the same address, that account alone can make.
    """

    topic = ACCOUNTS
    type: Literal["SenderMatched"] = "SenderMatched"
    request_id: UUID
    matched: bool
    region: str | None = None
    sender: str
    on_behalf: bool = False
    """As it was asked."""


class Purpose(StrEnum):
    """What a person can take back consent for."""

    COLLECTION = "collection"
    USE = "use"
    DISCLOSURE = "disclosure"


class Scope(BaseModel):
    """One purpose at one service."""

    model_config = ConfigDict(frozen=True)

    purpose: Purpose
    service: str = Field(pattern=SOURCE_PATTERN)

    @property
    def name(self) -> str:
        """How the scope is kept, and asked for."""
        return f"{self.purpose}:{self.service}"


POLICY = "policy"
"""The name of the widest scope: the privacy policy as a whole."""


def scope_names(scopes: Iterable[Scope], *, whole_policy: bool) -> tuple[str, ...]:
    """Name all that a wish about consent is about."""
    return (*([POLICY] if whole_policy else []), *(scope.name for scope in scopes))


class ConsentWithdrawn(AccountEvent):
    """From `occurred_at` on: no collection, use or disclosure for these; what was before stays lawful."""

    topic = CONSENTS
    type: Literal["ConsentWithdrawn"] = "ConsentWithdrawn"
    scopes: tuple[Scope, ...]
    whole_policy: bool = False
    """The privacy policy as a whole: the person can log in to see, export, cancel or agree again, nothing else."""
    request_id: UUID | None = None
    """The request that it carries out; none where the person did it in the app."""
    reference: str | None = None
    """What the person was given in the app, to see it again."""


class ConsentGiven(AccountEvent):
    """The person agrees again: a new period begins at `occurred_at`, the old one stays closed."""

    topic = CONSENTS
    type: Literal["ConsentGiven"] = "ConsentGiven"
    scopes: tuple[Scope, ...]
    whole_policy: bool = False
