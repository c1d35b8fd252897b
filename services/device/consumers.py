"""What device hears, and what it makes of it."""

from __future__ import annotations

from services.device.commands import BindDevice, RecordReading, UnbindDevice
from services.device.models import OWNER
from shared.changes import Correct
from shared.commands import Command
from shared.consenting import CONSENTS_HEARD
from shared.contracts.app import DeviceAdded, DeviceDeleted, ReadingReported
from shared.contracts.base import Event
from shared.contracts.requests import DeviceCorrectionOrdered
from shared.contracts.topics import ACCOUNTS, DEVICE_ACTIONS, DEVICE_CORRECTIONS, ORDERS, TELEMETRY
from shared.messaging.consumer import Subscription
from shared.security import digest
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


def on_device_action(event: Event) -> Command | None:
    """App backends: devices that people add and delete."""
    match event:
        case DeviceAdded():
            return BindDevice(
                account_id=event.account_id,
                caused_by=event,
                access_token=event.access_token,
                serial=event.serial,
                pairing_digest=digest(event.serial, event.pairing_code),
                binding_id=event.id,
            )
        case DeviceDeleted():
            return UnbindDevice(
                account_id=event.account_id,
                caused_by=event,
                access_token=event.access_token,
                binding_id=event.binding_id,
            )
    return None


def on_correction(event: Event) -> Command | None:
    """Translate which names of devices are to be put right."""
    match event:
        case DeviceCorrectionOrdered():
            values = tuple(sorted(event.values.items()))
            return Correct(account_id=event.account_id, caused_by=event, request_id=event.request_id, values=values)
    return None


SUBSCRIPTIONS = (
    Subscription(ACCOUNTS, OWNER.command_for),
    Subscription(ORDERS, OWNER.command_for),
    SESSIONS_HEARD,
    CONSENTS_HEARD,
    Subscription(DEVICE_ACTIONS, on_device_action),
    Subscription(DEVICE_CORRECTIONS, on_correction),
    Subscription(TELEMETRY, on_telemetry, each_alone=True),
)
