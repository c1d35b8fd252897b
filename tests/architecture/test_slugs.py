"""Every slug by which a door says no stands in `docs/problems.md`, and none besides."""

from __future__ import annotations

import re
from pathlib import Path

from shared.http import OF_THE_FRAMEWORK

ROOT = Path(__file__).parents[2]
LISTED = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE))
SAID = re.compile(
    r'Refusal\(\s*"([a-z-]+)"|Problem\(\s*HTTPStatus\.\w+,\s*"([a-z-]+)"'
    r'|BadPicture\("([a-z-]+)"|slug: str = "([a-z-]+)"'
)


def said() -> set[str]:
    """Collect the slugs that stand in the code."""
    files = [path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")]
    return {slug for path in files for match in SAID.findall(path.read_text()) for slug in match if slug}


def test_every_slug_is_documented_and_every_documented_one_is_said() -> None:
    assert said() | set(OF_THE_FRAMEWORK.values()) == LISTED


def test_slugs_are_really_found() -> None:
    assert {"too-many-tries", "no-such-device", "credentials-wrong", "picture-too-large"} <= said()
