"""Tests of containers fail where there is no engine, and say how to get one: what is skipped shows nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_an_engine_they_fail_at_once_and_say_how_to_get_one() -> None:
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/containers"]

    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)

    assert ran.returncode == 1
    assert "no container engine answers" in ran.stderr
    assert "https://docs.docker.com/engine/install" in ran.stderr
    assert "skipped" not in ran.stdout
