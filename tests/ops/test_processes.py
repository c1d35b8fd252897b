"""A process that cannot be remembered does not run, and a disk that is full spoils no record."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import psutil
import pytest

from ops.processes import end_leftover, start_tethered

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def half_of_it(path: Path, text: str) -> int:
    """Write as long as there is room."""
    with path.open("w") as file:
        file.write(text[: len(text) // 2])
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_what_cannot_be_remembered_is_ended_and_leaves_no_half_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, before = tmp_path / "process.json", {child.pid for child in psutil.Process().children()}
    with monkeypatch.context() as disk_full:
        disk_full.setattr(Path, "write_text", half_of_it)
        with pytest.raises(OSError, match="No space left"):
            await start_tethered(SLEEPS, log=tmp_path / "log", record=record)

    assert {child.pid for child in psutil.Process().children()} <= before
    end_leftover(record)
    process = await start_tethered(SLEEPS, log=tmp_path / "log", record=record)
    process.kill()
    await process.wait()
