"""The published contract as documents: a JSON Schema for each event and one AsyncAPI document, from the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.contracts.base import Event, type_name
from shared.contracts.catalogue import FACTS, facts_on
from shared.contracts.topics import TOPICS, Topic

DOCS = Path(__file__).parents[1] / "docs"


def schema(fact: type[Event]) -> dict[str, Any]:
    """Write the JSON Schema of an event as it stands in a message."""
    written = fact.model_json_schema()
    # The code knows its own type; in a message it has to be said.
    required = ["type", *written["required"]]
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **written, "required": required, "additionalProperties": True}


def asyncapi() -> dict[str, Any]:
    """Write the AsyncAPI document: every topic, who writes it, and the events on it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Adieu",
            "version": "1.0.0",
            "description": "What services and app backends may know of each other. Key: the account's id (or the "
            "owner's name). The body is authoritative; headers `ce_type` and `ce_id` repeat it as hints.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"write-{topic.name}": _operation(topic) for topic in TOPICS},
        "components": {"messages": {type_name(fact): _message(fact) for fact in FACTS}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    described = f"Written by {topic.owner}; kept for {topic.retention.days} days."
    if topic.personal:
        described += f" Carries personal data: read by {topic.reader} alone, and emptied behind it."
    names = [type_name(fact) for fact in facts_on(topic)]
    channel: dict[str, Any] = {
        "address": topic.name.replace("*", "{owner}"),
        "description": described,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": _configuration(topic)}},
    }
    if topic.is_pattern:
        channel["parameters"] = {"owner": {"description": "The data owner that answers."}}
    return channel


def _configuration(topic: Topic) -> dict[str, Any]:
    config = topic.kafka_config
    return {"cleanup.policy": [config["cleanup.policy"]], "retention.ms": int(config["retention.ms"])}


def _operation(topic: Topic) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": f"By {topic.owner}."}


def _message(fact: type[Event]) -> dict[str, Any]:
    return {
        "name": type_name(fact),
        "summary": (fact.__doc__ or "").split("\n")[0],
        "payload": {"$ref": f"./schemas/{type_name(fact)}.json"},
    }


def documents() -> Iterator[tuple[Path, str]]:
    """Name every generated document and its text."""
    for fact in FACTS:
        yield DOCS / "schemas" / f"{type_name(fact)}.json", _text(schema(fact))
    yield DOCS / "asyncapi.json", _text(asyncapi())


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def stale() -> list[Path]:
    """List documents that are missing, differ from the code, or describe what is no more."""
    expected = dict(documents())
    changed = [path for path, text in expected.items() if not path.exists() or path.read_text() != text]
    return changed + [path for path in (DOCS / "schemas").glob("*.json") if path not in expected]


def write() -> None:
    """Write every document anew."""
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in documents():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
