"""The SMTP door that a mail relay points at: it says 250 only when what a mail brings is committed.

What passes by itself is 4xx, and the relay keeps the mail; what never will do is 5xx. The relay stands between this
door and the world: it speaks TLS, checks who may send for whom, and lets nobody else say that it has.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Protocol, Transport
from collections.abc import Mapping
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.requests.intake.mime import MOST_BYTES, Unusable
from services.requests.intake.taking import Intake
from services.requests.settings import Settings
from shared.background import again_and_again
from shared.errors import describe
from shared.service import Service, Task

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
MOST_CONNECTIONS = 20
MOST_COMMANDS = 200
"""So many of each kind in one connection: with the timeout of each, none lasts for ever."""
LATER = "451 4.3.0 Not now"
ANSWERS: Mapping[Unusable | None, str] = {
    None: "250 2.0.0 Taken",
    Unusable.AUTOMATIC: "250 2.0.0 Nobody has written this",
    Unusable.LOOP: "554 5.4.6 It goes in a circle",
    Unusable.NO_SENDER: "550 5.1.7 From has to name one address",
    Unusable.UNREADABLE: "554 5.6.0 It cannot be read",
}


def mail_door(settings: Settings) -> Task:
    """Make the task that takes mails in, where a port is named for it."""

    async def open_for_ever(service: Service) -> None:
        if settings.mail_port is not None:
            door = MailDoor(Intake(service.bus, settings), settings)
            await again_and_again("mail door", door.serve, RESTART_SECONDS)

    return open_for_ever


class MailDoor:
    """Answers a relay."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings
        self._open: set[SMTP] = set()

    async def serve(self) -> None:
        """Take mails in until cancelled."""
        # The library logs every command, and with it addresses.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._answer, self._settings.mail_host, self._settings.mail_port)
        try:
            await server.serve_forever()
        finally:
            server.close()
            for connection in list(self._open):
                if connection.transport:
                    connection.transport.close()

    def _answer(self) -> Protocol:
        if len(self._open) >= MOST_CONNECTIONS:
            return _Busy()
        connection = _Connection(self, self._open, self._settings.mail_timeout_seconds)
        self._open.add(connection)
        return connection

    # What aiosmtpd calls, named by it.

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take mails for the privacy mailbox alone."""
        if address.lower() not in self._settings.privacy_mailboxes:
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail in."""
        try:
            outcome = await self._intake.take(cast("bytes", envelope.content), envelope.mail_from)
        except Exception as error:  # noqa: BLE001 - whatever it is: the relay keeps the mail, and nothing is lost
            log.error("mail is not taken", extra={"error": describe(error)})  # noqa: TRY400 - a trace may quote it
            return LATER
        return ANSWERS[outcome]

    async def handle_exception(self, error: Exception) -> str:
        """Say nothing of what went wrong, which may quote what came in."""
        log.error("mail door fails", extra={"error": describe(error)})
        return LATER


class _Connection(SMTP):
    """One connection of a relay. A whole mail has to come within the timeout, however slowly it drips."""

    def __init__(self, door: MailDoor, among: set[SMTP], timeout: float) -> None:
        super().__init__(
            door,
            data_size_limit=MOST_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Adieu",
            timeout=timeout,
            command_call_limit=MOST_COMMANDS,
            loop=asyncio.get_running_loop(),
        )
        self._among = among

    def connection_lost(self, error: Exception | None) -> None:
        self._among.discard(self)
        super().connection_lost(error)


class _Busy(Protocol):
    """Sends whoever is one too many away, for now."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("Transport", transport).write(b"421 4.3.2 Too many connections\r\n")
        transport.close()
