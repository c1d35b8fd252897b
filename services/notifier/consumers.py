"""What notifier hears, and what it makes of it."""

from __future__ import annotations

from services.notifier.commands import Address, Kind, QueueMessage, RememberContact, SettleContact
from services.notifier.models import OWNER
from shared.commands import Command
from shared.contracts.account import (
    AccountCancelled,
    CancellationDeclined,
    CancellationPossible,
    CancellationScheduled,
    CancellationUndone,
    ConfirmationRequested,
    ContactChanged,
)
from shared.contracts.base import AccountEvent, Event
from shared.contracts.requests import ErasureOrdered, ErasureSettled
from shared.contracts.topics import ACCOUNTS, CONTACTS, ORDERS
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
    return None


def on_account(event: Event) -> Command | None:
    """Translate how far a cancellation is. `AccountCancelled` erases nothing here: the contact goes last."""
    match event:
        case CancellationDeclined():
            return _message(event, Kind.CANCELLATION_DECLINED, "declines")
        case CancellationPossible():
            return _message(event, Kind.CANCELLATION_POSSIBLE)
        case CancellationScheduled():
            return _message(event, Kind.CANCELLATION_SCHEDULED, "reference", "due_at")
        case CancellationUndone():
            return _message(event, Kind.CANCELLATION_UNDONE, "reference")
        case AccountCancelled():
            version = event.contact_version
            return _message(event, Kind.CANCELLATION_RECEIVED, "references", contact_version=version)
    return None


def on_order(event: Event) -> Command | None:
    """Translate that everybody else has erased, or that notifier still owes its receipt."""
    match event:
        case ErasureSettled():
            return _settle(event, event.references)
        case ErasureOrdered() if OWNER.name in event.owners:
            return _settle(event)
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
    Subscription(ORDERS, on_order),
)
