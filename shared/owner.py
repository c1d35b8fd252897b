"""The data-owner kit: announces what a service holds, erases and exports on order, and answers with receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, MetaData, Uuid, any_, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import failpoints
from shared.apart import Apart
from shared.bus import Work
from shared.commands import Command, ContinueErasure, CountData, EraseAccount, EraseCategories, ExportAccount
from shared.contracts.account import AccountCancelled
from shared.contracts.base import Event
from shared.contracts.receipts import ITEMS, DataErased, Item, Outcome, OwnerAnnounced, Phase
from shared.contracts.requests import ErasureOrdered, ExportOrdered, OwnerAdmitted, PreviewOrdered
from shared.contracts.topics import DATA_OWNERS
from shared.exporting import Exporting
from shared.personal_data import Erasure, Held
from shared.tables import ClosedAccount, SharedBase

_RECEIPTS = select(
    ClosedAccount.account_id,
    ClosedAccount.order_id,
    ClosedAccount.receipt,
    ClosedAccount.remark,
    ClosedAccount.erased,
).where(ClosedAccount.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid))))
_UNFINISHED = select(ClosedAccount.account_id).where(~ClosedAccount.erased).limit(100)
_SUPPLEMENT = (
    update(ClosedAccount)
    .where(ClosedAccount.account_id == bindparam("account"))
    .values(receipt=ClosedAccount.receipt.op("||")(bindparam("items", type_=JSONB)))
    .returning(ClosedAccount.order_id)
)


@dataclass(frozen=True)
class Receipt:
    """What an owner answers, and answers again when asked again."""

    order_id: UUID
    items: tuple[Item, ...]
    remark: str | None
    erased: bool = True
    """Whether all of it is done: only then it is given."""

    def and_then(self, items: Sequence[Item], *, erased: bool) -> Receipt:
        """Add what was erased since."""
        more = {item.category: item.count for item in items}
        return replace(self, items=tuple(_added(item, more[item.category]) for item in self.items), erased=erased)


def _added(item: Item, more: int) -> Item:
    return item.model_copy(update={"count": item.count + more, "outcome": Outcome.ERASED}) if more else item


async def unfinished(connection: AsyncConnection) -> list[UUID]:
    """List accounts of which much is still being erased."""
    return list(await connection.scalars(_UNFINISHED))


async def _given(work: Work, accounts: Sequence[UUID]) -> dict[UUID, Receipt]:
    rows = await work.connection.execute(_RECEIPTS, {"accounts": list(accounts)})
    return {
        row.account_id: Receipt(row.order_id, ITEMS.validate_python(row.receipt), row.remark, erased=row.erased)
        for row in rows
    }


def _mark(work: Work, account_id: UUID, receipt: Receipt) -> dict[str, object]:
    return {
        "account_id": account_id,
        "order_id": receipt.order_id,
        "closed_at": work.now,
        "receipt": ITEMS.dump_python(receipt.items, mode="json"),
        "remark": receipt.remark,
        "erased": receipt.erased,
    }


def _erasing(event: ErasureOrdered) -> Command:
    account_id, order_id = event.account_id, event.order_id
    if event.categories is None:
        return EraseAccount(account_id=account_id, caused_by=event, order_id=order_id)
    return EraseCategories(account_id=account_id, caused_by=event, order_id=order_id, categories=event.categories)


class DataOwner:
    """A service as an owner of personal data: its name, its phase, and the tables that it answers for."""

    def __init__(self, name: str, phase: Phase, *metadata: MetaData) -> None:
        self.name = name
        self.phase = phase
        self.metadata = (*metadata, SharedBase.metadata)
        self.erasure = Erasure(*self.metadata)
        self.exporting = Exporting(self.erasure)
        self.apart = Apart(self.erasure)
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
            choosable=tuple(self.apart.choosable),
        )

    def command_for(self, event: Event) -> Command | None:
        """Translate what tells an owner to erase, count or export: the cancellation, or an order that names it."""
        match event:
            case AccountCancelled():
                return EraseAccount(account_id=event.account_id, caused_by=event, order_id=event.order_id)
            case ErasureOrdered() if self.name in event.owners:
                return _erasing(event)
            case PreviewOrdered() if self.name in event.owners:
                return CountData(account_id=event.account_id, caused_by=event, request_id=event.request_id)
            case ExportOrdered() if self.name in event.owners:
                return ExportAccount(
                    account_id=event.account_id,
                    caused_by=event,
                    request_id=event.request_id,
                    public_key=event.public_key,
                )
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
        failpoints.reach("owner.erasing")
        done = await self.erasure.run(work.connection, due, held)
        failpoints.reach("owner.erased")
        for account_id, items in done.items.items():
            erased = account_id not in done.unfinished
            receipts[account_id] = Receipt(due[account_id].order_id, items, remark, erased=erased)
        if due:
            marks = [_mark(work, account_id, receipts[account_id]) for account_id in due]
            await work.connection.execute(insert(ClosedAccount), marks)
            failpoints.reach("owner.marked")
        for order in orders:
            self._announce(work, order, receipts[order.account_id])

    async def go_on(self, work: Work, commands: Sequence[ContinueErasure]) -> None:
        """Erase the next part of accounts that have much, and announce the receipts of those that are done."""
        given = await _given(work, [command.account_id for command in commands])
        due = {account_id: receipt for account_id, receipt in given.items() if not receipt.erased}
        done = await self.erasure.run(work.connection, due, only_many=True)
        failpoints.reach("owner.part")
        for command in commands:
            account_id = command.account_id
            if account_id in due:
                erased = account_id not in done.unfinished
                receipt = due.pop(account_id).and_then(done.items[account_id], erased=erased)
                mine = update(ClosedAccount).where(ClosedAccount.account_id == account_id)
                values = _mark(work, account_id, receipt)
                await work.connection.execute(mine.values(receipt=values["receipt"], erased=erased))
                self._announce(work, command, receipt)

    @staticmethod
    def _announce(work: Work, command: Command, receipt: Receipt) -> None:
        if receipt.erased:
            told = {"order_id": receipt.order_id, "items": receipt.items, "remark": receipt.remark}
            work.announce(DataErased(**work.stamp(command), **told))

    @staticmethod
    async def supplement(work: Work, command: Command, items: Sequence[Item]) -> None:
        """Announce that what was held of a closed account is erased too."""
        receipt = ITEMS.dump_python(tuple(items), mode="json")
        order_id = await work.connection.scalar(_SUPPLEMENT, {"account": command.account_id, "items": receipt})
        if order_id:
            work.announce(DataErased(**work.stamp(command), order_id=order_id, items=tuple(items), supplement=True))
