"""The demo as a program sees it: the story on the whole system, and its own test of the search."""

from __future__ import annotations

import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path

from tests.whole_system import starts_a_system


@starts_a_system
async def test_the_story_holds_and_every_plant_is_found(tmp_path: Path) -> None:
    words = ["demo", "--json", "--plant", "--directory", str(tmp_path / "demo")]
    program = (sys.executable, "-c", "from ops.cli import main; main()")
    process = await create_subprocess_exec(*program, *words, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    facts = json.loads(output)
    assert (process.returncode, facts["did_not_hold"]) == (0, []), errors.decode()
    assert {due["owner"] for due in facts["order"]["owners"]} == {"account", "device", "requests", "notifier"}
    assert facts["figures"]["rows_erased"] > facts["figures"]["readings"] / 2
    assert all(facts["search"]["places"].values())
    assert len(facts["planted"]) == 9
