"""What the mailer sends, in which order, and what it does when the mail server is difficult: on real engines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from itertools import permutations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import mailer as mailer_module
from services.notifier import repository
from services.notifier.commands import Kind
from services.notifier.mails import words
from shared.commands import Command
from shared.contracts.base import Event
from shared.database import sole_holder
from tests.builders import ANNA, BEN, SOON, Person
from tests.notifier.conftest import ACCEPTED, MailServer, Notifier
from tests.notifier.facts import REFERENCES, cancelled, code_for, contact_of, possible_for, settled

CODE = "Your confirmation code"
POSSIBLE = "Your account can be cancelled now"
RECEIVED = "Your account is cancelled"
COMPLETED = "Your data is erased"
TOLD = (Kind.CANCELLATION_RECEIVED, Kind.CANCELLATION_COMPLETED)
BOTH = [(ANNA.email, RECEIVED), (ANNA.email, COMPLETED)]
"""What Anna is told once she has cancelled."""
HEARD: tuple[Callable[[Person], Event], ...] = (contact_of, cancelled, settled)
"""Each comes by a topic of its own."""


@pytest.fixture(autouse=True)
def no_pause_after_a_failure_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.channels.AWAY_SECONDS", 0.0)


async def test_a_code_goes_to_its_own_address_and_nothing_of_it_stays(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(code_for(ANNA))
    await notifier.deliver()
    assert mail_server.received == [(ANNA.email, CODE)]
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_an_expired_code_is_forgotten_unsent(notifier: Notifier, mail_server: MailServer) -> None:
    await notifier.room.hears(code_for(ANNA))
    notifier.room.clock.now = SOON
    await notifier.deliver()
    assert mail_server.received == []
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_a_person_is_told_from_the_cancellation_to_the_farewell(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA))
    await notifier.deliver()
    await notifier.room.hears(settled(ANNA))
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert await notifier.room.held_of(ANNA.account_id) == {}
    assert len(await notifier.receipts()) == 1


async def test_settled_heard_first_tells_both_and_a_late_cancellation_nothing_more(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await notifier.deliver()
    assert mail_server.received == BOTH
    await notifier.room.hears(cancelled(ANNA))
    assert await notifier.room.held_of(ANNA.account_id) == {}
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert len(await notifier.receipts()) == 1


async def test_a_cancellation_heard_between_the_two_mails_is_not_told_again(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await notifier.round()
    assert mail_server.received == [(ANNA.email, RECEIVED)]
    await notifier.room.hears(cancelled(ANNA))
    assert await notifier.queued() == ["cancellation-completed"]
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_cancelled_and_settled_before_any_mail_went_out_tell_the_same(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA), settled(ANNA))
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert await notifier.room.held_of(ANNA.account_id) == {}


@pytest.mark.parametrize(
    "facts",
    [pytest.param(each, id="-".join(of.__name__ for of in each)) for each in permutations(HEARD)],
)
async def test_the_same_mails_go_out_in_whatever_order_the_facts_are_heard(
    notifier: Notifier, mail_server: MailServer, facts: Sequence[Callable[[Person], Event]]
) -> None:
    for of in facts:
        await notifier.room.hears(of(ANNA))
        notifier.wait(minutes=1)
        await notifier.deliver()
    assert mail_server.received == BOTH
    said = [words(kind, {"references": REFERENCES}, "en").text.split() for kind in TOLD]
    assert [_text(mail).split() for mail in mail_server.mails] == said
    assert await notifier.room.held_of(ANNA.account_id) == {}
    assert [receipt.remark for receipt in await notifier.receipts()] == [None]


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content())


async def test_what_was_sent_and_stays_is_never_due_again_and_holds_up_nothing(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA))
    await notifier.deliver()
    assert [(row["kind"], row["sent"]) for row in await notifier.room.rows("messages")] == [
        ("cancellation-received", True)
    ]
    notifier.wait(days=2)
    assert await notifier.round() == 0
    await notifier.room.hears(settled(ANNA))
    mail_server.answer = lambda _: "452 4.2.2 mailbox full"
    assert await notifier.round() == 1
    assert await notifier.round() == 0
    mail_server.answer = lambda _: ACCEPTED
    notifier.wait(seconds=1)
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_a_mail_about_the_cancellation_that_was_refused_is_not_tried_again_and_the_last_one_is_sent(
    notifier: Notifier, mail_server: MailServer
) -> None:
    mail_server.answer = lambda _: "550 5.1.1 no such user"
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA))
    await notifier.deliver()
    mail_server.answer = lambda _: ACCEPTED
    await notifier.room.hears(settled(ANNA))
    await notifier.deliver()
    assert mail_server.received == [(ANNA.email, COMPLETED)]
    assert [receipt.remark for receipt in await notifier.receipts()] == [None]


async def test_a_person_is_told_in_their_language(notifier: Notifier, mail_server: MailServer) -> None:
    await notifier.room.hears(contact_of(ANNA, language="zh-CN"), possible_for(ANNA))
    await notifier.deliver()
    assert mail_server.received == [(ANNA.email, words(Kind.CANCELLATION_POSSIBLE, {}, "zh-Hans").subject)]


async def test_many_mails_go_over_one_connection_each_once(notifier: Notifier, mail_server: MailServer) -> None:
    people = [Person(f"person{number}") for number in range(250)]
    await notifier.room.hears_at_once(*map(contact_of, people))
    await notifier.room.hears_at_once(*map(possible_for, people))
    await notifier.deliver()
    assert sorted(mail_server.received) == sorted((person.email, POSSIBLE) for person in people)
    assert len(mail_server.connections) == 1


async def test_the_last_message_waits_for_the_contact_that_it_names(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA, 1, "old@mail.example"), cancelled(ANNA))
    await notifier.deliver()
    await notifier.room.hears(settled(ANNA, contact_version=2))
    await notifier.deliver()
    assert mail_server.received == [("old@mail.example", RECEIVED)]
    await notifier.room.hears(contact_of(ANNA, version=2))
    notifier.wait(seconds=1)
    await notifier.deliver()
    assert mail_server.received == [("old@mail.example", RECEIVED), (ANNA.email, COMPLETED)]


async def test_what_is_told_before_the_last_message_waits_for_the_same_contact(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA, 1, "old@mail.example"))
    await notifier.room.hears(settled(ANNA, contact_version=2))
    await notifier.deliver()
    assert mail_server.received == []
    await notifier.room.hears(contact_of(ANNA, version=2))
    notifier.wait(seconds=1)
    await notifier.deliver()
    assert mail_server.received == BOTH


async def test_without_the_contact_the_last_message_is_undeliverable_in_the_end(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(settled(ANNA))
    await notifier.deliver()
    notifier.wait(hours=1)
    await notifier.deliver()
    assert mail_server.received == []
    assert [receipt.remark for receipt in await notifier.receipts()] == ["undeliverable"]


async def test_a_refused_recipient_is_undeliverable_at_once(notifier: Notifier, mail_server: MailServer) -> None:
    mail_server.answer = lambda _: "550 5.1.1 no such user"
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    await notifier.deliver()
    assert [receipt.remark for receipt in await notifier.receipts()] == ["undeliverable"]
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_a_full_mailbox_is_tried_again_and_delays_nobody_else(
    notifier: Notifier, mail_server: MailServer
) -> None:
    mail_server.answer = lambda to: "452 4.2.2 mailbox full" if to == ANNA.email else ACCEPTED
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN))
    await notifier.room.hears(possible_for(ANNA), cancelled(ANNA), possible_for(BEN), cancelled(BEN))
    await notifier.deliver()
    assert mail_server.received == [(BEN.email, POSSIBLE), (BEN.email, RECEIVED)]
    mail_server.answer = lambda _: ACCEPTED
    notifier.wait(seconds=1)
    await notifier.deliver()
    assert mail_server.received[2:] == [(ANNA.email, POSSIBLE), (ANNA.email, RECEIVED)]


async def test_a_message_never_overtakes_an_earlier_one_to_the_same_person(
    notifier: Notifier, mail_server: MailServer
) -> None:
    answers = ["452 4.2.2 mailbox full"]
    mail_server.answer = lambda _: answers.pop() if answers else ACCEPTED
    await notifier.room.hears(contact_of(ANNA), possible_for(ANNA), cancelled(ANNA), settled(ANNA))
    await notifier.deliver()
    assert mail_server.received == []
    notifier.wait(seconds=1)
    await notifier.deliver()
    assert mail_server.received == [
        (ANNA.email, POSSIBLE),
        (ANNA.email, RECEIVED),
        (ANNA.email, COMPLETED),
    ]


async def test_a_mail_server_that_does_not_answer_is_not_waited_for_for_long(
    notifier: Notifier, mail_server: MailServer
) -> None:
    impatient = Notifier(notifier.room, notifier.settings.model_copy(update={"smtp_timeout_seconds": 2}))
    mail_server.silent_to = ANNA.email
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), possible_for(ANNA), possible_for(BEN))
    await impatient.deliver()
    impatient.smtp.close()
    assert mail_server.received == [(BEN.email, POSSIBLE)]
    assert await notifier.room.held_of(ANNA.account_id) == {"contacts": 1, "messages": 1, "notices": 1}


@pytest.mark.parametrize("international", [True, False])
async def test_an_address_beyond_ascii_is_sent_to_if_the_mail_server_can(
    notifier: Notifier, mail_server: MailServer, *, international: bool
) -> None:
    mail_server.international = international
    await notifier.room.hears(contact_of(ANNA, email="安娜@例子.example"), possible_for(ANNA))
    await notifier.deliver()
    assert len(mail_server.mails) == international
    assert await notifier.room.held_of(ANNA.account_id) == {"contacts": 1, "notices": 1}


async def test_a_mailbox_that_stays_full_is_given_up_after_a_day(notifier: Notifier, mail_server: MailServer) -> None:
    mail_server.answer = lambda _: "452 4.2.2 mailbox full"
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA), settled(ANNA))
    await notifier.deliver()
    notifier.wait(hours=24)
    await notifier.deliver()
    assert [receipt.remark for receipt in await notifier.receipts()] == ["undeliverable"]
    assert await notifier.room.held_of(ANNA.account_id) == {}


async def test_a_mail_server_that_is_away_and_comes_back_costs_no_message(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), possible_for(ANNA))
    await notifier.deliver()
    await mail_server.stop()
    await notifier.room.hears(cancelled(ANNA), possible_for(BEN))
    await notifier.deliver()
    await mail_server.start()
    notifier.wait(seconds=2)
    await notifier.deliver()
    assert mail_server.received == [(ANNA.email, POSSIBLE), (ANNA.email, RECEIVED), (BEN.email, POSSIBLE)]


async def test_a_repeat_after_a_crash_between_sending_and_recording_can_be_recognised(
    notifier: Notifier, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.room.hears(contact_of(ANNA), settled(ANNA))
    for _ in BOTH:
        with monkeypatch.context() as crash:
            crash.setattr(notifier.room.bus, "execute", _database_away)
            with pytest.raises(OperationalError):
                await notifier.deliver()
        notifier.mailer = notifier.another_mailer()
        await notifier.round()
    assert [subject for _, subject in mail_server.received] == [RECEIVED, RECEIVED, COMPLETED, COMPLETED]
    received, received_again, last, last_again = (mail["message-id"] for mail in mail_server.mails)
    assert received == received_again != last == last_again
    assert len(await notifier.receipts()) == 1


async def test_what_was_sent_is_recorded_before_more_is_sent_when_the_database_was_away(
    notifier: Notifier, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.room.hears(contact_of(ANNA), cancelled(ANNA))
    await notifier.deliver()
    await notifier.room.hears(settled(ANNA))
    with monkeypatch.context() as away:
        away.setattr(notifier.room.bus, "execute", _database_away)
        with pytest.raises(OperationalError):
            await notifier.deliver()
    await notifier.deliver()
    assert mail_server.received == BOTH
    assert len(await notifier.receipts()) == 1


async def test_what_cannot_be_recorded_together_is_recorded_alone_and_nobody_is_mailed_twice(
    notifier: Notifier, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = notifier.room.bus.execute

    async def one_at_a_time(*commands: Command) -> list[object]:
        if len(commands) > 1:
            raise RuntimeError
        return await record(*commands)

    monkeypatch.setattr(notifier.room.bus, "execute", one_at_a_time)
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), possible_for(ANNA), possible_for(BEN))
    await notifier.deliver()
    assert sorted(mail_server.received) == [(ANNA.email, POSSIBLE), (BEN.email, POSSIBLE)]
    assert await notifier.queued() == []


async def test_one_delivery_that_cannot_be_recorded_at_all_has_nobody_mailed_twice(
    notifier: Notifier, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = notifier.room.bus.execute

    async def all_but_annas(*commands: Command) -> list[object]:
        if any(command.account_id == ANNA.account_id for command in commands):
            raise RuntimeError
        return await record(*commands)

    monkeypatch.setattr(notifier.room.bus, "execute", all_but_annas)
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), possible_for(ANNA), possible_for(BEN))
    for _ in range(3):
        await notifier.round()
    assert sorted(mail_server.received) == [(ANNA.email, POSSIBLE), (BEN.email, POSSIBLE)]


async def _database_away(*_: object) -> list[object]:
    raise OperationalError("", {}, Exception())


async def test_a_connection_broken_off_is_made_anew(notifier: Notifier, mail_server: MailServer) -> None:
    mail_server.hangs_up = True
    await notifier.room.hears(contact_of(ANNA), possible_for(ANNA))
    await notifier.deliver()
    mail_server.hangs_up = False
    notifier.wait(seconds=1)
    await notifier.deliver()
    first, again = mail_server.mails
    assert first["message-id"] == again["message-id"]
    assert await notifier.room.held_of(ANNA.account_id) == {"contacts": 1, "notices": 1}


async def test_a_message_that_cannot_be_written_holds_up_nobody_else(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(contact_of(ANNA), contact_of(BEN), settled(ANNA))
    await notifier.room.run("UPDATE messages SET parameters = '{}'")
    await notifier.room.hears(possible_for(BEN))
    await notifier.deliver()
    assert mail_server.received == [(BEN.email, POSSIBLE)]


async def test_nothing_of_a_person_stands_in_the_log(
    notifier: Notifier, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="services")
    caplog.set_level(logging.DEBUG, logger="shared")
    mail_server.answer = lambda to: f"452 <{to}> is full"
    await notifier.room.hears(code_for(ANNA))
    await notifier.deliver()
    mail_server.answer = lambda _: ACCEPTED
    notifier.wait(seconds=1)
    await notifier.deliver()
    told = [record.__dict__ for record in caplog.records if record.name.startswith(("services", "shared"))]
    assert any("confirmation-code: delivered" in record["message"] for record in told)
    assert "anna" not in str(told)
    assert "402917" not in str(told)


async def test_the_first_of_a_long_queue_are_found_without_reading_the_rest(notifier: Notifier) -> None:
    room = notifier.room
    people = [Person(f"person{number}") for number in range(300)]

    async with sole_holder(room.engine, "mailer") as connection:
        for _ in range(10):  # enough for a plan to be kept, if it could be
            assert await repository.due(connection, room.clock(), 10) == []
        await room.hears_at_once(*map(contact_of, people))
        await room.hears_at_once(*map(settled, people))
        before = await _rows_read(connection)
        assert len(await repository.due(connection, room.clock(), 10)) == 10

        assert await _rows_read(connection) - before < len(people)


async def _rows_read(connection: AsyncConnection) -> int:
    await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'messages'"
    return int(await connection.scalar(text(read)) or 0)


async def test_two_mailers_send_everything_once(
    notifier: Notifier, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer_module, "IDLE_SECONDS", 0.01)
    mailers = [asyncio.create_task(notifier.another_mailer().run()) for _ in range(2)]
    people = [Person(f"person{number}") for number in range(50)]
    await notifier.room.hears_at_once(*map(contact_of, people))
    await notifier.room.hears_at_once(*map(settled, people))
    while len(await notifier.receipts()) < len(people):  # noqa: ASYNC110 - the database sets no event
        await asyncio.sleep(0.02)
    for task in mailers:
        task.cancel()
    await asyncio.gather(*mailers, return_exceptions=True)
    assert len(mail_server.mails) == len(TOLD) * len(people)
    for person in people:
        assert [subject for to, subject in mail_server.received if to == person.email] == [RECEIVED, COMPLETED]
