"""Which handler carries out which command of requests."""

from __future__ import annotations

from services.requests.models import OWNER
from shared.bus import Handlers
from shared.commands import ContinueExport, CountData, EraseCategories, ExportAccount
from shared.sessions import ForgetSession, forget_sessions

handlers = Handlers()
handlers.of(ForgetSession)(forget_sessions)
handlers.of(ExportAccount)(OWNER.exporting.begin)
handlers.of(ContinueExport)(OWNER.exporting.go_on)
handlers.of(CountData)(OWNER.apart.count)
handlers.of(EraseCategories)(OWNER.apart.erase)
