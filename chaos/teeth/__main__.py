"""`python -m chaos.teeth`: each sabotage in a copy of the tree, and the table of who finds it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from chaos.teeth.finders import FINDERS, Finding, damaged
from chaos.teeth.sabotages import ROOT, SABOTAGES, Sabotage
from ops.screens import show_json

SEEN = Path(__file__).with_name("seen.json")
DOCUMENT = ROOT / "docs" / "teeth.md"
INTRODUCTION = """# Teeth

What finds nothing proves nothing. So Adieu is damaged, in one place at a time, in a copy of the tree, and each of
these sabotages has to be found by a test; many are found by the [simulation](simulation.md) and by [chaos](chaos.md)
too.

```sh
make teeth                                                  # all, by all three: more than an hour
.venv/bin/python -m chaos.teeth --by tests --by simulation  # some minutes
.venv/bin/python -m chaos.teeth --only "the inbox is not asked"
```

Exit code 1 where nobody finds a sabotage. `chaos/teeth/sabotages.py` has them: a text that stands in a file exactly
once, and what takes its place. A named test has found it when it fails by what it asserts. The simulation has seeds
0 to 499. Chaos has those of seeds 1 to 20 whose faults bear on the sabotage, with 60 people, on real engines. Of
what does not hold it counts only what is said of the system, not that a fault came too late to happen.

The table is what was seen (`chaos/teeth/seen.json`); `--write` adds to it. In brackets: looked for in vain. A minus:
not tried.

"""
Seen: TypeAlias = dict[str, dict[str, Finding]]


def known() -> Seen:
    """Read what was seen of the sabotages that there are."""
    read = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    return {
        each.name: {by: Finding(**finding) for by, finding in read.get(each.name, {}).items()} for each in SABOTAGES
    }


def document(seen: Seen) -> str:
    """Write the table of who finds what."""
    lines = [f"| sabotage | {' | '.join(FINDERS)} |", "|---" * (len(FINDERS) + 1) + "|"]
    for sabotage in SABOTAGES:
        cells = [_cell(seen[sabotage.name].get(by)) for by in FINDERS]
        lines.append(f"| {sabotage.name}: `{sabotage.file}` | {' | '.join(cells)} |")
    return INTRODUCTION + "\n".join(lines) + "\n\n" + _count(seen) + "\n"


def _cell(finding: Finding | None) -> str:
    if not finding:
        return "-"
    return finding.how.replace("_", " ").replace("|", "/") if finding.found else f"({finding.how})"


def _count(seen: Seen) -> str:
    counts = {by: sum(by in each and each[by].found for each in seen.values()) for by in FINDERS}
    return f"Of {len(seen)}: " + ", ".join(f"{count} found by {by}" for by, count in counts.items()) + "."


def _look(sabotage: Sabotage, finders: Iterable[str], screen: Console) -> dict[str, Finding]:
    findings = {}
    with damaged(sabotage) as copy:
        for by in finders:
            if by == "chaos" and not sabotage.seeds:
                continue
            findings[by] = finding = FINDERS[by](sabotage, copy)
            sign = "[green]✓[/]" if finding.found else "[red]✗[/]"
            screen.print(f"{sign} {sabotage.name}, {by}: [dim]{finding.how}[/]")
    return findings


def _table(looked: Seen) -> Table:
    table = Table("sabotage", *FINDERS, box=None)
    for name, findings in looked.items():
        table.add_row(name, *(_cell(findings.get(by)) for by in FINDERS))
    return table


def main(
    only: Annotated[list[str] | None, typer.Option(help="These sabotages, by name.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Only by tests, simulation or chaos.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Keep what was seen in docs/teeth.md.")] = False,
) -> None:
    """Damage a copy of the tree in one place at a time, and see who finds it."""
    screen = Console(stderr=as_json, highlight=False, soft_wrap=True)
    looked: Seen = {}
    for sabotage in (each for each in SABOTAGES if not only or each.name in only):
        looked[sabotage.name] = _look(sabotage, by or FINDERS, screen)
        if write:
            _keep(sabotage.name, looked[sabotage.name])
    if as_json:
        show_json({name: {by: asdict(each) for by, each in found.items()} for name, found in looked.items()})
    screen.print(_table(looked))
    missed = [name for name, found in looked.items() if found and not any(each.found for each in found.values())]
    screen.print(f"found by nobody: {', '.join(missed) or 'none'}")
    raise typer.Exit(bool(missed))


def _keep(name: str, findings: dict[str, Finding]) -> None:
    seen = known()
    seen[name] |= findings
    kept = {each: {by: asdict(finding) for by, finding in found.items()} for each, found in seen.items() if found}
    SEEN.write_text(json.dumps(kept, indent=1) + "\n")
    DOCUMENT.write_text(document(seen))


if __name__ == "__main__":
    typer.run(main)
