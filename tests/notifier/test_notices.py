"""The app shows what a person was told: in the person's language, to the person alone, for a time."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

import pytest

from services.notifier.commands import Outcome, RecordDelivery
from shared.contracts.account import EmailChanged, NewClientSeen, PasswordChanged, PasswordResetRequested
from shared.contracts.base import Event
from tests.builders import ANNA, BEN, SOON, Person, fact
from tests.doors import Door, door_of
from tests.notifier.facts import cancelled, code_for, contact_of, possible_for, settled
from tests.rooms import OpenRoom


async def shown(door: Door, person: Person, query: str = "") -> list[dict[str, object]]:
    answer = await door.ask("GET", f"/notices{query}", by=door.token_of(person))
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: list[dict[str, object]] = answer.json()["items"]
    return found


async def test_a_notice_is_shown_in_the_language_of_its_person(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA, language="de-AT"), fact(PasswordChanged, ANNA))
    async with door_of(notifier) as door:
        (notice,) = await shown(door, ANNA)

    assert notice["subject"] == "Ihr Passwort wurde geändert"
    assert "2. November 2026" in str(notice["text"])
    assert (notice["mailed"], notice["read_at"]) == ("waiting", None)


async def test_what_happens_twice_is_shown_once(room: OpenRoom) -> None:
    notifier = await room("notifier")
    changed = fact(PasswordChanged, ANNA)
    await notifier.hears(changed, changed)
    await notifier.hears(cancelled(ANNA), settled(ANNA))
    async with door_of(notifier) as door:
        kinds = [notice["kind"] for notice in await shown(door, ANNA)]

    assert sorted(map(str, kinds)) == ["cancellation-received", "password-changed"]


CODES: list[Event] = [
    code_for(ANNA),
    fact(PasswordResetRequested, ANNA, email=ANNA.email, language="en", code="12345678", expires_at=SOON),
]


@pytest.mark.parametrize("event", CODES, ids=lambda event: str(event.type))
async def test_codes_go_by_mail_alone(room: OpenRoom, event: Event) -> None:
    notifier = await room("notifier")
    await notifier.hears(event)
    async with door_of(notifier) as door:
        assert await shown(door, ANNA) == []


async def test_the_word_that_undoes_a_changed_address_goes_by_mail_alone(room: OpenRoom) -> None:
    notifier = await room("notifier")
    undo = {"undo_token": "a-random-word", "undo_until": SOON}
    await notifier.hears(fact(EmailChanged, ANNA, email="old@mail.example", language="en", **undo))
    async with door_of(notifier) as door:
        (notice,) = await shown(door, ANNA)

    assert "a-random-word" not in str(notice)
    assert "a-random-word" not in str(await notifier.rows("notices"))


async def test_notices_are_read_once_and_unread_ones_are_counted(room: OpenRoom) -> None:
    notifier = await room("notifier")
    seen = fact(NewClientSeen, ANNA, session_id=UUID(int=1))
    await notifier.hears(possible_for(ANNA), fact(PasswordChanged, ANNA), seen)
    async with door_of(notifier) as door:
        by = door.token_of(ANNA)
        first = (await shown(door, ANNA))[0]["notice_id"]
        assert (await door.ask("PUT", f"/notices/{first}/read", by=by)).status_code == HTTPStatus.NO_CONTENT
        assert (await door.ask("GET", "/notices", by=by)).json()["unread"] == 2
        assert len(await shown(door, ANNA, "?unread=true")) == 2
        seen_at = notifier.clock.now

        notifier.clock.now = SOON
        await door.ask("PUT", "/notices/read", by=door.token_of(ANNA))
        times = {row["id"]: row["read_at"] for row in await notifier.rows("notices")}

    assert times.pop(UUID(str(first))) == seen_at
    assert set(times.values()) == {SOON}


async def test_nobody_sees_or_reads_the_notices_of_somebody_else(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears(fact(PasswordChanged, ANNA))
    (row,) = await notifier.rows("notices")
    async with door_of(notifier) as door:
        answer = await door.ask("PUT", f"/notices/{row['id']}/read", by=door.token_of(BEN))
        assert await shown(door, BEN) == []
        assert (await door.ask("GET", "/notices")).status_code == HTTPStatus.UNAUTHORIZED

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert answer.json()["type"] == "urn:adieu:no-such-notice"
    assert (await notifier.rows("notices"))[0]["read_at"] is None


async def test_pages_give_every_notice_once(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears_at_once(*(fact(PasswordChanged, ANNA) for _ in range(7)))
    async with door_of(notifier) as door:
        seen: list[object] = []
        query = "?limit=3"
        while query:
            answer = (await door.ask("GET", f"/notices{query}", by=door.token_of(ANNA))).json()
            seen += [notice["notice_id"] for notice in answer["items"]]
            query = f"?limit=3&after={answer['next']}" if answer["next"] else ""

    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.UNDELIVERABLE, Outcome.EXPIRED])
async def test_a_notice_says_what_became_of_its_mail(room: OpenRoom, outcome: Outcome) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA), fact(PasswordChanged, ANNA))
    (message,) = await notifier.rows("messages")
    await notifier.does(RecordDelivery(account_id=ANNA.account_id, message_id=message["id"], outcome=outcome))

    assert [row["mailed"] for row in await notifier.rows("notices")] == [outcome]


async def test_a_mailbox_that_puts_off_uses_up_attempts_and_a_server_that_is_away_does_not(room: OpenRoom) -> None:
    notifier = await room("notifier")
    await notifier.hears(contact_of(ANNA), fact(PasswordChanged, ANNA))
    (message,) = await notifier.rows("messages")
    for outcome in (Outcome.AWAY, Outcome.AWAY, Outcome.DEFERRED):
        await notifier.does(RecordDelivery(account_id=ANNA.account_id, message_id=message["id"], outcome=outcome))

    assert [row["attempts"] for row in await notifier.rows("messages")] == [1]
