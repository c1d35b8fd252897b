"""The mailbox keeps every mail whole, and finds it again by whom it was for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

import aiosmtplib
import pytest

from ops.mailbox import Mailbox
from ops.processes import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def mailbox(tmp_path: Path, port: int) -> AsyncIterator[Mailbox]:
    box = Mailbox(tmp_path / "mailbox")
    async with box.receiving(port):
        yield box


async def send(port: int, to: str, subject: str, text: str = "…") -> None:
    message = EmailMessage(policy=SMTPUTF8)
    message["From"], message["To"], message["Subject"] = "no-reply@adieu.example", to, subject
    message.set_content(text, cte="8bit")
    await aiosmtplib.send(message, hostname="127.0.0.1", port=port)


async def test_a_mail_is_read_as_it_was_written(mailbox: Mailbox, port: int) -> None:
    await send(port, "mara@people.example", "Grüße zum Abschied", "Für dich: 再见\n")
    (mail,) = mailbox.mails()
    assert mail.subject == "Grüße zum Abschied"
    assert mail.text.splitlines() == ["Für dich: 再见"]
    assert mail.recipients == ["mara@people.example"]


async def test_addresses_may_be_of_any_script(mailbox: Mailbox, port: int) -> None:
    await send(port, "jürgen@bücher.example", "Hallo")
    (mail,) = mailbox.mails("jürgen@bücher.example")
    assert mail.facts["recipients"] == ["jürgen@bücher.example"]


async def test_mails_are_listed_newest_first_and_by_recipient(mailbox: Mailbox, port: int) -> None:
    await send(port, "mara@people.example", "first")
    await send(port, "noor@people.example", "second")
    await send(port, "mara@people.example", "third")
    assert [mail.subject for mail in mailbox.mails()] == ["third", "second", "first"]
    assert [mail.subject for mail in mailbox.mails("Mara@People.example")] == ["third", "first"]
    assert [mail.subject for mail in mailbox.mails("Mara@People.example", "FIRST")] == ["first"]


async def test_an_unfinished_mail_is_not_shown(mailbox: Mailbox) -> None:
    (mailbox.directory / "20260101T000000.000000Z-00000000.incoming").write_bytes(b"Subject: ha")
    assert mailbox.mails() == []


def test_a_mailbox_that_never_got_anything_is_empty(tmp_path: Path) -> None:
    assert Mailbox(tmp_path / "nowhere").mails() == []
