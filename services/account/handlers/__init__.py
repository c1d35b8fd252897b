"""What account does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

# Imported for their handlers, which register themselves.
from services.account.handlers import (
    cancellations,
    emails,
    installments,
    passwords,
    profile,
    registrations,
    second_factor,
    senders,
    sessions,
)
from services.account.handlers.registry import handlers

__all__ = [
    "cancellations",
    "emails",
    "handlers",
    "installments",
    "passwords",
    "profile",
    "registrations",
    "second_factor",
    "senders",
    "sessions",
]
