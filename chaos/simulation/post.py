"""The post in memory: mails go out, are put off, or cannot be delivered, as their recipient's mailbox has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from services.notifier.commands import Address, Kind, Outcome
from services.notifier.domain import Queued
from services.notifier.mails import Composer, Mail


@dataclass(frozen=True)
class Delivered:
    """A mail that somebody got."""

    account_id: UUID
    kind: Kind
    message: int
    """The same number twice is the same mail twice: it has the same Message-ID."""
    email: str


@dataclass
class Post:
    """Stands in for the mail server, and remembers what a mail was about."""

    gone: set[str] = field(default_factory=set)
    """Names that no mailbox has."""
    full: Counter[str] = field(default_factory=Counter)
    """How often a mailbox still puts mails off."""
    away: bool = False
    delivered: list[Delivered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._composer = Composer("Adieu <no-reply@adieu.example>", "privacy@adieu.example")
        self._about: dict[bytes, Queued] = {}

    def mail(self, message: Queued, to: Address) -> Mail:
        """Write a mail, as the notifier does."""
        mail = self._composer.mail(message, to)
        self._about[mail.content] = message
        return mail

    async def send(self, mail: Mail) -> Outcome:
        """Deliver, or say why not."""
        name = mail.recipient.partition("@")[0]
        if self.away:
            return Outcome.AWAY
        if name in self.gone:
            return Outcome.UNDELIVERABLE
        if self.full[name] > 0:
            self.full[name] -= 1
            return Outcome.DEFERRED
        about = self._about[mail.content]
        self.delivered.append(Delivered(about.account_id, about.kind, about.id, mail.recipient))
        return Outcome.DELIVERED
