"""The page of a package that a person reads: in their language, of what they have sent nothing but text."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic_core import to_json

from services.requests.package.sheets import Values

HERE = Path(__file__).parent
LONGEST_SHOWN = 300
"""So much of a value is shown; the files have all of it."""


@dataclass(frozen=True)
class Sample:
    """The first rows of a file, as the page shows them."""

    stem: str
    names: Sequence[str]
    rows: Sequence[Values]
    count: int

    @property
    def more(self) -> bool:
        """Whether the files have more."""
        return self.count > len(self.rows)


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


_pages = Environment(
    loader=FileSystemLoader(HERE),
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["shown"] = _shown


@cache
def words(language: str) -> Mapping[str, Any]:
    """Read the words of a language."""
    return tomllib.loads((HERE / "words" / f"{language}.toml").read_text())


def page(manifest: Mapping[str, Any], samples: Mapping[tuple[str, str], Sequence[Sample]], language: str) -> bytes:
    """Write the page; every value is text in it, whatever it looks like."""
    template = _pages.get_template("index.html")
    return template.render(manifest=manifest, samples=samples, language=language, words=words(language)).encode()
