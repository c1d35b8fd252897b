"""What `adieu` shows: tables and pages for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.mailbox import Mail
from ops.system import System


def show_addresses(screen: Console, system: System) -> None:
    """Where everything is, once it is ready."""
    table = Table("", "where", box=None)
    for service, url in system.addresses.services.items():
        table.add_row(service, url)
    table.add_row("Kafka", system.addresses.kafka + _outside(system.kafka))
    table.add_row("PostgreSQL", f"127.0.0.1:{system.postgres.port}" if system.postgres else "outside")
    table.add_row("mail (SMTP)", system.addresses.smtp + _outside(system.mailbox))
    table.add_row("files", str(system.installation.directory))
    screen.print(table)


def _outside(embedded: object | None) -> str:
    return "" if embedded else " (outside)"


def show_mails(screen: Console, mails: Sequence[Mail]) -> None:
    """List them with their numbers, the newest as 1."""
    if not mails:
        screen.print("No mail yet.")
        return
    table = Table("no.", "received (UTC)", "to", "subject", box=None)
    for number, mail in enumerate(mails, start=1):
        received = mail.received_at.isoformat(" ", "seconds").removesuffix("+00:00")
        table.add_row(str(number), received, ", ".join(mail.recipients), mail.subject)
    screen.print(table)


def show_mail(screen: Console, mail: Mail) -> None:
    """One mail as its reader sees it."""
    for name in ("From", "To", "Date", "Subject"):
        screen.print(f"{name}: {mail.message[name]}", markup=False, highlight=False, soft_wrap=True)
    screen.print(f"\n{mail.text}", markup=False, highlight=False, soft_wrap=True)


def show_json(facts: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """To standard output and untouched by the width of a screen."""
    print(json.dumps(facts, ensure_ascii=False, indent=2))  # noqa: T201 - standard output is the door for programs
