"""Statements that are written as SQL: each has a twin here, by hand, and a test holds the two together."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql import Range

from chaos.simulation.expressions import HERE, Meaning, Row, Values, meaning
from chaos.simulation.statements import Runs, shape, translated
from chaos.simulation.tables import Answer, Transaction
from services.device.repository import _BEYOND, _RECORD, _SILENCE, _SOME
from services.notifier.repository import _DEFER, _NOTE_MAILED, _QUEUE, _REMEMBER
from shared.consents import _CLOSE, _NOTE
from shared.database import _LOCK
from shared.messaging.consumer import _TAKE
from shared.messaging.dead_letters import _PARK
from shared.messaging.outbox import _ADD
from shared.messaging.positions import _LOCKED, _STORE
from shared.throttle import _SPEND

TWINS: dict[str, Runs] = {}


def twin_of(statement: TextClause) -> Callable[[Runs], Runs]:
    """Register what does in memory as this statement does in the database (decorator)."""

    def register(run: Runs) -> Runs:
        TWINS[statement.text] = run
        return run

    return register


@translated.register(TextClause)
def _(statement: TextClause) -> Runs:
    return TWINS[statement.text]


def new_rows(values: Values, *names: str) -> Iterator[dict[str, Any]]:
    """Read the rows that stand in the values as one array a column."""
    for row in zip(*(values[name] for name in names), strict=True):
        yield dict(zip(names, row, strict=True))


def _where(transaction: Transaction, table: str, **columns: Any) -> Row | None:
    return next(
        (row for row in transaction.rows(table) if all(row[name] == value for name, value in columns.items())), None
    )


@twin_of(_LOCK)
def lock(_: Transaction, values: Values) -> Answer:
    """Do nothing: transactions of a service run one after the other here."""
    return Answer([(None,)] * len(values["keys"]), len(values["keys"]))


@twin_of(_TAKE)
def take(transaction: Transaction, values: Values) -> Answer:
    """Note events as taken; tell which are new."""
    names = dict.fromkeys(zip(values["source"], values["event_id"], strict=True))
    row = shape("source", "event_id")
    new = [
        row((source, event_id))
        for source, event_id in sorted(names)
        if transaction.insert(
            "inbox", {"source": source, "event_id": event_id, "taken_at": transaction.now}, tolerant=True
        )
        is None
    ]
    return Answer(new, len(new))


@twin_of(_PARK)
def park(transaction: Transaction, values: Values) -> Answer:
    """Park messages, but for those of closed accounts."""
    names = ("topic", "partition", "offset", "taken_at", "account_id", "reason", "error", "body", "outlives_account")
    parked = 0
    for row in new_rows(values, *names):
        outlives = row.pop("outlives_account")
        if outlives or not _where(transaction, "closed_accounts", account_id=row["account_id"]):
            transaction.insert("dead_letters", {**row, "parked_at": transaction.now})
            parked += 1
    return Answer([], parked)


@twin_of(_ADD)
def add(transaction: Transaction, values: Values) -> Answer:
    """Put events into the outbox, in their order."""
    rows = list(new_rows(values, "topic", "key", "type", "event_id", "body"))
    for row in rows:
        transaction.insert("outbox", row)
    return Answer([], len(rows))


@twin_of(_LOCKED)
def locked(transaction: Transaction, values: Values) -> Answer:
    """Read positions."""
    wanted = set(zip(values["topic"], values["partition"], strict=True))
    row = shape("topic", "partition", "topic_id", "next_offset")
    found = [
        row(tuple(each.values()))
        for each in transaction.rows("positions")
        if (each["topic"], each["partition"]) in wanted
    ]
    return Answer(sorted(found), len(found))


@twin_of(_STORE)
def store(transaction: Transaction, values: Values) -> Answer:
    """Store positions."""
    rows = list(new_rows(values, "topic", "partition", "topic_id", "next_offset"))
    for row in rows:
        if (before := transaction.insert("positions", row, tolerant=True)) is not None:
            transaction.replace("positions", before, row)
    return Answer([], len(rows))


@twin_of(_SPEND)
def spend(transaction: Transaction, values: Values) -> Answer:
    """Count tries, anew where a period is over."""
    now, told = values["now"], []
    for row in sorted(new_rows(values, "subject", "ends_at"), key=lambda each: each["subject"]):
        counted = {**row, "count": 1}
        if (before := transaction.insert("tries", counted, tolerant=True)) is not None:
            if before["ends_at"] > now:
                counted = {**before, "count": before["count"] + 1}
            transaction.replace("tries", before, counted)
        told.append(shape("subject", "tried", "ends_at")((row["subject"], counted["count"], counted["ends_at"])))
    return Answer(told, len(told))


@twin_of(_RECORD)
def record(transaction: Transaction, values: Values) -> Answer:
    """Keep readings whose binding is there; tell how many were dropped, and why."""
    names = ("account_id", "binding_id", "serial", "event_id", "measured_at", "taken_at", "values")
    faults: Counter[str] = Counter()
    for new in new_rows(values, *names):
        binding = _binding_of(transaction, new)
        fault = _fault(new, binding, values["tolerance"]) or _silent(new, binding, values["lateness"])
        if not fault and binding:
            row = {name: new[name] for name in ("account_id", "event_id", "measured_at")}
            row |= {"binding_id": binding["id"], "values": json.loads(new["values"])}
            fault = "repeat" if transaction.insert("readings", row, tolerant=True) is not None else ""
        faults[fault or "kept"] += 1
    kept = faults.pop("kept", 0)
    told = shape("fault", "count")
    dropped = [told(each) for each in faults.items() if each[0] != "repeat"]
    return Answer([*dropped, told(("repeat", faults["repeat"]))], kept)


def _binding_of(transaction: Transaction, new: Row) -> Row | None:
    return next(
        (
            row
            for row in transaction.rows("bindings")
            if row["account_id"] == new["account_id"]
            and (row["id"] == new["binding_id"] or row["serial"] == new["serial"])
        ),
        None,
    )


def _fault(new: Row, binding: Row | None, tolerance: Any) -> str:
    if binding is None:
        return "no such binding"
    if new["measured_at"] > new["taken_at"] + tolerance:
        return "after the broker had it"
    if new["serial"] is None:
        return "before the binding" if new["measured_at"] < binding["bound_at"] - tolerance else ""
    return "before the binding" if min(new["measured_at"], new["taken_at"]) < binding["bound_at"] else ""


def _silent(new: Row, binding: Row | None, lateness: Any) -> str:
    periods = (binding and binding["silent"]) or ()
    if any(period.contains(new["measured_at"]) for period in periods):
        return "beyond a withdrawal"
    late, taken = new["taken_at"] - lateness, new["taken_at"]
    too_late = any(period.contains(late) and period.contains(taken) for period in periods)
    return "too late after a withdrawal" if too_late else ""


@twin_of(_NOTE)
def note(transaction: Transaction, values: Values) -> Answer:
    """Begin periods; of two that begin at the same moment the one that withdraws counts."""
    rows = list(new_rows(values, "account_id", "scope", "since", "given"))
    for row in rows:
        if (before := transaction.insert("consent_periods", {**row, "until": None}, tolerant=True)) is not None:
            given = before["given"] and row["given"]
            transaction.replace("consent_periods", before, {**before, "given": given})
    return Answer([], len({(row["account_id"], row["scope"], row["since"]) for row in rows}))


@twin_of(_CLOSE)
def close(transaction: Transaction, values: Values) -> Answer:
    """End each period where the next one of its scope begins."""
    found = [row for row in transaction.rows("consent_periods") if row["account_id"] in values["accounts"]]
    for row in found:
        place = row["account_id"], row["scope"]
        later = [o["since"] for o in found if (o["account_id"], o["scope"]) == place and o["since"] > row["since"]]
        transaction.replace("consent_periods", row, {**row, "until": min(later, default=None)})
    return Answer([], len(found))


@twin_of(_SILENCE)
def silence(transaction: Transaction, values: Values) -> Answer:
    """Write down at bindings when nothing may be collected."""
    found = [row for row in transaction.rows("bindings") if row["account_id"] in values["accounts"]]
    for row in found:
        periods = [
            Range(period["since"], period["until"])
            for period in transaction.rows("consent_periods")
            if period["account_id"] == row["account_id"]
            and period["scope"] in values["scopes"]
            and not period["given"]
        ]
        transaction.replace("bindings", row, {**row, "silent": _merged(periods) or None})
    return Answer([], len(found))


def _merged(periods: list[Range[Any]]) -> list[Range[Any]]:
    def beginning(period: Range[Any]) -> Any:
        return period.lower

    merged: list[Range[Any]] = []
    for period in sorted(periods, key=beginning):
        if merged and (merged[-1].overlaps(period) or merged[-1].adjacent_to(period)):
            merged[-1] = merged[-1].union(period)
        else:
            merged.append(period)
    return merged


@twin_of(_BEYOND)
def beyond(transaction: Transaction, values: Values) -> Answer:
    """Delete some readings of the time in which nothing may be collected."""
    silent = {
        row["id"]: row["silent"] or ()
        for row in transaction.rows("bindings")
        if row["account_id"] == values["account_id"]
    }
    found = [
        row
        for row in transaction.rows("readings")
        if any(period.contains(row["measured_at"]) for period in silent.get(row["binding_id"], ()))
    ]
    for row in found[: values["some"]]:
        transaction.remove("readings", row)
    return Answer([], min(len(found), values["some"]))


@twin_of(_SOME)
def some(transaction: Transaction, values: Values) -> Answer:
    """Delete some readings of one binding."""
    place = values["account_id"], values["binding_id"]
    found = [row for row in transaction.rows("readings") if (row["account_id"], row["binding_id"]) == place]
    for row in found[: values["some"]]:
        transaction.remove("readings", row)
    return Answer([], min(len(found), values["some"]))


@meaning.register(TextClause)
def _(element: TextClause) -> Meaning:
    """Which rows of a large table an erasure takes next: so many at most of each account."""
    table, account = re.findall(r"FROM (\w+) WHERE (\w+) = wanted.id", element.text)[0]

    def is_next(scope: Any, values: Values) -> bool:
        row = scope[table]
        if row[account] not in values["accounts"]:
            return False
        mine = [each for each in values[HERE].rows(table) if each[account] == row[account]]
        return any(each is row for each in mine[: values["chunk"]])

    return is_next


@twin_of(_REMEMBER)
def remember(transaction: Transaction, values: Values) -> Answer:
    """Keep contacts where no newer one is kept."""
    kept = 0
    for row in new_rows(values, "account_id", "version", "email", "language"):
        before = transaction.insert("contacts", row, tolerant=True)
        if before is not None and before["version"] < row["version"]:
            transaction.replace("contacts", before, row)
        kept += before is None or before["version"] < row["version"]
    return Answer([], kept)


@twin_of(_QUEUE)
def queue(transaction: Transaction, values: Values) -> Answer:
    """Queue messages that are not queued yet, and show those of them that the app shows."""
    message = ("account_id", "kind", "parameters", "email", "language", "contact_version", "order_id", "notice_id")
    queued = []
    for row in new_rows(values, *message, "shown"):
        new = {name: row[name] for name in message} | {"parameters": json.loads(row["parameters"])}
        new |= {"kind": str(row["kind"]), "attempts": 0, "sent": False}
        new |= {"queued_at": values["now"], "next_attempt_at": values["now"]}
        if transaction.insert("messages", new, tolerant=True) is None and row["notice_id"]:
            queued.append(row)
    for row in queued:
        notice = {"id": row["notice_id"], "account_id": row["account_id"], "kind": str(row["kind"])}
        notice |= {"parameters": json.loads(row["shown"]), "told_at": values["now"], "read_at": None}
        transaction.insert("notices", notice | {"mailed": "waiting"})
    return Answer([], len(queued))


@twin_of(_DEFER)
def defer(transaction: Transaction, values: Values) -> Answer:
    """Put messages off."""
    later = {row["ids"]: row for row in new_rows(values, "ids", "moment", "counts")}
    found = [row for row in transaction.rows("messages") if row["id"] in later]
    for row in found:
        new = later[row["id"]]
        changes = {"attempts": row["attempts"] + bool(new["counts"]), "next_attempt_at": new["moment"]}
        transaction.replace("messages", row, {**row, **changes})
    return Answer([], len(found))


@twin_of(_NOTE_MAILED)
def note_mailed(transaction: Transaction, values: Values) -> Answer:
    """Note with notices what became of their mails."""
    mailed = dict(zip(values["ids"], values["mailed"], strict=True))
    found = [row for row in transaction.rows("notices") if row["id"] in mailed]
    for row in found:
        transaction.replace("notices", row, {**row, "mailed": str(mailed[row["id"]])})
    return Answer([], len(found))
