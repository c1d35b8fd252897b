"""The preview of a deletion: what would be erased and what kept, by owner, with a digest over all that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.requests.rollcall import Owner
from shared.apart import BOUND
from shared.commands import Refusal
from shared.contracts.receipts import ITEMS, Item, Outcome
from shared.security import with_digest

GOOD_FOR = timedelta(hours=24)
"""How long what was counted is good enough to decide on."""
NOT_READY = Refusal("preview-not-ready")
NOT_APART = Refusal("category-not-apart")
NOT_ASKED_FOR = "not-asked-for"


@dataclass(frozen=True)
class Counted:
    """What one owner has counted; `at` is none while it owes that."""

    owner: str
    at: datetime | None
    items: tuple[Item, ...] = ()


def owing(counted: Sequence[Counted], owners: Mapping[str, Owner], now: datetime) -> tuple[str, ...]:
    """Name whose count is missing, or too old to decide on."""
    good = {each.owner for each in counted if each.at and now - each.at < GOOD_FOR}
    return tuple(sorted(owners.keys() - good))


def preview(
    counted: Sequence[Counted], owners: Mapping[str, Owner], categories: Sequence[str] | None
) -> dict[str, Any]:
    """Write what is shown: of these categories, or of everything. The same counts have the same digest."""
    document = {
        "categories": sorted(categories) if categories is not None else "all",
        "owners": [
            {"owner": each.owner, "items": _shown(each.items, owners[each.owner], categories)}
            for each in sorted(counted, key=lambda each: each.owner)
            if each.owner in owners
        ],
    }
    return with_digest(document)


def _shown(items: Sequence[Item], owner: Owner, categories: Sequence[str] | None) -> list[dict[str, Any]]:
    shown = items if categories is None else [_alone(item, owner, categories) for item in items]
    written: list[dict[str, Any]] = ITEMS.dump_python(tuple(shown), mode="json", exclude_none=True)
    return written


def _alone(item: Item, owner: Owner, categories: Sequence[str]) -> Item:
    """Say what becomes of a category where only some are erased."""
    if not item.count or (item.category in categories and item.category in owner.choosable):
        return item
    ground = BOUND if item.category in categories else NOT_ASKED_FOR
    return Item(category=item.category, outcome=Outcome.KEPT, count=item.count, ground=ground)


def not_apart(owners: Mapping[str, Owner], categories: Sequence[str]) -> Refusal | None:
    """Say that one of the categories cannot be erased while the account stays, or that nobody has it."""
    for category in categories:
        holding = [owner for owner in owners.values() if category in owner.categories]
        if not holding or any(category not in owner.choosable for owner in holding):
            return NOT_APART
    return None
