"""Every published event has its schema, the schemas are true, and what was once published can still be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ops.documents import DOCS, schema
from shared.contracts.base import Event, Unrecognised, reader, type_name
from shared.contracts.catalogue import FACTS

SCHEMAS, EXAMPLES = DOCS / "schemas", Path(__file__).parent / "published"

every_fact = pytest.mark.parametrize("fact", FACTS, ids=type_name)


def undocumented(facts: tuple[type[Event], ...]) -> set[str]:
    """Name events without a schema, and schemas without an event."""
    return {type_name(fact) for fact in facts} ^ {path.stem for path in SCHEMAS.glob("*.json")}


def example_of(fact: type[Event]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{type_name(fact)}.json").read_text())
    return found


def test_every_event_has_a_schema_and_every_schema_an_event() -> None:
    assert undocumented(FACTS) == set()


def test_an_event_without_a_schema_is_noticed() -> None:
    class DeviceSold(Event):
        type: str = "DeviceSold"

    assert undocumented((*FACTS, DeviceSold)) == {"DeviceSold"}


@every_fact
def test_the_schema_is_what_the_code_says(fact: type[Event]) -> None:
    assert json.loads((SCHEMAS / f"{type_name(fact)}.json").read_text()) == schema(fact)


@every_fact
def test_what_was_published_by_the_first_release_can_still_be_read(fact: type[Event]) -> None:
    event = reader(*FACTS)(json.dumps(example_of(fact)).encode())

    assert not isinstance(event, Unrecognised)
    assert isinstance(event, fact)
    read = json.loads(event.model_dump_json())
    assert {name: read[name] for name in example_of(fact)} == example_of(fact)


@every_fact
def test_what_was_published_by_the_first_release_fits_the_schema_and_without_a_field_does_not(
    fact: type[Event],
) -> None:
    written = Draft202012Validator(json.loads((SCHEMAS / f"{type_name(fact)}.json").read_text()))
    example = example_of(fact)

    assert written.is_valid(example)
    for field in ("type", "id", "source", "occurred_at", "correlation_id"):
        assert not written.is_valid({name: value for name, value in example.items() if name != field}), field
