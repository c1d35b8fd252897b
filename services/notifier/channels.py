"""How a message leaves: by mail, over one kept SMTP connection."""

from __future__ import annotations

import logging
from time import monotonic

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from services.notifier.commands import Outcome
from services.notifier.mails import Mail
from services.notifier.settings import Settings

log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""For so long after a server could not be reached no mail tries again."""
IDLE_SECONDS = 20.0
"""A connection unused for longer is made anew: the server may have given it up."""
PERMANENT = 500


class Smtp:
    """Sends mails one after the other. What the server says is never logged: it tends to quote addresses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: SMTP | None = None
        self._used_at = 0.0
        self._away_until = 0.0

    async def send(self, mail: Mail) -> Outcome:
        """Send a mail: delivered, undeliverable for good, or deferred by the mailbox, or nobody there."""
        client = await self._connected()
        if not client:
            return Outcome.AWAY
        try:
            return await self._transact(client, mail)
        except (OSError, SMTPException) as error:
            # It may have arrived all the same; the next attempt carries the same Message-ID.
            log.warning("mail connection lost", extra={"error": type(error).__name__})
            self.close()
            if isinstance(error, (TimeoutError, SMTPTimeoutError)):
                # A server that fell silent would hold up every mail for as long as this one.
                self._away_until = monotonic() + AWAY_SECONDS
            return Outcome.AWAY

    def close(self) -> None:
        """Give up the connection."""
        if self._client:
            self._client.close()
        self._client = None

    async def _transact(self, client: SMTP, mail: Mail) -> Outcome:
        options = [] if mail.recipient.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            await client.sendmail(mail.sender, [mail.recipient], mail.content, mail_options=options)
        except SMTPRecipientsRefused as refused:
            return _verdict(refused.recipients[0].code)
        except SMTPDataError as refused:
            return _verdict(refused.code)
        except SMTPNotSupported:
            return Outcome.UNDELIVERABLE
        except SMTPResponseException as error:
            # Not about this recipient, but about the server or its settings here.
            log.error("mail server refuses", extra={"error": f"SMTP {error.code}"})  # noqa: TRY400 - quotes addresses
            return Outcome.AWAY
        finally:
            self._used_at = monotonic()
        return Outcome.DELIVERED

    async def _connected(self) -> SMTP | None:
        if self._client and (not self._client.is_connected or monotonic() - self._used_at > IDLE_SECONDS):
            self.close()
        if not self._client and monotonic() >= self._away_until:
            await self._connect()
        return self._client

    async def _connect(self) -> None:
        client = self._new_client()
        try:
            await client.connect()
            self._client, self._used_at = client, monotonic()
        except (OSError, SMTPException) as error:
            client.close()
            self._away_until = monotonic() + AWAY_SECONDS
            log.warning("mail server is away", extra={"error": type(error).__name__})

    def _new_client(self) -> SMTP:
        settings = self._settings
        password = settings.smtp_password
        return SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=password.get_secret_value() if password else None,
            local_hostname=settings.mail_domain,
            timeout=settings.smtp_timeout_seconds,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
        )


def _verdict(code: int) -> Outcome:
    return Outcome.UNDELIVERABLE if code >= PERMANENT else Outcome.DEFERRED
