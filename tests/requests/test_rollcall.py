"""The roll call comes to the same end whatever the order, and says each step once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from services.requests.rollcall import Due, Order, Step, also_asked, answered, opened, released
from shared.contracts.account import Origin
from shared.contracts.receipts import Item, Outcome, Phase
from tests.builders import ANNA, NOON, SOON

OWNERS = {
    "account": Phase.DATA,
    "device": Phase.DATA,
    "requests": Phase.DATA,
    "notifier": Phase.CONTACT,
}
LATE = {"diary": Phase.DATA}
UNHEARD = Order(ANNA.order_id, ANNA.account_id)
HEARD = replace(UNHEARD, origin=Origin.APP, references=("ref",), contact_version=3, opened_at=NOON, asked_at=NOON)


@dataclass(frozen=True)
class Happens:
    """Something that happens to an order: `open`, `admit`, or the receipt of an owner."""

    what: str


def receipt(owner: str) -> Due:
    item = Item(category=owner, outcome=Outcome.ERASED, count=1)
    return Due(owner, Phase.DATA, SOON, (item,))


def after(*happenings: Happens) -> tuple[Order, list[Step]]:
    order, steps = UNHEARD, list[Step]()
    for each in happenings:
        match each.what:
            case "open":
                order, more = opened(order, OWNERS, HEARD)
            case "admit":
                order, more = also_asked(order, OWNERS | LATE), ()
            case owner:
                order, more = answered(order, receipt(owner))
        steps += more
    return order, steps


def answers(*owners: str) -> list[Happens]:
    return [Happens(owner) for owner in owners]


OPEN, ADMIT = Happens("open"), Happens("admit")
ALL = [OPEN, *answers(*OWNERS)]


def timeless(order: Order) -> Order:
    """Forget when it happened: that alone depends on the order in which it came."""
    dues = {owner: order.dues[owner] for owner in sorted(order.dues)}
    return replace(order, settled_at=None, completed_at=None, dues=dues)


@given(st.permutations(ALL * 3))
def test_receipts_in_any_order_any_number_of_times_and_before_the_order_come_to_the_same_end(
    happenings: list[Happens],
) -> None:
    plain, _ = after(*ALL)

    order, steps = after(*happenings)

    assert timeless(order) == timeless(plain)
    assert steps == [Step.SETTLED, Step.COMPLETED]
    assert order.waits_for() == ()


@given(st.permutations([*ALL, ADMIT, ADMIT, *answers("diary", "diary")]))
def test_an_owner_that_is_admitted_late_never_unsettles_and_never_completes_twice(
    happenings: list[Happens],
) -> None:
    order, steps = after(*happenings)

    # Its receipt may come after the end, and is then added to the certificate.
    assert [step for step in steps if step is not Step.SUPPLEMENTED] == [Step.SETTLED, Step.COMPLETED]
    assert steps.count(Step.SUPPLEMENTED) <= 1
    assert order.settled_at is not None
    assert order.completed_at is not None


@given(st.permutations(ALL), st.integers(min_value=0, max_value=len(ALL)))
def test_nothing_is_settled_while_an_owner_of_the_data_owes(happenings: list[Happens], until: int) -> None:
    some = happenings[:until]

    order, steps = after(*some)

    heard = {each.what for each in some}
    settled = {"open", "account", "device", "requests"} <= heard
    assert (Step.SETTLED in steps) is settled
    assert (Step.COMPLETED in steps) is (settled and "notifier" in heard)
    if "open" in heard and not settled:
        assert set(order.waits_for()) == {"account", "device", "requests"} - heard


def test_the_contact_is_awaited_only_when_the_data_is_settled() -> None:
    before, _ = after(OPEN)
    settled, _ = after(OPEN, *answers("account", "device", "requests"))

    assert before.waits_for() == ("account", "device", "requests")
    assert settled.waits_for() == ("notifier",)


def test_an_owner_admitted_to_a_settled_order_is_awaited_and_holds_back_its_completion() -> None:
    order, steps = after(OPEN, *answers("account", "device", "requests"), ADMIT, *answers("notifier"))

    assert steps == [Step.SETTLED]
    assert order.waits_for() == ("diary",)


def test_an_owner_admitted_to_a_completed_order_is_not_asked() -> None:
    order, _ = after(*ALL, ADMIT)

    assert "diary" not in order.dues


def test_an_owner_that_left_is_no_longer_awaited_in_whatever_place_it_leaves() -> None:
    for receipts in permutations(answers("account", "requests", "notifier")):
        for place in range(len(receipts) + 1):
            order, before = after(OPEN, *receipts[:place])
            order, steps = released(order, "device", SOON)
            all_steps = [*before, *steps]
            for each in receipts[place:]:
                order, more = answered(order, receipt(each.what))
                all_steps += more

            assert all_steps == [Step.SETTLED, Step.COMPLETED]
            assert order.dues["device"].remark == "owner-left"


def test_who_has_answered_cannot_leave_its_answer_behind() -> None:
    order, _ = after(OPEN, *answers("device"))

    assert released(order, "device", SOON) == (order, ())


def test_a_supplement_adds_to_the_first_receipt_and_completes_nothing_again() -> None:
    order, _ = after(*ALL)
    more = Item(category="installments", outcome=Outcome.ERASED, count=1)

    supplemented, steps = answered(order, replace(receipt("account"), items=(more,)), supplement=True)

    assert steps == (Step.SUPPLEMENTED,)
    assert supplemented.dues["account"].items == (*receipt("account").items, more)
    assert supplemented.completed_at == order.completed_at


def test_a_receipt_after_the_end_from_an_owner_that_was_never_asked_is_added_and_reopens_nothing() -> None:
    completed, _ = after(*ALL)

    order, steps = answered(completed, receipt("diary"))

    assert steps == (Step.SUPPLEMENTED,)
    assert "diary" in order.dues
    assert order.completed_at == completed.completed_at


def test_a_supplement_before_its_first_receipt_answers_nothing_and_is_not_lost() -> None:
    order, _ = after(OPEN)

    order, steps = answered(order, receipt("device"), supplement=True)
    assert steps == ()
    assert "device" in order.waits_for()

    order, _ = answered(order, receipt("device"))
    assert "device" not in order.waits_for()
    assert order.dues["device"].items == receipt("device").items * 2
