"""Fetches the jars that Kafka consists of, each pinned by its digest in `ops/kafka.lock`."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from jgo.maven import Artifact, MavenContext, PythonResolver
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ops.engines.engine import EngineError

LOCK = Path(__file__).parents[1] / "kafka.lock"
KAFKA_VERSION = "4.3.1"
AT_ONCE = 8
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Jar:
    """One locked artifact; its file is whatever has this digest."""

    coordinate: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def cache_directory() -> Path:
    """Where what is fetched or recorded once is kept for every installation of this user."""
    return user_cache_path("adieu", ensure_exists=True)


def read_lock() -> list[Jar]:
    lines = [line.split() for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in lines]


def locked_jars() -> list[Path]:
    """Return the path of every locked jar, fetching what is missing or damaged; raises EngineError."""
    directory = cache_directory() / f"kafka-{KAFKA_VERSION}"
    directory.mkdir(exist_ok=True)
    jars = read_lock()
    missing = [jar for jar in jars if digest(directory / jar.filename) != jar.sha256]
    if missing:
        for outdated in cache_directory().glob("*.aot*"):  # recorded with other files than these will be
            outdated.unlink()
        _fetch_all(missing, directory)
    return [directory / jar.filename for jar in jars]


def _fetch_all(jars: list[Jar], directory: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # Beside its destination, so that a finished file is moved there in one step, whoever else fetches it too.
    with (
        tempfile.TemporaryDirectory(dir=directory) as scratch,
        Progress(*columns, console=Console(stderr=True)) as progress,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        bar = progress.add_task(f"Apache Kafka {KAFKA_VERSION}, once", total=sum(jar.size for jar in jars))
        context = maven(Path(scratch), partial(progress.advance, bar))
        for future in [pool.submit(_fetch, context, jar, directory) for jar in jars]:
            future.result()


def _fetch(context: MavenContext, jar: Jar, directory: Path) -> None:
    try:
        fetched = artifact(context, jar.coordinate).resolve()
    except (requests.RequestException, RuntimeError) as error:
        raise EngineError(f"Kafka needs {jar.coordinate}, which cannot be fetched now: {error}") from None
    if (found := digest(fetched)) != jar.sha256:
        fetched.unlink()
        raise EngineError(f"{jar.coordinate} was fetched with SHA-256 {found}, but is locked with {jar.sha256}")
    fetched.replace(directory / jar.filename)


def maven(scratch: Path, advance: Callable[[int], None] | None = None) -> MavenContext:
    @contextmanager
    def report(_filename: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance or (lambda _: None)

    resolver = PythonResolver(progress_callback=report)
    return MavenContext(resolver, repo_cache=scratch, timeout=TIMEOUT_SECONDS)


def artifact(context: MavenContext, coordinate: str) -> Artifact:
    return context.create_dependency(coordinate).artifact


def digest(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
