"""Three replicas of device: partitions move while people leave and devices report; nothing is lost or done twice."""

from __future__ import annotations

import asyncio

import httpx
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from ops.system import System
from shared.contracts.topics import ACCOUNTS
from tests.containers.composed import OUT_SECONDS, Compose
from tests.leaving import READINGS, Strike, many_leave
from tests.people import Person, eventually, mails_by_address, settle_in
from tests.whole_system import lines_about, rows

A_THIRD = 34
REPORTS = 400


async def partitions_of_each_replica(system: System) -> list[int]:
    """Tell how many partitions of the accounts' topic each replica of device reads."""

    def look() -> list[int]:
        group = f"device.{ACCOUNTS.name}"
        admin = AdminClient(system.installation.kafka.librdkafka)  # held: no answer comes to one that is gone
        told = admin.describe_consumer_groups([group])[group].result(10)
        return sorted(len(member.assignment.topic_partitions) for member in told.members)

    return await asyncio.to_thread(look)


async def test_three_replicas_share_the_work_and_every_change_of_their_number_loses_and_repeats_nothing(
    compose: Compose, system: System, http: httpx.AsyncClient
) -> None:
    ben = Person(system, http)
    assert system.mailbox
    await settle_in([ben], system.mailbox)
    shares: list[list[int]] = []

    async def shared_by(replicas: int) -> None:
        async def so() -> list[int] | None:
            found = await partitions_of_each_replica(system)
            # Of a group that shares anew, nobody has any.
            return found if len(found) == replicas and sum(found) == ACCOUNTS.partitions else None

        shares.append(await eventually(so, f"{replicas} members of the group"))

    async def scale(replicas: int) -> None:
        await compose.up("--no-recreate", "--scale", f"device={replicas}", "device")
        await compose.installation()
        await shared_by(replicas)

    async def kill_one() -> None:
        await compose.kill("device")
        await compose.installation()
        await shared_by(3)

    strikes = [_while_reporting(system, ben, act) for act in (lambda: scale(3), kill_one, lambda: scale(1))]
    people = await many_leave(system, http, A_THIRD, *strikes, within=OUT_SECONDS / 2)

    assert shares == [[1, 1, 1], [1, 1, 1], [3]]
    await eventually(lambda: _has_readings(system, ben, 3 * REPORTS), "every reading of the bystander, once")
    mails = mails_by_address(system.mailbox)
    for person in people:
        assert sum("erased" in text.splitlines()[0] for text in mails[person.email]) == 1
        owners = {each["owner"]: each["items"] for each in (await person.order())["certificate"]["owners"]}
        counts = {item["category"]: item["count"] for item in owners["device"]}
        assert counts["device-data"] == 1 + READINGS


def _while_reporting(system: System, person: Person, act: Strike) -> Strike:
    async def both() -> None:
        async with AIOKafkaProducer(**system.installation.kafka.client, enable_idempotence=True) as producer:
            await asyncio.gather(person.report(producer, REPORTS), act())

    return both


async def _has_readings(system: System, person: Person, count: int) -> bool:
    return len(lines_about([person.mark], await rows(system)).get("device.readings", [])) == count
