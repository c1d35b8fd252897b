"""What requests does to follow an erasure to its end, for a whole batch: load, decide each, save, announce."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from services.requests import rollcall
from services.requests.certificate import Periods, certificate
from services.requests.commands import (
    AdmitOwner,
    OpenOrder,
    ReleaseOwner,
    Remind,
    TakeReceipt,
)
from services.requests.domain.cases import Request
from services.requests.handlers.desk import end_with_account, fulfil
from services.requests.handlers.registry import handlers
from services.requests.models import OWNER
from services.requests.repository import cases, orders
from services.requests.rollcall import Change, Due, Order, Owner, Step
from shared import failpoints
from shared.bus import Work
from shared.commands import Command, EraseAccount
from shared.contracts.account import Origin
from shared.contracts.receipts import Phase
from shared.contracts.requests import ErasureCompleted, ErasureOrdered, ErasureSettled, OwnerAdmitted


class Ledger:
    """The orders that a batch names: changes are gathered here, and saved and announced at its end."""

    def __init__(self, known: Mapping[UUID, Order]) -> None:
        self._before = known
        self._now = dict(known)
        self._steps: list[tuple[Command, UUID, Step]] = []

    def order(self, order_id: UUID, account_id: UUID) -> Order:
        """Show an order as it is now, or as it is before anything is known of it."""
        return self._now.get(order_id, Order(order_id, account_id))

    def enter(self, command: Command, change: Change) -> None:
        """Note a change and what it brought about."""
        order, steps = change
        self._now[order.order_id] = order
        self._steps += [(command, order.order_id, step) for step in steps]

    async def close(self, work: Work) -> None:
        """Save what has changed, write certificates, announce each step."""
        await orders.save(work.connection, self._before, self._now.values())
        periods = Periods.of(work.settings)
        proven = [self._now[order_id] for _, order_id, step in self._steps if step is not Step.SETTLED]
        documents = {o.order_id: certificate(o, o.completed_at, periods) for o in proven if o.completed_at}
        await orders.save_certificates(work.connection, documents)
        for command, order_id, step in self._steps:
            _announce(work, command, self._now[order_id], step)
            if step is Step.COMPLETED:
                await _fulfil(work, command, self._now[order_id])


def _announce(work: Work, command: Command, order: Order, step: Step) -> None:
    match step:
        case Step.SETTLED:
            failpoints.reach("rollcall.settled")
            work.announce(
                ErasureSettled(
                    **work.stamp(command),
                    order_id=order.order_id,
                    references=order.references,
                    contact_version=order.contact_version,
                )
            )
        case Step.COMPLETED:
            failpoints.reach("rollcall.completed")
            work.announce(ErasureCompleted(**work.stamp(command), order_id=order.order_id))
        case Step.SUPPLEMENTED:
            pass


async def _fulfil(work: Work, command: Command, order: Order) -> None:
    """End the request that the order has carried out; after a cancellation its last message has said so."""
    if order.request_id:
        notice = "request-done" if order.categories is not None else None
        await fulfil(work, command, order.request_id, notice=notice)


async def _ledger(work: Work, order_ids: Collection[UUID]) -> Ledger:
    return Ledger(await orders.load(work.connection, order_ids))


@handlers.of(OpenOrder)
async def open_orders(work: Work, commands: Sequence[OpenOrder]) -> None:
    """Follow the erasures to their end; and erase and answer for requests itself."""
    ledger = await _ledger(work, [command.order_id for command in commands])
    owners = rollcall.asked(None, await orders.owners(work.connection))
    for command in commands:
        heard = await _heard(work, command)
        before = ledger.order(command.order_id, command.account_id)
        ledger.enter(command, rollcall.opened(before, owners, heard))
    await ledger.close(work)
    failpoints.reach("rollcall.opened")
    await OWNER.erase(work, commands)


async def _heard(work: Work, command: OpenOrder) -> Order:
    """Say what the cancellation says; the references to the deletion that it carries out lead to the order too."""
    deletion = await end_with_account(work, command)
    references = await cases.references_of(work.connection, deletion.request_id) if deletion else []
    return Order(
        order_id=command.order_id,
        account_id=command.account_id,
        origin=command.origin,
        references=tuple(dict.fromkeys((*command.references, *references))),
        contact_version=command.contact_version,
        opened_at=work.now,
        asked_at=work.now,
        request_id=deletion.request_id if deletion else None,
    )


async def open_for(work: Work, command: Command, request: Request, categories: Sequence[str]) -> None:
    """Have categories erased while the account stays: an order of those who have any, by the request's id."""
    owners = rollcall.asked(tuple(categories), await orders.owners(work.connection))
    heard = Order(
        order_id=request.request_id,
        account_id=request.account_id,
        origin=Origin.REQUEST,
        references=tuple(await cases.references_of(work.connection, request.request_id)),
        opened_at=work.now,
        asked_at=work.now,
        categories=tuple(categories),
        request_id=request.request_id,
    )
    ledger = await _ledger(work, [heard.order_id])
    ledger.enter(command, rollcall.opened(ledger.order(heard.order_id, heard.account_id), owners, heard))
    _order(work, command, heard, sorted(owners))
    await ledger.close(work)


