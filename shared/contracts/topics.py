"""Every topic, named once: who may write it, how long it keeps what, and whether it carries personal data."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta

PARTITIONS = 3
MAX_MESSAGE_BYTES = 1_000_000
"""The largest body that is accepted, at the outbox as well as from outside."""


@dataclass(frozen=True)
class Topic:
    """One stream of one kind of entity, keyed by account id so that an account's facts keep their order.

    A `personal` topic has exactly one reader, is kept for a short time in small segments, and is emptied behind
    that reader. `owner` is who may write; a name with `*` stands for one topic for each data owner.
    """

    name: str
    owner: str
    personal: bool = False
    reader: str | None = None
    retention: timedelta = timedelta(days=14)
    partitions: int = PARTITIONS
    adds_to: str | None = None
    """The category of a person's data that its facts add to, where that can be erased alone."""

    def __post_init__(self) -> None:
        if self.personal != (self.reader is not None):
            msg = f"{self.name}: a personal topic names its one reader, any other none"
            raise ValueError(msg)

    @property
    def is_pattern(self) -> bool:
        """Whether this stands for one topic for each data owner."""
        return "*" in self.name

    @property
    def regex(self) -> str:
        """The names this topic stands for, as a regular expression."""
        return "^" + re.escape(self.name).replace(r"\*", "[a-z][a-z0-9-]{0,39}") + "$"

    def covers(self, name: str) -> bool:
        """Tell whether this stands for the topic of that name."""
        return re.match(self.regex, name) is not None

    def name_for(self, source: str) -> str:
        """Name the topic of one source."""
        return self.name.replace("*", source)

    def group_of(self, service: str) -> str:
        """Name the consumer group in which a service reads this."""
        return f"{service}.{self.name.replace('*', 'any')}"

    def owner_of(self, topic_name: str) -> str:
        """Who alone may state facts on the topic of that name."""
        return topic_name.partition(".")[0] if self.is_pattern else self.owner

    @property
    def kafka_config(self) -> dict[str, str]:
        """The broker's settings for this topic; LogAppendTime: the broker's clock is the one that counts."""
        config = {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
            "max.message.bytes": str(MAX_MESSAGE_BYTES + 100_000),
        }
        if self.personal:
            config["segment.bytes"] = str(16 * 1024 * 1024)
        return config | {"segment.ms": str(int(self.segment.total_seconds() * 1000))}

    @property
    def segment(self) -> timedelta:
        """How long a file of the topic takes new records: it goes as a whole, when its newest record is due."""
        return timedelta(minutes=10) if self.personal else timedelta(days=1)

    @property
    def longest(self) -> timedelta:
        """By when the broker has deleted a record at the latest; it looks every few minutes."""
        return self.retention + self.segment + timedelta(hours=1)


PERSONAL_RETENTION = timedelta(days=3)
"""How long a personal topic keeps what its reader has not read; what was read is purged within seconds."""

ACCOUNTS = Topic("account.accounts.v1", owner="account")
SESSIONS = Topic("account.sessions.v1", owner="account")
CONTACTS = Topic(
    "account.contacts.v1", owner="account", personal=True, reader="notifier", retention=PERSONAL_RETENTION
)
BINDINGS = Topic("device.bindings.v1", owner="device")
ORDERS = Topic("requests.orders.v1", owner="requests")
RECEIPTS = Topic("*.receipts.v1", owner="each data owner")
TELEMETRY = Topic(
    "app.telemetry.v1",
    owner="app",
    personal=True,
    reader="device",
    retention=PERSONAL_RETENTION,
    adds_to="device-data",
)
DEVICE_ACTIONS = Topic(
    "app.device-actions.v1",
    owner="app",
    personal=True,
    reader="device",
    retention=PERSONAL_RETENTION,
    adds_to="device-data",
)
FEEDBACK = Topic(
    "app.feedback.v1",
    owner="app",
    personal=True,
    reader="requests",
    retention=PERSONAL_RETENTION,
    adds_to="feedback",
)
INSTALLMENTS = Topic("billing.installments.v1", owner="billing")
FEES = Topic("billing.fees.v1", owner="billing")
CONSENTS = Topic("account.consents.v1", owner="account")
REQUESTS = Topic("requests.requests.v1", owner="requests")
MESSAGES = Topic(
    "requests.messages.v1", owner="requests", personal=True, reader="notifier", retention=PERSONAL_RETENTION
)
SENDERS = Topic(
    "requests.senders.v1", owner="requests", personal=True, reader="account", retention=PERSONAL_RETENTION
)
ACCOUNT_CORRECTIONS = Topic(
    "requests.corrections-account.v1",
    owner="requests",
    personal=True,
    reader="account",
    retention=PERSONAL_RETENTION,
)
DEVICE_CORRECTIONS = Topic(
    "requests.corrections-device.v1", owner="requests", personal=True, reader="device", retention=PERSONAL_RETENTION
)
EXPORTS = Topic(
    "*.exports.v1", owner="each data owner", personal=True, reader="requests", retention=PERSONAL_RETENTION
)

DATA_OWNERS = ("account", "device", "requests", "notifier")
"""The owners that Adieu comes with; others announce themselves."""

TOPICS = (
    ACCOUNTS,
    SESSIONS,
    CONTACTS,
    BINDINGS,
    ORDERS,
    RECEIPTS,
    TELEMETRY,
    DEVICE_ACTIONS,
    FEEDBACK,
    INSTALLMENTS,
    FEES,
    CONSENTS,
    REQUESTS,
    MESSAGES,
    SENDERS,
    ACCOUNT_CORRECTIONS,
    DEVICE_CORRECTIONS,
    EXPORTS,
)


def receipts_of(owner: str) -> Topic:
    """Where one data owner answers; the broker's access rules say who may."""
    return Topic(RECEIPTS.name_for(owner), owner=owner)


def exports_of(owner: str) -> Topic:
    """Where one data owner sends what it exports."""
    return replace(EXPORTS, name=EXPORTS.name_for(owner), owner=owner)


ALL_TOPICS = tuple(topic for topic in TOPICS if not topic.is_pattern) + tuple(
    topic for owner in DATA_OWNERS for topic in (receipts_of(owner), exports_of(owner))
)
"""What is created before anything starts."""

LONGEST_RETENTION = max(topic.longest for topic in TOPICS)
"""By when nothing of what was published is with the broker any more."""
LONGEST_PERSONAL_RETENTION = max(topic.longest for topic in TOPICS if topic.personal)
"""The same for personal data that its reader has not taken in."""
