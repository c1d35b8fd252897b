"""A run can be moved forward by a file, and only on purpose."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from shared.clock import Clock, clock_told_by, system_clock

SLACK = timedelta(minutes=1)
DAY = timedelta(days=1)


def ahead(clock: Clock) -> timedelta:
    return clock() - system_clock()


def test_without_a_file_the_time_is_the_systems(tmp_path: Path) -> None:
    assert clock_told_by(None) is system_clock
    assert abs(ahead(clock_told_by(tmp_path / "not-there"))) < SLACK


def test_the_clock_is_moved_while_it_runs_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "clock-shift"
    clock = clock_told_by(file)
    for days in (30, 60, 0):
        new = tmp_path / "new"
        new.write_text(str(days * 86_400))
        os.utime(new, ns=(0, 0))  # as where the system counts time in ticks
        new.replace(file)
        assert abs(ahead(clock) - days * DAY) < SLACK
    file.unlink()

    assert abs(ahead(clock)) < SLACK
