"""Rules of the profile: what each field is for, and so what can stand in it, by whichever door it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import langcodes
import pycountry
from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

from shared.commands import Refusal
from shared.contracts.base import Label


def _region(code: str) -> str:
    known = pycountry.countries.get(alpha_2=code) or pycountry.subdivisions.get(code=code)  # type: ignore[no-untyped-call]
    if not known:
        msg = "no code of ISO 3166-1 or 3166-2"
        raise ValueError(msg)
    return code


def _language(tag: str) -> str:
    if not langcodes.tag_is_valid(tag):
        msg = "no tag of BCP 47"
        raise ValueError(msg)
    return langcodes.standardize_tag(tag)


Nickname = Annotated[Label, StringConstraints(min_length=1, max_length=60)]
Region = Annotated[str, AfterValidator(_region)]
Language = Annotated[str, StringConstraints(max_length=35), AfterValidator(_language)]

FIELDS: Mapping[str, TypeAdapter[Any]] = {
    "nickname": TypeAdapter(Nickname | None),
    "region": TypeAdapter(Region),
    "language": TypeAdapter(Language),
}
"""What can be put right, and by which rule."""
OWN_DOOR = Refusal("own-door")
"""It takes a proof that a request cannot give: an e-mail address is changed in the app."""
NO_SUCH_FIELD = Refusal("no-such-field")
VALUE_NOT_ALLOWED = Refusal("value-not-allowed")


def decide_correct(field: str, value: str | None) -> str | Refusal | None:
    """Give the value as it is kept, or say why it cannot stand in that field."""
    if field == "email":
        return OWN_DOOR
    if field not in FIELDS:
        return NO_SUCH_FIELD
    try:
        kept: str | None = FIELDS[field].validate_python(value)
    except ValidationError:
        return VALUE_NOT_ALLOWED
    return kept
