"""The `adieu` command: a table of verbs; what they do is written elsewhere."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from ops import dead_letters
from ops.demo.play import Options, play
from ops.documents import stale, write
from ops.door import InternalDoor
from ops.errors import UserError
from ops.foreground import until_told_to_stop
from ops.installation import DEFAULT_DIRECTORY, Installation
from ops.intake import take_in
from ops.lag import verbs
from ops.mailbox import Mailbox
from ops.options import AsJson, Directory
from ops.processes import HOST
from ops.products import import_products, read_products
from ops.provision import provide
from ops.screens import show_json, show_mail, show_mails
from ops.up import run_in_foreground

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(verbs.lag)
app.command()(verbs.exporter)
screen = Console()
INTERRUPTED = 130


@app.callback()
def adieu() -> None:
    """Run Adieu on this machine, and look after it."""


@app.command()
def up(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Run the whole system until Ctrl-C."""
    asyncio.run(run_in_foreground(Installation(directory), screen))


@app.command()
def demo(
    as_json: AsJson = False,  # noqa: FBT002 - a switch of the command line
    keep: Annotated[bool, typer.Option("--keep", help="Leave the system running afterwards.")] = False,  # noqa: FBT002
    plant: Annotated[bool, typer.Option("--plant", help="Plant leftovers: the search must find them.")] = False,  # noqa: FBT002
    directory: Directory = DEFAULT_DIRECTORY / "demo",
) -> None:
    """Tell the story of a cancellation, on a system started for it."""
    options = Options(as_json=as_json, keep=keep, plant=plant)
    code = asyncio.run(until_told_to_stop(play(Installation(directory), screen, options)))
    raise typer.Exit(INTERRUPTED if code is None else code)


@app.command()
def secrets(
    hand_out: Annotated[Path, typer.Option(help="Below it, a directory each for services and engines.")],
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Make all secrets, unless they are there, and hand everybody its own."""
    installation = Installation(directory)
    installation.create()
    installation.hand_out(hand_out)


@app.command()
def provision(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Make what services need in engines outside: databases, migrations, topics, access."""
    installation = Installation(directory)
    asyncio.run(provide(installation, installation.admin_url))


@app.command("receive-mail")
def receive_mail(
    host: Annotated[str, typer.Option(help="Where to listen.")] = HOST,
    port: Annotated[int, typer.Option(help="Where to listen.")] = 1025,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Take every mail by SMTP and keep it, until Ctrl-C; `adieu mail` shows them."""
    mailbox = Mailbox(Installation(directory).mailbox)
    asyncio.run(until_told_to_stop(mailbox.receive(host, port)))


@app.command("import-products")
def import_from(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns: serial, model, pairing_code.")],
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Make devices known to a running system; one that is known is replaced."""
    count = import_products(InternalDoor(Installation(directory)), read_products(file))
    screen.print(f"imported: {count}")


@app.command()
def intake(
    file: Annotated[Path, typer.Argument(metavar="FILE.eml", help="A mail, as it came.")],
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Bring a mail to the privacy mailbox of a running system, as a mail relay would."""
    screen.print(f"mail: {take_in(InternalDoor(Installation(directory)), file)}")


@app.command()
def mail(
    number: Annotated[int | None, typer.Argument(min=1, help="Show this one; 1 is the newest.")] = None,
    to: Annotated[str | None, typer.Option(help="Only mails to this address.")] = None,
    about: Annotated[str, typer.Option(help="Only mails with these words in their subject.")] = "",
    as_json: AsJson = False,  # noqa: FBT002 - a switch of the command line
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """List the mails that people got, or show one."""
    mails = Mailbox(Installation(directory).mailbox).mails(to, about)
    if number is None:
        show_json([mail.facts for mail in mails]) if as_json else show_mails(screen, mails)
    elif number > len(mails):
        raise UserError(f"there is no mail {number}: the mailbox has {len(mails)}")
    else:
        mail = mails[number - 1]
        show_json(mail.facts) if as_json else show_mail(screen, mail)


@app.command("staff-token")
def staff_token(
    staff_id: Annotated[str, typer.Option("--id", help="A random id; it stands in the audit chain.")] = "",
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Print a token of the privacy staff for a system on this machine, good for twelve hours."""
    installation = Installation(directory)
    installation.find_running()
    print(installation.staff_token(staff_id or str(uuid4())))  # noqa: T201 - for a program


@app.command()
def documents(
    check: Annotated[bool, typer.Option("--check", help="Only say what is stale, by exit code 1.")] = False,  # noqa: FBT002
) -> None:
    """Write the published contract anew from the code: JSON Schemas and AsyncAPI, in docs/."""
    if not check:
        write()
    elif found := stale():
        names = ", ".join(sorted(path.name for path in found))
        raise UserError(f"stale documents, write them anew with `adieu documents`: {names}")


def main() -> None:
    """Run one verb; what the user can mend is said in words, without a trace."""
    try:
        app()
    except UserError as error:
        sys.exit(f"adieu: {error}")
