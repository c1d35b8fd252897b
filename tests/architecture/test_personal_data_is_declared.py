"""Every column of every service has its word, and one without is noticed."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Table, Text

from services.account.models import OWNER as ACCOUNT
from services.device.models import OWNER as DEVICE
from services.notifier.models import OWNER as NOTIFIER
from services.requests.models import OWNER as REQUESTS
from shared.owner import DataOwner
from shared.personal_data import (
    PROCESSING,
    Category,
    OfAccount,
    OfNobody,
    Opaque,
    Personal,
    omissions,
    personal_columns,
    rows,
)
from tests.rooms import SERVICES

OWNERS: tuple[DataOwner, ...] = (ACCOUNT, DEVICE, NOTIFIER, REQUESTS)


def planted(word: object, table_word: OfAccount | OfNobody | None) -> MetaData:
    """Plant a table with one column."""
    metadata = MetaData()
    info = {"word": word} if word else {}
    Table("planted", metadata, Column("secret", Text, info=info), **(rows(table_word) if table_word else {}))
    return metadata


def test_every_service_is_a_data_owner() -> None:
    assert {owner.name for owner in OWNERS} == set(SERVICES)


def test_nobody_has_left_out_a_word() -> None:
    assert omissions(metadata for owner in OWNERS for metadata in owner.metadata) == []


def test_a_column_without_a_word_is_noticed() -> None:
    assert omissions([planted(None, OfNobody("a test"))]) == ["planted.secret: no word"]


def test_a_table_without_a_word_is_noticed() -> None:
    assert omissions([planted(Opaque("a test"), None)]) == ["planted: no word on whose rows it holds"]


def test_a_personal_column_in_rows_of_nobody_is_noticed() -> None:
    assert omissions([planted(Personal(Category.EMAIL), OfNobody("a test"))]) == [
        "planted: holds personal columns, but nobody's rows"
    ]


def test_rows_of_an_account_without_its_column_are_noticed() -> None:
    assert omissions([planted(Personal(Category.EMAIL), OfAccount())]) == ["planted: has no column account_id"]


def test_every_category_says_why_it_is_kept_and_until_when() -> None:
    assert set(PROCESSING) == set(Category)
    assert all(each.purpose and each.legal_basis and each.retention for each in PROCESSING.values())


def test_every_category_is_held_by_somebody() -> None:
    held = {
        category
        for owner in OWNERS
        for metadata in owner.metadata
        for table in metadata.tables.values()
        for category in personal_columns(table)
    }

    assert held == set(Category)
