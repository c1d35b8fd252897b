"""What notifier does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from services.notifier import repository
from services.notifier.commands import (
    Outcome,
    QueueMessage,
    ReadNotices,
    RecordDelivery,
    RememberContact,
    SettleContact,
)
from services.notifier.domain import (
    NOT_OWED,
    OWED,
    Queued,
    Step,
    decide_step,
    draft,
    last_draft,
    newest_contacts,
    next_attempt,
    received_draft,
)
from services.notifier.models import OWNER
from shared.bus import Handlers, Work, closed_among
from shared.commands import (
    ContinueExport,
    CountData,
    EraseAccount,
    EraseCategories,
    ExportAccount,
    KeepToConsent,
    Needs,
    Refusal,
)
from shared.consenting import keep_to_consents
from shared.consents import withdrawn_now
from shared.sessions import ForgetSession, forget_sessions

handlers = Handlers()
NO_SUCH_NOTICE = Refusal("no-such-notice")
handlers.of(ForgetSession)(forget_sessions)
handlers.of(ExportAccount)(OWNER.exporting.begin)
handlers.of(ContinueExport)(OWNER.exporting.go_on)
handlers.of(CountData)(OWNER.apart.count)
handlers.of(EraseCategories)(OWNER.apart.erase)


@handlers.of(RememberContact)
async def remember_contacts(work: Work, commands: Sequence[RememberContact]) -> None:
    """Keep the newest contact of each account."""
    await repository.remember(work.connection, newest_contacts(commands))


@handlers.of(QueueMessage)
async def queue_messages(work: Work, commands: Sequence[QueueMessage]) -> None:
    """Queue the messages; the mailer finds them. What is not owed asks for consent."""
    asking = {command.account_id for command in commands if command.kind not in OWED}
    silent = await withdrawn_now(work.connection, asking, Needs.USE, OWNER.name)
    due = [command for command in commands if command.kind in OWED or command.account_id not in silent]
    await repository.queue(work.connection, [draft(command) for command in due], work.now)


@handlers.of(KeepToConsent)
async def keep_to_consent(work: Work, commands: Sequence[KeepToConsent]) -> None:
    """Send nothing more that is not owed, also of what is queued already."""
    await keep_to_consents(work, commands)
    asking = {command.account_id for command in commands}
    silent = await withdrawn_now(work.connection, asking, Needs.USE, OWNER.name)
    withheld = await repository.withhold(work.connection, silent, NOT_OWED)
    await repository.note_mailed(work.connection, [(notice_id, "withheld") for notice_id in withheld])


@handlers.of(SettleContact)
async def settle_contacts(work: Work, commands: Sequence[SettleContact]) -> None:
    """Queue the last message, once; where it went out long ago, only give the receipt again.

    That the cancellation was received is told before, also where the settling is heard of first.
    """
    closed = await closed_among(work, [command.account_id for command in commands])
    await _erase(work, [command for command in commands if command.account_id in closed])
    due = [command for command in commands if command.account_id not in closed]
    await repository.queue(
        work.connection, [each for c in due for each in (received_draft(c), last_draft(c))], work.now
    )


@handlers.of(RecordDelivery)
async def record_deliveries(work: Work, commands: Sequence[RecordDelivery]) -> None:
    """Forget what went out or never will, put off the rest; after a last message erase all of the person."""
    outcomes = {command.message_id: command.outcome for command in commands}
    steps: dict[Step, list[Queued]] = defaultdict(list)
    for message in await repository.queued(work.connection, list(outcomes)):
        steps[decide_step(message, outcomes[message.id])].append(message)
    later = [
        (m.id, next_attempt(m.attempts, work.now), outcomes[m.id] is Outcome.DEFERRED) for m in steps[Step.RETRY]
    ]
    await repository.defer(work.connection, later)
    told = [m for step in (Step.FORGET, Step.REMEMBER) for m in steps[step]]
    await repository.note_mailed(work.connection, [(m.notice_id, outcomes[m.id]) for m in told if m.notice_id])
    await repository.remove(work.connection, [message.id for message in steps[Step.FORGET]])
    await repository.remember_sent(work.connection, [message.id for message in steps[Step.REMEMBER]])
    await _erase(work, _orders(steps[Step.ERASE]))
    await _erase(work, _orders(steps[Step.ERASE_UNTOLD]), remark="undeliverable")


@handlers.of(ReadNotices)
async def read_notices(work: Work, commands: Sequence[ReadNotices]) -> list[Refusal | None]:
    """Note what the person has seen; the first time counts."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        found = await repository.read_notices(work.connection, command.account_id, command.notice_id, work.now)
        outcomes.append(None if found or not command.notice_id else NO_SUCH_NOTICE)
    return outcomes


def _orders(messages: Sequence[Queued]) -> list[EraseAccount]:
    return [EraseAccount(account_id=m.account_id, order_id=m.order_id) for m in messages if m.order_id]


async def _erase(work: Work, orders: Sequence[EraseAccount], remark: str | None = None) -> None:
    if orders:
        await OWNER.erase(work, orders, remark=remark)
