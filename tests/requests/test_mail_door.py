"""The SMTP door, by real connections: what a relay is told, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import aiosmtplib
import pytest

from ops.processes import HOST, free_port
from services.requests.intake.door import ANSWERS, MOST_CONNECTIONS, MailDoor
from services.requests.intake.mime import MOST_BYTES, Unusable
from services.requests.intake.taking import Intake
from services.requests.settings import Settings
from shared.bus import CommandBus
from shared.commands import Command
from shared.database import engine_for
from tests.doors import door_of
from tests.mails import PRIVACY, attached, mail, multipart, raw
from tests.races import held_before
from tests.rooms import OpenRoom, Room


@pytest.fixture
async def requests(room: OpenRoom) -> Room:
    return await room("requests")


@asynccontextmanager
async def opened(room: Room, bus: CommandBus | None = None, **changes: object) -> AsyncIterator[int]:
    """Open the mail door of a room; yields its port."""
    port = free_port()
    settings = cast("Settings", room.settings).model_copy(update={"mail_port": port, **changes})
    serving = asyncio.create_task(MailDoor(Intake(bus or room.bus, settings), settings).serve())
    try:
        await reachable(port)
        yield port
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def reachable(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


async def brought(port: int, content: bytes, sender: str = "anna@mail.example", to: str = PRIVACY) -> str:
    """Bring a mail as a relay does; returns what it is told in the end."""
    async with aiosmtplib.SMTP(hostname=HOST, port=port, timeout=60) as relay:
        try:
            _, said = await relay.sendmail(sender, [to], content)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            (each,) = refused.recipients
            return f"{each.code} {each.message}"
        except aiosmtplib.SMTPResponseException as refused:
            return f"{refused.code} {refused.message}"
    return f"250 {said}"


async def talking(port: int, content: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Say all that a relay says, without waiting for an answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"EHLO relay.example\r\nMAIL FROM:<a@mail.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % PRIVACY.encode())
    writer.write(content + b"\r\n.\r\nQUIT\r\n")
    return reader, writer


async def test_a_relay_is_told_250_when_the_mail_is_a_request(requests: Room) -> None:
    async with opened(requests) as port:
        assert (await brought(port, mail())).startswith("250")

    assert len(await requests.rows("requests")) == 1


async def test_a_relay_is_told_nothing_before_the_commit(requests: Room) -> None:
    async with opened(requests) as port:
        with held_before(requests.engine, "COMMIT") as held:
            bringing = asyncio.create_task(brought(port, mail()))
            await held.reached.wait()
            await asyncio.sleep(0)
            assert not bringing.done()
            assert await requests.rows("requests") == []
            held.let_go()
            assert (await bringing).startswith("250")

    assert len(await requests.rows("requests")) == 1


async def test_a_relay_that_goes_away_before_the_answer_brings_the_mail_again_and_it_is_one(requests: Room) -> None:
    async with opened(requests) as port:
        with held_before(requests.engine, "COMMIT") as held:
            _, writer = await talking(port, mail())
            await held.reached.wait()
            writer.close()
            await writer.wait_closed()
            held.let_go()
        assert (await brought(port, mail())).startswith("250")

    assert len(await requests.rows("requests")) == 1


async def test_while_the_database_is_away_the_relay_keeps_the_mail(requests: Room) -> None:
    nowhere = engine_for("postgresql+asyncpg://nobody:nothing@127.0.0.1:1/nowhere")
    away = CommandBus("requests", requests.handlers, nowhere, requests.clock, requests.settings)
    async with opened(requests, away) as port:
        assert (await brought(port, mail())).startswith("451")
    await nowhere.dispose()


class Failing(CommandBus):
    """One that has a fault."""

    async def execute(self, *commands: Command) -> list[object]:
        raise ValueError(repr([vars(command) for command in commands]))


async def test_whatever_goes_wrong_the_relay_keeps_the_mail_and_nothing_is_told_of_it(
    requests: Room, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing("requests", requests.handlers, requests.engine, requests.clock, requests.settings)
    async with opened(requests, failing) as port:
        said = await brought(port, mail("Words of Anna", subject="About Anna"))

    assert said == "451 4.3.0 Not now"
    assert "ValueError at" in repr([vars(record) for record in caplog.records])
    assert "Anna" not in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (mail(headers=["Auto-Submitted: auto-replied"]), "250 2.0.0 Nobody has written this"),
        (mail(sender="anna@mail.example, eve@evil.example"), "550"),
        (mail(headers=["Received: from a.example by b.example"] * 60), "554 5.4.6"),
        (raw(b"\r\n" * 600_000), "554 5.6.0"),
        (mail("x" * 2_000), "500"),  # longer than a line of SMTP can be
    ],
)
async def test_what_never_will_do_is_refused_for_good_and_is_no_request(
    requests: Room, content: bytes, said: str
) -> None:
    async with opened(requests) as port:
        assert (await brought(port, content)).startswith(said)

    assert await requests.rows("requests") == []
    assert await requests.announced() == []


async def test_a_bounce_is_taken_and_forgotten(requests: Room) -> None:
    async with opened(requests) as port:
        assert (await brought(port, mail(), sender="")).startswith("250")

    assert await requests.rows("requests") == []


async def test_only_mails_to_the_privacy_mailbox_come_in(requests: Room) -> None:
    async with opened(requests, privacy_aliases=("datenschutz@adieu.example",)) as port:
        assert (await brought(port, mail(), to="root@adieu.example")).startswith("550")
        assert (await brought(port, mail(), to="privacy+x@adieu.example")).startswith("550")
        assert (await brought(port, mail(), to="Datenschutz@Adieu.example")).startswith("250")


async def test_25_mb_come_in_and_more_do_not(requests: Room) -> None:
    room_for = MOST_BYTES // 4 * 3 // 57 * 57 - 2_000_000
    fits = multipart(*(attached(f"{n}.pdf", b"x" * (room_for // 4)) for n in range(4)))
    fits = wrapped(fits)
    assert 0.9 * MOST_BYTES < len(fits) <= MOST_BYTES
    too_much = fits + b"y" * 60 + b"\r\n" + b"z" * (MOST_BYTES - len(fits))
    async with opened(requests) as port:
        assert (await brought(port, fits)).startswith("250")
        assert (await brought(port, wrapped(too_much))).startswith("552")

    assert len(await requests.rows("requests")) == 1
    assert len(await requests.rows("mail_attachments")) == 4


def wrapped(content: bytes) -> bytes:
    """Cut lines as SMTP wants them."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(line[n : n + 76] for line in lines for n in range(0, max(1, len(line)), 76))


