"""The whole system starts by one call, starts again what dies, and leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from ops.errors import UserError
from ops.installation import SERVICES, Installation
from ops.system import System, running
from tests.people import PATIENCE_SECONDS
from tests.whole_system import starts_a_system

ADIEU = [sys.executable, "-c", "from ops.cli import main; main()"]


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory, module_told: list[str]) -> AsyncIterator[System]:
    installation = Installation(tmp_path_factory.mktemp("system") / ".adieu", os.environ)
    async with running(installation, module_told.append) as started:
        yield started


@pytest.fixture(scope="module")
def module_told() -> list[str]:
    return []


async def test_every_service_is_ready_when_the_start_returns(system: System) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        for service in SERVICES:
            answer = await client.get(f"{system.addresses.services[service]}/health/ready")
            assert answer.is_success


async def test_a_service_that_is_killed_is_started_again_and_that_is_told(
    system: System, module_told: list[str]
) -> None:
    old = system.supervisor.pid("device")
    system.supervisor.kill("device")
    while system.supervisor.pid("device") == old:  # noqa: ASYNC110 - what is awaited has no event
        await asyncio.sleep(0.01)
    await system.supervisor.wait_until_ready()
    assert system.supervisor.restarts["device"] == 1
    assert module_told == ["device was ended by SIGKILL; starting it again"]


async def test_a_service_that_is_held_stays_down_until_it_is_released(system: System) -> None:
    old, restarts = system.supervisor.pid("device"), system.supervisor.restarts["device"]

    await system.supervisor.hold("device")
    assert not psutil.pid_exists(old)
    await system.supervisor.release("device")

    await system.supervisor.wait_until_ready()
    assert system.supervisor.pid("device") != old
    assert system.supervisor.restarts["device"] == restarts


async def test_a_second_system_in_the_same_directory_is_refused(system: System) -> None:
    with pytest.raises(UserError, match="already running"):
        async with running(Installation(system.installation.directory, os.environ)):
            pass
    assert system.installation.find_running() == system.addresses


@starts_a_system
async def test_a_service_that_cannot_start_is_named_with_its_last_words(tmp_path: Path, system: System) -> None:
    outside = {f"{service.upper()}_DATABASE_URL": system.installation.database_urls[service] for service in SERVICES}
    outside |= {"KAFKA_BOOTSTRAP_SERVERS": system.addresses.kafka, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "25"}
    broken = Installation(tmp_path / ".adieu", os.environ | outside | {"COOLING_OFF_DAYS": "soon"})
    with pytest.raises(UserError, match=r"(?s)account is not ready.*cooling_off_days"):
        async with running(broken):
            pass
    assert not [child for child in psutil.Process().children() if str(tmp_path) in child.cmdline()]


@starts_a_system
async def test_the_command_stops_everything_at_ctrl_c_and_is_content(tmp_path: Path) -> None:
    command, parts = await up(tmp_path)
    command.send_signal(signal.SIGINT)
    output, _ = await command.communicate()
    assert command.returncode == 0
    assert output.endswith(b"Stopped.\n")
    await assert_all_end(parts)
    assert not (tmp_path / ".adieu" / "run.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them at once; elsewhere the next start does")
@starts_a_system
async def test_nothing_outlives_the_command_that_is_killed_and_it_starts_again(tmp_path: Path) -> None:
    command, parts = await up(tmp_path)
    command.kill()
    await command.communicate()
    await assert_all_end(parts)
    command, _ = await up(tmp_path)
    command.terminate()
    await command.communicate()
    assert command.returncode == 0


async def up(directory: Path) -> tuple[asyncio.subprocess.Process, list[psutil.Process]]:
    command = await asyncio.create_subprocess_exec(
        *ADIEU, "up", f"--directory={directory / '.adieu'}", stdout=asyncio.subprocess.PIPE
    )
    assert command.stdout
    while (line := await command.stdout.readline()) and not line.startswith(b"Ready"):
        pass
    return command, psutil.Process(command.pid).children(recursive=True)


async def assert_all_end(parts: list[psutil.Process]) -> None:
    assert len(parts) >= len(SERVICES) + 2
    _, alive = await asyncio.to_thread(psutil.wait_procs, parts, PATIENCE_SECONDS)
    assert not alive
