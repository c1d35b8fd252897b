"""What notifier decides: which contact counts, whether a message can go out, and when it is tried again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from services.notifier.commands import (
    Address,
    Kind,
    Outcome,
    QueueMessage,
    RememberContact,
    SettleContact,
)

BY_MAIL_ALONE = frozenset(
    {
        Kind.CONFIRMATION_CODE,
        Kind.PASSWORD_RESET_CODE,
        Kind.EMAIL_CHANGE_CODE,
        Kind.CANCELLATION_COMPLETED,
        Kind.PROVE_IT_IS_YOU,
        Kind.PROVE_IT_IS_YOU_REMINDER,
        Kind.PACKAGE_CODE,
        Kind.MAIL_RECEIVED,
    }
)
"""Codes show that a mailbox is somebody's; after the last message nobody is there to be shown anything; and who has
written by mail may have no account."""
OWED: Mapping[Kind, str] = {
    **dict.fromkeys(
        (Kind.CONFIRMATION_CODE, Kind.PASSWORD_RESET_CODE, Kind.EMAIL_CHANGE_CODE),
        "somebody has asked for it, and waits for it",
    ),
    **dict.fromkeys(
        (
            Kind.NEW_CLIENT_SEEN,
            Kind.PASSWORD_CHANGED,
            Kind.SECOND_FACTOR_CHANGED,
            Kind.EMAIL_CHANGED,
            Kind.EMAIL_RESTORED,
        ),
        "keeps the account safe: whoever takes it over could silence it",
    ),
    **dict.fromkeys(
        (
            Kind.CANCELLATION_DECLINED,
            Kind.CANCELLATION_POSSIBLE,
            Kind.CANCELLATION_SCHEDULED,
            Kind.CANCELLATION_UNDONE,
            Kind.CANCELLATION_RECEIVED,
            Kind.CANCELLATION_COMPLETED,
        ),
        "says what became of a right of the person",
    ),
    **dict.fromkeys(
        (
            Kind.REQUEST_RECEIVED,
            Kind.PROVE_IT_IS_YOU,
            Kind.PROVE_IT_IS_YOU_REMINDER,
            Kind.NOT_IDENTIFIED,
            Kind.REQUEST_QUESTION,
            Kind.REQUEST_EXTENDED,
            Kind.REQUEST_FEE,
            Kind.REQUEST_LAPSED,
            Kind.REQUEST_REFUSED,
            Kind.REQUEST_ACCEPTED_IN_PART,
            Kind.REQUEST_DONE,
            Kind.CORRECTION_DONE,
            Kind.PACKAGE_READY,
            Kind.PACKAGE_CODE,
            Kind.MAIL_RECEIVED,
        ),
        "a request has to be answered",
    ),
}
"""What goes out also when the person has withdrawn that messages are sent, and why."""
NOT_OWED: Mapping[Kind, str] = {
    Kind.ADDRESS_REGISTERED_AGAIN: "nothing came of it, and nobody waits for it",
}
SECRET = frozenset({"undo_token", "package_link"})
"""Parameters that show that a mailbox is somebody's: the app never shows them."""
HEADERS = {"request_id", "in_reply_to"}
"""Parameters that stand in headers of a mail: the request that it is about, and the mail that it answers."""
NOTICES_KEPT = timedelta(days=90)
LONGEST_PAUSE = timedelta(minutes=5)

# An address without quoting, comments or anything that could end a header or an SMTP command.
_ATOM = r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,\"]{1,255}"
_SENDABLE = re.compile(f"{_ATOM}@{_ATOM}")


@dataclass(frozen=True)
class Draft:
    """A message as it is queued."""

    account_id: UUID
    kind: Kind
    parameters: Mapping[str, Any]
    address: Address | None = None
    contact_version: int | None = None
    order_id: UUID | None = None
    """Only the last message to a person has one: after it the contact is erased for this order."""

    @property
    def shown(self) -> Mapping[str, Any] | None:
        """What the app shows of it, if anything."""
        if self.kind in BY_MAIL_ALONE:
            return None
        return {name: value for name, value in self.parameters.items() if name not in SECRET | HEADERS}


