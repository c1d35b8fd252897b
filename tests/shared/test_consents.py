"""Periods of consent: the same in every order of facts, and what each of them bars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from shared.commands import Command, Needs
from shared.consents import Withdrawal, bars, needed, note, withdrawn
from tests.builders import ANNA, BEN, NOON
from tests.rooms import OpenRoom

HOUR = timedelta(hours=1)
LATENESS = timedelta(hours=24)
SCOPE = "collection:device"
WITHDRAWN = Withdrawal(SCOPE, NOON, NOON + 30 * HOUR)
STANDING = Withdrawal(SCOPE, NOON, None)


@dataclass(frozen=True, kw_only=True)
class Keep(Command):
    """Keep something, of a time of its own."""

    at: datetime | None = None

    @property
    def given_at(self) -> datetime | None:
        return self.at


def kept(given_at: datetime, taken_at: datetime) -> Keep:
    return Keep(account_id=ANNA.account_id, at=given_at, taken_at=taken_at)


@pytest.mark.parametrize(
    ("given_at", "taken_at", "barred"),
    [
        (NOON - HOUR, NOON - HOUR, False),
        (NOON - HOUR, NOON + LATENESS - HOUR, False),
        (NOON - HOUR, NOON + LATENESS, True),
        (NOON - HOUR, NOON + 29 * HOUR, True),
        (NOON - HOUR, NOON + 31 * HOUR, False),  # agreed again, and given when there was consent too
        (NOON, NOON, True),
        (NOON + 29 * HOUR, NOON + 90 * HOUR, True),
        (NOON + 30 * HOUR, NOON + 30 * HOUR, False),
    ],
)
def test_what_was_given_in_a_period_is_judged_by_its_time_and_by_the_brokers(
    given_at: datetime, taken_at: datetime, *, barred: bool
) -> None:
    assert bars([WITHDRAWN], kept(given_at, taken_at), LATENESS) is barred


def test_what_is_done_now_is_judged_by_how_consent_stands() -> None:
    now = Command(account_id=ANNA.account_id)

    assert bars([STANDING], now, LATENESS)
    assert not bars([WITHDRAWN], now, LATENESS)


def test_who_asks_for_a_purpose_asks_for_the_policy_too() -> None:
    assert needed(Needs.COLLECTION, "device") == ("policy", SCOPE)
    assert needed(Needs.POLICY, "device") == ("policy",)
    assert needed(Needs.NOTHING, "device") == ()


FACTS = [
    (ANNA.account_id, SCOPE, NOON, False),
    (ANNA.account_id, SCOPE, NOON + HOUR, True),
    (ANNA.account_id, SCOPE, NOON + HOUR, False),  # at the same moment: what is withdrawn counts
    (ANNA.account_id, SCOPE, NOON + 2 * HOUR, True),
]


async def test_facts_give_the_same_periods_in_every_order_and_twice(room: OpenRoom) -> None:
    ends = []
    for order in permutations(FACTS):
        device = await room("device")
        for each in (*order, order[0]):
            async with device.engine.begin() as connection:
                await note(connection, [each, (BEN.account_id, *each[1:])])
        ends.append([row for row in await device.rows("consent_periods") if row["account_id"] == ANNA.account_id])

    spans = [(row["since"] - NOON, row["until"] and row["until"] - NOON, row["given"]) for row in ends[0]]
    assert spans == [(0 * HOUR, HOUR, False), (HOUR, 2 * HOUR, False), (2 * HOUR, None, True)]
    assert ends == [ends[0]] * len(ends)


async def test_facts_that_come_in_one_batch_give_the_same_periods(room: OpenRoom) -> None:
    device = await room("device")
    async with device.engine.begin() as connection:
        await note(connection, FACTS)
        found = (await withdrawn(connection, [ANNA.account_id]))[ANNA.account_id]

    assert sorted(found, key=lambda each: each.since) == [
        replace(WITHDRAWN, until=NOON + HOUR),
        replace(WITHDRAWN, since=NOON + HOUR, until=NOON + 2 * HOUR),
    ]
