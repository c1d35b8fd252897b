"""A batch is cut into waves that keep each account's order, and each command has one handler."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import Handlers, waves
from shared.commands import Command
from shared.database import lock_key
from tests.builders import ANNA, BEN, CARLA, named


class Paint(Command):
    """A command."""


class Polish(Command):
    """Another one."""


class Pack(Command):
    """A third."""


KINDS, PEOPLE = (Paint, Polish, Pack), (ANNA, BEN, CARLA)
commands = st.lists(
    st.builds(
        lambda kind, person: kind(account_id=person.account_id), st.sampled_from(KINDS), st.sampled_from(PEOPLE)
    )
)


@given(commands)
def test_waves_carry_out_each_command_once(batch: list[Command]) -> None:
    assert sorted(index for wave in waves(batch) for index in wave) == list(range(len(batch)))


@given(commands)
def test_waves_keep_each_accounts_order(batch: list[Command]) -> None:
    carried_out = [index for wave in waves(batch) for index in wave]

    for person in PEOPLE:
        own = [index for index in carried_out if batch[index].account_id == person.account_id]
        assert own == sorted(own)


@given(commands)
def test_every_wave_is_of_one_kind(batch: list[Command]) -> None:
    assert all(len({type(batch[index]) for index in wave}) == 1 for wave in waves(batch))


@given(commands)
def test_there_are_no_more_waves_than_kinds_for_each_change_of_kind(batch: list[Command]) -> None:
    changes = 0
    for person in PEOPLE:
        own = [type(each) for each in batch if each.account_id == person.account_id]
        changes = max(changes, sum(a is not b for a, b in pairwise(own)))

    assert len(list(waves(batch))) <= (changes + 1) * len(KINDS)


def test_commands_of_one_kind_for_many_accounts_are_one_wave() -> None:
    batch = [Paint(account_id=named(number)) for number in range(500)]

    assert [len(wave) for wave in waves(batch)] == [500]


async def paint(_: Any, __: Sequence[Paint]) -> None:  # noqa: ANN401 - never called
    """Handle."""


async def paint_again(_: Any, __: Sequence[Paint]) -> None:  # noqa: ANN401 - never called
    """Handle a second time."""


def test_a_command_has_one_handler() -> None:
    handlers = Handlers()
    handlers.of(Paint)(paint)

    assert list(handlers) == [Paint]
    with pytest.raises(RuntimeError, match="Paint has a handler"):
        handlers.of(Paint)(paint_again)


@given(st.uuids(), st.uuids())
def test_a_lock_fits_the_database_and_tells_accounts_apart(one: Any, other: Any) -> None:  # noqa: ANN401 - ids
    assert -(2**63) <= lock_key(one) < 2**63
    assert (lock_key(one) == lock_key(other)) is (one.bytes[:8] == other.bytes[:8])
