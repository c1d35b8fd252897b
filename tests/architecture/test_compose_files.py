"""The compose files leave nobody out, and their broker is set as the embedded one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.engines.kafka import SETTINGS
from ops.installation import EXPORTER, SERVICES

ROOT = Path(__file__).parents[2]
ALIKE = (
    "auto.create.topics.enable",
    "log.message.timestamp.type",
    "message.max.bytes",
    "offsets.retention.minutes",
    "log.retention.check.interval.ms",
    "log.segment.delete.delay.ms",
    "group.initial.rebalance.delay.ms",
)


class Loader(yaml.SafeLoader):
    """Reads what compose says to itself as what it stands for."""


def _as_it_is(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return list(loader.construct_sequence(node))


Loader.add_constructor("!override", _as_it_is)


def parts(file: str) -> dict[str, Any]:
    """Read the parts of a compose file."""
    return dict(yaml.load((ROOT / file).read_text(), Loader)["services"])  # noqa: S506 - a safe loader


@pytest.mark.parametrize(
    ("file", "part"),
    [*(("docker-compose.yml", service) for service in SERVICES), ("observe/docker-compose.observe.yml", EXPORTER)],
)
def test_everybody_has_a_container_with_secrets_that_only_it_and_their_maker_mount(file: str, part: str) -> None:
    volume = f"{part}-secrets"
    mounting = [name for name, each in parts(file).items() if volume in str(each.get("volumes"))]

    assert sorted(mounting) == sorted([part, "secrets"])


def test_the_exporter_is_given_nothing_but_its_own_secrets() -> None:
    assert parts("observe/docker-compose.observe.yml")[EXPORTER]["volumes"] == ["exporter-secrets:/run/secrets:ro"]


@pytest.mark.parametrize("variant", ["compose.brokers.yml", "compose.secured.yml"])
def test_a_variant_tells_everybody_who_talks_to_kafka(variant: str) -> None:
    assert {*SERVICES, "provision", "demo", "adieu"} <= parts(variant).keys()


def test_the_broker_is_set_as_the_embedded_one_where_that_is_no_matter_of_size() -> None:
    told = parts("docker-compose.yml")["kafka"]["environment"]

    assert {name: str(told[f"KAFKA_{name.upper().replace('.', '_')}"]) for name in ALIKE} == {
        name: SETTINGS[name] for name in ALIKE
    }
