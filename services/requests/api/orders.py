"""The HTTP door to the status of an order, by the reference that outlives the account."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from services.requests.repository import orders
from services.requests.rollcall import Due, Order
from shared.http import Problem, Reference
from shared.service import Running

router = APIRouter(prefix="/v1", tags=["orders"])


@router.get("/orders/{reference}")
async def see_order(reference: Reference, service: Running) -> dict[str, Any]:
    """See how far an erasure is: who has answered what, who is awaited, and in the end the certificate."""
    # One snapshot for all reads: a completed order is never shown without its certificate.
    snapshot = service.engine.execution_options(isolation_level="REPEATABLE READ")
    async with snapshot.connect() as connection:
        found = await orders.find(connection, reference)
    if not found:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no-such-order",
            "Not confirmed, not heard of yet, or forgotten after its time.",
        )
    order, certificate = found
    return {
        "order_id": order.order_id,
        "state": _state(order),
        "opened_at": order.opened_at,
        "settled_at": order.settled_at,
        "completed_at": order.completed_at,
        "waits_for": order.waits_for(),
        "owners": [_due(due) for due in sorted(order.dues.values(), key=lambda due: due.owner)],
        "certificate": certificate,
    }


def _state(order: Order) -> str:
    if order.completed_at:
        return "completed"
    return "settled" if order.settled_at else "open"


def _due(due: Due) -> dict[str, Any]:
    return {
        "owner": due.owner,
        "phase": due.phase,
        "answered_at": due.answered_at,
        "items": [item.model_dump(mode="json", exclude_none=True) for item in due.items],
        "remark": due.remark,
    }
