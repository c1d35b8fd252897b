"""`make bench`: measures all of it side by side, in rounds, and tells people and programs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from bench.report import bars, table
from bench.works import WORKS, Plan

CHARTS = Path("docs/performance")


async def measure(plan: Plan, works: list[str], screen: Console) -> None:
    """Do one work after the other, and show how far it is."""
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=screen) as progress:
        bar = progress.add_task("", total=len(works))
        plan.tell = lambda words: progress.update(bar, description=words)
        for work in works:
            plan.tell(work)
            await WORKS[work](plan)
            progress.advance(bar)


def main(  # noqa: PLR0913 - one for each thing that can be asked for
    *,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    people: Annotated[int, typer.Option(help="Who leave at once.")] = 10_000,
    lone: Annotated[int, typer.Option(help="Who leave one after the other.")] = 100,
    readings: Annotated[int, typer.Option(help="How many are published, each twice.")] = 150_000,
    much: Annotated[int, typer.Option(help="Readings of the one person who has many.")] = 1_000_000,
    sizes: Annotated[str, typer.Option(help="How many people there are.")] = "1000,10000,100000,1000000",
    packages: Annotated[int, typer.Option(help="Who ask for their data at once.")] = 2_000,
    only: Annotated[list[str] | None, typer.Option(help=f"Of: {', '.join(WORKS)}.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    charts: Annotated[bool, typer.Option("--charts", help=f"Draw charts into {CHARTS}.")] = False,
) -> None:
    """Measure Adieu beside its floor. A goal that is missed is said, and no failure."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    plan = Plan(rounds, people, lone, readings, much, [int(size) for size in sizes.split(",")], packages)
    asyncio.run(measure(plan, only or list(WORKS), Console(stderr=True)))
    if charts:
        for name, (title, values) in plan.charts.items():
            bars(CHARTS / f"{name}.svg", title, values)
    if as_json:
        figures = [figure.facts() for figure in plan.figures]
        facts = {"machine": _machine(), "figures": figures, "charts": plan.charts}
        print(json.dumps(facts, indent=2))  # noqa: T201 - standard output is the door for programs
    else:
        Console().print(table(plan.figures))


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


if __name__ == "__main__":
    typer.run(main)
