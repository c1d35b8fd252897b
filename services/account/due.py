"""What account does because its time has come: scheduled cancellations, holds that end, who may be told so."""

from __future__ import annotations

from services.account.commands import CancelAccount, DropHeldPayments, SettleInstallment, TellPossible
from services.account.domain.cancellations import PARKED_PAYMENT_LAPSES
from services.account.repository import cancellations, installments
from shared import failpoints
from shared.background import again_and_again, at_once
from shared.commands import Command
from shared.contracts.account import Origin
from shared.service import Service

DUE_SECONDS = 1.0


async def carry_out_what_is_due(service: Service) -> None:
    """Look for what is due, again and again; two replicas that find the same do it once."""
    await again_and_again("what is due", lambda: carry_out_once(service), DUE_SECONDS)


async def carry_out_once(service: Service) -> None:
    """Carry out all that is due now."""
    while found := await due(service):
        if await at_once(service.bus, found):
            break  # what fails is tried again after a while


async def due(service: Service) -> list[Command]:
    """List what is due now."""
    now = service.clock()
    async with service.engine.connect() as connection:
        accounts = await cancellations.due_cancellations(connection, now)
        lapsed = await installments.lapsed_installments(connection, now)
        declined = await installments.declined_without_reason(connection)
        unread = await installments.lapsed_payments(connection, now - PARKED_PAYMENT_LAPSES)
    failpoints.reach("due.found")
    return [
        *(CancelAccount(account_id=account_id, origin=Origin.APP) for account_id in accounts),
        *(SettleInstallment(account_id=account, installment_id=installment) for account, installment in lapsed),
        *(TellPossible(account_id=account_id) for account_id in declined),
        *(DropHeldPayments(account_id=account_id) for account_id in unread),
    ]
