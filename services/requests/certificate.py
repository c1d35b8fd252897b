"""The certificate: what was erased where and when, what is kept on which ground, and what may stay until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from services.requests.rollcall import Due, Order
from shared.contracts.receipts import ITEMS
from shared.contracts.topics import LONGEST_PERSONAL_RETENTION, LONGEST_RETENTION
from shared.retention import NAMELESS_KEPT
from shared.security import with_digest
from shared.settings import ServiceSettings
from shared.throttle import LONGEST_PERIOD


@dataclass(frozen=True)
class Periods:
    """How long what may stay stays at the longest, as operated."""

    marks: timedelta
    proof: timedelta
    storage: timedelta
    backups: timedelta

    @classmethod
    def of(cls, settings: ServiceSettings) -> Periods:
        """Read them from the settings."""
        return cls(
            marks=settings.mark_retention,
            proof=settings.proof_retention,
            storage=timedelta(days=settings.storage_residue_days),
            backups=timedelta(days=settings.backup_retention_days),
        )

    @lru_cache(maxsize=1)  # noqa: B019 - a value without a life of its own; a batch is completed at one moment
    def residue(self, since: datetime) -> list[dict[str, str]]:
        """List all that may stay after a complete erasure, each with its end."""
        ends = {
            "random ids and marks of closed accounts": self.marks,
            "ids of events that were handled": LONGEST_RETENTION + timedelta(days=1),
            "events that name the account by a random id": LONGEST_RETENTION,
            "digests of used tokens": timedelta(hours=24),
            "keyed digests that count tries": LONGEST_PERIOD,
            "codes for other registrations of the address, not yet delivered": timedelta(hours=24),
            "this order and its certificate": self.proof,
            "records of requests: random ids, kinds, states, grounds and times": self.proof,
            "personal messages not yet read or purged, log segments not yet rolled": LONGEST_PERSONAL_RETENTION,
            "dead rows and write-ahead log of the databases": self.storage,
            "bytes that name no account": NAMELESS_KEPT,
            "backups": self.backups,
        }
        return [{"what": what, "until": (since + period).isoformat()} for what, period in ends.items()]


def certificate(order: Order, completed_at: datetime, periods: Periods) -> dict[str, Any]:
    """Write the certificate of a completed order, with a digest over all of it."""
    document = {
        "order_id": str(order.order_id),
        "origin": order.origin,
        "categories": list(order.categories) if order.categories is not None else "all",
        "opened_at": _moment(order.opened_at),
        "settled_at": _moment(order.settled_at),
        "completed_at": _moment(completed_at),
        "owners": [_entry(due) for due in sorted(order.dues.values(), key=lambda due: due.owner)],
        "residue": periods.residue(completed_at),
    }
    return with_digest(document)


def _entry(due: Due) -> dict[str, Any]:
    return {
        "owner": due.owner,
        "answered_at": _moment(due.answered_at),
        "items": ITEMS.dump_python(due.items, mode="json", exclude_none=True),
        "remark": due.remark,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
