"""How the story looks: headings, a line a step, and the cascade while it happens. It knows nothing of the story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import wrap
from time import monotonic

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.table import Table
from rich.text import Text

WHAT_WIDTH = 30
TIME_WIDTH = 9
WIDE = 120
INDENT = 5


@dataclass
class Step:
    """One line of a scene."""

    what: str
    detail: str = ""
    ms: int = 0


@dataclass
class Scene:
    """A heading with its lines."""

    title: str
    steps: list[Step] = field(default_factory=list)


class Stage:
    """Shows on a console and remembers, for whoever wants the same as facts."""

    def __init__(self, console: Console) -> None:
        self.console = console
        # A pipe has no width of its own, and a line longer than this is hard to follow.
        self.console.width = min(self.console.width, WIDE) if self.console.is_terminal else WIDE
        self.scenes: list[Scene] = []
        self.failures: list[str] = []
        self.incidents: list[str] = []

    def scene(self, title: str) -> None:
        self.scenes.append(Scene(title))
        self.console.print()
        self.console.print(Text(title, style="bold cyan"))

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show what is being done, and one line when it is."""
        step = Step(what)
        started = monotonic()
        with self.console.status(what):
            yield step
        step.ms = round((monotonic() - started) * 1000)
        self.scenes[-1].steps.append(step)
        self._line("✓", "green", step)

    def note(self, what: str, detail: str, ms: int = 0) -> None:
        """Say something that others did."""
        step = Step(what, detail, ms)
        self.scenes[-1].steps.append(step)
        self._line("·", "cyan", step)

    def _line(self, sign: str, style: str, step: Step) -> None:
        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        line.add_column(width=3, justify="right")
        line.add_column(width=WHAT_WIDTH)
        line.add_column(ratio=1)
        line.add_column(width=TIME_WIDTH, justify="right", style="dim", no_wrap=True)
        ms = f"{step.ms:,} ms" if step.ms else ""
        line.add_row(Text(sign, style=style), Text(step.what), Text(step.detail, style="dim"), ms)
        self.console.print(line)

    def tell(self, message: str) -> None:
        """Say what happened to the system meanwhile."""
        self.incidents.append(message)
        self.console.print(Text(f"  !  {message}", style="yellow"))

    def fail(self, message: str) -> None:
        """Say what did not hold."""
        self.failures.append(message)
        self.console.print(Text(f"  ✗  {message}", style="bold red"))

    def table(self, *columns: str, rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> None:
        """Show a small table under the line before."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in numbers else "left")
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(Padding(table, (0, 0, 0, INDENT)))

    def quote(self, text: str) -> None:
        """Show a text as its reader sees it."""
        for paragraph in text.strip().splitlines():
            for line in wrap(paragraph, self.console.width - INDENT - 2) or [""]:
                self.console.print(Padding(Text(f"│ {line}", style="italic"), (0, 0, 0, INDENT)))

    def waiting(self, whom: str) -> Status:
        """Show on a terminal who is awaited, as long as the context lasts."""
        return self.console.status(whom)
