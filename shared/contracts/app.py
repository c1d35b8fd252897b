"""What app backends state: readings of devices, feedback of people. Any Kafka client can publish these."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import AccountEvent, Moment, Text
from shared.contracts.topics import FEEDBACK, TELEMETRY

Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Value = Annotated[float, Field(allow_inf_nan=False)]


class ReadingReported(AccountEvent):
    """A device has measured something. Names the binding, so that it can never land under somebody else."""

    topic = TELEMETRY
    type: Literal["ReadingReported"] = "ReadingReported"
    binding_id: UUID
    measured_at: Moment
    values: dict[Metric, Value] = Field(min_length=1, max_length=32)


class FeedbackSubmitted(AccountEvent):
    """A person has written feedback in the app."""

    topic = FEEDBACK
    type: Literal["FeedbackSubmitted"] = "FeedbackSubmitted"
    text: Text = Field(min_length=1, max_length=10_000)
