"""`adieu lag` and `adieu exporter`: how far behind readers are, for a person, for a program, and for Prometheus."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from ops.installation import DEFAULT_DIRECTORY, Installation
from ops.lag.broker import Broker
from ops.lag.exporter import EVERY_SECONDS as EXPORTED_EVERY_SECONDS
from ops.lag.exporter import export
from ops.lag.peek import Peek
from ops.lag.screen import as_json, page, worst
from ops.lag.watch import Line, Watch
from ops.options import AsJson, Directory
from ops.processes import HOST
from ops.screens import show_json
from shared.messaging.kafka import Kafka
from shared.settings import KafkaSettings

EVERY_SECONDS = 1.0
LOOKS_IN_A_WINDOW = 4
"""A short window is looked into more often."""
WIDTH_OF_A_FILE = 200
"""Where no screen says how wide it is, nothing is cut."""

MADE_OF = "From so many seconds of samples the words are made."
Window = Annotated[float, typer.Option(min=0.1, help=MADE_OF)]
LongWindow = Annotated[float, typer.Option(min=3 * EXPORTED_EVERY_SECONDS, help=MADE_OF)]
"""One sample says nothing of what moves, and an exporter looks more seldom."""
Groups = Annotated[list[str] | None, typer.Option("--group", help="Only this group; may be given several times.")]


def lag(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh in place until Ctrl-C.")] = False,  # noqa: FBT002
    as_facts: AsJson = False,  # noqa: FBT002 - a switch of the command line
    group: Groups = None,
    window: Window = 5.0,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Say for every group, topic and partition how far behind it is, and what that means. The worst word exits."""
    kafka = reached(Installation(directory))
    broker, peek = Broker(kafka), Peek(kafka)
    looks = _looks(Watch(broker, window, group or (), peek), window)
    try:
        last = _refresh(looks, as_facts=as_facts) if watch else _once(looks, window, as_facts=as_facts)
    finally:
        peek.close()
    raise typer.Exit(worst(last).value)


def exporter(
    host: Annotated[str, typer.Option(help="Where to listen.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 9308,
    window: LongWindow = 60.0,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Serve the same as metrics, at /metrics, until Ctrl-C."""
    export(reached(Installation(directory)), (host, port), window)


def reached(installation: Installation) -> Kafka:
    """Say how Kafka is reached: as handed secrets tell where there are any, else as operations do.

    UserError where none is outside and none runs.
    """
    if "SECRETS_DIRECTORY" in os.environ:
        return KafkaSettings().kafka
    return installation.kafka if installation.external_kafka else Kafka(installation.find_running().kafka)


def _looks(watch: Watch, window: float) -> Iterator[list[Line]]:
    pause = min(EVERY_SECONDS, window / LOOKS_IN_A_WINDOW)
    while True:
        yield watch.look()
        time.sleep(pause)


def _once(looks: Iterator[list[Line]], window: float, *, as_facts: bool) -> list[Line]:
    lines = next(looks)
    until = time.monotonic() + window  # from the first look on, which may take long
    while time.monotonic() < until:
        lines = next(looks)
    console = _console()
    show_json(as_json(lines)) if as_facts else console.print(page(lines, console.width))
    return lines


def _refresh(looks: Iterator[list[Line]], *, as_facts: bool) -> list[Line]:
    """Show look after look: in place on a screen, one below the other elsewhere. Ctrl-C is how it is meant to end."""
    console, lines = _console(), next(looks)
    live = Live(console=console, screen=True) if console.is_terminal and not as_facts else None
    with suppress(KeyboardInterrupt), live or nullcontext():
        while True:
            if as_facts:
                print(json.dumps(as_json(lines), ensure_ascii=False), flush=True)  # noqa: T201 - for programs
            elif live:
                live.update(page(lines, console.width), refresh=True)
            else:
                console.print(page(lines, console.width))
            lines = next(looks)
    return lines


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
