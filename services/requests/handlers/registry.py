"""Which handler carries out which command of requests."""

from __future__ import annotations

from shared.bus import Handlers
from shared.sessions import ForgetSession, forget_sessions

handlers = Handlers()
handlers.of(ForgetSession)(forget_sessions)
