"""What our containers are not: root, writable, capable, open to others, or told each other's secrets."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from ops.installation import SERVICES
from ops.system import System
from tests.containers.composed import ROOT, Compose, docker

PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE") or "python:3.11-slim"
OURS = [*SERVICES, "mail"]
PUBLISHED = [*SERVICES, "kafka", "postgres"]
COMMON = {"access-token-public.pem", "database_url", "internal_token", "metrics_token"}
OF_ONE = {
    "account": {"access-token-private.pem", "second-factor-keys", "sender-key"},
    "requests": {"package-keys", "staff-token-public.json"},
}


@pytest.mark.parametrize("part", OURS)
async def test_our_containers_run_as_nobody_who_can_do_anything(compose: Compose, part: str) -> None:
    (container,) = await compose.containers(part)
    status = await docker("exec", container, "cat", "/proc/1/status")
    written = await docker("exec", container, "sh", "-c", "touch /opt/adieu/planted || echo refused")

    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert written.strip() == "refused"
    assert (await _inspected(compose, part))["HostConfig"]["ReadonlyRootfs"]


@pytest.mark.parametrize("part", PUBLISHED)
async def test_what_is_published_is_published_to_this_machine_alone(compose: Compose, part: str) -> None:
    ports = (await _inspected(compose, part))["NetworkSettings"]["Ports"]

    assert {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()} == {"127.0.0.1"}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_is_given_its_own_secrets_and_no_others(compose: Compose, service: str) -> None:
    given = (await compose("exec", "-T", service, "ls", "/run/secrets")).split()

    assert set(given) == COMMON | OF_ONE.get(service, set())


async def test_no_secret_stands_in_the_environment_of_a_container(compose: Compose, system: System) -> None:
    secrets = [path.read_text() for path in (system.installation.directory / "secrets").iterdir()]

    told = [await _inspected(compose, part) for part in (*OURS, "kafka", "postgres")]

    assert len(secrets) > len(SERVICES)
    assert not [each["Name"] for each in told for secret in secrets if secret in str(each["Config"]["Env"])]


async def test_a_package_that_is_not_the_locked_one_stops_the_build(image: str, tmp_path: Path) -> None:  # noqa: ARG001
    for name in ("Dockerfile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    lock = (ROOT / "requirements.lock").read_text()
    start = lock.index("\nzxcvbn==")
    forged = lock[:start] + re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock[start:])
    (tmp_path / "requirements.lock").write_text(forged)

    with pytest.raises(CalledProcessError) as failed:
        await docker("build", "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}", "--target", "build", str(tmp_path))

    assert "Hash mismatch for `zxcvbn" in failed.value.stderr.decode()


async def _inspected(compose: Compose, part: str) -> dict[str, Any]:
    found, *_ = await compose.inspect(part)
    return found
