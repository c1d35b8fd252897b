"""A withdrawal of consent as a request: ordered of account, on record by its reference, and kept to by requests."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import permutations
from typing import Any

import pytest

from services.requests.codes import code_of
from services.requests.commands import AddFeedback, ShowCode, Submit
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.requests import Channel, Kind
from shared.contracts.topics import FEEDBACK
from shared.messaging.positions import Record
from tests.builders import ANNA, BEN, NOON, fact, named, raw_record
from tests.consents import given, withdrawn
from tests.doors import door_of, slug_of
from tests.races import COMMIT, overlap
from tests.rooms import OpenRoom, Room

COLLECTION, POLICY = "collection:requests", "policy"
HOUR = timedelta(hours=1)
WITHDRAWN_AT, GIVEN_AT = NOON + HOUR, NOON + 3 * HOUR
REFERENCE = "r" * 43
WISH = Submit(
    account_id=ANNA.account_id,
    request_id=named("request"),
    reference=REFERENCE,
    kind=Kind.WITHDRAWAL,
    channel=Channel.APP,
    known=True,
    scope={"scopes": [{"purpose": "collection", "service": "device"}], "whole_policy": False},
)


def feedback(written_at: datetime, taken_at: datetime | None = None) -> Record:
    """Hand over feedback of Anna; by the broker's clock it came when it was written, or at `taken_at`."""
    event = fact(FeedbackSubmitted, ANNA, occurred_at=written_at, text="Too loud at night")
    record = raw_record(FEEDBACK, event.model_dump_json().encode(), event.key.encode())
    return replace(record, timestamp=int((taken_at or written_at).timestamp() * 1000))


async def kept(requests: Room) -> list[datetime]:
    return sorted(row["submitted_at"] for row in await requests.rows("feedback"))


async def said(requests: Room, what: str) -> list[dict[str, Any]]:
    return [each for each in await requests.announced() if each["type"] == what]


# The request


async def test_a_withdrawal_is_ordered_as_soon_as_it_is_known_who_asks_as_of_the_time_of_the_wish(
    room: OpenRoom,
) -> None:
    requests = await room("requests")
    await requests.does(replace(WISH, channel=Channel.MAIL, known=False))
    requests.clock.now += HOUR
    code = code_of(requests.settings.internal_token, WISH.request_id, WISH.account_id)
    await requests.does(ShowCode(account_id=ANNA.account_id, request_id=WISH.request_id, code=code))

    (order,) = await said(requests, "WithdrawalOrdered")
    assert order["scopes"] == [{"purpose": "collection", "service": "device"}]
    assert (order["request_id"], order["whole_policy"]) == (str(WISH.request_id), False)
    assert order["occurred_at"] == "2026-11-02T12:00:00Z"
    assert [row["state"] for row in await requests.rows("requests")] == ["accepted"]


async def test_when_account_has_withdrawn_it_the_request_is_fulfilled_and_the_person_told_once(
    room: OpenRoom,
) -> None:
    requests = await room("requests")
    await requests.does(WISH)
    ledger = withdrawn(ANNA, "collection:device", request_id=WISH.request_id, reference="other" * 8)
    await requests.hears(ledger, ledger)

    assert [row["state"] for row in await requests.rows("requests")] == ["fulfilled"]
    assert len(await said(requests, "RequestFulfilled")) == 1
    assert [each["notice"] for each in await said(requests, "PersonTold")] == ["request-received", "request-done"]
    assert {row["reference"] for row in await requests.rows("request_references")} == {REFERENCE, "other" * 8}


async def test_one_that_was_done_in_the_app_is_on_record_by_its_reference_also_without_the_account(
    room: OpenRoom,
) -> None:
    requests = await room("requests")
    ledger = withdrawn(ANNA, "use:device", reference=REFERENCE)
    await requests.hears(ledger, ledger)

    (record,) = await requests.rows("requests")
    assert (record["kind"], record["state"], record["channel"]) == ("withdrawal", "fulfilled", "app")
    assert record["scope"] == {"scopes": [{"purpose": "use", "service": "device"}], "whole_policy": False}
    assert [each["notice"] for each in await said(requests, "PersonTold")] == ["request-done"]
    assert await requests.types_announced() == [
        "RequestReceived",
        "RequestAccepted",
        "RequestFulfilled",
        "PersonTold",
    ]
    assert [row["reference"] for row in await requests.rows("request_references")] == [REFERENCE]
    assert [row["step"] for row in await requests.rows("audit")] == ["receive", "accept", "fulfil"]


