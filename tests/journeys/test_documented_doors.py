"""Every door stands in the documents with an example, and every example runs as it is written."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import stat
import sys
from contextlib import suppress
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
PATIENCE_SECONDS = 240
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


async def run(system: System, directory: Path, said: Path) -> int | None:
    """Run all examples in one shell, as somebody would who pastes them; None when they took too long."""
    addresses = system.addresses
    environment = {
        **os.environ,
        **{service.upper(): address for service, address in addresses.services.items()},
        "KAFKA": addresses.kafka,
        "ADIEU": str(Path(sys.executable).parent / "adieu"),
        "PATH": f"{programs(directory / 'programs')}:{os.environ['PATH']}",
    }
    script = "set -euo pipefail\n" + "\n".join(BLOCKS).replace("/tmp/", f"{directory}/")  # noqa: S108 - a newcomer's
    with said.open("wb") as output:
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-xc",  # what it was at stands in what it said
            script.replace(".venv/bin/python", sys.executable),
            cwd=directory,
            env=environment,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(shell.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
async def test_every_example_runs(tmp_path: Path) -> None:
    said = tmp_path / "said"
    async with whole_system(tmp_path / ".adieu") as system:
        exit_code = await run(system, tmp_path, said)

    output = said.read_text(errors="replace")
    assert exit_code == 0, output[-3000:]
    assert '"certificate":{' in output
