"""The person's own mailbox: takes every mail by SMTP, whoever it is to, and keeps it as a file."""

from __future__ import annotations

import asyncio
import email
import email.policy
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.processes import HOST

MOMENT = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Mail:
    """One mail as it came in."""

    path: Path

    @cached_property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.path.read_bytes(), policy=email.policy.default)

    @property
    def received_at(self) -> datetime:
        return datetime.strptime(self.path.name.split("-")[0], MOMENT).replace(tzinfo=UTC)

    @property
    def recipients(self) -> list[str]:
        """Whom it was delivered to, whatever its To says."""
        return [str(value) for value in self.message.get_all("Delivered-To", [])]

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The part that is made for reading as it is."""
        body = self.message.get_body(preferencelist=("plain", "html"))
        return str(body.get_content()) if body else ""

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "received_at": self.received_at.isoformat(),
            "recipients": self.recipients,
            "from": str(self.message["From"]),
            "subject": self.subject,
            "text": self.text,
            "path": str(self.path),
        }


class Mailbox:
    """A directory of mails; reads without a server, and serves as one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def mails(self, recipient: str | None = None, about: str = "") -> list[Mail]:
        """Newest first; all, or those to one address, or with these words in the subject."""
        mails = [Mail(path) for path in sorted(self.directory.glob("*.eml"), reverse=True)]
        if recipient is not None:
            mails = [mail for mail in mails if recipient.casefold() in map(str.casefold, mail.recipients)]
        return [mail for mail in mails if about.casefold() in mail.subject.casefold()]

    @asynccontextmanager
    async def receiving(self, port: int, host: str = HOST) -> AsyncIterator[None]:
        """Take mails there for as long as the context lasts."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, enable_SMTPUTF8=True, hostname="localhost", ident="Adieu mailbox", loop=loop),
            host,
            port,
        )
        try:
            yield
        finally:
            server.close()

    async def receive(self, host: str, port: int) -> None:
        """Take mails until cancelled."""
        async with self.receiving(port, host):
            await asyncio.Event().wait()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - named by aiosmtpd
        """Keep the mail: whole or not at all, whenever the machine stops."""
        delivered = "".join(f"Delivered-To: {recipient}\r\n" for recipient in envelope.rcpt_tos)
        name = f"{datetime.now(UTC).strftime(MOMENT)}-{secrets.token_hex(4)}"
        incomplete = self.directory / f"{name}.incoming"
        incomplete.write_bytes(delivered.encode() + cast("bytes", envelope.content))
        incomplete.rename(incomplete.with_suffix(".eml"))
        return "250 Kept"
