"""What is kept for a time goes when that is over, and no mark goes before what it bars or answers for."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.topics import (
    ALL_TOPICS,
    INSTALLMENTS,
    LONGEST_PERSONAL_RETENTION,
    LONGEST_RETENTION,
    TOPICS,
    Topic,
)
from shared.retention import NAMELESS_KEPT, kept_by_every_service, sweep
from tests.builders import ANNA, NEXT_MONTH, NOON, Person, fact, named
from tests.commands import cancelled_by_request, registered
from tests.rooms import OpenRoom, Room

A_SECOND = timedelta(seconds=1)
OWED = fact(InstallmentOwed, ANNA, installment_id=named("fan"), lapses_at=NEXT_MONTH)
PAID = fact(InstallmentPaid, ANNA, installment_id=named("fan"))


async def annas(open_room: OpenRoom) -> Room:
    account = await open_room("account")
    for command in registered(ANNA):
        await account.does(command)
    return account


async def swept(room: Room, now: datetime) -> None:
    await sweep(room.engine, kept_by_every_service(room.owner, room.settings.mark_retention), now)


async def park(room: Room, reason: str, person: Person | None = None) -> None:
    """Park a message at noon."""
    await room.run(
        'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body, parked_at)'
        " VALUES (:topic, 0, 0, :noon, :account, :reason, '', 'x', :noon)",
        topic=INSTALLMENTS.name,
        account=person and person.account_id,
        reason=reason,
        noon=NOON,
    )


async def test_the_mark_of_a_closed_account_outlives_what_is_still_held_of_it(room: OpenRoom) -> None:
    account = await annas(room)
    await account.hears(OWED)
    await account.does(cancelled_by_request(ANNA))
    over = NOON + account.settings.mark_retention + A_SECOND

    await swept(account, over)
    assert len(await account.rows("closed_accounts")) == 1

    await account.hears(PAID)
    await swept(account, over)
    assert await account.rows("closed_accounts") == []


async def test_a_mark_is_kept_for_its_time_although_nothing_is_held(room: OpenRoom) -> None:
    account = await annas(room)
    await account.does(cancelled_by_request(ANNA))

    await swept(account, NOON + account.settings.mark_retention)

    assert len(await account.rows("closed_accounts")) == 1


async def test_a_parked_message_of_a_closed_account_ends_with_the_time_of_its_mark(room: OpenRoom) -> None:
    account = await annas(room)
    await account.does(cancelled_by_request(ANNA))
    await park(account, "failed", ANNA)

    await swept(account, NOON + account.settings.mark_retention)
    assert await account.held_of(ANNA.account_id) == {"dead_letters": 1}

    await swept(account, NOON + account.settings.mark_retention + A_SECOND)
    assert await account.held_of(ANNA.account_id) == {}
    assert await account.rows("closed_accounts") == []


async def test_a_parked_message_of_an_open_account_waits_for_somebody(room: OpenRoom) -> None:
    account = await annas(room)
    await park(account, "unreadable", ANNA)

    await swept(account, NOON + 10 * account.settings.mark_retention)

    assert len(await account.rows("dead_letters")) == 1


async def test_of_bytes_that_name_no_account_only_those_end_that_nobody_can_read(room: OpenRoom) -> None:
    account = await room("account")
    for reason in ("unreadable", "wrong-source", "failed"):
        await park(account, reason)

    await swept(account, NOON + NAMELESS_KEPT)
    assert len(await account.rows("dead_letters")) == 3

    await swept(account, NOON + NAMELESS_KEPT + A_SECOND)
    assert [row["reason"] for row in await account.rows("dead_letters")] == ["failed"]


def at_the_latest(topic: Topic) -> timedelta:
    """Add up from the broker's own settings how long it may keep a record."""
    config = topic.kafka_config
    return timedelta(milliseconds=int(config["retention.ms"]) + int(config["segment.ms"]))


def test_no_topic_can_repeat_what_is_forgotten_here() -> None:
    assert all(at_the_latest(topic) < LONGEST_RETENTION for topic in (*TOPICS, *ALL_TOPICS))
    assert all(at_the_latest(topic) < LONGEST_PERSONAL_RETENTION for topic in ALL_TOPICS if topic.personal)
