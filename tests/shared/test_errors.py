"""An error is told by type and place, never with a value; what passes by itself is told apart."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.contracts.app import FeedbackSubmitted, ReadingReported
from shared.contracts.base import reader
from shared.errors import NotNow, describe, is_transient
from tests.builders import ANNA, NOON, fact, named
from tests.rooms import OpenRoom, Room

SECRET = "anna@mail.example"


def unreadable() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        FeedbackSubmitted.model_validate({"type": SECRET, "id": SECRET, "text": SECRET, SECRET: {SECRET: 1}})
    return caught.value


def raised() -> ValueError:
    with pytest.raises(ValueError, match=SECRET) as caught:
        raise ValueError(SECRET)
    return caught.value


async def refused_by_the_database(room: Room, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught:
        async with room.engine.begin() as connection:
            await connection.execute(text(statement), {"secret": SECRET})
    return caught.value


def test_what_pydantic_refuses_is_told_by_field_and_fault() -> None:
    told = describe(unreadable())

    assert "missing" in told
    assert SECRET not in told


def test_a_name_that_the_sender_chose_is_not_told_either() -> None:
    good = fact(ReadingReported, ANNA, binding_id=named("binding"), measured_at=NOON, values={"pm25": 1})
    body = json.loads(good.model_dump_json()) | {"values": {SECRET: SECRET}}
    with pytest.raises(ValidationError) as caught:
        reader(ReadingReported)(json.dumps(body).encode())

    assert "values: " in describe(caught.value)
    assert SECRET not in describe(caught.value)


def test_an_exception_is_told_by_type_and_place() -> None:
    told = describe(raised())

    assert told.startswith("ValueError at test_errors.py:")
    assert SECRET not in told


def test_a_group_is_told_by_its_first() -> None:
    assert describe(ExceptionGroup(SECRET, [raised()])) == describe(raised())


@pytest.mark.parametrize("cut", ["by the network", "by the server"])
async def test_a_connection_that_is_cut_just_when_it_is_made_passes_by_itself(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    engine = (await room("device")).engine
    await engine.dispose()
    prepare = asyncpg.Connection.set_type_codec

    async def prepare_too_late(connection: asyncpg.Connection, name: str, **more: Any) -> None:  # noqa: ANN401 - its own
        if cut == "by the network":
            connection.terminate()
        else:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await prepare(connection, name, **more)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", prepare_too_late)
    with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError)) as caught:
        await engine.connect()

    assert is_transient(caught.value)


@pytest.mark.parametrize("kind", ["uuid", "integer"], ids=["by the server", "by the driver"])
async def test_what_the_database_refuses_is_told_without_what_it_was_given_and_is_not_tried_again(
    room: OpenRoom, kind: str
) -> None:
    account = await room("account")
    given = {"uuid": "SELECT CAST(CAST(:secret AS text) AS uuid)", "integer": "SELECT CAST(:secret AS integer)"}
    error = await refused_by_the_database(account, given[kind])

    assert SECRET not in describe(error)
    assert not is_transient(error)


async def test_a_deadlock_and_a_lock_not_had_in_time_pass_by_themselves(room: OpenRoom) -> None:
    account = await room("account")
    for state in ("40P01", "40001", "55P03", "57P01", "53300"):
        statement = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
        with pytest.raises(DBAPIError) as caught:
            await account.run(statement)
        assert is_transient(caught.value), state


async def test_a_value_that_the_driver_itself_refuses_never_passes(room: OpenRoom) -> None:
    account = await room("account")
    url = account.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.DataError) as caught:
        await connection.fetch("SELECT $1::int", "no number")
    await connection.close()

    assert not is_transient(caught.value)


@pytest.mark.parametrize("error", [NotNow(), OSError(), KafkaConnectionError(), PoolTimeoutError()], ids=repr)
def test_what_is_away_passes_by_itself(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("error", [ValueError(), RuntimeError(), KeyError()], ids=repr)
def test_a_fault_of_the_code_does_not(error: Exception) -> None:
    assert not is_transient(error)
