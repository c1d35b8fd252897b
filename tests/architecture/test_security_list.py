"""What `docs/security.md` says is tested is tested, by a test of that name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
LISTED = ROW.findall((ROOT / "docs" / "security.md").read_text())


def test_the_list_is_not_empty_and_names_each_requirement_once() -> None:
    ids = [row[0] for row in LISTED]

    assert len(ids) == len(set(ids)) > 80


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
