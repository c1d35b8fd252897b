"""What account hears, and what it makes of it."""

from __future__ import annotations

from services.account.commands import AddInstallment, MatchSender, SettleInstallment
from services.account.models import OWNER
from shared.commands import Command
from shared.contracts.base import Event
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.requests import SenderAsked
from shared.contracts.topics import INSTALLMENTS, ORDERS, SENDERS
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


SUBSCRIPTIONS = (
    Subscription(INSTALLMENTS, on_installment),
    Subscription(ORDERS, OWNER.command_for),
    Subscription(SENDERS, on_sender),
)
