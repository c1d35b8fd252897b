"""Notifier under withdrawn consent: what is owed goes out, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifier.commands import Kind
from services.notifier.domain import NOT_OWED, OWED
from shared.contracts.account import AddressRegisteredAgain, NewClientSeen
from tests.builders import ANNA, BEN, NOON, fact, named
from tests.consents import given, withdrawn
from tests.notifier.facts import code_for, contact_of, possible_for
from tests.races import COMMIT, overlap
from tests.rooms import OpenRoom, Room

USE, POLICY = "use:notifier", "policy"


async def queued(notifier: Room) -> list[str]:
    return [row["kind"] for row in await notifier.rows("messages")]


def test_every_message_says_whether_it_is_owed_and_why() -> None:
    assert OWED.keys() | NOT_OWED.keys() == set(Kind)
    assert OWED.keys() & NOT_OWED.keys() == set()


@pytest.mark.parametrize("scope", [USE, POLICY])
async def test_only_what_is_owed_is_still_sent(room: OpenRoom, scope: str) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA), contact_of(BEN), withdrawn(ANNA, scope))

    await notifier.hears_at_once(*(fact(AddressRegisteredAgain, each) for each in (ANNA, BEN)), possible_for(ANNA))
    await notifier.hears(fact(NewClientSeen, ANNA, session_id=named("session")), code_for(ANNA))

    rows = [(row["account_id"], row["kind"]) for row in await notifier.rows("messages")]
    assert rows == [
        (BEN.account_id, "address-registered-again"),
        (ANNA.account_id, "cancellation-possible"),
        (ANNA.account_id, "new-client-seen"),
        (ANNA.account_id, "confirmation-code"),
    ]
    assert {row["account_id"] for row in await notifier.rows("notices") if row["kind"] in NOT_OWED} == {
        BEN.account_id
    }


async def test_what_is_queued_already_and_not_owed_is_withheld(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA), fact(AddressRegisteredAgain, ANNA), possible_for(ANNA))
    await notifier.hears(fact(AddressRegisteredAgain, BEN), withdrawn(ANNA, USE))

    assert [(row["account_id"], row["kind"]) for row in await notifier.rows("messages")] == [
        (ANNA.account_id, "cancellation-possible"),
        (BEN.account_id, "address-registered-again"),
    ]
    assert sorted(row["mailed"] for row in await notifier.rows("notices")) == ["waiting", "waiting", "withheld"]


async def test_who_agrees_again_is_sent_all_of_it(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA), given(ANNA, USE, at=NOON + timedelta(hours=1)), withdrawn(ANNA, USE))
    await notifier.hears(fact(AddressRegisteredAgain, ANNA))

    assert await queued(notifier) == ["address-registered-again"]


@pytest.mark.parametrize("locked", [True, False], ids=["with the lock it holds", "without the lock it breaks"])
async def test_a_message_that_is_being_queued_when_the_withdrawal_is_heard_of_does_not_go_out(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    async def no_lock(*_: object) -> None:
        """Lock nothing."""

    if not locked:
        monkeypatch.setattr("shared.bus.lock_accounts", no_lock)
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA))

    said = notifier.hears(fact(AddressRegisteredAgain, ANNA))
    await overlap(notifier.engine, COMMIT, said, notifier.hears(withdrawn(ANNA, USE)))

    assert (await queued(notifier) == []) is locked
