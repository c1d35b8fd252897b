"""A service's metrics: behind their own token, one observation a batch, and nothing about people."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from chaos.breakable import signal_all
from ops.engines import EmbeddedPostgres
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.app import FeedbackSubmitted
from shared.contracts.receipts import DataErased
from shared.contracts.topics import FEEDBACK
from shared.database import engine_for
from shared.logging import JsonLines
from shared.metrics import Measure, exposition
from tests.builders import ANNA, BEN, Person, fact, raw_record
from tests.doors import door_of, slug_of
from tests.people import PATIENCE_SECONDS, eventually
from tests.rooms import OpenRoom, Room

TOKEN = "the metrics token of the tests, long enough"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
METRICS = "http://door.example/metrics"
Told = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def told_by(room: Room) -> tuple[str, Told]:
    """Ask a room's service for its metrics; the text, and each value by name and labels."""
    async with door_of(room, metrics_token=TOKEN) as door:
        answer = await door.ask("GET", METRICS, headers=BEARER)
    assert answer.status_code == HTTPStatus.OK
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return answer.text, {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


def grown(before: Told, after: Told, name: str, **labels: str) -> float:
    """Tell by how much it has grown: the counters are the process's, and other tests count too."""
    which = name, tuple(sorted(labels.items()))
    return after[which] - before[which]


def feedback(person: Person, text: str = "Too loud") -> FeedbackSubmitted:
    return fact(FeedbackSubmitted, person, text=text)


def cancelled(person: Person) -> AccountCancelled:
    return fact(
        AccountCancelled,
        person,
        order_id=person.order_id,
        origin=Origin.APP,
        references=("a reference",),
        contact_version=1,
    )


async def test_only_the_metrics_token_opens_the_metrics_and_nothing_else(room: OpenRoom) -> None:
    requests = await room("requests")
    async with door_of(requests, metrics_token=TOKEN) as door:
        for headers in (
            {},
            {"Authorization": "Bearer another"},
            {"X-Internal-Token": requests.settings.internal_token},
        ):
            refused = await door.ask("GET", METRICS, headers=headers)
            assert (refused.status_code, slug_of(refused)) == (HTTPStatus.UNAUTHORIZED, "not-internal")
        letters = await door.ask(
            "GET", "http://door.example/internal/dead-letters", headers={"X-Internal-Token": TOKEN}
        )
        assert letters.status_code == HTTPStatus.UNAUTHORIZED


async def test_without_a_metrics_token_that_door_stays_shut(room: OpenRoom) -> None:
    async with door_of(await room("requests")) as door:
        for given in ("", "None"):
            refused = await door.ask("GET", METRICS, headers={"Authorization": f"Bearer {given}"})
            assert refused.status_code == HTTPStatus.UNAUTHORIZED


async def test_a_batch_is_one_observation_and_its_messages_are_counted(room: OpenRoom) -> None:
    requests = await room("requests")
    _, before = await told_by(requests)
    await requests.hears_at_once(feedback(ANNA), feedback(ANNA), feedback(BEN))
    _, after = await told_by(requests)
    assert grown(before, after, "adieu_messages_handled_total", topic=FEEDBACK.name) == 3
    assert grown(before, after, "adieu_handling_seconds_count", topic=FEEDBACK.name) == 1
    assert grown(before, after, "adieu_tries_failed_total", topic=FEEDBACK.name) == 0


async def test_what_fails_is_counted_by_its_reason_and_stands_on_the_shelf(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = await room("requests")
    _, before = await told_by(requests)
    await requests.reads(FEEDBACK, raw_record(FEEDBACK, b"{"))
    monkeypatch.setattr("services.requests.repository.feedback.add_feedback", _broken)
    await requests.hears(feedback(ANNA))
    _, after = await told_by(requests)
    for reason in ("unreadable", "failed"):
        assert grown(before, after, "adieu_messages_parked_total", topic=FEEDBACK.name, reason=reason) == 1
        assert after["adieu_dead_letters", (("reason", reason),)] == 1
    assert grown(before, after, "adieu_tries_failed_total", topic=FEEDBACK.name) == 2  # in its batch, and alone


async def _broken(*_: object) -> None:
    raise RuntimeError


async def test_the_age_of_the_oldest_event_in_the_outbox_is_told(room: OpenRoom) -> None:
    requests = await room("requests")
    _, before = await told_by(requests)
    await requests.hears(cancelled(ANNA))  # by the clock of the room, some time ago
    _, after = await told_by(requests)
    assert before["adieu_outbox_seconds", ()] == 0
    assert after["adieu_outbox_seconds", ()] > 0


async def test_an_open_order_is_told_by_the_owners_that_it_waits_for(room: OpenRoom) -> None:
    """Requests answers for itself; the notifier is asked last, and not waited for before."""
    requests = await room("requests")
    await requests.hears(cancelled(ANNA))
    await requests.hears(fact(DataErased, ANNA, source="account", order_id=ANNA.order_id, items=()))
    _, told = await told_by(requests)
    waits = {owner for owner in ("account", "device", "notifier") if told["adieu_order_seconds", (("owner", owner),)]}
    assert waits == {"device"}


async def test_neither_metrics_nor_logs_say_anything_of_a_message_but_its_ids(
    room: OpenRoom, caplog: pytest.LogCaptureFixture
) -> None:
    requests = await room("requests")
    secret = "my neighbour hears it"
    spoilt = feedback(ANNA, secret).model_dump(mode="json") | {"submitted": secret, "source": "somebody"}
    await requests.reads(FEEDBACK, raw_record(FEEDBACK, json.dumps(spoilt).encode()))
    text, _ = await told_by(requests)
    (line,) = [JsonLines("requests").format(each) for each in caplog.records if "parked" in each.getMessage()]
    told = json.loads(line)
    assert (told["event"], told["correlation"]) == (spoilt["id"], spoilt["correlation_id"])
    for said in (text, line):
        assert secret not in said
        assert str(ANNA.account_id) not in said


async def test_every_step_of_an_order_is_logged_with_its_ids(
    room: OpenRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device, wish = await room("device"), cancelled(ANNA)
    await device.hears(wish)
    told = [
        json.loads(JsonLines("device").format(each)) for each in caplog.records if "announced" in each.getMessage()
    ]
    assert [(each["message"], each["order"], each["correlation"]) for each in told] == [
        ("announced: DataErased", str(ANNA.order_id), str(wish.correlation_id))
    ]


async def test_a_database_that_does_not_answer_keeps_back_its_own_part_alone_and_one_connection(
    tmp_path: Path,
) -> None:
    turn, measure = asyncio.Lock(), Measure("adieu_asked", "By the test", text("SELECT 'it', 1"))
    postgres = EmbeddedPostgres(tmp_path)
    await postgres.start()
    engine = engine_for(postgres.admin_url)

    async def tells() -> bool:
        """Ask, and tell whether the database has answered."""
        told = await exposition(engine, [measure], turn, ready=True)
        assert b"adieu_ready 1.0" in told
        return b"adieu_asked 1.0" in told

    async def most_in_use(while_they_run: Sequence[asyncio.Task[bool]]) -> int:
        most = 0
        while not all(task.done() for task in while_they_run):
            most = max(most, cast("QueuePool", engine.pool).checkedout())
            await asyncio.sleep(0.01)
        return most

    assert await tells()
    signal_all(postgres.pid or 0, signal.SIGSTOP)
    try:
        scrapes = [asyncio.create_task(tells()) for _ in range(20)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await most_in_use(scrapes) == 1
        assert not any([await scrape for scrape in scrapes])
        assert cast("QueuePool", engine.pool).checkedout() == 0
    finally:
        signal_all(postgres.pid or 0, signal.SIGCONT)
    await eventually(tells, "the database's part")
    await engine.dispose()
    await postgres.stop()
