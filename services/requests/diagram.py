"""Draws the states of a request into docs/rights.md, from the table that rules them; `--check` says if stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from services.requests.domain.cases import ENDS, TRANSITIONS, State, Step

DOCUMENT = Path(__file__).parents[2] / "docs" / "rights.md"
_DRAWN = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def drawn() -> str:
    """Draw every transition but the one that all open states have in common: a cancelled account."""
    arrows: dict[tuple[State, State], list[Step]] = {}
    for (before, step), after in TRANSITIONS.items():
        if after is not State.ACCOUNT_CANCELLED:
            arrows.setdefault((before, after), []).append(step)
    lines = ["[*] --> unverified: receive, by mail or in speech", "[*] --> open: receive, logged in"]
    lines += [f"{_name(before)} --> {_name(after)}: {', '.join(steps)}" for (before, after), steps in arrows.items()]
    lines += [f"{_name(state)} --> [*]" for state in State if state in ENDS and state is not State.ACCOUNT_CANCELLED]
    return "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"


def _name(state: State) -> str:
    """Name a state in the drawing, where a name cannot have a hyphen."""
    return state.replace("-", "_")


def main(arguments: list[str]) -> int:
    """Draw it anew, or only say whether it is stale, by exit code 1."""
    written = DOCUMENT.read_text()
    anew = _DRAWN.sub(lambda _: drawn(), written)
    if "--check" in arguments:
        return int(anew != written or drawn() not in written)
    DOCUMENT.write_text(anew)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
