"""The import rules hold, and a planted violation of each is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "a service imports another": ("services/device/handlers.py", "from services.account import domain"),
    "a handler of one reads the rows of another": (
        "services/requests/repository/orders.py",
        "from services.account.models import Account",
    ),
    "shared imports a service": ("shared/clock.py", "import services.account.commands"),
    "a service imports what measures it": ("services/device/domain.py", "import bench.measure"),
    "the ground imports what breaks it": ("shared/failpoints.py", "import chaos.plan"),
    "a service imports the operations": ("services/notifier/mails.py", "import ops.mailbox"),
    "a rule knows the database": ("services/account/domain/access.py", "import sqlalchemy"),
    "a command knows the framework": ("services/device/commands.py", "import fastapi"),
    "a contract knows the broker": ("shared/contracts/app.py", "import faststream"),
    "a repository knows its handlers": ("services/account/repository/profile.py", "import services.account.handlers"),
    "a consumer wires": ("services/requests/consumers.py", "import services.requests.app"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the rules are about."""
    directory = tmp_path_factory.mktemp("copy")
    for room in ("bench", "chaos", "ops", "services", "shared"):
        shutil.copytree(ROOT / room, directory / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


def broken_rules(directory: Path) -> str:
    """Check the import rules of the sources there; returns what is broken, if anything is."""
    command = [Path(sys.executable).parent / "lint-imports"]
    checked = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return checked.stdout if checked.returncode else ""


def test_the_import_rules_hold(copy: Path) -> None:
    assert broken_rules(copy) == ""


@pytest.mark.parametrize(("file", "violation"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_import_is_reported(copy: Path, file: str, violation: str) -> None:
    path = copy / file
    honest = path.read_text()
    path.write_text(f"{honest}\n{violation}\n")
    try:
        reported = broken_rules(copy)
    finally:
        path.write_text(honest)

    assert "BROKEN" in reported
    assert file.removesuffix(".py").replace("/", ".") in reported
