"""What account does with a second factor: a secret that a phone shows codes from, and codes for when it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

from services.account.commands import (
    DropSecondFactor,
    EnableSecondFactor,
    PrepareSecondFactor,
    ProveSecondFactor,
    RenewRecoveryCodes,
)
from services.account.domain.access import (
    FACTOR_ENABLED,
    FACTOR_MISSING,
    FACTOR_NEEDED,
    FACTOR_WRONG,
    Factor,
    step_of,
)
from services.account.domain.cancellations import Ok
from services.account.handlers.registry import handlers
from services.account.repository import second_factor
from services.account.settings import Settings
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.account import SecondFactorChanged
from shared.security import digest
from shared.throttle import Limit, forgive, spend

TRIES = Limit("second-factor", 5, timedelta(minutes=15))


def _settings(work: Work) -> Settings:
    return cast("Settings", work.settings)


async def _factor(work: Work, account_id: UUID) -> Factor | None:
    row = await second_factor.sealed(work.connection, account_id)
    if not row:
        return None
    secret = _settings(work).seal.decrypt(row["totp_secret"].encode()).decode()
    return Factor(secret, row["totp_confirmed"], row["totp_last_step"] or 0)


async def prove(work: Work, account_id: UUID, code: str | None) -> Refusal | None:
    """Check the second factor, if the account has one; says why not. The account's lock lets one code work once."""
    factor = await _factor(work, account_id)
    if not factor or not factor.confirmed:
        return None
    return await _tried(work, account_id, factor, code) if code else FACTOR_NEEDED


async def _tried(work: Work, account_id: UUID, factor: Factor, code: str) -> Refusal | None:
    counter = TRIES.at(work.settings, account_id)
    if throttled := await spend(work.connection, work.now, counter):
        return throttled
    step = step_of(factor, code, work.now)
    if step is not None:
        await _remember_step(work, account_id, step)
    elif not await second_factor.use_recovery_code(work.connection, account_id, recovery_digest(account_id, code)):
        return FACTOR_WRONG
    await forgive(work.connection, [counter])
    return None


async def _remember_step(work: Work, account_id: UUID, step: int) -> None:
    row = await second_factor.sealed(work.connection, account_id)
    if row:
        await second_factor.change(
            work.connection, account_id, row["totp_secret"], step, confirmed=row["totp_confirmed"]
        )


def recovery_digest(account_id: UUID, code: str) -> str:
    """Digest a recovery code for keeping; spaces, hyphens and capitals make no difference."""
    return digest("recovery", str(account_id), "".join(each for each in code.lower() if each.isalnum()))


@handlers.of(ProveSecondFactor)
async def prove_second_factor(work: Work, commands: Sequence[ProveSecondFactor]) -> list[Ok | Refusal]:
    """Let pass who has no second factor, or shows it."""
    return [await prove(work, command.account_id, command.code) or Ok() for command in commands]


@handlers.of(PrepareSecondFactor)
async def prepare_second_factor(work: Work, commands: Sequence[PrepareSecondFactor]) -> list[Ok | Refusal]:
    """Keep the secret, not asked for yet; one that was prepared before is forgotten."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        factor = await _factor(work, command.account_id)
        enabled = factor is not None and factor.confirmed
        if not enabled:
            secret = command.sealed_secret
            await second_factor.change(work.connection, command.account_id, secret, None, confirmed=False)
        outcomes.append(FACTOR_ENABLED if enabled else Ok())
    return outcomes


@handlers.of(EnableSecondFactor)
async def enable_second_factor(work: Work, commands: Sequence[EnableSecondFactor]) -> list[Ok | Refusal]:
    """Ask for it from now on, if a first code is right."""
    return [await _enable(work, command) for command in commands]


async def _enable(work: Work, command: EnableSecondFactor) -> Ok | Refusal:
    account_id = command.account_id
    factor = await _factor(work, account_id)
    if not factor or factor.confirmed:
        return FACTOR_ENABLED if factor else FACTOR_MISSING
    if refusal := await _tried(work, account_id, factor, command.code):
        return refusal
    row = await second_factor.sealed(work.connection, account_id)
    if row:
        secret, step = row["totp_secret"], row["totp_last_step"]
        await second_factor.change(work.connection, account_id, secret, step, confirmed=True)
    await second_factor.replace_recovery_codes(work.connection, account_id, command.recovery_digests)
    work.announce(SecondFactorChanged(**work.stamp(command), enabled=True))
    return Ok()


@handlers.of(RenewRecoveryCodes)
async def renew_recovery_codes(work: Work, commands: Sequence[RenewRecoveryCodes]) -> list[Ok | Refusal]:
    """Replace the recovery codes of an account with a second factor."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        factor = await _factor(work, command.account_id)
        enabled = factor is not None and factor.confirmed
        if enabled:
            digests = command.recovery_digests
            await second_factor.replace_recovery_codes(work.connection, command.account_id, digests)
        outcomes.append(Ok() if enabled else FACTOR_MISSING)
    return outcomes


@handlers.of(DropSecondFactor)
async def drop_second_factor(work: Work, commands: Sequence[DropSecondFactor]) -> list[Ok | Refusal]:
    """Forget secret and codes."""
    outcomes: list[Ok | Refusal] = []
    for command in commands:
        factor = await _factor(work, command.account_id)
        if factor:
            await second_factor.change(work.connection, command.account_id, None, None, confirmed=False)
            await second_factor.replace_recovery_codes(work.connection, command.account_id, ())
        if factor and factor.confirmed:
            work.announce(SecondFactorChanged(**work.stamp(command), enabled=False))
        outcomes.append(Ok() if factor else FACTOR_MISSING)
    return outcomes
