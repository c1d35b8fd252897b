"""Every failpoint stands where it says, and none does anything in production."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from shared import failpoints
from shared.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
STRUCK = """
from shared import failpoints
from shared.logging import log_as_json
log_as_json("device")
failpoints.hook = failpoints.planned("relay.sent:TERM:2")
for point in ("relay.sent", "owner.erased", "relay.sent"):
    print("at", point, flush=True)
    failpoints.reach(point)
print("still alive")
"""


def test_every_point_stands_once_in_the_code_and_every_one_in_the_code_is_declared() -> None:
    sources = [path for room in ("shared", "services") for path in (ROOT / room).rglob("*.py")]
    found = [name for path in sources for name in re.findall(r'failpoints\.reach\("([^"]+)"\)', path.read_text())]

    assert Counter(found) == Counter(list(failpoints.POINTS))


def test_in_production_no_point_does_anything() -> None:
    assert ServiceSettings.model_fields["failpoint"].default == ""
    assert failpoints.planned("") is None
    assert failpoints.hook is None
    for point in failpoints.POINTS:
        failpoints.reach(point)


def test_a_process_is_struck_at_the_pass_that_was_planned_and_says_so_first() -> None:
    done = subprocess.run([sys.executable, "-c", STRUCK], capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == -signal.SIGTERM
    assert [line for line in done.stdout.splitlines() if line.startswith("at")][-1] == "at relay.sent"
    assert "failpoint reached: relay.sent, SIGTERM" in done.stdout
    assert "still alive" not in done.stdout


@pytest.mark.parametrize("plan", ["nowhere:KILL:1", "relay.sent:HUP:1", "relay.sent:KILL", "relay.sent:KILL:soon"])
def test_a_plan_that_cannot_be_stops_the_start(plan: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        failpoints.planned(plan)
