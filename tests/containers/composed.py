"""The whole system in containers for tests: the compose file itself, and what can be done to its parts."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CalledProcessError
from types import MappingProxyType
from typing import Any

from ops.installation import SERVICES, Installation
from ops.processes import HOST, free_port
from ops.system import System, running
from tests.whole_system import MANY_AT_ONE_ADDRESS

ROOT = Path(__file__).parents[2]
IMAGE = "adieu:test"
OUT_SECONDS = 8.0
"""How long a part is paused or cut off: longer than a consumer may be silent."""
REPLICAS = 10
NOTHING: Mapping[str, str] = MappingProxyType({})


class Compose:
    """One project of compose, under a name of its own."""

    def __init__(
        self, directory: Path, files: tuple[str, ...], environment: Mapping[str, str], told: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self._told = told
        self.project = f"adieu-test-{secrets.token_hex(4)}"
        self._files = [word for file in ("docker-compose.yml", *files) for word in ("--file", str(ROOT / file))]
        device = free_port()
        self.environment = {
            "ADIEU_IMAGE": IMAGE,
            "MAILBOX": str(directory / "mailbox"),
            **{f"{name}_PORT": str(free_port()) for name in ("KAFKA", "KAFKA_2", "KAFKA_3", "POSTGRES")},
            **{f"{service.upper()}_PORT": str(free_port()) for service in SERVICES},
            "PRIVACY_MAILBOX_PORT": str(free_port()),
            "DEVICE_PORT": f"{device}-{device + REPLICAS - 1}",
            **environment,
        }
        self._installation: Installation | None = None

    async def __call__(self, *words: str) -> str:
        """Run `docker compose` on this project; returns what it prints."""
        return await docker("compose", "--project-name", self.project, *self._files, *words, env=self.environment)

    async def up(self, *words: str) -> None:
        """Start what does not run, and return when all of it is healthy."""
        await self("up", "--detach", "--wait", "--wait-timeout", "120", *words)

    async def installation(self) -> Installation:
        """Look at it from outside: with the secrets of operations, by the ports that it has now."""
        if not self._installation:
            await self("cp", "provision:/var/lib/adieu/secrets", str(self.directory))
            await asyncio.to_thread(self.directory.joinpath("logs").mkdir, exist_ok=True)
            self._installation = Installation(self.directory, await self._addresses())
        self._installation.environ |= await self._addresses()
        return self._installation

    async def _addresses(self) -> dict[str, str]:
        ports = {service: await self("port", service, "8000") for service in SERVICES}
        return {
            **self._told,
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.environment['KAFKA_PORT']}",
            "POSTGRES_ADDRESS": f"{HOST}:{self.environment['POSTGRES_PORT']}",
            "PRIVACY_MAILBOX_ADDRESS": f"{HOST}:{self.environment['PRIVACY_MAILBOX_PORT']}",
            **{f"{service.upper()}_URL": f"http://{address.strip()}" for service, address in ports.items()},
        }

    async def collect_logs(self) -> None:
        """Put what all containers have printed where the search for leftovers looks."""
        log = self.directory / "logs" / "containers.log"
        log.write_text(await self("logs", "--no-color"))

    async def containers(self, part: str) -> list[str]:
        """Name the containers of a part."""
        return (await self("ps", "--quiet", part)).split()

    async def inspect(self, part: str) -> list[dict[str, Any]]:
        """Read all that the engine knows of a part's containers."""
        found: list[dict[str, Any]] = json.loads(await docker("inspect", *await self.containers(part)))
        return found

    async def kill(self, part: str) -> None:
        """End every process in a container at once, as a power failure would; whoever runs it starts it again."""
        (container, *_) = await self.containers(part)
        before = await self._began(container)
        await docker("exec", container, "sh", "-c", "kill -9 -1", may_fail=True)
        # Counted as restarted before it runs, and without ports until then.
        while await self._began(container) in {before, None}:  # noqa: ASYNC110 - the engine decides
            await asyncio.sleep(0.1)

    async def _began(self, container: str) -> str | None:
        """Tell since when a container runs; None while it does not."""
        state = json.loads(await docker("inspect", "--format", "{{json .State}}", container))
        return str(state["StartedAt"]) if state["Running"] and not state["Restarting"] else None

    async def pause(self, part: str) -> None:
        """Let a part stand still for a while, with all of its connections open."""
        await self("pause", part)
        await asyncio.sleep(OUT_SECONDS)
        await self("unpause", part)

    async def cut(self, part: str) -> None:
        """Take a part off the network for a while; it runs on, and nobody hears of it."""
        network, containers = f"{self.project}_default", await self.containers(part)
        for container in containers:
            await docker("network", "disconnect", network, container)
        await asyncio.sleep(OUT_SECONDS)
        for container in containers:
            await docker("network", "connect", "--alias", part, network, container)

    async def stop(self, part: str) -> None:
        """Stop a part in order, and start it again after a while."""
        await self("stop", part)
        await asyncio.sleep(OUT_SECONDS)
        await self("start", part)

    async def down(self) -> None:
        """Remove everything of this project, and only that."""
        await self("--profile", "*", "down", "--volumes", "--timeout", "5")


async def docker(*words: str, env: Mapping[str, str] | None = None, may_fail: bool = False) -> str:
    """Run `docker`; returns what it prints, and raises with it where it fails."""
    process = await asyncio.create_subprocess_exec(
        "docker",
        *words,
        env=os.environ | dict(env or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode and not may_fail:
        failed = CalledProcessError(process.returncode, ["docker", *words], output, errors)
        failed.add_note(errors.decode(errors="replace")[-3000:])
        raise failed
    return output.decode(errors="replace")


@asynccontextmanager
async def composed(
    directory: Path, *files: str, told: Mapping[str, str] = NOTHING, **environment: str
) -> AsyncIterator[tuple[Compose, System]]:
    """Start the whole system in containers, with these overrides; remove it behind the caller.

    `environment` is what the compose file reads, `told` what operations outside are told besides.
    """
    compose = Compose(directory, files, MANY_AT_ONE_ADDRESS | environment, told)
    mailbox = directory / "mailbox"
    mailbox.mkdir()
    mailbox.chmod(0o777)  # written by the user in the container
    try:
        await compose.up()
        async with running(await compose.installation()) as system:
            yield compose, system
    finally:
        await compose.down()
