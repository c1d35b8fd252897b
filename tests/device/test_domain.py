"""Who can bind a device."""

from __future__ import annotations

from dataclasses import replace

from services.device.domain import NOT_AVAILABLE, Bound, Product, decide_bind
from tests.builders import ANNA, BEN, named
from tests.commands import PAIRING, bound

KNOWN = named("known binding")
FREE = Product("Purifier 2", PAIRING, bound_to=None, binding_id=None)
ANNAS = replace(FREE, bound_to=ANNA.account_id, binding_id=KNOWN)


def test_a_device_that_nobody_has_is_bound_by_its_code() -> None:
    assert decide_bind(FREE, bound(ANNA)) == Bound(bound(ANNA).binding_id, "Purifier 2", new=True)


def test_ones_own_device_again_is_the_same_binding() -> None:
    assert decide_bind(ANNAS, bound(ANNA)) == Bound(KNOWN, "Purifier 2", new=False)


def test_a_wrong_serial_a_wrong_code_and_somebody_elses_device_get_one_answer() -> None:
    wrong_code = replace(bound(ANNA), pairing_digest="another")

    assert decide_bind(None, bound(ANNA)) == NOT_AVAILABLE
    assert decide_bind(FREE, wrong_code) == NOT_AVAILABLE
    assert decide_bind(ANNAS, bound(BEN)) == NOT_AVAILABLE
    assert decide_bind(ANNAS, wrong_code) == NOT_AVAILABLE
