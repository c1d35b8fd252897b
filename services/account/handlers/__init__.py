"""What account does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

# Imported for their handlers, which register themselves.
from services.account.handlers import (
    cancellations,
    consents,
    emails,
    installments,
    orders,
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
    "consents",
    "emails",
    "handlers",
    "installments",
    "orders",
    "passwords",
    "profile",
    "registrations",
    "second_factor",
    "senders",
    "sessions",
]
