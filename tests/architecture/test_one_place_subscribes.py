"""Only `shared/messaging/consumer.py` subscribes: any other way in would lose messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THE_ONE_PLACE = ROOT / "shared" / "messaging" / "consumer.py"
READERS = {"AIOKafkaConsumer", "KafkaRouter", "subscriber", "batch_subscriber"}


def ways_in(source: str) -> list[str]:
    """List what a source does to read from Kafka by itself."""
    return [name for node in ast.walk(ast.parse(source)) for name in _names_in(node) if name in READERS]


def _names_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            yield name
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            yield from (each.name.rpartition(".")[2] for each in names)
        case ast.Constant(value=str(name)):
            yield name


def sources() -> list[Path]:
    return [path for room in ("shared", "services") for path in sorted((ROOT / room).rglob("*.py"))]


def test_nobody_subscribes_past_the_consumer() -> None:
    found = {str(path): ways_in(path.read_text()) for path in sources() if path != THE_ONE_PLACE}

    assert len(found) > 50
    # The client made careful: a class of its own, which the one place subscribes with.
    client = found.pop(str(ROOT / "shared/messaging/polling.py"))
    assert set(client) == {"AIOKafkaConsumer"}
    assert {path: ways for path, ways in found.items() if ways} == {}


def test_the_one_place_subscribes_once() -> None:
    calls = [node for node in ast.walk(ast.parse(THE_ONE_PLACE.read_text())) if isinstance(node, ast.Call)]

    assert sum("subscriber" in _names_in(call.func) for call in calls) == 1


PLANTED = {
    "a subscriber": '@broker.subscriber("account.accounts.v1")\nasync def hear(event): ...',
    "a subscriber made apart": 'hear = router.subscriber("account.accounts.v1")',
    "a bare client": "from aiokafka import AIOKafkaConsumer",
    "a bare client by its module": 'import aiokafka\nconsumer = aiokafka.AIOKafkaConsumer("x")',
    "a router": "from faststream.kafka import KafkaRouter as Other",
    "a subscriber by name": 'getattr(broker, "subscriber")("x")',
}


@pytest.mark.parametrize("source", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_way_in_is_noticed(source: str) -> None:
    assert ways_in(source)
