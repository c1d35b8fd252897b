"""Starts programs that do not outlive who started them, and ends those that did."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
TETHER = Path(__file__).with_name("tether.py")
# Below every system's range for outgoing connections, where a client that retries could take a server's port.
PORTS = range(20_000, 32_000)
CLOCK_TOLERANCE_SECONDS = 2.0


class StillRunningError(Exception):
    """What is to be started runs already, and so does the process it belongs to."""


@dataclass(frozen=True)
class Identity:
    """One process for good: a number alone is given again to others."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CLOCK_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        return None


async def start_tethered(
    command: Sequence[str | Path],
    *,
    log: Path,
    record: Path,
    env: Mapping[str, str] | None = None,
    user: str = "",
    cwd: Path | None = None,
) -> Process:
    """Start a program that ends with this process, appending what it prints to `log`.

    `record` remembers it, for systems that let it outlive this process: `end_leftover` then ends it. It gets
    a session of its own, so that Ctrl-C reaches only this process, which stops the others in order.
    """
    tether = (sys.executable, "-I", "-S", TETHER, str(os.getpid()), user)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *tether,
            *command,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    try:
        _remember(record, process.pid)
    except OSError:  # a disk that is full: nothing may run that nobody could end
        process.kill()
        await process.wait()
        raise
    return process


def _remember(record: Path, pid: int) -> None:
    """Write down who runs and who started it: whole, or not at all."""
    with suppress(psutil.NoSuchProcess):
        identities = [Identity.of(pid), Identity.of(os.getpid())]
        new = record.with_suffix(".new")
        new.write_text(json.dumps([vars(identity) for identity in identities]))
        new.replace(record)


def end_leftover(record: Path) -> None:
    """End what `record` remembers if nobody owns it any more; raise StillRunningError if somebody does."""
    if not record.exists():
        return
    started, owner = (Identity(**identity) for identity in json.loads(record.read_text()))
    process = started.find()
    if process and owner.find():
        raise StillRunningError(f"already running (process {started.pid}, started by process {owner.pid})")
    if process:
        process.kill()
        process.wait(timeout=10)
    record.unlink()


async def wait_or_kill(process: Process, grace_seconds: float) -> None:
    """Wait for a process that was asked to end, and end it by force when the grace is over."""
    try:
        await asyncio.wait_for(process.wait(), grace_seconds)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port(preferred: int | None = None, taken: Iterable[int] = ()) -> int:
    """Find a port nobody listens on: the preferred one if it is still free."""
    candidates = [preferred] if preferred else []
    while True:
        port = candidates.pop() if candidates else secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port not in taken:
                probe.bind((HOST, port))
                return port


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
