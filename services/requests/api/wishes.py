"""What a wish and a request look like at the doors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from services.requests.domain.cases import Request, State
from shared.contracts.account import Scope
from shared.contracts.base import Text
from shared.contracts.requests import Channel, Ground, Kind
from shared.http import Body
from shared.personal_data import Category

FIELDS = ("nickname", "region", "language", "email")
"""Of the profile. An e-mail address is pointed to its own door: a change of it takes a proof."""
Words = Annotated[Text, StringConstraints(min_length=1, max_length=10_000)]
Value = Annotated[Text, StringConstraints(max_length=1000)]


def _field(name: str) -> str:
    """Take a field of the profile, or the id of a binding, whose device has a name."""
    return name if name in FIELDS else str(UUID(name))


Field_ = Annotated[str, AfterValidator(_field)]


class Wish(Body):
    """What every wish can say in one's own words."""

    text: Words | None = None

    def scope(self) -> dict[str, Any]:
        """Say what it is about, in names."""
        return {}

    def values_asked(self) -> Mapping[str, str | None] | None:
        """Say which values are to be put right, if any."""
        return None


class Access(Wish):
    """A copy of all that is held."""

    kind: Literal[Kind.ACCESS]


class Correction(Wish):
    """Values to be put right or completed: of the profile, or names of devices by binding; none clears."""

    kind: Literal[Kind.CORRECTION]
    values: dict[Field_, Value | None] = Field(min_length=1, max_length=50)

    def scope(self) -> dict[str, Any]:
        return {"fields": sorted(self.values)}

    def values_asked(self) -> Mapping[str, str | None]:
        return self.values


class Deletion(Wish):
    """Everything, with the account; or these categories alone."""

    kind: Literal[Kind.DELETION]
    categories: Annotated[list[Category], Field(min_length=1, max_length=50)] | None = None

    def scope(self) -> dict[str, Any]:
        return {"categories": sorted(set(self.categories))} if self.categories else {"everything": True}


class Withdrawal(Wish):
    """Consent taken back: for purposes at services, or to the privacy policy as a whole."""

    kind: Literal[Kind.WITHDRAWAL]
    scopes: list[Scope] = Field(default_factory=list, max_length=50)
    whole_policy: bool = False

    @model_validator(mode="after")
    def _says_what(self) -> Withdrawal:
        if self.whole_policy == bool(self.scopes):
            raise ValueError("either scopes, or the whole policy")
        return self

    def scope(self) -> dict[str, Any]:
        scopes = sorted({(scope.service, scope.purpose) for scope in self.scopes})
        named = [{"purpose": purpose, "service": service} for service, purpose in scopes]
        return {"scopes": named, "whole_policy": self.whole_policy}


AnyWish = Annotated[Access | Correction | Deletion | Withdrawal, Field(discriminator="kind")]


class Status(BaseModel):
    """What became of a request: nothing that says anything about a person."""

    request_id: UUID
    kind: Kind | None
    channel: Channel
    state: State
    received_at: datetime
    due_at: datetime
    waits_until: datetime | None = Field(description="Until when the state waits for somebody.")
    extended: bool
    verified_at: datetime | None
    decided_at: datetime | None
    in_part: bool
    ended_at: datetime | None
    how: str | None
    ground: Ground | None

    @classmethod
    def of(cls, request: Request) -> Status:
        """Show a request."""
        return cls.model_validate({**vars(request), "waits_until": request.ends_at}, extra="ignore")


class Said(BaseModel):
    """What was told about a request, in words."""

    notice: str
    said: dict[str, Any]
    said_at: datetime
