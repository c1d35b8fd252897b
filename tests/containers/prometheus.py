"""A real Prometheus with the rules of `observe/`, from Debian's package where none is installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from platformdirs import user_cache_path

from ops.installation import Installation
from ops.processes import HOST, free_port, start_tethered, wait_or_kill
from ops.system import System
from tests.whole_system import whole_system

OBSERVE = Path(__file__).parents[2] / "observe"
RULES = (OBSERVE / "alerts.yml").read_text()
APT_GET, DPKG = "/usr/bin/apt-get", "/usr/bin/dpkg"
NONE_THERE = (
    "there is no Prometheus, and `apt-get download prometheus` brings none: install it (`prometheus`, `promtool`)"
)


def program(name: str) -> str:
    """Find `prometheus` or `promtool`; without it nothing here can be told, and that is a failure."""
    if found := shutil.which(name):
        return found
    kept = user_cache_path("adieu", ensure_exists=True) / "prometheus"
    if not (kept / "usr/bin" / name).exists():
        try:
            kept.mkdir(exist_ok=True)
            subprocess.run(
                [APT_GET, "download", "prometheus"], check=True, capture_output=True, cwd=kept, timeout=120
            )
            (package,) = kept.glob("prometheus_*.deb")
            subprocess.run([DPKG, "-x", package, kept], check=True, capture_output=True, timeout=60)
            package.unlink()
        except (OSError, subprocess.SubprocessError, ValueError):
            pytest.fail(NONE_THERE)
    return str(kept / "usr/bin" / name)


@dataclass(frozen=True)
class Query:
    """A query of a panel or an alert, and where it stands."""

    where: str
    text: str


def alerts() -> list[dict[str, Any]]:
    """Read the alert rules."""
    groups = yaml.safe_load(RULES)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[Query]:
    """Read every query: of each panel as it is, of each alert without its comparison."""
    for file in sorted((OBSERVE / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield Query(f"{file.name}: {panel['title']}", target["expr"])
    for rule in alerts():
        query, _comparison, _number = rule["expr"].rsplit(" ", 2)
        yield Query(f"alert {rule['alert']}", query)


class Prometheus:
    """One that runs, and fetches from what it was told."""

    def __init__(self, port: int) -> None:
        self._api = httpx.AsyncClient(base_url=f"http://{HOST}:{port}/api/v1", timeout=10)

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Run a query now; gives the series that have a value, which NaN is not."""
        answer = await self._api.get("/query", params={"query": query})
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return [series for series in found if series["value"][1] != "NaN"]

    async def rules(self) -> dict[str, str]:
        """Name the rules that it has loaded, each with how it goes: "ok" when it has been evaluated."""
        answer = await self._api.get("/rules")
        groups: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    async def raised(self) -> set[str]:
        """Name the alerts that fire, or will if it lasts."""
        return {alert["labels"]["alertname"] for alert in await self._alerts()}

    async def firing(self) -> dict[str, str]:
        """Name the alerts that fire, each with what it tells."""
        found = [alert for alert in await self._alerts() if alert["state"] == "firing"]
        return {alert["labels"]["alertname"]: alert["annotations"]["summary"] for alert in found}

    async def _alerts(self) -> list[dict[str, Any]]:
        answer = await self._api.get("/alerts")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["alerts"]
        return found

    async def close(self) -> None:
        await self._api.aclose()

    async def answers(self) -> bool:
        try:
            return (await self._api.get("/query", params={"query": "up"})).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def watched_system(directory: Path, rules: str = RULES) -> AsyncIterator[tuple[System, Prometheus]]:
    """Run the whole system, and an exporter and a Prometheus beside it."""
    async with (
        whole_system(directory / "system") as system,
        _exporter(system.installation) as exporter,
        _prometheus(directory / "prometheus", system, exporter, rules) as watching,
    ):
        yield system, watching


@asynccontextmanager
async def _exporter(installation: Installation) -> AsyncIterator[str]:
    """Run `adieu exporter`; yields where it listens."""
    port = free_port()
    words = ["exporter", "--port", str(port), "--window", "15", "--directory", str(installation.directory)]
    process = await start_tethered(
        [sys.executable, "-c", "from ops.cli import main; main()", *words],
        log=installation.logs / "exporter.log",
        record=installation.directory / "exporter.process.json",
    )
    try:
        yield f"{HOST}:{port}"
    finally:
        process.terminate()
        await wait_or_kill(process, 10)


@asynccontextmanager
async def _prometheus(directory: Path, system: System, exporter: str, rules: str) -> AsyncIterator[Prometheus]:
    """Run it with the configuration of `observe/`, but for where the targets are and how often they are asked."""
    directory.mkdir()
    port = free_port()
    configuration = _configuration(exporter, system.addresses.services, directory / "token")
    (directory / "token").write_text(system.installation.metrics_token)
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (directory / "alerts.yml").write_text(rules)
    process = await start_tethered(
        [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={HOST}:{port}",
        ],
        log=directory / "log",
        record=directory / "process.json",
    )
    started = Prometheus(port)
    while not await started.answers():
        assert process.returncode is None, (directory / "log").read_text()
        await asyncio.sleep(0.1)
    try:
        yield started
    finally:
        await started.close()
        process.terminate()
        await wait_or_kill(process, 10)


def _configuration(exporter: str, services: Mapping[str, str], token: Path) -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    lag, own = configuration["scrape_configs"]
    lag["static_configs"] = [{"targets": [exporter]}]
    own["authorization"]["credentials_file"] = str(token)
    for given_in_containers in ("dns_sd_configs", "relabel_configs"):
        del own[given_in_containers]
    own["static_configs"] = _targets(services)
    return configuration


def _targets(services: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    return [{"targets": [url.removeprefix("http://")], "labels": {"service": name}} for name, url in services.items()]
