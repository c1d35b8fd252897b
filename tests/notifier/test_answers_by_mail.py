"""What goes to whoever has written to the privacy mailbox: an automatic answer that ends there and leaves nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.requests.intake.mime import Mail, Unusable, read
from shared.contracts.requests import PersonTold
from tests.builders import ANNA, NEXT_MONTH, SOON, Person, fact, named
from tests.mails import PRIVACY, mail
from tests.notifier.conftest import MailServer, Notifier
from tests.notifier.facts import contact_of

REQUEST = named("request")
REFERENCE = "abcdefghij-0123456789_XYZ"
SOMEBODY = Person("somebody")


def answer(**fields: Any) -> PersonTold:  # noqa: ANN401 - fields
    usual = {
        "request_id": REQUEST,
        "account_id": REQUEST,
        "notice": "mail-received",
        "parameters": {"reference": REFERENCE, "prove_by": SOON, "due_at": NEXT_MONTH},
        "address": SOMEBODY.email,
        "language": "de",
        "in_reply_to": "<one@mail.example>",
    }
    return fact(PersonTold, SOMEBODY, **usual | fields)


def code(**fields: Any) -> PersonTold:  # noqa: ANN401 - fields
    parameters = {"reference": REFERENCE, "code": "12345678", "expires_at": NEXT_MONTH, "kind": None}
    return fact(PersonTold, ANNA, request_id=REQUEST, notice="prove-it-is-you", parameters=parameters, **fields)


async def test_the_answer_says_what_it_answers_and_that_it_is_automatic(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(answer())
    await notifier.deliver()

    (sent,) = mail_server.mails
    assert (sent["to"], sent["auto-submitted"]) == (SOMEBODY.email, "auto-replied")
    assert (sent["in-reply-to"], sent["references"]) == ("<one@mail.example>", "<one@mail.example>")
    assert sent["reply-to"] == PRIVACY
    assert sent["subject"] == f"Wir haben Ihre E-Mail erhalten [{REFERENCE}]"


async def test_no_bounce_of_an_answer_can_come_back(notifier: Notifier, mail_server: MailServer) -> None:
    senders: list[str | None] = []
    mail_server.answer = lambda _: senders.append(mail_server.connections[-1].envelope.mail_from) or "250 OK"  # type: ignore[func-returns-value,union-attr]
    await notifier.room.hears(answer(), contact_of(ANNA), code())
    await notifier.deliver()

    assert sorted(map(str, senders)) == ["<>", "no-reply@adieu.example"]


async def test_nothing_stays_of_whoever_has_written(notifier: Notifier) -> None:
    await notifier.room.hears(answer())
    assert SOMEBODY.email in repr(await notifier.room.state())
    await notifier.deliver()

    assert await notifier.room.held_of(REQUEST) == {}
    assert SOMEBODY.email not in repr(await notifier.room.state("inbox"))


async def test_an_address_that_takes_nothing_is_forgotten_as_well(
    notifier: Notifier, mail_server: MailServer
) -> None:
    mail_server.answer = lambda _: "550 No such mailbox"
    await notifier.room.hears(answer())
    await notifier.deliver()

    assert await notifier.room.held_of(REQUEST) == {}


@pytest.mark.parametrize(
    "wrong", ["<a@b.example>\r\nBcc: eve@evil.example", "<a b@c.example>", "a@b.example", "<ä@b>", "<>"]
)
def test_what_is_no_message_id_never_comes_to_a_header(wrong: str) -> None:
    with pytest.raises(ValidationError):
        answer(in_reply_to=wrong)


async def test_an_address_that_could_end_a_header_gets_nothing(notifier: Notifier, mail_server: MailServer) -> None:
    await notifier.room.hears(answer(address="a@b.example\r\nBcc: eve@evil.example"))
    await notifier.deliver()

    assert mail_server.mails == []
    assert await notifier.room.held_of(REQUEST) == {}


async def test_an_answer_to_any_of_our_mails_about_a_request_is_known_as_one(
    notifier: Notifier, mail_server: MailServer
) -> None:
    await notifier.room.hears(answer(), contact_of(ANNA), code())
    await notifier.deliver()

    for sent in mail_server.mails:
        back = read(mail(subject=f"Re: {sent['subject']}", headers=[f"In-Reply-To: {sent['message-id']}"]))
        assert isinstance(back, Mail)
        assert (back.answers, back.references) == ((UUID(str(REQUEST)),), (REFERENCE,))
    assert len(mail_server.mails) == 2


async def test_our_own_mails_are_no_requests_when_they_come_back(notifier: Notifier, mail_server: MailServer) -> None:
    await notifier.room.hears(answer(), contact_of(ANNA), code())
    await notifier.deliver()

    assert [read(sent.as_bytes()) for sent in mail_server.mails] == [Unusable.AUTOMATIC] * 2


async def test_what_stands_in_headers_is_not_shown_in_the_app(notifier: Notifier) -> None:
    told = {"request_id": REQUEST, "notice": "request-received"}
    parameters = {"reference": REFERENCE, "kind": "access", "due_at": NEXT_MONTH}
    await notifier.room.hears(contact_of(ANNA), fact(PersonTold, ANNA, **told, parameters=parameters))

    (notice,) = await notifier.room.rows("notices")
    assert set(notice["parameters"]) == set(parameters)
