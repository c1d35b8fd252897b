"""The data-owner kit: announces what a service holds, erases on order, and answers with receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, MetaData, Uuid, any_, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB

from shared.bus import Work
from shared.commands import Command, EraseAccount
from shared.contracts.account import AccountCancelled
from shared.contracts.base import Event
from shared.contracts.receipts import DataErased, Item, OwnerAnnounced, Phase
from shared.contracts.requests import ErasureOrdered, OwnerAdmitted
from shared.contracts.topics import DATA_OWNERS
from shared.personal_data import Erasure, Held
from shared.tables import ClosedAccount, SharedBase

_RECEIPTS = select(ClosedAccount.account_id, ClosedAccount.receipt, ClosedAccount.remark).where(
    ClosedAccount.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid)))
)
_SUPPLEMENT = (
    update(ClosedAccount)
    .where(ClosedAccount.account_id == bindparam("account"))
    .values(receipt=ClosedAccount.receipt.op("||")(bindparam("items", type_=JSONB)))
    .returning(ClosedAccount.order_id)
)


@dataclass(frozen=True)
class Receipt:
    """What an owner answers, and answers again when asked again."""

    items: tuple[Item, ...]
    remark: str | None


async def _given(work: Work, accounts: Sequence[UUID]) -> dict[UUID, Receipt]:
    rows = await work.connection.execute(_RECEIPTS, {"accounts": list(accounts)})
    return {row.account_id: Receipt(tuple(map(Item.model_validate, row.receipt)), row.remark) for row in rows}


def _mark(work: Work, order: EraseAccount, receipt: Receipt) -> dict[str, object]:
    return {
        "account_id": order.account_id,
        "order_id": order.order_id,
        "closed_at": work.now,
        "receipt": [item.model_dump(mode="json") for item in receipt.items],
        "remark": receipt.remark,
        "erased": True,
    }


class DataOwner:
    """A service as an owner of personal data: its name, its phase, and the tables that it answers for."""

    def __init__(self, name: str, phase: Phase, *metadata: MetaData) -> None:
        self.name = name
        self.phase = phase
        self.metadata = (*metadata, SharedBase.metadata)
        self.erasure = Erasure(*self.metadata)
        self.admitted = asyncio.Event()
        """Set once every order asks this owner; only then may it take data."""
        if name in DATA_OWNERS:
            self.admitted.set()

    def announcement(self, work: Work) -> OwnerAnnounced:
        """Say what this owner will hold. Repeated at every start, and answered every time."""
        return OwnerAnnounced(
            id=uuid4(),
            source=self.name,
            occurred_at=work.now,
            correlation_id=uuid4(),
            owner=self.name,
            phase=self.phase,
            categories=tuple(self.erasure.categories),
        )

    def command_for(self, event: Event) -> Command | None:
        """Translate what tells an owner to erase: the cancellation itself, or an order that names this owner."""
        match event:
            case AccountCancelled():
                return EraseAccount(account_id=event.account_id, caused_by=event, order_id=event.order_id)
            case ErasureOrdered() if self.name in event.owners:
                return EraseAccount(account_id=event.account_id, caused_by=event, order_id=event.order_id)
            case OwnerAdmitted() if event.owner == self.name:
                self.admitted.set()
        return None

    async def erase(
        self, work: Work, orders: Sequence[EraseAccount], held: Held | None = None, remark: str | None = None
    ) -> None:
        """Erase, leave the mark that bars latecomers, and announce the receipts.

        What is erased already is only answered again, with the receipt that was given. The caller's transaction
        holds the accounts exclusively.
        """
        receipts = await _given(work, [order.account_id for order in orders])
        due = {order.account_id: order for order in orders if order.account_id not in receipts}
        for account_id, items in (await self.erasure.run(work.connection, due, held)).items():
            receipts[account_id] = Receipt(items, remark)
        if due:
            marks = [_mark(work, order, receipts[account_id]) for account_id, order in due.items()]
            await work.connection.execute(insert(ClosedAccount), marks)
        for order in orders:
            receipt = receipts[order.account_id]
            work.announce(DataErased(**work.stamp(order), order_id=order.order_id, **vars(receipt)))

    @staticmethod
    async def supplement(work: Work, command: Command, items: Sequence[Item]) -> None:
        """Announce that what was held of a closed account is erased too."""
        receipt = [item.model_dump(mode="json") for item in items]
        order_id = await work.connection.scalar(_SUPPLEMENT, {"account": command.account_id, "items": receipt})
        if order_id:
            work.announce(DataErased(**work.stamp(command), order_id=order_id, items=tuple(items), supplement=True))
