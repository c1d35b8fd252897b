"""What every published fact has in common, and how its bytes are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, ClassVar, Union
from unicodedata import category
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
)

from shared.contracts.topics import Topic

SOURCE_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def _within_reason(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        msg = "outside 1970 to 2200"
        raise ValueError(msg)
    return moment.astimezone(UTC)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        msg = "contains NUL or half a character, which no database text can hold"
        raise ValueError(msg)
    return text


_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _showable(text: str) -> str:
    if not text.strip() or any(category(each) in ("Cc", "Cs", "Zl", "Zp") or each in _BIDI for each in text):
        msg = "blank, or holds what changes how the text around it looks"
        raise ValueError(msg)
    return text


Moment = Annotated[AwareDatetime, AfterValidator(_within_reason)]
"""A point in time with its offset, read as UTC, within what every database can store."""

Text = Annotated[str, AfterValidator(_storable)]
"""Text of a person, as it is, but for what a database cannot store."""

Label = Annotated[str, AfterValidator(_showable)]
"""A name that a person gives, to be shown among other words: no control characters, no change of direction."""


class Event(BaseModel):
    """A fact in the past tense; the body is authoritative, headers only repeat it as hints.

    Fields that a reader does not know are ignored, so an older reader outlives a newer writer.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: ClassVar[Topic]

    type: str
    id: UUID = Field(description="Unique for ever: a message with an id that was handled is a repeat.")
    source: str = Field(pattern=SOURCE_PATTERN, description="Who states the fact: the owner of the topic.")
    occurred_at: Moment
    correlation_id: UUID = Field(description="The wish that all of this follows from.")
    causation_id: UUID | None = Field(default=None, description="The event that led to this one.")

    @property
    def key(self) -> str:
        """The message key: facts with one key keep their order. Always opaque."""
        raise NotImplementedError


class AccountEvent(Event):
    """A fact about one account."""

    account_id: UUID

    @property
    def key(self) -> str:
        return str(self.account_id)


class OwnerEvent(Event):
    """A fact about a data owner, about no person at all."""

    owner: str = Field(pattern=SOURCE_PATTERN)

    @property
    def key(self) -> str:
        return self.owner


class Unrecognised(Event):
    """A fact of a type that this reader does not know: tolerated, and passed over."""

    @property
    def key(self) -> str:
        return str(self.id)


def type_name(fact: type[Event]) -> str:
    """Name the type as it stands in the message."""
    return str(fact.model_fields["type"].default)


@cache
def reader(*facts: type[Event]) -> Callable[[bytes], Event]:
    """Make the function that reads one message of a topic that carries these facts.

    It raises `pydantic.ValidationError` for what is no JSON or lacks a field.
    """
    names = {type_name(fact) for fact in facts}

    def arm(body: object) -> str:
        name = body.get("type") if isinstance(body, dict) else None
        return name if isinstance(name, str) and name in names else Unrecognised.__name__

    arms = [Annotated[fact, Tag(type_name(fact))] for fact in facts]
    arms.append(Annotated[Unrecognised, Tag(Unrecognised.__name__)])
    adapter: TypeAdapter[Event] = TypeAdapter(Annotated[Union[tuple(arms)], Discriminator(arm)])  # type: ignore[arg-type] # noqa: UP007
    return adapter.validate_json
