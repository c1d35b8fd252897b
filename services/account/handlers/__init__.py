"""What account does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

# Imported for their handlers, which register themselves.
from services.account.handlers import cancellations, installments, profile, registrations, sessions
from services.account.handlers.registry import handlers

__all__ = ["cancellations", "handlers", "installments", "profile", "registrations", "sessions"]
