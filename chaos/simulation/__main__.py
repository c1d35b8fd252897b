"""Runs the simulation: many seeds on all cores, every pair of crashes, or one seed told step by step."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chaos.simulation.pairs import crashed_at
from chaos.simulation.seeded import simulate
from shared.failpoints import POINTS

CHUNK = 25
"""So many seeds go to a process at a time."""
AT_ONCE = 40
"""So many chunks wait for a process."""
COLUMNS = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.0f}/s"), TimeRemainingColumn())
Found = list[tuple[str, list[str]]]
"""How to run it again, and what did not hold."""
screen = Console()


def failing_seeds(seeds: Sequence[int]) -> Found:
    """Run seeds; returns those that violate something. What raises is a violation too."""
    logging.disable(logging.CRITICAL)
    gc.disable()  # a tenth of the time; what a chunk leaves is collected after it
    found = []
    for seed in seeds:
        try:
            violations = simulate(seed).violations
        except Exception as error:  # noqa: BLE001 - the seed says how to see it
            violations = [f"raises {type(error).__name__}"]
        if violations:
            found.append((f"python -m chaos.simulation --seed {seed}", violations))
    gc.collect()
    return found


def failing_pairs(points: Sequence[str]) -> Found:
    """Run pairs of crashes that begin with these points; returns those that violate something."""
    logging.disable(logging.CRITICAL)
    found = []
    for pair in ((first, then) for first in points for then in POINTS):
        world = crashed_at(*pair)
        never = [] if tuple(world.crashed) == pair else ["it never came to both crashes"]
        if violations := world.violations + never:
            found.append((f"a crash at {pair[0]}, then at {pair[1]}", violations))
    return found


def run_all(what: Callable[..., Found], chunks: Sequence[Sequence[object]], processes: int) -> Iterable[Found]:
    """Run chunks side by side; yields what did not hold as it comes."""
    began, done = monotonic(), 0
    with Progress(*COLUMNS, console=screen) as progress, ProcessPoolExecutor(processes) as pool:
        bar = progress.add_task("", total=sum(map(len, chunks)), rate=0.0)
        for at in range(0, len(chunks), AT_ONCE):
            running = {pool.submit(what, chunk): chunk for chunk in chunks[at : at + AT_ONCE]}
            for future in as_completed(running):
                done += len(running[future])
                progress.update(bar, completed=done, rate=done / (monotonic() - began))
                yield future.result()


def told(seed: int) -> Found:
    """Run one seed and print what happened."""
    world = simulate(seed)
    for line in world.trace:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)
    return [(f"seed {seed}", world.violations)] if world.violations else []


def main(
    seeds: Annotated[int, typer.Option(help="How many.")] = 10_000,
    first: Annotated[int, typer.Option("--from", help="The first one.")] = 0,
    processes: Annotated[int, typer.Option(help="Side by side.")] = os.cpu_count() or 1,
    seed: Annotated[int | None, typer.Option(help="Only this one, told step by step.")] = None,
    *,
    pairs: Annotated[bool, typer.Option("--pairs", help="Every pair of crashes instead.")] = False,
) -> None:
    """Run the simulation; exits with 1 where something did not hold."""
    if seed is not None:
        results: Iterable[Found] = [told(seed)]
    elif pairs:
        results = run_all(failing_pairs, [[point] for point in POINTS], processes)
    else:
        chunks = [range(at, min(at + CHUNK, first + seeds)) for at in range(first, first + seeds, CHUNK)]
        results = run_all(failing_seeds, chunks, processes)
    failed = False
    for how, violations in (each for found in results for each in found):
        failed = True
        screen.print(f"{how}:", *violations[:5], sep="\n  ", markup=False, highlight=False)
    screen.print("[red]did not hold[/]" if failed else "[green]all held[/]")
    raise typer.Exit(failed)


if __name__ == "__main__":
    typer.run(main)
