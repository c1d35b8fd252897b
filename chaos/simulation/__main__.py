"""Runs seeds of the simulation: many, on all cores, until one fails; or one, told step by step."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chaos.simulation.seeded import simulate
from chaos.simulation.world import World

CHUNK = 25
"""So many seeds go to a process at a time."""
COLUMNS = (BarColumn(), MofNCompleteColumn(), TextColumn("seeds, {task.fields[rate]:.0f}/s"), TimeRemainingColumn())
screen = Console()


def tell(seed: int) -> World:
    """Run one seed and print what happened."""
    world = simulate(seed)
    for line in world.trace:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)
    return world


def failing(seeds: range) -> list[tuple[int, list[str]]]:
    """Run seeds; returns those that violate something. What raises is a violation too."""
    logging.disable(logging.CRITICAL)
    found = []
    for seed in seeds:
        try:
            violations = simulate(seed).violations
        except Exception as error:  # noqa: BLE001 - the seed says how to see it
            violations = [f"raised {type(error).__name__}"]
        if violations:
            found.append((seed, violations))
    return found


def run_all(first: int, seeds: int, processes: int) -> Iterator[tuple[int, list[str]]]:
    """Run seeds side by side; yields the failing ones as they come."""
    chunks = (range(at, min(at + CHUNK, first + seeds)) for at in range(first, first + seeds, CHUNK))
    began, done = monotonic(), 0
    with Progress(*COLUMNS, console=screen) as progress, ProcessPoolExecutor(processes) as pool:
        bar = progress.add_task("", total=seeds, rate=0.0)
        while batch := list(islice(chunks, processes * 4)):
            for chunk, found in zip(batch, pool.map(failing, batch), strict=True):
                done += len(chunk)
                progress.update(bar, completed=done, rate=done / (monotonic() - began))
                yield from found


def main(
    seeds: Annotated[int, typer.Option(help="How many.")] = 10_000,
    first: Annotated[int, typer.Option("--from", help="The first one.")] = 0,
    processes: Annotated[int, typer.Option(help="Side by side.")] = os.cpu_count() or 1,
    seed: Annotated[int | None, typer.Option(help="Only this one, told step by step.")] = None,
) -> None:
    """Run the simulation; exits with 1 where something did not hold."""
    if seed is not None:
        found = iter([(seed, violations)]) if (violations := tell(seed).violations) else iter(())
    else:
        found = run_all(first, seeds, processes)
    failed = False
    for number, violations in found:
        failed = True
        screen.print(f"[red]seed {number}[/]: python -m chaos.simulation --seed {number}")
        for violation in violations[:5]:
            screen.print(f"  {violation}", markup=False, highlight=False)
    screen.print("[red]did not hold[/]" if failed else "[green]all held[/]")
    raise typer.Exit(failed)


if __name__ == "__main__":
    typer.run(main)
