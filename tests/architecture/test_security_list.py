"""What `docs/security.md` says is tested is tested, by a test of that name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
LISTED = ROW.findall((ROOT / "docs" / "security.md").read_text())
ASKED = (
    ("4.1:122 4.2:2 4.3:22 4.4:1222", "API"),
    ("5.1:2 5.2:112 5.3:11 5.4:222", "files"),
    ("6.1:122 6.2:111111112222 6.3:1122 6.4:1122 6.5:22222 6.6:222 6.8:2222", "passwords and other factors"),
    ("7.1:222 7.2:1111 7.3:22 7.4:11222 7.5:22 7.6:22", "sessions"),
    ("8.1:12 8.2:112 8.3:1 8.4:2", "access"),
    ("9.1:111 9.2:1222", "tokens"),
    ("16.1:2 16.2:22222 16.3:2222 16.4:222 16.5:222", "logs and errors"),
)
"""ASVS 5.0.0, levels 1 and 2: each section with the levels of its requirements, which are numbered from 1."""


def test_every_requirement_is_listed_once_with_its_level() -> None:
    sections = [section.split(":") for sections, _ in ASKED for section in sections.split()]
    asked = [(f"{name}.{nth}", level) for name, levels in sections for nth, level in enumerate(levels, start=1)]

    assert sorted((row[0], row[1]) for row in LISTED) == sorted(asked)


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for requirement, _, _, named in LISTED:
        if named != "-":
            file, _, test = named.strip("`").partition("::")
            path = ROOT / "tests" / file
            if not path.exists() or f"def {test}(" not in path.read_text():
                missing.append((requirement, named))

    assert missing == []


def test_what_has_no_test_says_why() -> None:
    plain = ("does not apply", "none", "it does not", "none at all")

    assert [row[0] for row in LISTED if row[3] == "-" and not row[2].startswith(plain)] == []
