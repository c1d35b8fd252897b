"""All queries about orders and owners. Statements are built once, and take a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Row,
    Uuid,
    any_,
    bindparam,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import AdmitOwner
from services.requests.models import Due as DueRow
from services.requests.models import Order as OrderRow
from services.requests.models import Owner as OwnerRow
from services.requests.models import Reference
from services.requests.rollcall import Due, Order, Owner
from shared.contracts.account import Origin
from shared.contracts.receipts import ITEMS, Phase

_IDS: Any = bindparam("ids", type_=ARRAY(Uuid))
_ORDERS = select(OrderRow).where(OrderRow.order_id == any_(_IDS))
_DUES = select(DueRow).where(DueRow.order_id == any_(_IDS))

_new_order = upsert(OrderRow)
_SAVE_ORDERS = _new_order.on_conflict_do_update(
    index_elements=[OrderRow.order_id],
    set_={
        column.name: _new_order.excluded[column.name]
        for column in OrderRow.__table__.columns
        if column.name not in {"order_id", "certificate"}
    },
)
_new_due = upsert(DueRow)
_SAVE_DUES = _new_due.on_conflict_do_update(
    index_elements=[DueRow.order_id, DueRow.owner],
    set_={name: _new_due.excluded[name] for name in ("phase", "answered_at", "items", "remark")},
)
_SAVE_REFERENCES = upsert(Reference).on_conflict_do_nothing()
_SAVE_CERTIFICATE = (
    update(OrderRow).where(OrderRow.order_id == bindparam("of")).values(certificate=bindparam("document"))
)
_OPEN = select(OrderRow.order_id, OrderRow.account_id).where(
    OrderRow.completed_at.is_(None), OrderRow.opened_at.is_not(None)
)


async def load(connection: AsyncConnection, order_ids: Collection[UUID]) -> dict[UUID, Order]:
    """Load orders with what is owed to them."""
    names = {"ids": list(order_ids)}
    dues: dict[UUID, dict[str, Due]] = {}
    for row in await connection.execute(_DUES, names):
        dues.setdefault(row.order_id, {})[row.owner] = _due(row)
    rows = await connection.execute(_ORDERS, names)
    return {row.order_id: _order(row, dues.get(row.order_id, {})) for row in rows}


def _due(row: Row[Any]) -> Due:
    return Due(row.owner, Phase(row.phase), row.answered_at, ITEMS.validate_python(row.items), row.remark)


def _order(row: Row[Any], dues: Mapping[str, Due]) -> Order:
    return Order(
        order_id=row.order_id,
        account_id=row.account_id,
        origin=Origin(row.origin) if row.origin else None,
        references=tuple(row.references),
        contact_version=row.contact_version,
        opened_at=row.opened_at,
        asked_at=row.asked_at,
        settled_at=row.settled_at,
        completed_at=row.completed_at,
        categories=None if row.categories is None else tuple(row.categories),
        request_id=row.request_id,
        dues=dues,
    )


async def save(connection: AsyncConnection, before: Mapping[UUID, Order], after: Collection[Order]) -> None:
    """Write what has changed of orders and dues."""
    changed = [order for order in after if order != before.get(order.order_id)]
    if not changed:
        return
    await connection.execute(_SAVE_ORDERS, [_order_values(order) for order in changed])
    dues = [
        _due_values(order.order_id, due)
        for order in changed
        for due in order.dues.values()
        if (known := before.get(order.order_id)) is None or known.dues.get(due.owner) != due
    ]
    if dues:
        await connection.execute(_SAVE_DUES, dues)
    references = [{"reference": ref, "order_id": order.order_id} for order in changed for ref in order.references]
    if references:
        await connection.execute(_SAVE_REFERENCES, references)


def _order_values(order: Order) -> dict[str, Any]:
    values = {name: value for name, value in vars(order).items() if name != "dues"}
    categories = None if order.categories is None else list(order.categories)
    return values | {"references": list(order.references), "categories": categories}


def _due_values(order_id: UUID, due: Due) -> dict[str, Any]:
    return vars(due) | {"order_id": order_id, "items": ITEMS.dump_python(due.items, mode="json")}


async def save_certificates(connection: AsyncConnection, documents: Mapping[UUID, dict[str, Any]]) -> None:
    """Write certificates."""
    if documents:
        rows = [{"of": order_id, "document": document} for order_id, document in documents.items()]
        await connection.execute(_SAVE_CERTIFICATE, rows)


async def find(connection: AsyncConnection, reference: str) -> tuple[Order, dict[str, Any] | None] | None:
    """Find the order that a reference leads to, and its certificate."""
    query = (
        select(OrderRow.order_id, OrderRow.certificate)
        .join(Reference, Reference.order_id == OrderRow.order_id)
        .where(Reference.reference == reference)
    )
    row = (await connection.execute(query)).first()
    if not row:
        return None
    return (await load(connection, [row.order_id]))[row.order_id], row.certificate


async def to_remind(connection: AsyncConnection, before: datetime) -> list[Row[Any]]:
    """List open orders (id, account) that were last asked before that time."""
    asked_before = or_(OrderRow.asked_at < before, OrderRow.asked_at.is_(None))
    return list(await connection.execute(_OPEN.where(asked_before).limit(500)))


async def owners(connection: AsyncConnection) -> dict[str, Owner]:
    """List who is admitted, in which phase each is asked, and what it holds."""
    what = (OwnerRow.name, OwnerRow.phase, OwnerRow.categories, OwnerRow.choosable)
    rows = await connection.execute(select(*what).where(~OwnerRow.left))
    return {r.name: Owner(Phase(r.phase), frozenset(r.categories), frozenset(r.choosable)) for r in rows}


async def admit(connection: AsyncConnection, command: AdmitOwner, now: datetime) -> None:
    """Keep an owner, or what it says anew."""
    held = {"categories": list(command.categories), "choosable": list(command.choosable)}
    values = {"phase": command.phase, **held, "left": False}
    new = upsert(OwnerRow).values(name=command.owner, admitted_at=now, **values)
    await connection.execute(new.on_conflict_do_update(index_elements=[OwnerRow.name], set_=values))


async def release(connection: AsyncConnection, owner: str) -> None:
    """Ask an owner no more."""
    await connection.execute(update(OwnerRow).where(OwnerRow.name == owner).values(left=True))
