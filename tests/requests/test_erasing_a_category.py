"""Feedback goes while the account stays: what is older is dropped however it comes, what is newer is taken in."""

from __future__ import annotations

from datetime import datetime

import pytest

from services.requests.commands import AddFeedback
from shared.commands import EraseCategories
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.requests import ErasureOrdered
from shared.contracts.topics import FEEDBACK, ORDERS
from shared.messaging import dead_letters
from tests.builders import A_MINUTE, ANNA, BEN, NOON, fact, named, raw_record
from tests.post import taken
from tests.races import overlap
from tests.rooms import OpenRoom, Room

ORDER = fact(
    ErasureOrdered,
    ANNA,
    order_id=named("request"),
    owners=("requests",),
    contact_version=0,
    categories=("feedback",),
)
ERASE = EraseCategories(account_id=ANNA.account_id, order_id=named("request"), categories=("feedback",))
UNREADABLE = b'{"type": "FeedbackSubmitted", "account_id": "%s"}' % str(ANNA.account_id).encode()


async def told(room: Room, at: datetime, *words: object) -> None:
    written = fact(FeedbackSubmitted, ANNA, id=named("feedback", *words), text="Too loud")
    await room.reads(FEEDBACK, taken(written, at))


async def erased(room: OpenRoom) -> Room:
    """Have Anna's feedback erased at noon."""
    requests = await room("requests")
    await told(requests, NOON - A_MINUTE, "before")
    await requests.hears(fact(FeedbackSubmitted, BEN, text="Too quiet"))
    await requests.reads(ORDERS, taken(ORDER, NOON))
    return requests


async def test_what_is_older_is_dropped_and_what_is_newer_taken_in_by_the_brokers_clock(room: OpenRoom) -> None:
    requests = await erased(room)
    assert "feedback" not in await requests.held_of(ANNA.account_id)
    await told(requests, NOON - A_MINUTE, "late")
    await told(requests, NOON, "at that moment")
    assert "feedback" not in await requests.held_of(ANNA.account_id)
    await told(requests, NOON + A_MINUTE, "afterwards")
    await requests.does(
        AddFeedback(account_id=ANNA.account_id, feedback_id=named("app"), text="Fine now", submitted_at=NOON)
    )

    assert await requests.held_of(ANNA.account_id) == {"feedback": 2}
    assert await requests.held_of(BEN.account_id) == {"feedback": 1}


async def test_what_was_parked_before_is_dropped_with_it(room: OpenRoom) -> None:
    requests = await room("requests")
    await requests.reads(FEEDBACK, raw_record(FEEDBACK, UNREADABLE, offset=1))
    await told(requests, NOON, "waits behind")
    assert len(await requests.rows("dead_letters")) == 2
    await requests.reads(ORDERS, taken(ORDER, NOON))

    assert await requests.rows("dead_letters") == []
    assert (await requests.announced())[-1]["items"][0]["count"] == 2


async def test_what_is_unreadable_and_older_is_not_parked_and_holds_up_nothing(room: OpenRoom) -> None:
    requests = await erased(room)
    await requests.reads(
        FEEDBACK,
        raw_record(FEEDBACK, UNREADABLE, offset=1),
        taken(fact(FeedbackSubmitted, ANNA, text="Fine now"), NOON + A_MINUTE),
    )

    assert await requests.held_of(ANNA.account_id) == {"feedback": 1}


async def test_what_is_redriven_keeps_the_time_at_which_the_broker_took_it(room: OpenRoom) -> None:
    requests = await erased(room)
    body = fact(FeedbackSubmitted, ANNA, text="Too loud").model_dump_json()
    for offset, at in enumerate((NOON - A_MINUTE, NOON + A_MINUTE)):
        await requests.run(
            'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
            " VALUES (:topic, 0, :offset, :at, :who, 'failed', '', :body)",
            topic=FEEDBACK.name,
            offset=offset,
            at=at,
            who=ANNA.account_id,
            body=body.replace('"id":"', f'"id":"{named(at)}","was":"', 1).encode(),
        )
    async with requests.engine.connect() as connection:
        first, _ = await dead_letters.listing(connection)
    assert await requests.consumer(FEEDBACK).redrive(first) == 2

    assert [row["id"] for row in await requests.rows("feedback") if row["account_id"] == ANNA.account_id] == [
        named(NOON + A_MINUTE)
    ]


async def test_messages_of_other_categories_stay_parked(room: OpenRoom) -> None:
    requests = await room("requests")
    await requests.run(
        'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
        " VALUES ('billing.fees.v1', 0, 0, now(), :who, 'unreadable', '', 'a fee')",
        who=ANNA.account_id,
    )
    await requests.reads(ORDERS, taken(ORDER, NOON))

    assert len(await requests.rows("dead_letters")) == 1


async def test_a_second_order_moves_the_mark_and_the_first_is_still_answered_as_before(room: OpenRoom) -> None:
    requests = await erased(room)
    await told(requests, NOON + A_MINUTE, "between")
    second = ORDER.model_copy(update={"id": named("second"), "order_id": named("another request")})
    await requests.reads(ORDERS, taken(second, NOON + 2 * A_MINUTE))
    await told(requests, NOON + A_MINUTE, "late")
    await requests.reads(ORDERS, taken(ORDER.model_copy(update={"id": named("again")}), NOON + 3 * A_MINUTE))

    assert await requests.held_of(ANNA.account_id) == {}
    receipts = [(each["order_id"], each["items"][0]["count"]) for each in await requests.announced()]
    assert receipts == [
        (str(named("request")), 1),
        (str(named("another request")), 1),
        (str(named("request")), 1),
    ]


@pytest.mark.parametrize("locked", [True, False], ids=["with the lock it holds", "without the lock it breaks"])
async def test_feedback_that_comes_while_it_is_being_erased_does_not_stay(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    async def no_lock(*_: object) -> None:
        """Lock nothing."""

    if not locked:
        monkeypatch.setattr("shared.bus.lock_accounts", no_lock)
    requests = await room("requests")

    await overlap(requests.engine, "INSERT INTO feedback", told(requests, NOON, "meanwhile"), requests.does(ERASE))

    assert ("feedback" not in await requests.held_of(ANNA.account_id)) is locked