# Kept to by requests


@pytest.mark.parametrize("scope", [COLLECTION, POLICY])
async def test_feedback_written_after_the_withdrawal_is_not_taken_in_however_late_it_comes(
    room: OpenRoom, scope: str
) -> None:
    requests = await room("requests")
    await requests.hears(withdrawn(ANNA, scope, at=WITHDRAWN_AT))
    for late in (timedelta(0), timedelta(days=3)):
        await requests.reads(FEEDBACK, *(feedback(at, at + late) for at in (WITHDRAWN_AT, WITHDRAWN_AT + HOUR)))

    assert await kept(requests) == []


async def test_feedback_written_before_is_taken_in_for_a_day_by_the_brokers_clock(room: OpenRoom) -> None:
    requests = await room("requests")
    await requests.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))
    too_late = WITHDRAWN_AT + requests.settings.lateness

    await requests.reads(
        FEEDBACK, feedback(NOON, too_late - timedelta(seconds=1)), feedback(NOON + HOUR / 2, too_late)
    )

    assert await kept(requests) == [NOON]


@pytest.mark.parametrize("scope", [COLLECTION, POLICY])
async def test_feedback_is_refused_at_the_door_and_what_was_written_is_shown(room: OpenRoom, scope: str) -> None:
    requests = await room("requests")
    await requests.reads(FEEDBACK, feedback(NOON - HOUR))
    await requests.hears(withdrawn(ANNA, scope))
    async with door_of(requests) as door:
        anna = door.token_of(ANNA)
        refused = await door.ask("POST", "/feedback", by=anna, data={"text": "Too loud"})
        shown = await door.ask("GET", "/feedback", by=anna)

    assert (refused.status_code, slug_of(refused)) == (HTTPStatus.FORBIDDEN, "consent-withdrawn")
    assert [each["text"] for each in shown.json()["items"]] == ["Too loud at night"]
    assert await kept(requests) == [NOON - HOUR]


async def test_feedback_from_beyond_the_withdrawal_is_erased_on_hearing_of_it(
    room: OpenRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    requests = await room("requests")
    await requests.reads(FEEDBACK, *(feedback(NOON + n * HOUR) for n in range(3)))
    await requests.hears(withdrawn(BEN, COLLECTION, at=NOON), withdrawn(ANNA, "use:requests", at=NOON))
    assert len(await kept(requests)) == 3

    await requests.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT))

    assert await kept(requests) == [NOON]
    assert [record.__dict__["count"] for record in caplog.records if "beyond" in record.message] == [2]


async def test_agreeing_again_opens_a_new_period_and_the_old_one_stays_closed_in_any_order(room: OpenRoom) -> None:
    facts = (withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT), given(ANNA, COLLECTION, at=GIVEN_AT))
    for first, second in permutations(facts):
        requests = await room("requests")
        await requests.hears(first, second)
        await requests.reads(FEEDBACK, *(feedback(NOON + n * HOUR, NOON + 9 * HOUR) for n in range(5)))

        assert await kept(requests) == [NOON, GIVEN_AT, GIVEN_AT + HOUR]


@pytest.mark.parametrize("locked", [True, False], ids=["with the lock it holds", "without the lock it breaks"])
async def test_feedback_that_is_being_kept_when_the_withdrawal_is_heard_of_does_not_stay(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    async def no_lock(*_: object) -> None:
        """Lock nothing."""

    if not locked:
        monkeypatch.setattr("shared.bus.lock_accounts", no_lock)
    requests = await room("requests")
    written = AddFeedback(
        account_id=ANNA.account_id, feedback_id=named("late"), text="Too loud", submitted_at=WITHDRAWN_AT
    )
    heard = requests.hears(withdrawn(ANNA, COLLECTION, at=WITHDRAWN_AT, reference=None))

    await overlap(requests.engine, COMMIT, requests.does(written), heard)

    assert (await kept(requests) == []) is locked
