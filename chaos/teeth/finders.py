"""Who looks for a sabotage, in a damaged copy of the tree: the named tests, the simulation, chaos."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.teeth.sabotages import ROOT, Sabotage

STEPS = (10, 40, 450)
"""So many seeds of the simulation one after the other: most sabotages are found by the first few."""
CHAOS_SEEDS = range(1, 21)
PEOPLE, PATIENCE_SECONDS = 60, 45
LIMIT_SECONDS = 240
WHOSE_CODE = "import services, shared; print(services.__path__[0], shared.__path__[0])"
FAILED = re.compile(r"^FAILED \S+?::(\S+?)(?:\[.*\])? - (?:assert|AssertionError)", re.MULTILINE)
VIOLATED = re.compile(r"--seed (\d+):\n +(?!raises )(.+)")


@dataclass(frozen=True)
class Finding:
    """What a finder has seen: by what it has found the sabotage, or how far it has looked in vain."""

    found: bool
    how: str


@contextmanager
def damaged(sabotage: Sabotage) -> Iterator[Path]:
    """Copy the tree as Git has it, with the sabotage in it."""
    with TemporaryDirectory(prefix="adieu-teeth-") as directory:
        copy = Path(directory)
        for name in _run(ROOT, "git", "ls-files", "-z").stdout.split("\0")[:-1]:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        file = copy / sabotage.file
        file.write_text(sabotage.applied(file.read_text()))
        # What is installed is the tree that was copied: the copy has to come before it.
        if _python(copy, "-c", WHOSE_CODE).stdout.split() != [str(copy / "services"), str(copy / "shared")]:
            msg = "the copy is not what would run"
            raise RuntimeError(msg)
        yield copy


def by_tests(sabotage: Sabotage, copy: Path) -> Finding:
    """Run the tests that are named; each has to fail because of what it asserts."""
    output = _python(copy, "-m", "pytest", "-q", "-rf", "--tb=no", *sabotage.tests).stdout
    found = list(dict.fromkeys(FAILED.findall(output)))
    return Finding(len(found) >= len(sabotage.tests), ", ".join(found) or _last_line(output))


def by_simulation(_: Sabotage, copy: Path) -> Finding:
    """Run seeds until one does not hold."""
    first = 0
    for count in STEPS:
        words = ["-m", "chaos.simulation", "--from", str(first), "--seeds", str(count)]
        found = VIOLATED.search(_python(copy, *words).stdout)
        if found:
            return Finding(found=True, how=f"seed {found[1]}: {_nobody(found[2])}")
        first += count
    return Finding(found=False, how=f"not by {first} seeds")


def by_chaos(sabotage: Sabotage, copy: Path) -> Finding:
    """Run the seeds whose faults bear on it, on real engines, until one does not hold."""
    tried = []
    for seed in sabotage.seeds:
        words = ["--seed", str(seed), "--people", str(PEOPLE), "--patience", str(PATIENCE_SECONDS), "--json"]
        output = _python(copy, "-m", "chaos", *words).stdout
        for line in _violated(output):
            return Finding(found=True, how=f"seed {seed}: {_nobody(line)}")
        tried.append(seed)
    return Finding(found=False, how=f"not by seeds {', '.join(map(str, tried))}" if tried else "not tried")


def _violated(output: str) -> list[str]:
    """List what did not hold, less what only says that a fault came too late to happen."""
    outcomes = json.loads(output) if output.strip() else []
    lines = [line for outcome in outcomes for line in outcome["lines"]]
    return [line["what"] for line in lines if not line["held"] and not line["what"].startswith("it happened")]


def _nobody(words: str) -> str:
    """Leave out who it was: marks and ids."""
    words = re.sub(r"mark\d+(leaver\d|stayer)", "somebody", words)
    return re.split(r" is \[|\{", words)[0].strip()[:110]


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2]


def _python(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(copy, str(copy / ".venv/bin/python"), *words)


def _run(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    mine = {"PYTHONPATH": str(where), "PYTEST_DEBUG_TEMPROOT": str(where), "COLUMNS": "400"}
    try:
        return subprocess.run(
            words,
            cwd=where,
            env=os.environ | mine,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", "")


FINDERS: Mapping[str, Callable[[Sabotage, Path], Finding]] = {
    "tests": by_tests,
    "simulation": by_simulation,
    "chaos": by_chaos,
}
