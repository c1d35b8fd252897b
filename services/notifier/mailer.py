"""Sends what is queued: each account's messages in order, one mailer at a time.

A mail goes out before that is recorded, so a crash in between sends it again, with the same Message-ID. It is
recorded by a command, so that locks, erasure and receipts go the one road.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import repository
from services.notifier.channels import Smtp
from services.notifier.commands import Address, Outcome, RecordDelivery
from services.notifier.domain import Patience, Queued, decide_delivery
from services.notifier.mails import Composer
from shared import failpoints
from shared.background import again_and_again, at_once, rest
from shared.bus import CommandBus
from shared.database import sole_holder
from shared.errors import describe

log = logging.getLogger(__name__)

ROUND = 100
"""So many messages go out before it is recorded, and at most so many go out twice after a crash."""
IDLE_SECONDS = 0.2
"""How often the queue is looked at unasked: for what is due again, and what another process has queued."""
RESTART_SECONDS = 0.5


class Mailer:
    """Empties the queue of messages."""

    def __init__(self, bus: CommandBus, smtp: Smtp, composer: Composer, patience: Patience) -> None:
        self._bus = bus
        self._smtp = smtp
        self._composer = composer
        self._patience = patience
        self._unrecorded: list[RecordDelivery] = []
        self._unrecordable: set[int] = set()

    async def run(self) -> None:
        """Send until cancelled; begins anew when the database was away."""
        await again_and_again("mailer", self._send_for_ever, RESTART_SECONDS)

    async def _send_for_ever(self) -> None:
        try:
            async with sole_holder(self._bus.engine, "mailer") as connection:
                while True:
                    if not await self.round(connection):
                        await rest(self._bus.worked, IDLE_SECONDS)
        finally:
            self._smtp.close()

    async def round(self, connection: AsyncConnection) -> int:
        """Attempt what is due, at most one message of an account; returns how many there were."""
        await self._record()  # what an earlier round could not, or it would go out again
        found = await repository.due(connection, self._bus.clock(), ROUND)
        due = [message for message in found if message.id not in self._unrecordable]
        try:
            await self._attempt_all(due)
        finally:
            await self._record()
        return len(due)

    async def _attempt_all(self, due: Sequence[Queued]) -> None:
        for message in due:
            failpoints.reach("mailer.claimed")
            outcome = await self._attempt(message)
            level = logging.DEBUG if outcome in (Outcome.DEFERRED, Outcome.AWAY) else logging.INFO
            log.log(level, "message %d, %s: %s", message.id, message.kind, outcome)
            self._unrecorded.append(
                RecordDelivery(account_id=message.account_id, message_id=message.id, outcome=outcome)
            )

    async def _attempt(self, message: Queued) -> Outcome:
        decision = decide_delivery(message, self._bus.clock(), self._patience)
        if not isinstance(decision, Address):
            return decision
        try:
            mail = self._composer.mail(message, decision)
        except Exception as error:  # noqa: BLE001 - one message that cannot be written must not hold up all others
            log.error("message %d cannot be written", message.id, extra={"error": describe(error)})  # noqa: TRY400
            return Outcome.DEFERRED
        return await self._smtp.send(mail)

    async def _record(self) -> None:
        if self._unrecorded:
            failpoints.reach("mailer.sent")
            # What cannot be recorded must not be sent again and again, nor have the others sent again.
            self._unrecordable |= {each.message_id for each in await at_once(self._bus, self._unrecorded)}
            self._unrecorded.clear()
            failpoints.reach("mailer.recorded")
