"""The engine, the image and the system in containers: each had once."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from ops.system import System
from tests.containers.composed import IMAGE, ROOT, Compose, composed, docker
from tests.containers.engines import (
    BrokerInContainer,
    DatabaseInContainer,
    broker_in_container,
    database_in_container,
)
from tests.journeys.conftest import ada, http
from tests.messaging.conftest import broker, own_topic

__all__ = ["ada", "broker", "http", "own_topic"]

NO_ENGINE = """no container engine answers, and these tests are about containers: {why}
Install Docker Engine with its compose plugin (https://docs.docker.com/engine/install), start it, and see that
`docker info` and `docker compose version` answer."""
NEEDED = (("docker", "info"), ("docker", "compose", "version"))


def pytest_configure() -> None:
    """Without an engine nothing here can be told, and that is a failure; said once, before any worker starts."""
    for command in NEEDED:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            pytest.exit(NO_ENGINE.format(why="there is no `docker`"), returncode=1)
        except subprocess.CalledProcessError as error:
            pytest.exit(NO_ENGINE.format(why=error.stderr.strip()), returncode=1)


@pytest.fixture(scope="session")
async def image() -> str:
    """Build the image, as `docker compose up` would."""
    await docker("compose", "--file", str(ROOT / "docker-compose.yml"), "build", env={"ADIEU_IMAGE": IMAGE})
    return IMAGE


@pytest.fixture(scope="package")
async def whole(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Compose, System]]:  # noqa: ARG001
    """Start the compose file as it is, once for all that need no variant of it."""
    async with composed(tmp_path_factory.mktemp("containers"), REMIND_SECONDS="2") as started:
        yield started


@pytest.fixture(scope="package")
def system(whole: tuple[Compose, System]) -> System:
    return whole[1]


@pytest.fixture(scope="package")
def compose(whole: tuple[Compose, System]) -> Compose:
    return whole[0]


@pytest.fixture(scope="session")
def kafka() -> Iterator[BrokerInContainer]:
    """Take the place of the embedded one."""
    with broker_in_container() as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseInContainer]:
    """Take the place of the embedded one."""
    with database_in_container() as started:
        yield started
