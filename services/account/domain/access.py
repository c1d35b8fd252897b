"""Rules of access: how long codes and sessions are good, and how often a code may be tried."""

from __future__ import annotations

from datetime import timedelta

CODE_LIFE = timedelta(hours=24)
SESSION_LIFE = timedelta(days=30)
CODE_TRIES = 3
