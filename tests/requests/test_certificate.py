"""The certificate lists all that may stay, each with its end, and its digest covers all of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

from services.requests.certificate import Periods, certificate
from services.requests.rollcall import Due, Order
from shared.contracts.receipts import Item, Outcome, Phase
from tests.builders import ANNA, NEXT_MONTH, NOON, SOON

PERIODS = Periods(
    marks=timedelta(days=60), proof=timedelta(days=1095), storage=timedelta(days=30), backups=timedelta(days=35)
)
KEPT = Item(category="installments", outcome=Outcome.KEPT, count=1, ground="unpaid-installments", until=NEXT_MONTH)
ORDER = Order(
    ANNA.order_id,
    ANNA.account_id,
    opened_at=NOON,
    settled_at=NOON,
    completed_at=SOON,
    dues={"account": Due("account", Phase.DATA, NOON, (KEPT,))},
)


def test_every_residue_has_an_end_after_the_completion() -> None:
    residue = certificate(ORDER, SOON, PERIODS)["residue"]

    assert len(residue) >= 9
    assert all(each["what"] and datetime.fromisoformat(each["until"]) > SOON for each in residue)


def test_what_is_kept_says_on_what_ground_and_until_when() -> None:
    (owner,) = certificate(ORDER, SOON, PERIODS)["owners"]

    assert owner["items"] == [
        {
            "category": "installments",
            "outcome": "kept",
            "count": 1,
            "ground": "unpaid-installments",
            "until": NEXT_MONTH.isoformat().replace("+00:00", "Z"),
        }
    ]


def test_it_names_no_account() -> None:
    assert str(ANNA.account_id) not in json.dumps(certificate(ORDER, SOON, PERIODS), default=str)


def test_the_digest_covers_all_of_it() -> None:
    document = certificate(ORDER, SOON, PERIODS)
    digest = document.pop("sha256")

    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert digest == hashlib.sha256(canonical).hexdigest()
    assert certificate(replace(ORDER, opened_at=SOON), SOON, PERIODS)["sha256"] != digest
