"""`python -m chaos`: one run by its seed, or several in a row, and what they have shown."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console

from chaos.run import REST_SECONDS, Outcome, run
from ops.foreground import until_told_to_stop
from ops.installation import DEFAULT_DIRECTORY
from ops.screens import show_json

INTERRUPTED = 130
PEOPLE = 200


@dataclass(frozen=True)
class Size:
    """How many people there are, and how many seconds they have to come to rest."""

    people: int
    patience: float


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    seed: Annotated[int, typer.Option(help="What goes wrong.")] = 1,
    seeds: Annotated[str, typer.Option(help="Several, such as 1-20.")] = "",
    people: Annotated[int, typer.Option(min=30, help="How many there are.")] = PEOPLE,
    patience: Annotated[float, typer.Option(help="How many seconds it has to come to rest.")] = REST_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs of the runs that held too.")] = False,
    directory: Annotated[Path, typer.Option(help="Where each run gets a directory.")] = DEFAULT_DIRECTORY / "chaos",
) -> None:
    """Break a whole system on purpose, and check that nothing was lost and nothing stays."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Console(stderr=as_json, highlight=False, soft_wrap=True)
    wanted = _range(seeds) if seeds else [seed]
    size = Size(people, patience)
    work = _all(wanted, size, directory, screen, keep=keep)
    outcomes = asyncio.run(until_told_to_stop(work))
    if outcomes is None:
        raise typer.Exit(INTERRUPTED)
    if as_json:
        show_json([_facts(outcome) for outcome in outcomes])
    raise typer.Exit(0 if all(outcome.held for outcome in outcomes) else 1)


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


async def _all(seeds: list[int], size: Size, directory: Path, screen: Console, *, keep: bool) -> list[Outcome]:
    outcomes = []
    for seed in seeds:
        outcomes.append(await _one(seed, size, directory / f"seed-{seed}", screen))
        if outcomes[-1].held and not keep:
            await asyncio.to_thread(_forget, directory / f"seed-{seed}")
    if len(outcomes) > 1:
        _summary(outcomes, screen)
    return outcomes


async def _one(seed: int, size: Size, directory: Path, screen: Console) -> Outcome:
    started = monotonic()

    def tell(message: str) -> None:
        screen.print(f"{monotonic() - started:6.1f} s  {message}", style="dim")

    screen.print(f"Seed {seed}, {size.people} people", style="bold")
    outcome = await run(seed, size.people, directory, tell, patience=size.patience)
    for line in outcome.lines:
        sign, style = ("✓", "green") if line.held else ("✗", "bold red")
        screen.print(f"[{style}]{sign}[/] {line.what}  [dim]{line.detail}[/]")
    recovery = f"{outcome.recovery_seconds:.1f} s" if outcome.recovery_seconds is not None else "none"
    screen.print(f"seed {seed}: recovery {recovery}, in all {outcome.whole_seconds:.0f} s")
    if not outcome.held:
        screen.print(f"data and logs: {directory}\nreplay: make chaos SEED={seed}", style="bold red")
    return outcome


def _forget(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _summary(outcomes: list[Outcome], screen: Console) -> None:
    failed = [outcome.seed for outcome in outcomes if not outcome.held]
    times = sorted(each.recovery_seconds for each in outcomes if each.recovery_seconds is not None)
    if len(times) > 1:
        cuts = quantiles(times, n=100, method="inclusive")
        screen.print(f"recovery: p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s, max {times[-1]:.1f} s")
    screen.print(f"{len(outcomes)} seeds, {len(failed)} violated: {failed or 'none'}", style="bold")


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {"held": outcome.held, **asdict(outcome)}


if __name__ == "__main__":
    sys.exit(app())
