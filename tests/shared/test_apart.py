"""Categories go while the account stays: which can follows from the words, and what is older is dropped."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped

from services.account.models import OWNER as ACCOUNT
from services.device.models import OWNER as DEVICE
from services.notifier.models import OWNER as NOTIFIER
from services.requests.models import OWNER as REQUESTS
from shared.apart import Apart
from shared.contracts.topics import TOPICS
from shared.personal_data import Category, Erasure, OfAccount, opaque, personal, rows


class Planted(DeclarativeBase):
    """Tables of every shape that a category can have."""

    type_annotation_map = {UUID: Uuid, str: Text}  # noqa: RUF012 - SQLAlchemy's own protocol


class Alone(Planted):
    """Rows of one category."""

    __tablename__ = "alone"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    words: Mapped[str] = personal(Category.FEEDBACK)


class Mixed(Planted):
    """Rows of two: one can be left out, the other not."""

    __tablename__ = "mixed"
    __table_args__ = rows(OfAccount())

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    nickname: Mapped[str | None] = personal(Category.NICKNAME)
    avatar: Mapped[str] = personal(Category.AVATAR)


class Led(Planted):
    """Rows that are there for one category, and hold another besides."""

    __tablename__ = "led"
    __table_args__ = rows(OfAccount(about=Category.DEVICE_DATA))

    account_id: Mapped[UUID] = opaque("random id", primary_key=True)
    serial: Mapped[str] = personal(Category.DEVICE_DATA)
    nickname: Mapped[str | None] = personal(Category.NICKNAME)


def choosable(*owners: Any) -> set[str]:  # noqa: ANN401 - data owners
    return {category for owner in owners for category in owner.apart.choosable}


def test_a_category_can_go_alone_only_where_the_tables_allow_it() -> None:
    apart = Apart(Erasure(Planted.metadata))

    assert set(apart.choosable) == {Category.FEEDBACK, Category.NICKNAME, Category.DEVICE_DATA}


def test_what_binds_a_category_to_the_account_keeps_it_from_being_chosen() -> None:
    held = {category for owner in (ACCOUNT, DEVICE, REQUESTS, NOTIFIER) for category in owner.apart.categories}

    assert choosable(ACCOUNT, DEVICE, REQUESTS, NOTIFIER) == {
        Category.NICKNAME,
        Category.AVATAR,
        Category.DEVICE_DATA,
        Category.FEEDBACK,
    }
    assert held > choosable(ACCOUNT, DEVICE, REQUESTS, NOTIFIER)


def test_what_a_topic_adds_to_can_be_chosen() -> None:
    added = {topic.adds_to for topic in TOPICS if topic.adds_to}

    assert added <= choosable(ACCOUNT, DEVICE, REQUESTS, NOTIFIER)
