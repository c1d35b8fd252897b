"""A mail taken in, by whichever door: read, made a command of, carried out."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from uuid import UUID

from services.requests.commands import TakeMail
from services.requests.domain.mails import kind_of, language_of, said
from services.requests.intake.mime import Mail, Unusable, read
from services.requests.settings import Settings
from shared.bus import CommandBus
from shared.security import random_secret

log = logging.getLogger(__name__)


class Intake:
    """Takes mails in."""

    def __init__(self, bus: CommandBus, settings: Settings) -> None:
        self._bus = bus
        self._settings = settings
        self._reading = asyncio.Lock()

    async def take(self, raw: bytes, return_path: str | None = None) -> Unusable | None:
        """Take a mail in, once however often it comes, and return when that is committed; or say why it is none."""
        async with self._reading:  # one at a time: it takes memory, and a thread that is shared
            own, relay = self._settings.privacy_mailboxes, self._settings.relay_name
            mail = await asyncio.to_thread(read, raw, return_path, own=own, relay=relay)
        log.info("mail: %s", mail if isinstance(mail, Unusable) else "taken")
        if isinstance(mail, Unusable):
            return mail
        await self._bus.execute(_command(mail, self._settings))
        return None


def _command(mail: Mail, settings: Settings) -> TakeMail:
    drawn = hmac.new(settings.internal_token.encode(), mail.digest.encode(), hashlib.sha256).digest()
    request_id = UUID(bytes=drawn[:16], version=5)
    words_of_own = said(mail.written)
    return TakeMail(
        account_id=request_id,
        request_id=request_id,
        reference=random_secret(),
        sender=mail.sender,
        kind=kind_of(words_of_own),
        language=language_of(words_of_own),
        text=mail.written,
        attachments=mail.attachments,
        message_id=mail.message_id,
        answers=mail.answers,
        references=mail.references,
        authenticated=mail.authenticated,
    )
