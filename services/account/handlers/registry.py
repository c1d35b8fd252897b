"""Which handler carries out which command of account."""

from __future__ import annotations

from shared.bus import Handlers

handlers = Handlers()
