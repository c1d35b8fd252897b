"""Consent as every service keeps it: periods, and what is barred by those in which it is withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, DateTime, String, Uuid, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.commands import Command, Needs
from shared.contracts.account import POLICY
from shared.database import rows_of
from shared.tables import ConsentPeriod

# Periods that begin at the same moment: what is withdrawn counts, in whatever order they are heard of.
_NOTE = text(
    "INSERT INTO consent_periods (account_id, scope, since, given)"
    " SELECT account_id, scope, since, bool_and(given)"
    " FROM unnest(:account_id, :scope, :since, :given) AS new(account_id, scope, since, given) GROUP BY 1, 2, 3"
    " ON CONFLICT (account_id, scope, since) DO UPDATE SET given = consent_periods.given AND excluded.given"
).bindparams(
    bindparam("account_id", type_=ARRAY(Uuid)),
    bindparam("scope", type_=ARRAY(String)),
    bindparam("since", type_=ARRAY(DateTime(timezone=True))),
    bindparam("given", type_=ARRAY(Boolean)),
)
_CLOSE = text(
    "UPDATE consent_periods SET until = (SELECT min(next.since) FROM consent_periods AS next"
    "  WHERE next.account_id = consent_periods.account_id AND next.scope = consent_periods.scope"
    "  AND next.since > consent_periods.since)"
    " WHERE account_id = ANY(:accounts)"
).bindparams(bindparam("accounts", type_=ARRAY(Uuid)))
_WITHDRAWN = select(ConsentPeriod.account_id, ConsentPeriod.scope, ConsentPeriod.since, ConsentPeriod.until).where(
    ConsentPeriod.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid))), ~ConsentPeriod.given
)


@dataclass(frozen=True)
class Withdrawal:
    """A period in which consent is withdrawn in one scope."""

    scope: str
    since: datetime
    until: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Tell whether consent is withdrawn at that moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


def needed(needs: Needs, service: str) -> tuple[str, ...]:
    """Name the scopes in which consent must not be withdrawn."""
    if needs is Needs.NOTHING:
        return ()
    return (POLICY,) if needs is Needs.POLICY else (POLICY, f"{needs}:{service}")


def bars(withdrawals: Iterable[Withdrawal], command: Command, lateness: timedelta) -> bool:
    """Tell whether one of these withdrawals, all of the scopes that the command needs, bars it.

    What was given before a withdrawal stays lawful for as long as `lateness`, by the broker's clock; what was given
    within one never becomes so.
    """
    given, taken = command.given_at, command.taken_at
    if given is None or taken is None:
        return any(each.until is None for each in withdrawals)
    late = taken - lateness
    return any(each.covers(given) or (each.covers(taken) and each.covers(late)) for each in withdrawals)


async def note(connection: AsyncConnection, periods: Sequence[tuple[UUID, str, datetime, bool]]) -> None:
    """Begin periods (account, scope, since, whether consent is given), and end those before them."""
    names = ("account_id", "scope", "since", "given")
    await connection.execute(_NOTE, rows_of(names, periods))
    await connection.execute(_CLOSE, {"accounts": sorted({account_id for account_id, *_ in periods})})


async def withdrawn(connection: AsyncConnection, accounts: Collection[UUID]) -> dict[UUID, list[Withdrawal]]:
    """Read the periods in which these accounts' consent is withdrawn, of all scopes."""
    found: dict[UUID, list[Withdrawal]] = {}
    for row in await connection.execute(_WITHDRAWN, {"accounts": sorted(accounts)}):
        found.setdefault(row.account_id, []).append(Withdrawal(row.scope, row.since, row.until))
    return found


async def withdrawn_now(
    connection: AsyncConnection, accounts: Collection[UUID], needs: Needs, service: str
) -> set[UUID]:
    """Tell which of the accounts have withdrawn what a service needs, and not given it again."""
    scopes = needed(needs, service)
    known = await withdrawn(connection, accounts) if accounts else {}
    return {
        account_id
        for account_id, periods in known.items()
        if any(each.until is None and each.scope in scopes for each in periods)
    }


async def is_withdrawn(connection: AsyncConnection, account_id: UUID, needs: Needs, service: str) -> bool:
    """Tell it of one account."""
    return bool(await withdrawn_now(connection, [account_id], needs, service))


async def barred_among(
    connection: AsyncConnection, service: str, commands: Sequence[Command], lateness: timedelta
) -> list[bool]:
    """Tell which of the commands withdrawn consent bars. Without their locks the answer would be worth nothing."""
    asking = {c.account_id for c in commands if c.needs is not Needs.NOTHING}
    known = await withdrawn(connection, asking) if asking else {}
    return [_is_barred(known.get(command.account_id, ()), service, command, lateness) for command in commands]


def _is_barred(known: Iterable[Withdrawal], service: str, command: Command, lateness: timedelta) -> bool:
    scopes = needed(command.needs, service)
    return bars([each for each in known if each.scope in scopes], command, lateness)
