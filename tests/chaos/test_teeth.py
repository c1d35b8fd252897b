"""Every sabotage still fits the code, and the tests that find it exist; `make teeth` sees that they do."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from chaos.teeth.__main__ import DOCUMENT, document, known
from chaos.teeth.finders import CHAOS_SEEDS
from chaos.teeth.sabotages import ROOT, SABOTAGES, Sabotage

every_sabotage = pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)


@every_sabotage
def test_a_sabotage_changes_what_stands_in_its_file_exactly_once(sabotage: Sabotage) -> None:
    text = (ROOT / sabotage.file).read_text()

    damaged = sabotage.applied(text)

    assert damaged != text
    compile(damaged, sabotage.file, "exec")


@every_sabotage
def test_the_tests_that_find_a_sabotage_exist(sabotage: Sabotage) -> None:
    assert sabotage.tests
    for test in sabotage.tests:
        file, _, name = test.partition("[")[0].partition("::")
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), test


@every_sabotage
def test_its_seeds_are_among_the_twenty(sabotage: Sabotage) -> None:
    assert set(sabotage.seeds) <= set(CHAOS_SEEDS)


def test_what_no_longer_fits_is_refused() -> None:
    for stands in ("nowhere", "e"):
        with pytest.raises(ValueError, match="times"):
            replace(SABOTAGES[0], stands=stands).applied("here and there")


def test_there_are_twenty_at_least_and_no_two_have_one_name() -> None:
    names = {sabotage.name for sabotage in SABOTAGES}

    assert len(names) == len(SABOTAGES) >= 20


def test_the_table_says_what_was_seen() -> None:
    assert document(known()) == DOCUMENT.read_text()


def test_the_tests_have_found_every_sabotage() -> None:
    assert [name for name, found in known().items() if not found["tests"].found] == []