async def test_a_mail_that_says_how_large_it_is_is_not_even_sent(requests: Room) -> None:
    async with opened(requests) as port, aiosmtplib.SMTP(hostname=HOST, port=port) as relay:
        await relay.ehlo()
        code, _ = await relay.execute_command(b"MAIL FROM:<anna@mail.example> SIZE=%d" % (MOST_BYTES + 1))

    assert code == 552


async def test_who_only_drips_is_cut_off(requests: Room) -> None:
    async with opened(requests, mail_timeout_seconds=2) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        for line in (
            b"EHLO relay.example",
            b"MAIL FROM:<a@mail.example>",
            b"RCPT TO:<%s>" % PRIVACY.encode(),
            b"DATA",
        ):
            writer.write(line + b"\r\n")
        await reader.readuntil(b"354")
        dripping = asyncio.create_task(drip(writer))
        with suppress(ConnectionResetError):  # what was still on its way may be answered so
            await reader.read()
        dripping.cancel()
        await asyncio.wait({dripping})
        writer.close()

    assert await requests.rows("requests") == []


async def drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x\r\n")
        await asyncio.sleep(0.01)


async def test_who_says_nothing_is_cut_off(requests: Room) -> None:
    async with opened(requests, mail_timeout_seconds=0.2) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        assert (await reader.read()).startswith(b"220")
        writer.close()


async def test_of_many_connections_some_are_sent_away_for_now(requests: Room) -> None:
    async with opened(requests) as port:
        relays = [await asyncio.open_connection(HOST, port) for _ in range(MOST_CONNECTIONS + 3)]
        greetings = [await reader.readline() for reader, _ in relays]
        for _, writer in relays:
            writer.close()
            await writer.wait_closed()
        await all_gone(port)
        assert (await brought(port, mail())).startswith("250")

    assert [line[:3] for line in greetings].count(b"421") in (
        3,
        4,
    )  # the one that looked whether it is open may count


async def all_gone(port: int) -> None:
    """Wait until the door has noticed that who was there has left."""
    while True:
        reader, writer = await asyncio.open_connection(HOST, port)
        greeting = await reader.readline()
        writer.close()
        if greeting.startswith(b"220"):
            return
        await asyncio.sleep(0.01)


async def test_a_mail_cannot_carry_another_one_in_it(requests: Room) -> None:
    # To some servers a dot between bare line feeds ends a mail: what follows would be commands.
    smuggled = b"From: eve@evil.example\r\n\r\nhello\n.\nMAIL FROM:<anna@mail.example>\r\n"
    async with opened(requests) as port:
        reader, writer = await talking(port, smuggled)
        said = await reader.read()
        writer.close()

    assert said.count(b"2.0.0 Taken") == 1
    assert b"MAIL FROM" in (await requests.rows("request_words"))[0]["text"].encode()


async def test_addresses_may_be_of_any_script(requests: Room) -> None:
    async with opened(requests) as port, aiosmtplib.SMTP(hostname=HOST, port=port) as relay:
        content = mail(sender="jürgen@bücher.example")
        _, said = await relay.sendmail("jürgen@bücher.example", [PRIVACY], content, mail_options=["SMTPUTF8"])

    assert said.startswith("2.0.0")
    assert "jürgen@bücher.example" in [each.get("address") for each in await requests.announced()]


async def test_no_address_and_no_word_of_a_mail_stands_in_the_log(
    requests: Room, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mail.log").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        async with opened(requests) as port:
            await brought(port, mail("secret words", subject="secret subject"))
            await brought(port, mail(sender="x"), sender="secret@mail.example")

    shown = [
        record.getMessage()
        for record in caplog.records
        if record.name.split(".")[0] in ("mail", "services", "shared")
    ]
    assert "mail: taken" in shown
    assert not [line for line in shown if "mail.example" in line or "secret" in line]


async def test_a_mail_is_taken_in_by_hand_through_the_internal_door(requests: Room) -> None:
    headers = {"X-Internal-Token": requests.settings.internal_token}
    async with door_of(requests) as door:
        path = "http://door.example/internal/mails"
        answers = [await door.ask("POST", path, content=mail(), headers=headers) for _ in range(2)]
        automatic = await door.ask("POST", path, content=mail(headers=["Return-Path: <>"]), headers=headers)
        large = await door.ask("POST", path, content=b"x" * (MOST_BYTES + 1), headers=headers)
        stranger = await door.ask("POST", path, content=mail())

    assert [answer.json()["outcome"] for answer in (*answers, automatic)] == ["taken", "taken", "automatic"]
    assert (large.status_code, stranger.status_code) == (413, 401)
    assert len(await requests.rows("requests")) == 1


def test_the_door_says_something_to_every_outcome() -> None:
    assert set(ANSWERS) == {None, *Unusable}
