"""Which handler carries out which command of account."""

from __future__ import annotations

from services.account.models import OWNER
from shared.bus import Handlers
from shared.commands import ContinueExport, ExportAccount

handlers = Handlers()
handlers.of(ExportAccount)(OWNER.exporting.begin)
handlers.of(ContinueExport)(OWNER.exporting.go_on)
