"""Named points at which a service can be killed, ended or frozen, to see that nothing is lost; off by default."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

POINTS = {
    "service.joined": "it has started, and has not yet said what it holds",
    "relay.read": "rows of the outbox are read, none is sent",
    "relay.sent": "batches are on their way to the broker, none is acknowledged",
    "relay.acknowledged": "the broker has them, the outbox too",
    "relay.deleted": "they are out of the outbox",
    "consumer.polled": "messages are here, no transaction is open",
    "consumer.taken": "the inbox or the position says that they were taken, uncommitted",
    "consumer.handled": "they have had their effect, uncommitted",
    "consumer.parked": "dead letters are on the shelf, uncommitted",
    "consumer.committed": "the effect is committed, the broker does not know",
    "consumer.acknowledged": "the broker knows",
    "bus.handling": "the accounts are locked, the handler has not begun",
    "bus.handled": "the handler has ended, uncommitted",
    "outbox.written": "the outbox is written, uncommitted",
    "outbox.committed": "the outbox is committed, the relay does not know",
    "owner.erasing": "it is known whom to erase, nothing is erased",
    "owner.erased": "the rows are gone, no mark is left, uncommitted",
    "owner.marked": "the mark is left, the receipt is not announced, uncommitted",
    "owner.part": "one more part of very much is gone, uncommitted",
    "rollcall.opened": "an order is open, requests itself has not erased, uncommitted",
    "rollcall.taken": "receipts are counted in, nothing is saved",
    "rollcall.settled": "the last receipt of the data is in, uncommitted",
    "rollcall.completed": "the last receipt of all is in, uncommitted",
    "mailer.claimed": "a message is next, it has not gone out",
    "mailer.sent": "messages have gone out, that is not recorded",
    "mailer.recorded": "that they have gone out is recorded",
    "purge.due": "a personal topic is to be emptied, nothing is deleted",
    "purge.deleted": "the broker has deleted up to a position",
    "reminder.found": "open orders are to be repeated, none is",
    "due.found": "it is known what the clock brings, nothing is done",
}
"""Every point, by its name in the code: where its service stands when it is reached."""

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "STOP": signal.SIGSTOP}

Hook = Callable[[str], None]
hook: Hook | None = None
"""What is done at every point; a simulation sets one that raises."""


def reach(point: str) -> None:
    """Pass a point: nothing happens, unless a hook is set."""
    if hook:
        hook(point)


def planned(plan: str) -> Hook | None:
    """Make the hook of a plan such as `relay.sent:KILL:3,owner.erased:STOP:1`: by a signal, at that pass.

    None for an empty plan; ValueError for one that cannot be.
    """
    signals: dict[tuple[str, int], signal.Signals] = {}
    for each in filter(None, plan.split(",")):
        point, name, nth = each.split(":")
        if point not in POINTS or name not in SIGNALS:
            msg = f"no such failpoint: {each}"
            raise ValueError(msg)
        signals[point, int(nth)] = SIGNALS[name]
    passes: Counter[str] = Counter()

    def strike(point: str) -> None:
        passes[point] += 1
        if with_signal := signals.get((point, passes[point])):
            log.critical("failpoint reached: %s, %s", point, with_signal.name)
            os.kill(os.getpid(), with_signal)

    return strike if signals else None
