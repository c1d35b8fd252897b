"""What device hears, and what it makes of it."""

from __future__ import annotations

from services.device.commands import RecordReading
from services.device.models import OWNER
from shared.commands import Command
from shared.contracts.app import ReadingReported
from shared.contracts.base import Event
from shared.contracts.topics import ACCOUNTS, ORDERS, TELEMETRY
from shared.messaging.consumer import Subscription
from shared.sessions import SESSIONS_HEARD


def on_telemetry(event: Event) -> Command | None:
    """App backends: readings."""
    match event:
        case ReadingReported():
            return RecordReading(
                account_id=event.account_id,
                binding_id=event.binding_id,
                serial=event.serial,
                event_id=event.id,
                measured_at=event.measured_at,
                values=event.values,
            )
    return None


SUBSCRIPTIONS = (
    Subscription(ACCOUNTS, OWNER.command_for),
    Subscription(ORDERS, OWNER.command_for),
    SESSIONS_HEARD,
    Subscription(TELEMETRY, on_telemetry, each_alone=True),
)
