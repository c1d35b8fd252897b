"""What notifier hears, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping

from services.notifier.commands import Address, Kind, QueueMessage, RememberContact, SettleContact
from services.notifier.domain import HEADERS
from services.notifier.models import OWNER
from shared.commands import Command
from shared.consenting import CONSENTS_HEARD
from shared.contracts.account import (
    AccountCancelled,
    AddressRegisteredAgain,
    CancellationDeclined,
    CancellationPossible,
    CancellationScheduled,
    CancellationUndone,
    ConfirmationRequested,
    ContactChanged,
    EmailChanged,
    EmailChangeRequested,
    EmailRestored,
    NewClientSeen,
    PasswordChanged,
    PasswordResetRequested,
    SecondFactorChanged,
)
from shared.contracts.base import AccountEvent, Event
from shared.contracts.requests import ErasureOrdered, ErasureSettled, PersonTold
from shared.contracts.topics import ACCOUNTS, CONTACTS, MESSAGES, ORDERS
from shared.messaging.consumer import Subscription
from shared.sessions import SESSIONS_HEARD


def on_contact(event: Event) -> Command | None:
    """Translate where messages go, and codes for who has no account yet."""
    match event:
        case ContactChanged():
            return RememberContact(
                account_id=event.account_id,
                caused_by=event,
                version=event.version,
                address=Address(event.email, event.language),
            )
        case ConfirmationRequested():
            to = Address(event.email, event.language)
            return _message(event, Kind.CONFIRMATION_CODE, "code", "expires_at", address=to)
        case PasswordResetRequested():
            to = Address(event.email, event.language)
            return _message(event, Kind.PASSWORD_RESET_CODE, "code", "expires_at", address=to)
        case EmailChangeRequested():
            to = Address(event.email, event.language)
            return _message(event, Kind.EMAIL_CHANGE_CODE, "code", "expires_at", address=to)
        case EmailChanged():
            to = Address(event.email, event.language)
            return _message(event, Kind.EMAIL_CHANGED, "undo_token", "undo_until", address=to)
    return None


TOLD: Mapping[type[Event], tuple[Kind, tuple[str, ...]]] = {
    AddressRegisteredAgain: (Kind.ADDRESS_REGISTERED_AGAIN, ()),
    NewClientSeen: (Kind.NEW_CLIENT_SEEN, ("occurred_at",)),
    PasswordChanged: (Kind.PASSWORD_CHANGED, ("occurred_at",)),
    SecondFactorChanged: (Kind.SECOND_FACTOR_CHANGED, ("enabled", "occurred_at")),
    EmailRestored: (Kind.EMAIL_RESTORED, ("occurred_at",)),
    CancellationDeclined: (Kind.CANCELLATION_DECLINED, ("declines",)),
    CancellationPossible: (Kind.CANCELLATION_POSSIBLE, ()),
    CancellationScheduled: (Kind.CANCELLATION_SCHEDULED, ("reference", "due_at", "package_first")),
    CancellationUndone: (Kind.CANCELLATION_UNDONE, ("reference",)),
}
"""Which facts about an account are told to its person, and what is said of each."""


def on_account(event: Event) -> Command | None:
    """Translate what happens to an account. `AccountCancelled` erases nothing here: the contact goes last."""
    match event:
        case AccountCancelled():
            version = event.contact_version
            return _message(event, Kind.CANCELLATION_RECEIVED, "references", contact_version=version)
        case AccountEvent() if type(event) in TOLD:
            kind, fields = TOLD[type(event)]
            return _message(event, kind, *fields)
    return None


def on_order(event: Event) -> Command | None:
    """Translate that everybody else has erased, that notifier still owes its receipt, and orders of every owner."""
    match event:
        case ErasureSettled():
            return _settle(event, event.references)
        case ErasureOrdered() if OWNER.name in event.owners and event.categories is None:
            return _settle(event)
    return OWNER.command_for(event)


NOTICES = frozenset(Kind)


def on_message(event: Event) -> Command | None:
    """Translate what the person is to be told about a request; a notice of a later release is passed over."""
    match event:
        case PersonTold() if event.notice in NOTICES:
            return QueueMessage(
                account_id=event.account_id,
                caused_by=event,
                kind=Kind(event.notice),
                parameters=event.parameters | event.model_dump(mode="json", include=HEADERS, exclude_none=True),
                address=Address(event.address, event.language or "") if event.address else None,
            )
    return None


def _message(
    event: AccountEvent,
    kind: Kind,
    *fields: str,
    address: Address | None = None,
    contact_version: int | None = None,
) -> QueueMessage:
    return QueueMessage(
        account_id=event.account_id,
        caused_by=event,
        kind=kind,
        parameters=event.model_dump(mode="json", include=set(fields)),
        address=address,
        contact_version=contact_version,
    )


def _settle(event: ErasureSettled | ErasureOrdered, references: tuple[str, ...] = ()) -> SettleContact:
    return SettleContact(
        account_id=event.account_id,
        caused_by=event,
        order_id=event.order_id,
        contact_version=event.contact_version,
        references=references,
    )


SUBSCRIPTIONS = (
    Subscription(CONTACTS, on_contact),
    Subscription(ACCOUNTS, on_account),
    SESSIONS_HEARD,
    CONSENTS_HEARD,
    Subscription(ORDERS, on_order),
    Subscription(MESSAGES, on_message),
)
