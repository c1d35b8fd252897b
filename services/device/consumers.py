"""What device hears, and what it makes of it."""

from __future__ import annotations

from services.device.commands import ForgetSession, RecordReading
from services.device.models import OWNER
from shared.commands import Command
from shared.contracts.account import SessionEnded
from shared.contracts.app import ReadingReported
from shared.contracts.base import Event
from shared.contracts.topics import ACCOUNTS, ORDERS, SESSIONS, TELEMETRY
from shared.messaging.consumer import Subscription


def on_telemetry(event: Event) -> Command | None:
    """App backends: readings."""
    match event:
        case ReadingReported():
            return RecordReading(
                account_id=event.account_id,
                binding_id=event.binding_id,
                event_id=event.id,
                measured_at=event.measured_at,
                values=event.values,
            )
    return None


def on_session(event: Event) -> Command | None:
    """Account: sessions that were ended."""
    match event:
        case SessionEnded():
            return ForgetSession(account_id=event.account_id, caused_by=event, session_id=event.session_id)
    return None


SUBSCRIPTIONS = (
    Subscription(ACCOUNTS, OWNER.command_for),
    Subscription(ORDERS, OWNER.command_for),
    Subscription(SESSIONS, on_session),
    Subscription(TELEMETRY, on_telemetry, each_alone=True),
)
