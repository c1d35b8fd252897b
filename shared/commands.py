"""What a command is: a wish, by whichever door it came, that one handler carries out or refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import ClassVar
from uuid import UUID

from shared.contracts.base import Event


class Lock(IntEnum):
    """How a command holds its account: the stronger of two wins."""

    NONE = 0
    """Readings: they lock the bindings that they find instead."""
    SHARED = 1
    """For who only adds, and announces nothing."""
    EXCLUSIVE = 2
    """For who announces, erases or changes state."""


class Needs(StrEnum):
    """Which consent a command needs, or a door: where the person has withdrawn it, it is barred."""

    NOTHING = "nothing"
    """Rights, what the law asks, what keeps the account safe: it goes on without any."""
    POLICY = "policy"
    """The privacy policy as a whole."""
    COLLECTION = "collection"
    """The policy, and that this service collects."""
    USE = "use"
    """The policy, and that this service uses what it has."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A wish about one account. A closed account bars it, and withdrawn consent, unless it says otherwise."""

    account_id: UUID
    caused_by: Event | None = None
    taken_at: datetime | None = None
    """When the broker took the message that asks for this, by its clock; none by the HTTP door."""

    lock: ClassVar[Lock] = Lock.EXCLUSIVE
    outlives_account: ClassVar[bool] = False
    """Carried out for a closed account as well: what erases, and what ends a hold."""
    overrides_parked: ClassVar[bool] = False
    """Never parks behind another message: erasure."""
    needs: ClassVar[Needs] = Needs.POLICY

    @property
    def given_at(self) -> datetime | None:
        """When the person gave what this collects, where that may be long ago; by a clock that is not ours."""
        return None


@dataclass(frozen=True)
class Refusal:
    """Why a command was not carried out: a value, not an exception. `slug` is stable and public."""

    slug: str


@dataclass(frozen=True)
class Throttled(Refusal):
    """Tried too often: again after so many seconds."""

    slug: str = "too-many-tries"
    seconds: int = 0


ACCOUNT_CLOSED = Refusal("account-closed")
CONSENT_WITHDRAWN = Refusal("consent-withdrawn")
CATEGORY_ERASED = Refusal("category-erased")
"""What it would add to was erased since."""
CHANGED_MEANWHILE = Refusal("changed-meanwhile")
"""Somebody was first: it is no longer what the person has seen."""


@dataclass(frozen=True, kw_only=True)
class EraseAccount(Command):
    """Erase all that is the account's, and answer with a receipt; again, when asked again."""

    order_id: UUID

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True
    overrides_parked: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ContinueErasure(Command):
    """Erase the next part of an account that has much; after the last one, answer with the receipt."""

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class EraseCategories(Command):
    """Erase all of these categories while the account stays, and answer with a receipt; again, when asked again."""

    order_id: UUID
    categories: tuple[str, ...]

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True
    overrides_parked: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ContinueCategories(Command):
    """Erase the next part of categories that were much; after the last one, answer with the receipt."""

    order_id: UUID

    needs: ClassVar[Needs] = Needs.NOTHING
    outlives_account: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class CountData(Command):
    """Say what an erasure would erase now, and what it would keep."""

    request_id: UUID

    needs: ClassVar[Needs] = Needs.NOTHING
    overrides_parked: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ExportAccount(Command):
    """Send all that is the account's to whoever asked for it, encrypted to the key of that request."""

    needs: ClassVar[Needs] = Needs.NOTHING

    request_id: UUID
    public_key: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ContinueExport(Command):
    """Send the next part of an account that has much; after the last one, say that it was the last."""

    needs: ClassVar[Needs] = Needs.NOTHING

    request_id: UUID


@dataclass(frozen=True, kw_only=True)
class KeepToConsent(Command):
    """Consent is withdrawn in these scopes from a moment on, or given again."""

    needs: ClassVar[Needs] = Needs.NOTHING

    scopes: tuple[str, ...]
    since: datetime
    given: bool
