"""Notifier on a real database, with a real mail server that can be told how to behave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.processes import HOST, free_port
from services.notifier.channels import Smtp
from services.notifier.mailer import Mailer
from services.notifier.mails import Composer
from services.notifier.settings import Settings
from shared.contracts.base import reader
from shared.contracts.receipts import DataErased
from tests.rooms import OpenRoom, Room

ACCEPTED = "250 OK"


@dataclass
class MailServer:
    """Takes mails, or does not."""

    port: int = field(default_factory=free_port)
    answer: Callable[[str], str] = lambda _: ACCEPTED
    """What it says to a recipient."""
    silent_to: str = ""
    """To whose mails it never answers."""
    international: bool = True
    """Whether it takes addresses beyond ASCII."""
    hangs_up: bool = False
    """Whether it breaks the connection off when it has taken the mail, without a word."""
    mails: list[EmailMessage] = field(default_factory=list)
    connections: list[SMTP] = field(default_factory=list)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_connection, HOST, self.port)

    async def stop(self) -> None:
        """Be away, for whoever is connected as well."""
        self._server.close()
        self._hang_up()
        await self._server.wait_closed()

    def _new_connection(self) -> SMTP:
        connection = SMTP(self, hostname="mail.example", enable_SMTPUTF8=self.international)
        self.connections.append(connection)
        return connection

    def _hang_up(self) -> None:
        for connection in self.connections:
            if connection.transport:
                connection.transport.close()

    @property
    def received(self) -> list[tuple[str, str]]:
        """To whom what was said, in order."""
        return [(mail["to"], mail["subject"]) for mail in self.mails]

    # What aiosmtpd calls, named by it.

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address == self.silent_to:
            await asyncio.Event().wait()
        answer = self.answer(address)
        if answer == ACCEPTED:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(cast("bytes", envelope.content), policy=policy.SMTP))
        if self.hangs_up:
            self._hang_up()
        return ACCEPTED


@dataclass
class Notifier:
    """Notifier's room, with its mailer."""

    room: Room
    settings: Settings

    def __post_init__(self) -> None:
        self.smtp = Smtp(self.settings)
        self.mailer = self.another_mailer()

    def another_mailer(self) -> Mailer:
        """Make a mailer that remembers nothing, as after a crash."""
        composer = Composer(self.settings.mail_from, self.settings.privacy_mailbox)
        return Mailer(self.room.bus, self.smtp, composer, self.settings.patience)

    async def deliver(self) -> None:
        """Let the mailer work until nothing is due."""
        while await self.round():
            pass

    async def round(self) -> int:
        """Let the mailer attempt the first message of each account that has one due; returns how many there were."""
        async with self.room.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            return await self.mailer.round(connection)

    def wait(self, **time: float) -> None:
        """Turn the clock."""
        self.room.clock.now += timedelta(**time)

    async def queued(self) -> list[str]:
        """Name the messages that have not gone out."""
        return [row["kind"] for row in await self.room.rows("messages") if not row["sent"]]

    async def receipts(self) -> list[DataErased]:
        """Read the receipts that stand in the outbox."""
        events = [reader(DataErased)(row["body"]) for row in await self.room.rows("outbox")]
        return [event for event in events if isinstance(event, DataErased)]


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    server = MailServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def notifier(room: OpenRoom, mail_server: MailServer) -> AsyncIterator[Notifier]:
    opened = await room("notifier")
    settings = cast("Settings", opened.settings)
    here = {"smtp_host": HOST, "smtp_port": mail_server.port, "smtp_timeout_seconds": 60}
    made = Notifier(opened, settings.model_copy(update=here))
    yield made
    made.smtp.close()
