"""What a reader of a topic tolerates, and what it refuses, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.app import FeedbackSubmitted, ReadingReported
from shared.contracts.base import Event, Unrecognised, reader
from shared.contracts.catalogue import FACTS, facts_on
from shared.contracts.topics import ALL_TOPICS, DATA_OWNERS, RECEIPTS, TELEMETRY, TOPICS, Topic, receipts_of
from shared.errors import describe
from tests.builders import ANNA, NOON, fact, named

read = reader(*facts_on(TELEMETRY), FeedbackSubmitted)
READING = fact(ReadingReported, ANNA, binding_id=named("binding"), measured_at=NOON, values={"pm25": 3.5})
FEEDBACK = fact(FeedbackSubmitted, ANNA, text="Too loud at night")


def written(event: Event, **changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(json.loads(event.model_dump_json()) | changes).encode()


def test_a_fact_is_read_as_it_was_written() -> None:
    assert read(written(READING)) == READING
    assert read(written(FEEDBACK)) == FEEDBACK


def test_a_field_that_the_reader_does_not_know_is_ignored() -> None:
    assert read(written(READING, firmware={"version": 3})) == READING


@pytest.mark.parametrize("name", ["ReadingCorrected", None, 7, {}, [], True], ids=repr)
def test_a_fact_of_an_unknown_type_is_tolerated_or_refused_but_never_anything_else(name: object) -> None:
    try:
        event = read(written(READING, type=name))
    except ValidationError:
        assert not isinstance(name, str)
    else:
        assert isinstance(event, Unrecognised)


@pytest.mark.parametrize("field", ["id", "source", "occurred_at", "correlation_id", "account_id", "values"])
def test_a_missing_field_is_refused(field: str) -> None:
    body = json.loads(READING.model_dump_json())
    del body[field]

    with pytest.raises(ValidationError):
        read(json.dumps(body).encode())


REFUSED = {
    "not a number": {"values": {"pm25": float("nan")}},
    "an infinite number": {"values": {"pm25": float("inf")}},
    "a number beyond all bounds": {"values": {"pm25": "1e999"}},
    "no value": {"values": {}},
    "a name that is none": {"values": {"PM 2.5": 1}},
    "a time without offset": {"measured_at": "2026-11-02T12:00:00"},
    "a time before all times": {"measured_at": "1066-10-14T12:00:00Z"},
    "a time after all times": {"measured_at": "9999-12-31T23:59:59-12:00"},
    "an id that is none": {"binding_id": "AIR-0001"},
    "a source that is none": {"source": "App Backend"},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_a_value_that_no_database_should_hold_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        read(written(READING, **changes))


def test_text_with_a_nul_is_refused_since_no_database_can_hold_it() -> None:
    with pytest.raises(ValidationError):
        read(written(FEEDBACK, text="Too\x00loud"))


def test_times_are_read_as_utc() -> None:
    event = read(written(READING, measured_at="2026-11-02T14:00:00+02:00"))

    assert isinstance(event, ReadingReported)
    assert event.measured_at.isoformat() == NOON.isoformat()


@given(st.binary())
def test_any_bytes_are_refused_and_never_anything_worse(hostile: bytes) -> None:
    with pytest.raises(ValidationError):
        read(hostile)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(sorted(ReadingReported.model_fields)), JSON))
def test_any_values_in_any_fields_are_refused_or_read_and_never_anything_worse(changes: dict[str, object]) -> None:
    try:
        event = read(written(READING, **changes))
    except ValidationError as error:
        refused: str = describe(error)
        assert refused
    else:
        assert read(event.model_dump_json().encode()) == event


# Topics


def test_a_personal_topic_names_its_one_reader_and_any_other_none() -> None:
    with pytest.raises(ValueError, match="names its one reader"):
        Topic("app.diary.v1", owner="app", personal=True)
    with pytest.raises(ValueError, match="names its one reader"):
        Topic("app.diary.v1", owner="app", reader="device")


def test_every_topic_is_named_after_its_owner_entity_and_version() -> None:
    for topic in ALL_TOPICS:
        owner, entity, version = topic.name.split(".")
        assert owner == topic.owner
        assert entity.endswith("s") or entity in {"telemetry", "feedback"} or entity.startswith("corrections-")
        assert version == "v1"


def test_the_receipts_of_every_owner_are_covered_by_one_pattern_and_nothing_else_is() -> None:
    assert all(RECEIPTS.covers(receipts_of(owner).name) for owner in (*DATA_OWNERS, "diary"))
    others = [topic.name for topic in TOPICS if not topic.is_pattern]
    assert not any(RECEIPTS.covers(name) for name in [*others, "x.y.receipts.v1", "receipts.v1", "x.receipts.v10"])
    assert RECEIPTS.owner_of("diary.receipts.v1") == "diary"


def test_the_broker_keeps_personal_topics_for_days_in_small_segments_and_its_own_clock() -> None:
    for topic in ALL_TOPICS:
        config = topic.kafka_config
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert int(config["segment.ms"]) <= (600_000 if topic.personal else 86_400_000)
        assert int(config["retention.ms"]) <= (3 if topic.personal else 14) * 86_400_000


def test_every_fact_stands_on_one_topic_under_a_name_of_its_own() -> None:
    assert len({fact.__name__ for fact in FACTS}) == len(FACTS) >= 22
    assert {fact.topic for fact in FACTS} == set(TOPICS)
