"""What notifier is told by its environment."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from services.notifier.domain import Patience, is_sendable
from shared.settings import ServiceSettings


def _with_one_address(mailbox: str) -> str:
    if not is_sendable(parseaddr(mailbox)[1]):
        raise ValueError("names no address")
    return mailbox


class Settings(ServiceSettings):
    """Notifier's own besides the common ones."""

    smtp_host: str
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_timeout_seconds: float = Field(default=10.0, gt=0)
    mail_from: Annotated[str, AfterValidator(_with_one_address)] = "Adieu <no-reply@adieu.example>"

    privacy_mailbox: Annotated[str, AfterValidator(_with_one_address)] = "privacy@adieu.example"
    """Where answers to mails about requests go."""

    contact_patience_seconds: int = Field(default=3600, ge=0)
    """How long a message waits for the contact that it goes to."""
    mail_patience_hours: int = Field(default=24, ge=1)
    """How long a message is tried in all."""
    mail_attempts: int = Field(default=40, ge=1)
    """How often a mailbox may put a message off, because it is full for example."""

    @property
    def mail_domain(self) -> str:
        """The domain that mails come from."""
        return parseaddr(self.mail_from)[1].rpartition("@")[2]

    @property
    def patience(self) -> Patience:
        """How long a message waits, and for what."""
        return Patience(
            contact=timedelta(seconds=self.contact_patience_seconds),
            mail=timedelta(hours=self.mail_patience_hours),
            attempts=self.mail_attempts,
        )
