"""Every door stands in the documents with an example, and every example runs as it is written."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import sys
from pathlib import Path

import pytest

from ops.system import System
from shared.contracts.topics import TOPICS
from tests.openapi.test_actors import ROUTES, Route
from tests.whole_system import whole_system

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "doors.md").read_text()
BLOCKS = [block for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE) if "..." not in block]
PROGRAMS = Path(__file__).parent / "programs"
FROM_OUTSIDE = [topic for topic in TOPICS if topic.owner in ("app", "billing")]


def stands_there(route: Route) -> bool:
    """Tell whether a command asks this route, by its method and its path."""
    path = re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(route.path))
    address = rf"\${route.service.upper()}{path}(?=[\s\"?)|;]|$)"
    commands = [line for block in BLOCKS for line in re.sub(r"\\\n|\n  ", " ", block).splitlines()]
    return any(re.search(address, line) and route.method in _methods(line) for line in commands)


def _methods(command: str) -> set[str]:
    named = set(re.findall(r"-X ([A-Z]+)", command))
    return named or ({"POST"} if re.search(r"--json|-F ", command) else {"GET"})


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_route_has_an_example(route: Route) -> None:
    assert stands_there(route)


@pytest.mark.parametrize("topic", FROM_OUTSIDE, ids=lambda topic: str(topic.name))
def test_every_topic_that_is_written_from_outside_has_an_example(topic: object) -> None:
    assert f"publish {topic.name}" in TEXT  # type: ignore[attr-defined]


def programs(directory: Path) -> Path:
    """Put what the examples call and this machine lacks into a directory."""
    directory.mkdir()
    for program in PROGRAMS.iterdir():
        if not shutil.which(program.name):
            made = directory / program.name
            made.write_text(f"#!{sys.executable}\n{program.read_text()}")
            made.chmod(made.stat().st_mode | stat.S_IXUSR)
    return directory


async def run(system: System, directory: Path) -> tuple[int, str]:
    """Run all examples in one shell, as somebody would who pastes them."""
    addresses = system.addresses
    environment = {
        **os.environ,
        **{service.upper(): address for service, address in addresses.services.items()},
        "KAFKA": addresses.kafka,
        "ADIEU": str(Path(sys.executable).parent / "adieu"),
        "PATH": f"{programs(directory / 'programs')}:{os.environ['PATH']}",
    }
    script = "set -euo pipefail\n" + "\n".join(BLOCKS).replace("/tmp/", f"{directory}/")  # noqa: S108 - a newcomer's
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script.replace(".venv/bin/python", sys.executable),
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await shell.communicate()
    return shell.returncode or 0, output.decode(errors="replace")


async def test_every_example_runs(tmp_path: Path) -> None:
    async with whole_system(tmp_path / ".adieu") as system:
        exit_code, output = await asyncio.wait_for(run(system, tmp_path), 90)

    assert exit_code == 0, output[-3000:]
    assert '"certificate":{' in output
