"""What requests does on each command: load what it names, decide, save, announce."""

from __future__ import annotations

# Imported for their handlers, which register themselves.
from services.requests.handlers import (
    access,
    cases,
    corrections,
    deletions,
    feedback,
    identity,
    mails,
    orders,
    passing,
)
from services.requests.handlers.registry import handlers

__all__ = [
    "access",
    "cases",
    "corrections",
    "deletions",
    "feedback",
    "handlers",
    "identity",
    "mails",
    "orders",
    "passing",
]