def _order(work: Work, command: Command, order: Order, owners: Sequence[str]) -> None:
    told = {"order_id": order.order_id, "owners": tuple(owners), "contact_version": order.contact_version}
    work.announce(ErasureOrdered(**work.stamp(command), **told, categories=order.categories))


@handlers.of(TakeReceipt)
async def take_receipts(work: Work, commands: Sequence[TakeReceipt]) -> None:
    """Call the roll with each receipt; the last one due in a phase brings about one event, a repeat none."""
    ledger = await _ledger(work, [command.order_id for command in commands])
    for command in commands:
        receipt = Due(command.owner, Phase.DATA, work.now, command.items, command.remark)
        before = ledger.order(command.order_id, command.account_id)
        ledger.enter(command, rollcall.answered(before, receipt, supplement=command.supplement))
    failpoints.reach("rollcall.taken")
    await ledger.close(work)


@handlers.of(Remind)
async def remind(work: Work, commands: Sequence[Remind]) -> None:
    """Repeat open orders to whoever still owes."""
    ledger = await _ledger(work, [command.order_id for command in commands])
    owners = await orders.owners(work.connection)
    for command in commands:
        order = _with_todays_owners(work, ledger, command, owners)
        owing = order.waits_for()
        if order.opened_at and owing:
            ledger.enter(command, (replace(order, asked_at=work.now), ()))
            _order(work, command, order, owing)
    await ledger.close(work)


def _with_todays_owners(work: Work, ledger: Ledger, command: Remind, owners: Mapping[str, Owner]) -> Order:
    order = ledger.order(command.order_id, command.account_id)
    order = rollcall.also_asked(order, rollcall.asked(order.categories, owners))
    ledger.enter(command, (order, ()))
    for owner in order.dues.keys() - owners.keys():
        ledger.enter(command, rollcall.released(ledger.order(order.order_id, order.account_id), owner, work.now))
    return ledger.order(order.order_id, order.account_id)


@handlers.of(AdmitOwner)
async def admit_owners(work: Work, commands: Sequence[AdmitOwner]) -> None:
    """Ask the owner in every order from now on, and tell it so: only then may it take data."""
    for command in commands:
        await orders.admit(work.connection, command, work.now)
        cause = command.caused_by
        work.announce(
            OwnerAdmitted(
                id=uuid4(),
                source=work.source,
                occurred_at=work.now,
                correlation_id=cause.correlation_id if cause else uuid4(),
                causation_id=cause.id if cause else None,
                owner=command.owner,
            )
        )


@handlers.of(ReleaseOwner)
async def release_owners(work: Work, commands: Sequence[ReleaseOwner]) -> None:
    """Ask the owner no more; open orders stop waiting for it when they are next looked at."""
    for command in commands:
        await orders.release(work.connection, command.owner)


@handlers.of(EraseAccount)
async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
    """Erase feedback, and answer, when an order is repeated."""
    await OWNER.erase(work, commands)
