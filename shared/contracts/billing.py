"""What billing states: instalments that are owed, and paid; fees of requests."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from shared.contracts.base import AccountEvent, Moment
from shared.contracts.topics import FEES, INSTALLMENTS


class InstallmentOwed(AccountEvent):
    """An instalment is open: it postpones a cancellation until it is paid, at the latest until `lapses_at`."""

    topic = INSTALLMENTS
    type: Literal["InstallmentOwed"] = "InstallmentOwed"
    installment_id: UUID
    lapses_at: Moment


class InstallmentPaid(AccountEvent):
    """An instalment is settled."""

    topic = INSTALLMENTS
    type: Literal["InstallmentPaid"] = "InstallmentPaid"
    installment_id: UUID


class RequestFeePaid(AccountEvent):
    """The costs that the person has agreed to are paid."""

    topic = FEES
    type: Literal["RequestFeePaid"] = "RequestFeePaid"
    request_id: UUID
