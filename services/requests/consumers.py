"""What requests hears, and what it makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.requests.commands import (
    AddFeedback,
    AdmitOwner,
    KnowSender,
    OpenOrder,
    ReleaseOwner,
    Submit,
    TakeConsent,
    TakeCorrected,
    TakeCount,
    TakeExportEnd,
    TakeExportPart,
    TakePayment,
    TakeReceipt,
    lock_of_owner,
)
from services.requests.models import OWNER
from shared.commands import Command
from shared.contracts.account import (
    AccountCancelled,
    CancellationScheduled,
    ConsentGiven,
    ConsentWithdrawn,
    SenderMatched,
    scope_names,
)
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.base import Event
from shared.contracts.billing import RequestFeePaid
from shared.contracts.receipts import (
    DataCorrected,
    DataCounted,
    DataErased,
    ExportCompleted,
    ExportPart,
    OwnerAnnounced,
    OwnerLeft,
)
from shared.contracts.requests import Channel, Kind
from shared.contracts.topics import ACCOUNTS, CONSENTS, EXPORTS, FEEDBACK, FEES, ORDERS, RECEIPTS
from shared.messaging.consumer import Subscription
from shared.security import reference_for
from shared.sessions import SESSIONS_HEARD


def on_account(event: Event) -> Command | None:
    """Account: a cancellation opens the order, or asks for a package first; whose address it is that has written."""
    match event:
        case CancellationScheduled() if event.package_first:
            return Submit(
                account_id=event.account_id,
                caused_by=event,
                request_id=event.id,
                reference=reference_for(str(event.id), "reference"),
                kind=Kind.ACCESS,
                channel=Channel.APP,
                known=True,
                scope={},
            )
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
        case ExportCompleted():
            return TakeExportEnd(
                account_id=event.account_id,
                caused_by=event,
                request_id=event.request_id,
                actor=event.source,
                owner=event.source,
                parts=event.parts,
                counts=event.counts,
            )
        case DataCounted():
            return TakeCount(**_answer(event), owner=event.source, items=event.items)
        case DataCorrected():
            return TakeCorrected(**_answer(event), owner=event.source, fields=event.fields)
    return _about_owner(event)


def _answer(event: DataCounted | DataCorrected) -> dict[str, Any]:
    """Say of an owner's answer which request it is about, and whose step it is."""
    whose = {"account_id": event.account_id, "request_id": event.request_id}
    return {**whose, "caused_by": event, "actor": event.source}


def _about_owner(event: Event) -> Command | None:
    match event:
        case OwnerAnnounced() if event.owner == event.source:
            return AdmitOwner(
                account_id=lock_of_owner(event.owner),
                caused_by=event,
                owner=event.owner,
                phase=event.phase,
                categories=event.categories,
                choosable=event.choosable,
            )
        case OwnerLeft() if event.owner == event.source:
            return ReleaseOwner(account_id=lock_of_owner(event.owner), caused_by=event, owner=event.owner)
    return None


def on_export(event: Event) -> Command | None:
    """Every data owner: what it exports."""
    match event:
        case ExportPart():
            return TakeExportPart(
                account_id=event.account_id,
                caused_by=event,
                request_id=event.request_id,
                actor=event.source,
                owner=event.source,
                number=event.number,
                sealed=event.sealed,
            )
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


def on_consent(event: Event) -> Command | None:
    """Account: what was withdrawn, also by a request that it ends, and what was given again."""
    match event:
        case ConsentWithdrawn():
            return replace(_consent(event, given=False), request_id=event.request_id, reference=event.reference)
        case ConsentGiven():
            return _consent(event, given=True)
    return None


def _consent(event: ConsentWithdrawn | ConsentGiven, *, given: bool) -> TakeConsent:
    return TakeConsent(
        account_id=event.account_id,
        caused_by=event,
        event_id=event.id,
        scopes=scope_names(event.scopes, whole_policy=event.whole_policy),
        since=event.occurred_at,
        given=given,
    )


SUBSCRIPTIONS = (
    Subscription(ACCOUNTS, on_account),
    Subscription(RECEIPTS, on_receipt),
    Subscription(EXPORTS, on_export),
    Subscription(FEEDBACK, on_feedback),
    Subscription(FEES, on_fee),
    SESSIONS_HEARD,
    Subscription(CONSENTS, on_consent),
    Subscription(ORDERS, OWNER.command_for),
)