@dataclass(frozen=True)
class Queued:
    """A message as it stands in the queue, with where it could go now."""

    id: int
    account_id: UUID
    kind: Kind
    parameters: Mapping[str, Any]
    order_id: UUID | None
    queued_at: datetime
    attempts: int
    address: Address | None
    notice_id: UUID | None = None

    @property
    def expires_at(self) -> datetime | None:
        """From when on what it says is no longer true."""
        moment = self.parameters.get("expires_at")
        return datetime.fromisoformat(moment) if moment else None


@dataclass(frozen=True)
class Patience:
    """How long a message waits for its contact, and how long it is tried in all."""

    contact: timedelta
    mail: timedelta
    attempts: int
    """So often a mailbox may put a message off; a server that is away does not count."""


def newest_contacts(commands: Iterable[RememberContact]) -> list[RememberContact]:
    """Pick each account's newest contact: order says nothing, versions do."""
    newest: dict[UUID, RememberContact] = {}
    for command in commands:
        known = newest.get(command.account_id)
        if known is None or command.version > known.version:
            newest[command.account_id] = command
    return list(newest.values())


def draft(command: QueueMessage) -> Draft:
    """Write down a message."""
    return Draft(command.account_id, command.kind, command.parameters, command.address, command.contact_version)


def received_draft(command: SettleContact) -> Draft:
    """Write down that the cancellation was received."""
    return Draft(
        account_id=command.account_id,
        kind=Kind.CANCELLATION_RECEIVED,
        parameters={"references": command.references},
        contact_version=command.contact_version,
    )


def last_draft(command: SettleContact) -> Draft:
    """Write down the last message to a person."""
    return Draft(
        account_id=command.account_id,
        kind=Kind.CANCELLATION_COMPLETED,
        parameters={"references": command.references},
        contact_version=command.contact_version,
        order_id=command.order_id,
    )


def decide_delivery(message: Queued, now: datetime, patience: Patience) -> Address | Outcome:
    """Say where the message goes now, or why it does not."""
    if message.expires_at and message.expires_at <= now:
        return Outcome.EXPIRED
    waited = now - message.queued_at
    if waited >= patience.mail or message.attempts >= patience.attempts:
        return Outcome.UNDELIVERABLE
    if not message.address:
        return Outcome.UNDELIVERABLE if waited >= patience.contact else Outcome.DEFERRED
    return message.address if is_sendable(message.address.email) else Outcome.UNDELIVERABLE


def is_sendable(email: str) -> bool:
    """Tell whether the address can stand in a header and an SMTP command as it is."""
    return _SENDABLE.fullmatch(email) is not None


def next_attempt(attempts: int, now: datetime) -> datetime:
    """Say when a message is tried again that was deferred so many times before: ever later, within bounds."""
    return now + min(timedelta(seconds=2 ** min(attempts, 20)), LONGEST_PAUSE)


class Step(Enum):
    """What follows from an attempt."""

    RETRY = auto()
    REMEMBER = auto()
    """It is told once, and the facts that ask for it may still come."""
    FORGET = auto()
    ERASE = auto()
    ERASE_UNTOLD = auto()
    """The person could not be told; nothing may stay all the same."""


def decide_step(message: Queued, outcome: Outcome) -> Step:
    """Say what follows from an attempt at a message."""
    if outcome in (Outcome.DEFERRED, Outcome.AWAY):
        return Step.RETRY
    if message.kind is Kind.CANCELLATION_RECEIVED:
        return Step.REMEMBER
    if not message.order_id:
        return Step.FORGET
    return Step.ERASE if outcome is Outcome.DELIVERED else Step.ERASE_UNTOLD
