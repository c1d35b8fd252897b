"""What account does when an instalment is owed, paid or lapsed."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.commands import (
    AddInstallment,
    DropHeldPayments,
    SettleInstallment,
    TellPossible,
)
from services.account.handlers.registry import handlers
from services.account.models import OWNER
from services.account.repository import installments
from shared.bus import Work, closed_among
from shared.commands import Command
from shared.contracts.account import (
    CancellationPossible,
)
from shared.contracts.receipts import Item, Outcome
from shared.personal_data import Category


@handlers.of(AddInstallment)
async def add_installments(work: Work, commands: Sequence[AddInstallment]) -> None:
    """Note what is owed, also before the account is heard of."""
    await installments.add_installments(work.connection, commands)


@handlers.of(SettleInstallment)
async def settle_installments(work: Work, commands: Sequence[SettleInstallment]) -> None:
    """End the holds; who was declined is told, and of a closed account the held rows are gone now."""
    closed = await closed_among(work, [command.account_id for command in commands])
    await installments.settle_installments(
        work.connection, [command for command in commands if command.account_id not in closed], work.now
    )
    await tell_possible(work, commands)
    held = {command.account_id: command for command in commands if command.account_id in closed}
    erased = await installments.erase_settled(work.connection, [c for c in commands if c.account_id in closed])
    for account_id, count in erased.items():
        item = Item(category=Category.INSTALLMENTS, outcome=Outcome.ERASED, count=count)
        await OWNER.supplement(work, held[account_id], [item])


@handlers.of(TellPossible)
async def tell_possible(work: Work, commands: Sequence[Command]) -> None:
    """Tell who was declined that nothing postpones a cancellation any more, once."""
    by_account = {command.account_id: command for command in commands}
    for account_id in await installments.no_longer_declined(work.connection, list(by_account)):
        work.announce(CancellationPossible(**work.stamp(by_account[account_id])))


@handlers.of(DropHeldPayments)
async def drop_held_payments(work: Work, commands: Sequence[DropHeldPayments]) -> None:
    """Erase what was held unread, and say so."""
    dropped = await installments.drop_payments(work.connection, [command.account_id for command in commands])
    for command in commands:
        if count := dropped.get(command.account_id, 0):
            item = Item(category=Category.UNHANDLED_MESSAGES, outcome=Outcome.ERASED, count=count)
            await OWNER.supplement(work, command, [item])
