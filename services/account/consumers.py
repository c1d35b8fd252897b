"""What account hears, and what it makes of it."""

from __future__ import annotations

from services.account.commands import (
    AddInstallment,
    CancelAccount,
    GoOnWithoutPackage,
    MatchSender,
    SettleInstallment,
    WithdrawConsent,
)
from services.account.domain.consents import SCOPES
from services.account.models import OWNER
from shared.changes import Correct
from shared.commands import Command
from shared.contracts.account import POLICY, Origin, scope_names
from shared.contracts.base import Event
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.requests import (
    AccountCorrectionOrdered,
    CancellationOrdered,
    PackageEnded,
    SenderAsked,
    WithdrawalOrdered,
)
from shared.contracts.topics import ACCOUNT_CORRECTIONS, INSTALLMENTS, ORDERS, REQUESTS, SENDERS
from shared.messaging.consumer import Subscription


def on_installment(event: Event) -> Command | None:
    """Billing: what is owed postpones a cancellation, what is paid no longer does."""
    match event:
        case InstallmentOwed():
            return AddInstallment(
                account_id=event.account_id,
                caused_by=event,
                installment_id=event.installment_id,
                lapses_at=event.lapses_at,
            )
        case InstallmentPaid():
            return SettleInstallment(
                account_id=event.account_id, caused_by=event, installment_id=event.installment_id
            )
    return None


def on_sender(event: Event) -> Command | None:
    """Tell requests whose address has written."""
    match event:
        case SenderAsked():
            return MatchSender(
                account_id=event.account_id,
                caused_by=event,
                request_id=event.request_id,
                address=event.address,
                on_behalf=event.on_behalf,
            )
    return None


def on_order(event: Event) -> Command | None:
    """Translate what an accepted request wants of account, and orders, as a data owner."""
    match event:
        case WithdrawalOrdered():
            named = scope_names(event.scopes, whole_policy=event.whole_policy)
            return WithdrawConsent(
                account_id=event.account_id,
                caused_by=event,
                scopes=tuple(scope for scope in named if scope == POLICY or scope in SCOPES),
                wished_at=event.occurred_at,
                request_id=event.request_id,
            )
        case CancellationOrdered():
            return CancelAccount(
                account_id=event.account_id, caused_by=event, origin=Origin.REQUEST, reference=event.reference
            )
    return OWNER.command_for(event)


def on_correction(event: Event) -> Command | None:
    """Translate what is to be put right in the profile."""
    match event:
        case AccountCorrectionOrdered():
            values = tuple(sorted(event.values.items()))
            return Correct(account_id=event.account_id, caused_by=event, request_id=event.request_id, values=values)
    return None


def on_request(event: Event) -> Command | None:
    """Translate what became of requests: a cancellation may wait for a package."""
    match event:
        case PackageEnded():
            return GoOnWithoutPackage(account_id=event.account_id, caused_by=event)
    return None


SUBSCRIPTIONS = (
    Subscription(INSTALLMENTS, on_installment),
    Subscription(ORDERS, on_order),
    Subscription(REQUESTS, on_request),
    Subscription(ACCOUNT_CORRECTIONS, on_correction),
    Subscription(SENDERS, on_sender),
)
