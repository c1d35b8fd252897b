"""What app backends state: readings of devices, what people do with them, feedback. Any Kafka client can."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.contracts.base import AccountEvent, Moment, Text
from shared.contracts.topics import DEVICE_ACTIONS, FEEDBACK, TELEMETRY

Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Name = Annotated[Text, Field(min_length=1, max_length=64)]
Token = Annotated[str, Field(max_length=2000, repr=False)]
Value = Annotated[float, Field(allow_inf_nan=False)]


class ReadingReported(AccountEvent):
    """A device has measured something. Names the binding, or else the serial.

    It can never land under somebody else: with a serial alone, both its own time and the broker's have to lie in the
    binding that the device is in.
    """

    topic = TELEMETRY
    type: Literal["ReadingReported"] = "ReadingReported"
    binding_id: UUID | None = None
    serial: Name | None = None
    measured_at: Moment
    values: dict[Metric, Value] = Field(min_length=1, max_length=32)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.binding_id is None) == (self.serial is None):
            msg = "names either the binding or the serial"
            raise ValueError(msg)
        return self


class DeviceAdded(AccountEvent):
    """A person has added a device in the app. Carries the person's access token, as a request by HTTP does."""

    topic = DEVICE_ACTIONS
    type: Literal["DeviceAdded"] = "DeviceAdded"
    access_token: Token
    serial: Name
    pairing_code: Name


class DeviceDeleted(AccountEvent):
    """A person has deleted a device in the app. Carries the person's access token, as a request by HTTP does."""

    topic = DEVICE_ACTIONS
    type: Literal["DeviceDeleted"] = "DeviceDeleted"
    access_token: Token
    binding_id: UUID


class FeedbackSubmitted(AccountEvent):
    """A person has written feedback in the app."""

    topic = FEEDBACK
    type: Literal["FeedbackSubmitted"] = "FeedbackSubmitted"
    text: Text = Field(min_length=1, max_length=10_000)
