"""`adieu dead-letters`: what could not be handled, in every service; handled anew or discarded on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ops.door import InternalDoor
from ops.errors import UserError
from ops.installation import DEFAULT_DIRECTORY, Installation
from ops.options import AsJson, Directory
from ops.screens import show_json

app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled: see them, try again, discard.")
screen = Console()

Name = Annotated[str, typer.Argument(metavar="SERVICE/ID", help="As `list` names it, such as device/7.")]


@dataclass(frozen=True)
class Letter:
    """Names a parked message over all services."""

    service: str
    path: str

    @classmethod
    def named(cls, name: str) -> Letter:
        """Read `service/id`."""
        service, _, number = name.partition("/")
        if not number.isdigit():
            raise UserError(f"{name} is no dead letter: name it as in device/7")
        return cls(service, f"/dead-letters/{number}")


@app.command("list")
def list_letters(as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:  # noqa: FBT002 - a switch
    """List what is parked, oldest first; never the messages themselves, which may be people's data."""
    door = InternalDoor(Installation(directory))
    letters = [
        {"name": f"{service}/{letter['id']}", **letter}
        for service in door.services
        for letter in door.ask(service, "GET", "/dead-letters")
    ]
    show_json(letters) if as_json else _show(letters)


@app.command()
def show(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Show one: where it came from, whose it is by random id, and what went wrong."""
    letter = Letter.named(name)
    show_json(InternalDoor(Installation(directory)).ask(letter.service, "GET", letter.path))


@app.command()
def redrive(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Handle it anew, with all of its account in that topic, in order; all or nothing."""
    letter = Letter.named(name)
    answer = InternalDoor(Installation(directory)).ask(letter.service, "POST", f"{letter.path}/redrive")
    screen.print(f"handled: {answer['handled']}")


@app.command()
def discard(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Throw it away, for good: what it said never has an effect."""
    letter = Letter.named(name)
    InternalDoor(Installation(directory)).ask(letter.service, "DELETE", letter.path)
    screen.print("discarded")


def _show(letters: list[dict[str, Any]]) -> None:
    if not letters:
        screen.print("nothing is parked")
        return
    table = Table("name", "topic", "reason", "error", "account", "parked at", box=None)
    for letter in letters:
        columns = (letter[name] for name in ("name", "topic", "reason", "error", "account_id", "parked_at"))
        table.add_row(*(str(column or "-") for column in columns))
    screen.print(table)
