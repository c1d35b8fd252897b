"""Whatever is changed in an audit chain, or taken out of it, is found, at the first line that is not as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from services.requests.domain.audit import Line, fault_in, line_after
from services.requests.domain.cases import Step
from tests.builders import NOON, named

REQUEST = named("request")
taken = st.lists(
    st.tuples(st.sampled_from(["person", "clock", "staff:s-1"]), st.sampled_from(Step), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "request_id": st.just(named("another")),
    "number": st.integers(0, 9),
    "at": st.integers(-9, 9).map(lambda days: NOON + timedelta(days=days)),
    "actor": st.sampled_from(["person", "clock", "staff:s-2", ""]),
    "step": st.sampled_from([*Step, ""]),
    "previous": st.sampled_from(["", "0" * 64]),
    "digest": st.sampled_from(["", "0" * 64]),
}


def chain(steps: list[tuple[str, Step, int]]) -> list[Line]:
    lines: list[Line] = []
    for actor, step, days in steps:
        before = lines[-1].digest if lines else ""
        lines.append(line_after(REQUEST, len(lines), before, NOON + timedelta(days=days), actor, step))
    return lines


def fault(lines: list[Line], whole: list[Line]) -> int | None:
    return fault_in(REQUEST, lines, len(whole), whole[-1].digest)


@given(steps=taken)
def test_an_untouched_chain_holds(steps: list[tuple[str, Step, int]]) -> None:
    whole = chain(steps)

    assert fault(whole, whole) is None


@given(steps=taken, data=st.data())
def test_any_change_of_any_line_is_found_there(steps: list[tuple[str, Step, int]], data: st.DataObject) -> None:
    whole = chain(steps)
    place = data.draw(st.integers(0, len(whole) - 1))
    name = data.draw(st.sampled_from([*CHANGES]))
    changed = replace(whole[place], **{name: data.draw(CHANGES[name])})
    assume(changed != whole[place])

    assert fault([*whole[:place], changed, *whole[place + 1 :]], whole) == place + 1


@given(steps=taken, data=st.data())
def test_any_line_that_is_taken_out_is_missed(steps: list[tuple[str, Step, int]], data: st.DataObject) -> None:
    whole = chain(steps)
    place = data.draw(st.integers(0, len(whole) - 1))

    assert fault([*whole[:place], *whole[place + 1 :]], whole) == place + 1


@given(steps=taken, data=st.data())
def test_any_line_that_is_put_in_is_found(steps: list[tuple[str, Step, int]], data: st.DataObject) -> None:
    whole = chain(steps)
    place = data.draw(st.integers(0, len(whole)))
    before = whole[place - 1].digest if place else ""
    more = line_after(REQUEST, place, before, NOON, "person", data.draw(st.sampled_from(Step)))
    assume(place == len(whole) or more != whole[place])

    assert fault([*whole[:place], more, *whole[place:]], whole) in (place + 1, place + 2)
