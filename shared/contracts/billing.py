"""What billing states: instalments that are owed, and paid."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from shared.contracts.base import AccountEvent, Moment
from shared.contracts.topics import INSTALLMENTS


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
