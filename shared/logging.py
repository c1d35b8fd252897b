"""Logs as JSON lines: what happened where, never a body, never the values of an error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.errors import describe

IDS = {"event": "id", "correlation": "correlation_id", "order": "order_id"}
"""How a log names an event, the wish that it follows from, and the order: all random, and searched for by those."""
CONTEXT = ("slug", "route", "session", "second_factor", "topic", "partition", "offset", "error", "count", *IDS)


def ids_of(events: Sequence[object]) -> dict[str, str]:
    """Name events, their wishes and orders, as far as they belong to one: each in its place, for `extra` of a log."""
    named = {name: [str(getattr(event, key)) for event in events if hasattr(event, key)] for name, key in IDS.items()}
    return {name: " ".join(ids) for name, ids in named.items() if ids}


class JsonLines(logging.Formatter):
    """One JSON object a line. An exception is told by type and place: its message may quote personal data."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: str(getattr(record, name)) for name in CONTEXT if hasattr(record, name)}
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def log_as_json(service: str, level: str = "INFO") -> None:
    """Send everything that this process logs to its standard output, as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It warns at every start that it does not create topics: that is meant so.
    logging.getLogger("shared.broker").setLevel(logging.ERROR)
    for chatty in ("aiokafka", "httpx", "uvicorn.access", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
