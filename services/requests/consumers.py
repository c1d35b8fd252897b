"""What requests hears, and what it makes of it."""

from __future__ import annotations

from services.requests.commands import (
    AddFeedback,
    AdmitOwner,
    KnowSender,
    OpenOrder,
    ReleaseOwner,
    TakePayment,
    TakeReceipt,
    lock_of_owner,
)
from services.requests.models import OWNER
from shared.commands import Command
from shared.contracts.account import AccountCancelled, SenderMatched
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.base import Event
from shared.contracts.billing import RequestFeePaid
from shared.contracts.receipts import DataErased, OwnerAnnounced, OwnerLeft
from shared.contracts.topics import ACCOUNTS, FEEDBACK, FEES, ORDERS, RECEIPTS
from shared.messaging.consumer import Subscription
from shared.sessions import SESSIONS_HEARD


def on_account(event: Event) -> Command | None:
    """Account: a cancellation opens the order; whose address it is that has written."""
    match event:
        case AccountCancelled():
            return OpenOrder(
                account_id=event.account_id,
                caused_by=event,
                order_id=event.order_id,
                origin=event.origin,
                references=event.references,
                contact_version=event.contact_version,
            )
        case SenderMatched():
            return KnowSender(
                account_id=event.account_id,
                caused_by=event,
                request_id=event.request_id,
                matched=event.matched,
                region=event.region,
                sender=event.sender,
                on_behalf=event.on_behalf,
            )
    return None


def on_receipt(event: Event) -> Command | None:
    """Every data owner: receipts, and who is one."""
    match event:
        case DataErased():
            return TakeReceipt(
                account_id=event.account_id,
                caused_by=event,
                order_id=event.order_id,
                owner=event.source,
                items=event.items,
                supplement=event.supplement,
                remark=event.remark,
            )
        case OwnerAnnounced() if event.owner == event.source:
            return AdmitOwner(
                account_id=lock_of_owner(event.owner),
                caused_by=event,
                owner=event.owner,
                phase=event.phase,
                categories=event.categories,
            )
        case OwnerLeft() if event.owner == event.source:
            return ReleaseOwner(account_id=lock_of_owner(event.owner), caused_by=event, owner=event.owner)
    return None


def on_feedback(event: Event) -> Command | None:
    """App backends: feedback."""
    match event:
        case FeedbackSubmitted():
            return AddFeedback(
                account_id=event.account_id,
                caused_by=event,
                feedback_id=event.id,
                text=event.text,
                submitted_at=event.occurred_at,
            )
    return None


def on_fee(event: Event) -> Command | None:
    """Billing: fees of requests."""
    match event:
        case RequestFeePaid():
            account_id, request_id = event.account_id, event.request_id
            return TakePayment(account_id=account_id, caused_by=event, request_id=request_id, actor="billing")
    return None


SUBSCRIPTIONS = (
    Subscription(ACCOUNTS, on_account),
    Subscription(RECEIPTS, on_receipt),
    Subscription(FEEDBACK, on_feedback),
    Subscription(FEES, on_fee),
    SESSIONS_HEARD,
    Subscription(ORDERS, OWNER.command_for),
)
