"""What may be asked of notifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from shared.commands import Command, EraseAccount, Needs


class Kind(StrEnum):
    """What a message tells: there are templates of this name in every language."""

    CONFIRMATION_CODE = "confirmation-code"
    PASSWORD_RESET_CODE = "password-reset-code"  # noqa: S105 - the name of a template
    EMAIL_CHANGE_CODE = "email-change-code"
    EMAIL_CHANGED = "email-changed"
    EMAIL_RESTORED = "email-restored"
    ADDRESS_REGISTERED_AGAIN = "address-registered-again"
    NEW_CLIENT_SEEN = "new-client-seen"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a template
    SECOND_FACTOR_CHANGED = "second-factor-changed"
    CANCELLATION_DECLINED = "cancellation-declined"
    CANCELLATION_POSSIBLE = "cancellation-possible"
    CANCELLATION_SCHEDULED = "cancellation-scheduled"
    CANCELLATION_UNDONE = "cancellation-undone"
    CANCELLATION_RECEIVED = "cancellation-received"
    CANCELLATION_COMPLETED = "cancellation-completed"
    REQUEST_RECEIVED = "request-received"
    PROVE_IT_IS_YOU = "prove-it-is-you"
    PROVE_IT_IS_YOU_REMINDER = "prove-it-is-you-reminder"
    NOT_IDENTIFIED = "not-identified"
    REQUEST_QUESTION = "request-question"
    REQUEST_EXTENDED = "request-extended"
    REQUEST_FEE = "request-fee"
    REQUEST_LAPSED = "request-lapsed"
    REQUEST_REFUSED = "request-refused"
    REQUEST_ACCEPTED_IN_PART = "request-accepted-in-part"
    REQUEST_DONE = "request-done"
    CORRECTION_DONE = "correction-done"
    PACKAGE_READY = "package-ready"
    PACKAGE_CODE = "package-code"
    MAIL_RECEIVED = "mail-received"


class Outcome(StrEnum):
    """What became of an attempt to deliver a message."""

    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    """What it says is no longer true."""
    DEFERRED = "deferred"
    """Not now: it is tried again."""
    AWAY = "away"
    """The server is not there: it is tried again, and says nothing about the recipient."""


@dataclass(frozen=True)
class Address:
    """Where a message goes, and in which language (BCP 47)."""

    email: str
    language: str


@dataclass(frozen=True, kw_only=True)
class RememberContact(Command):
    """Send messages here from now on, unless a newer contact is known."""

    needs: ClassVar[Needs] = Needs.NOTHING

    version: int
    address: Address


@dataclass(frozen=True, kw_only=True)
class QueueMessage(Command):
    """Tell the person something: at an address of the message's own, or else at the stored contact."""

    needs: ClassVar[Needs] = Needs.NOTHING

    kind: Kind
    parameters: Mapping[str, Any]
    address: Address | None = None
    contact_version: int | None = None
    """The oldest contact that will do."""


@dataclass(frozen=True, kw_only=True)
class SettleContact(EraseAccount):
    """Send the last message, then erase the contact and answer with a receipt."""

    contact_version: int
    references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecordDelivery(Command):
    """Note what became of an attempt. Of a closed account no message is left, so there is nothing to note."""

    needs: ClassVar[Needs] = Needs.NOTHING

    message_id: int
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class ReadNotices(Command):
    """Note that the person has seen a notice, or all of them."""

    notice_id: UUID | None = None
