"""People and the mail server of the bench are what the services take them for."""

from __future__ import annotations

import asyncpg
from aiosmtplib import SMTP

from bench.people import residents, settle
from bench.sink import Sink
from shared.commands import EraseAccount
from tests.builders import named
from tests.rooms import SERVICES, OpenRoom


async def test_the_sink_takes_mails_one_after_the_other_and_counts_them() -> None:
    sink = Sink()
    async with sink.receiving(), SMTP(hostname="127.0.0.1", port=sink.port) as client:
        for number in range(3):
            await client.sendmail("adieu@adieu.example", ["anna@people.example"], f"Subject: {number}\r\n\r\n.\r\n")

    assert sink.mails == 3


async def test_people_stand_in_the_tables_as_each_service_knows_them(room: OpenRoom) -> None:
    rooms = {service: await room(service) for service in SERVICES}
    leaver, stayer = residents(2)

    urls = {service: each.engine.url.set(drivername="postgresql") for service, each in rooms.items()}
    connections = {
        name: await asyncpg.connect(url.render_as_string(hide_password=False)) for name, url in urls.items()
    }
    await settle(connections, [leaver, stayer], "no hash", readings=6)
    for connection in connections.values():
        await connection.close()
    before = {service: await each.held_of(leaver.account_id) for service, each in rooms.items()}
    await rooms["device"].does(EraseAccount(account_id=leaver.account_id, order_id=named("order")))

    assert before == {
        "account": {"accounts": 1, "agreements": 1, "sessions": 1, "cancellations": 1},
        "device": {"bindings": 3, "readings": 6},
        "requests": {"feedback": 1},
        "notifier": {"contacts": 1},
    }
    assert await rooms["device"].held_of(leaver.account_id) == {}
    assert await rooms["device"].held_of(stayer.account_id) == before["device"]
