"""The floor: the same cascade by aiokafka and asyncpg alone, in four processes, with none of the guarantees.

It deletes the same rows, counts them, tells the same over the same topics, keeps order, receipts and certificate,
and sends the same mails. It has no outbox, inbox, lock, mark, dead letter or repeat: whoever is killed loses.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiosmtplib import SMTP
from pydantic_core import from_json, to_json

from services.notifier.commands import Kind
from services.notifier.mails import words
from shared.database import BY_INDEX

AT_ONCE = 500
POLL_MILLISECONDS = 500
ACCOUNTS, ORDERS, RECEIPTS = "account.accounts.v1", "requests.orders.v1", r"^[a-z]+\.receipts\.v1$"
TELEMETRY = "app.telemetry.v1"
GO = "due"
"""The channel by which account is told to look for cancellations that are due."""
Event = dict[str, Any]
TABLES = {
    "account": {
        "accounts": "id",
        "agreements": "account_id",
        "sessions": "account_id",
        "cancellations": "account_id",
    },
    "device": {"bindings": "account_id", "readings": "account_id"},
    "requests": {"feedback": "account_id"},
    "notifier": {"contacts": "account_id"},
}
DATA_OWNERS = 3
"""So many receipts settle an order; the last one is notifier's."""


class Role:
    """What the four have in common: a connection, a producer, and how a receipt is made."""

    def __init__(self, name: str, connection: asyncpg.Connection, producer: AIOKafkaProducer, smtp: SMTP) -> None:
        self.name = name
        self.connection = connection
        self.producer = producer
        self.smtp = smtp

    async def erase(self, accounts: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        """Delete all rows of the accounts, and count them."""
        counts: dict[UUID, dict[str, int]] = {account: {} for account in accounts}
        for table, column in TABLES[self.name].items():
            statement = (
                f"WITH gone AS (DELETE FROM {table} WHERE {column} = ANY($1) RETURNING {column} AS account)"  # noqa: S608 - names of ours
                " SELECT account, count(*) FROM gone GROUP BY account"
            )
            for account, count in await self.connection.fetch(statement, accounts):
                counts[account][table] = count
        return counts

    async def tell(self, topic: str, events: Iterable[Event]) -> None:
        """Publish, and wait until the broker has it."""
        sent = [await self.producer.send(topic, to_json(e), str(e["account_id"]).encode()) for e in events]
        await asyncio.gather(*sent)

    async def answer(self, orders: Sequence[Event]) -> None:
        """Erase what is held for these orders, and send receipts."""
        async with self.connection.transaction():
            counts = await self.erase([UUID(order["account_id"]) for order in orders])
        await self.tell(f"{self.name}.receipts.v1", (_receipt(self.name, o, counts) for o in orders))

    async def send_mails(self, kind: Kind, orders: Sequence[Event]) -> None:
        """Write to each person of these orders."""
        ids = [UUID(order["account_id"]) for order in orders]
        rows = await self.connection.fetch("SELECT account_id, email FROM contacts WHERE account_id = ANY($1)", ids)
        emails: dict[UUID, str] = {row[0]: row[1] for row in rows}
        said = words(kind, {"references": ["{reference}"]}, "en")
        for order in orders:
            email = emails.get(UUID(order["account_id"]))
            if not email:  # the last message was faster
                continue
            body = f"{said.text}\n\n{said.html}".replace("{reference}", order["reference"])
            head = f"From: adieu@adieu.example\nTo: {email}\nSubject: {said.subject}\n\n"
            await self.smtp.sendmail("adieu@adieu.example", [email], (head + body).replace("\n", "\r\n"))


def _receipt(owner: str, order: Event, counts: dict[UUID, dict[str, int]]) -> Event:
    account_id = UUID(str(order["account_id"]))
    return {"account_id": account_id, "order_id": order["order_id"], "owner": owner, "items": counts[account_id]}


async def account(role: Role) -> None:
    """Cancel what is due, as often as told to look."""
    go = asyncio.Event()
    await role.connection.add_listener(GO, lambda *_: go.set())
    _say_ready()
    while True:
        await go.wait()
        go.clear()
        while await _cancel(role):
            pass


async def _cancel(role: Role) -> int:
    """Cancel a batch of what is due; returns how many there were."""
    due = "SELECT account_id, reference FROM cancellations WHERE due_at <= now() LIMIT $1"
    found = await role.connection.fetch(due, AT_ONCE)
    async with role.connection.transaction():
        counts = await role.erase([account_id for account_id, _ in found])
    events = [
        {"account_id": account_id, "order_id": uuid4(), "reference": reference, "committed_at": datetime.now(UTC)}
        for account_id, reference in found
    ]
    await role.tell(ACCOUNTS, events)
    await role.tell("account.receipts.v1", (_receipt(role.name, e, counts) for e in events))
    return len(found)


async def device(role: Role) -> None:
    """Erase on hearing of a cancellation."""
    await _read("device", {ACCOUNTS: role.answer})


async def requests(role: Role) -> None:
    """Open orders, count receipts in, close."""

    async def opened(orders: Sequence[Event]) -> None:
        values = [
            (UUID(o["order_id"]), UUID(o["account_id"]), [o["reference"]], datetime.fromisoformat(o["committed_at"]))
            for o in orders
        ]
        await role.connection.executemany(
            'INSERT INTO orders (order_id, account_id, origin, "references", contact_version, opened_at)'
            " VALUES ($1, $2, 'app', $3, 1, $4)",
            values,
        )
        await role.answer(orders)

    async def answered(receipts: Sequence[Event]) -> None:
        await role.connection.executemany(
            "INSERT INTO receipts (order_id, owner, items) VALUES ($1, $2, $3)",
            [(UUID(r["order_id"]), r["owner"], to_json(r["items"]).decode()) for r in receipts],
        )
        await _go_on(role, [UUID(r["order_id"]) for r in receipts if r["owner"] != "notifier"])
        await _close(role, [UUID(r["order_id"]) for r in receipts if r["owner"] == "notifier"])

    await role.connection.execute("CREATE TABLE receipts (order_id uuid, owner text, items jsonb)")
    await role.connection.execute("CREATE INDEX ON receipts (order_id)")
    await _read("requests", {ACCOUNTS: opened, RECEIPTS: answered})


async def _go_on(role: Role, order_ids: Sequence[UUID]) -> None:
    settled = await role.connection.fetch(
        'SELECT order_id, account_id, "references"[1] AS reference FROM orders WHERE order_id = ANY($1)'
        " AND (SELECT count(*) FROM receipts WHERE receipts.order_id = orders.order_id) = $2",
        [*set(order_ids)],
        DATA_OWNERS,
    )
    await role.tell(ORDERS, map(dict, settled))


async def _close(role: Role, order_ids: Sequence[UUID]) -> None:
    await role.connection.execute(
        "UPDATE orders SET completed_at = now(), certificate = (SELECT jsonb_agg(to_jsonb(receipts)) FROM receipts"
        " WHERE receipts.order_id = orders.order_id) WHERE order_id = ANY($1)",
        order_ids,
    )


async def notifier(role: Role) -> None:
    """Say that it was received; when all is settled say so too, and erase the contact."""

    async def received(orders: Sequence[Event]) -> None:
        await role.send_mails(Kind.CANCELLATION_RECEIVED, orders)

    async def settled(orders: Sequence[Event]) -> None:
        await role.send_mails(Kind.CANCELLATION_COMPLETED, orders)
        await role.answer(orders)

    await role.smtp.connect()
    await _read("notifier", {ACCOUNTS: received, ORDERS: settled})


async def readings(role: Role) -> None:
    """Poll and COPY, and nothing else: each message becomes a row, twice where it comes twice."""
    await role.connection.execute("CREATE TABLE raw_readings AS SELECT * FROM readings WITH NO DATA")
    columns = ("account_id", "binding_id", "measured_at", "event_id", "values")

    async def store(events: Sequence[Event]) -> None:
        rows = [
            (
                UUID(e["account_id"]),
                UUID(e["binding_id"]),
                datetime.fromisoformat(e["measured_at"]),
                UUID(e["id"]),
                to_json(e["values"]).decode(),
            )
            for e in events
        ]
        await role.connection.copy_records_to_table("raw_readings", columns=columns, records=rows)

    await _read("device", {TELEMETRY: store})


Reaction = Callable[[Sequence[Event]], Awaitable[None]]


async def _read(group: str, reactions: dict[str, Reaction]) -> None:
    """Poll each topic, and react to what a poll brings, one after the other: there is one connection."""
    turn = asyncio.Lock()
    consumers = [await _consumer(f"raw-{group}-{number}", name) for number, name in enumerate(reactions)]
    _say_ready()

    async def follow(consumer: AIOKafkaConsumer, react: Reaction) -> None:
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=AT_ONCE)
            if events := [from_json(record.value) for records in polled.values() for record in records]:
                async with turn:
                    await react(events)

    await asyncio.gather(*map(follow, consumers, reactions.values()))


async def _consumer(group: str, name: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], group_id=group, auto_offset_reset="earliest"
    )
    if name.startswith("^"):
        consumer.subscribe(pattern=name)
    else:
        consumer.subscribe([name])
    await consumer.start()
    return consumer


def _say_ready() -> None:
    print("ready", flush=True)  # noqa: T201 - to who has started this process


@asynccontextmanager
async def _role(name: str) -> AsyncIterator[Role]:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"], server_settings=BY_INDEX)
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    try:
        yield Role(name, connection, producer, SMTP(hostname="127.0.0.1", port=int(os.environ["SMTP_PORT"])))
    finally:
        await producer.stop()
        await connection.close()


ROLES = {"account": account, "device": device, "requests": requests, "notifier": notifier, "readings": readings}


async def main(name: str) -> None:
    """Play one role until ended."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with _role(name) as role:
        await ROLES[name](role)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
