"""The compose profile `observe` in containers: what Prometheus finds there, and what it and the exporter are not.

Grafana is left out: without a registry there is no image of it to be had, and nothing that could stand in for one.
That what it is given refers to what is there is tested in `tests/ops/test_observe.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.installation import SERVICES
from ops.processes import free_port
from tests.containers.composed import ROOT, Compose, composed, docker
from tests.containers.prometheus import Prometheus, alerts, program
from tests.containers.test_image import PYTHON_IMAGE
from tests.people import eventually

FILE = "observe/docker-compose.observe.yml"
PARTS = ["exporter", "prometheus"]
HERE = """
services:
  grafana: !reset null
  device: {scale: 2}
"""
STAND_IN = "adieu-prometheus:test"
# As the official image: its program, what that is told, and its user, who owns where the data are.
RECIPE = """
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
COPY prometheus /bin/prometheus
RUN install -d -o nobody /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
"""


@pytest.fixture(scope="module")
async def prometheus_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: ARG001 - needed first
    """Take the one that is named, or make one of Debian's program."""
    if named := os.environ.get("PROMETHEUS_IMAGE"):
        return named
    context = tmp_path_factory.mktemp("prometheus-image")
    shutil.copy(program("prometheus"), context)
    (context / "Dockerfile").write_text(RECIPE)
    await docker("build", "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}", "--tag", STAND_IN, str(context))
    return STAND_IN


@pytest.fixture(scope="module")
async def profile(
    prometheus_image: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Compose, Prometheus]]:
    """Start everything with the profile, and two replicas of device."""
    directory = tmp_path_factory.mktemp("profile")
    here, port = directory / "here.yml", free_port()
    here.write_text(HERE)
    async with composed(
        directory,
        FILE,
        str(here),
        COMPOSE_PROFILES="observe",
        PROMETHEUS_IMAGE=prometheus_image,
        PROMETHEUS_PORT=str(port),
    ) as (compose, _):
        watching = Prometheus(port)
        await eventually(watching.answers, "Prometheus")
        yield compose, watching
        await watching.close()


@pytest.fixture
def compose(profile: tuple[Compose, Prometheus]) -> Compose:
    return profile[0]


@pytest.fixture
def watching(profile: tuple[Compose, Prometheus]) -> Prometheus:
    return profile[1]


async def addresses(compose: Compose, service: str) -> set[str]:
    """Tell where each replica of a service is within the network."""
    networks = [each["NetworkSettings"]["Networks"].values() for each in await compose.inspect(service)]
    return {network["IPAddress"] for each in networks for network in each}


async def test_prometheus_finds_the_exporter_and_every_replica_of_every_service(
    compose: Compose, watching: Prometheus
) -> None:
    there = {service: await addresses(compose, service) for service in SERVICES}
    expected = {("services", service, f"{address}:8000") for service in SERVICES for address in there[service]}
    expected.add(("lag", "", "exporter:9308"))

    async def all_are_up() -> bool:
        found = [series["metric"] for series in await watching.ask("up == 1")]
        return {(each["job"], each.get("service", ""), each["instance"]) for each in found} == expected

    assert {service: len(there[service]) for service in SERVICES} == dict.fromkeys(SERVICES, 1) | {"device": 2}
    await eventually(all_are_up, "all of them, and nobody else")


async def test_it_has_every_alert_and_on_a_system_that_is_well_none_is_raised(watching: Prometheus) -> None:
    async def all_are_evaluated() -> bool:
        return await watching.rules() == {rule["alert"]: "ok" for rule in alerts()}

    async def nothing_is_wrong() -> bool:  # now, which an alert tells some seconds later
        return not [rule["alert"] for rule in alerts() if await watching.ask(rule["expr"])]

    await eventually(all_are_evaluated, "every alert")
    await eventually(lambda: watching.ask("adieu_lag_word"), "what the exporter tells")
    await eventually(lambda: watching.ask("adieu_ready"), "what services tell")
    await eventually(nothing_is_wrong, "no alert")


async def test_who_has_stopped_is_missed_though_its_name_is_gone(compose: Compose, watching: Prometheus) -> None:
    await eventually(lambda: watching.ask('up{service="notifier"} == 1'), "notifier")
    await compose("stop", "notifier")

    async def it_is_missed() -> bool:
        return bool(await watching.ask('ALERTS{alertname="NotScraped", service="notifier", instance=""}'))

    try:
        await eventually(it_is_missed, "NotScraped, of no place")
    finally:
        await compose("start", "notifier")


@pytest.mark.parametrize("part", PARTS)
async def test_who_watches_runs_as_nobody_who_can_do_anything(compose: Compose, part: str) -> None:
    (told,) = await compose.inspect(part)
    status = await docker("exec", told["Id"], "cat", "/proc/1/status")

    assert re.search(r"^Uid:\t[1-9]", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert told["HostConfig"]["ReadonlyRootfs"]


async def parts_of(*files: str) -> dict[str, Any]:
    """Read the parts of the profile as compose understands these files together."""
    named = [word for file in ("docker-compose.yml", *files) for word in ("--file", str(ROOT / file))]
    told = json.loads(await docker("compose", *named, "--profile", "observe", "config", "--format", "json"))
    return dict(told["services"])


async def test_the_whole_profile_is_understood_and_published_to_this_machine_alone() -> None:
    told = await parts_of(FILE)
    parts = [told[name] for name in (*PARTS, "grafana")]
    mounted = [Path(each["source"]) for part in parts for each in part["volumes"] if each["type"] == "bind"]

    assert {port["host_ip"] for part in parts for port in part.get("ports", ())} == {"127.0.0.1"}
    assert [path for path in mounted if not path.exists()] == []
    assert len(mounted) == 4


@pytest.mark.parametrize("files", [(FILE,), ("compose.brokers.yml", FILE), (FILE, "compose.brokers.yml")], ids=str)
async def test_the_exporter_is_told_of_every_broker_that_the_services_are_told_of(files: tuple[str, ...]) -> None:
    told = await parts_of(*files)
    servers, handed = (told[part]["environment"]["KAFKA_BOOTSTRAP_SERVERS"] for part in ("device", "secrets"))

    assert handed == servers  # and so the exporter is, by a file among its secrets
    assert "KAFKA_BOOTSTRAP_SERVERS" not in told["exporter"]["environment"]
    assert servers.count(",") == 2 * (len(files) - 1)
