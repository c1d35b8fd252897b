"""What a law says about requests, as a value; and the one place that is asked which law counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.contracts.requests import Ground, Kind


@dataclass(frozen=True)
class Law:
    """What binds whoever answers requests. A rule that depends on a law takes one of these."""

    name: str
    answer_within: timedelta
    """From receipt to answer."""
    extension: timedelta
    """By how much that can be extended, once; zero where it cannot."""
    grounds: frozenset[Ground]
    """On what a request may be refused."""
    check_needed: frozenset[Kind]
    """What is carried out only for who is known. Logged in is known; who writes shows it by a code."""
    spoken_allowed: bool
    fee_allowed: bool
    """Whether costs may be asked for, after the first record, which is free."""


POLICY = Law(
    name="policy",
    answer_within=timedelta(days=30),
    extension=timedelta(days=30),
    grounds=frozenset(Ground),
    check_needed=frozenset(Kind),
    spoken_allowed=False,
    fee_allowed=True,
)
"""The privacy policy's own floor: what it promises wherever a person lives."""

LAWS: Mapping[str, Law] = {POLICY.name: POLICY}
"""Every law, by its name."""
BY_REGION: Mapping[str, str] = {}
"""Which law counts where (ISO 3166-1 or 3166-2); the policy's everywhere else."""


def law_of(region: str | None) -> Law:
    """Choose the law for a region: the part of the country, then the country, then the policy."""
    country = region.partition("-")[0] if region else None
    name = BY_REGION.get(region or "") or BY_REGION.get(country or "")
    return LAWS[name] if name else POLICY


def law_named(name: str) -> Law:
    """Find the law that a request is answered by."""
    return LAWS[name]
