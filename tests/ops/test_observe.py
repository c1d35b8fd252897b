"""What `observe/` asks for has a name that something gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from prometheus_client import REGISTRY

from ops.installation import SERVICES
from ops.lag.exporter import LagCollector
from services.requests.repository.orders import WAITING_ORDERS
from shared.messaging import consumer
from shared.metrics import OF_EVERY_SERVICE

OBSERVE = Path(__file__).parents[2] / "observe"
OURS = re.compile(r"\b(?:adieu|kafka)_[a-z_]+")


def given() -> set[str]:
    """Name every metric, as it is called where it is fetched."""
    assert consumer  # its counters are made with it
    counted = {metric.name for metric in REGISTRY.collect()} | {metric.name for metric in LagCollector().collect()}
    read = {measure.name for measure in (*OF_EVERY_SERVICE, WAITING_ORDERS)} | {"adieu_ready"}
    return read | {name + ending for name in counted for ending in ("", "_total", "_bucket")}


def asked() -> set[str]:
    """Name every metric of ours that a rule or a panel asks for."""
    boards = [json.loads(file.read_text()) for file in (OBSERVE / "grafana/dashboards").glob("*.json")]
    queries = [target["expr"] for board in boards for panel in board["panels"] for target in panel["targets"]]
    return set(OURS.findall("\n".join([*queries, (OBSERVE / "alerts.yml").read_text()])))


def test_every_name_that_is_asked_for_is_given() -> None:
    assert asked() - given() == set()
    assert len(asked()) > 10


def test_every_service_is_asked() -> None:
    jobs = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())["scrape_configs"]

    assert [each["names"] for job in jobs for each in job.get("dns_sd_configs", ())] == [list(SERVICES)]


def test_every_alert_stands_in_the_runbook_and_is_tried() -> None:
    alerts = re.findall(r"- alert: (\w+)", (OBSERVE / "alerts.yml").read_text())
    runbook = (OBSERVE.parent / "docs/runbook.md").read_text()
    tried = (OBSERVE / "alerts_test.yml").read_text()
    assert [each for each in alerts if f"`{each}`" not in runbook] == []
    assert [each for each in alerts if tried.count(f"alertname: {each}\n") != 2] == []


def test_what_grafana_is_given_refers_to_what_is_there() -> None:
    parts = yaml.safe_load((OBSERVE / "docker-compose.observe.yml").read_text())["services"]
    mounts = [str(volume).split(":") for volume in parts["grafana"]["volumes"]]

    def in_grafana(path: str) -> Path:
        ((source, target, *_),) = [mount for mount in mounts if Path(path).is_relative_to(mount[1])]
        return OBSERVE.parent / source / Path(path).relative_to(target)

    provisioning = [
        yaml.safe_load(in_grafana(f"/etc/grafana/provisioning/{file}").read_text())
        for file in ("datasources/prometheus.yml", "dashboards/adieu.yml")
    ]
    (source,), (provider,) = provisioning[0]["datasources"], provisioning[1]["providers"]
    url = urlsplit(source["url"])
    (published,) = parts[url.hostname]["ports"]
    boards = list(in_grafana(provider["options"]["path"]).glob("*.json"))
    panels = [panel for board in boards for panel in json.loads(board.read_text())["panels"]]

    assert published.endswith(f":{url.port}")
    assert in_grafana(parts["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]) in boards
    assert [panel["title"] for panel in panels if panel["datasource"]["uid"] != source["uid"]] == []
    assert panels
