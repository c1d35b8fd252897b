"""What device does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.device import repository
from services.device.commands import (
    BindDevice,
    DeviceAction,
    EraseBeyond,
    EraseReadings,
    RecordReading,
    RenameDevice,
    UnbindDevice,
)
from services.device.domain import NO_SUCH_DEVICE, NOT_AVAILABLE, NOT_LOGGED_IN, Bound, decide_bind, decide_correct
from services.device.models import OWNER
from shared.bus import Handlers, Work
from shared.changes import Correct, answer, answered, note_changed, outcome_of
from shared.commands import (
    CHANGED_MEANWHILE,
    CONSENT_WITHDRAWN,
    Command,
    ContinueCategories,
    ContinueErasure,
    ContinueExport,
    CountData,
    EraseAccount,
    EraseCategories,
    ExportAccount,
    KeepToConsent,
    Needs,
    Refusal,
)
from shared.consenting import keep_to_consents
from shared.consents import is_withdrawn, needed, withdrawn
from shared.contracts.device import DeviceActionRefused, DeviceBound, DeviceUnbound
from shared.contracts.receipts import CorrectedField
from shared.personal_data import Category
from shared.security import read_access_token
from shared.sessions import ForgetSession, forget_sessions, no_longer_good
from shared.throttle import Limit, forgive, give_back, spend

log = logging.getLogger(__name__)
handlers = Handlers()
handlers.of(ForgetSession)(forget_sessions)
handlers.of(ExportAccount)(OWNER.exporting.begin)
handlers.of(ContinueExport)(OWNER.exporting.go_on)
handlers.of(CountData)(OWNER.apart.count)
handlers.of(ContinueCategories)(OWNER.apart.go_on)

COLLECTING = needed(Needs.COLLECTION, OWNER.name)
BY_SERIAL = Limit("pairing-by-serial", 5, timedelta(hours=1))
BY_PERSON = Limit("pairing-by-person", 10, timedelta(hours=1))


@handlers.of(BindDevice)
async def bind_devices(work: Work, commands: Sequence[BindDevice]) -> list[Bound | Refusal]:
    """Bind each, unless somebody else has it, also where that happens at this very moment."""
    outcomes: list[Bound | Refusal] = []
    for command in commands:
        outcome = await _refused(work, command, Needs.COLLECTION) or await _bind(work, command)
        if isinstance(outcome, Refusal):
            _announce_refused(work, command, outcome)
        outcomes.append(outcome)
    return outcomes


async def _bind(work: Work, command: BindDevice) -> Bound | Refusal:
    # Known or not, each serial counts tries alike: a limit tells nothing either. Who was right about one device is
    # not forgiven the tries at others: to add one's own again would undo that limit.
    at_serial = BY_SERIAL.at(work.settings, command.serial)
    by_person = BY_PERSON.at(work.settings, command.account_id)
    if throttled := await spend(work.connection, work.now, at_serial, by_person):
        return throttled
    outcome = decide_bind(await repository.product(work.connection, command.serial), command)
    if isinstance(outcome, Refusal):
        return outcome
    if outcome.new:
        erasing = await repository.being_erased(work.connection, command)
        if erasing or not await repository.add_binding(work.connection, command, work.now):
            return NOT_AVAILABLE
        if await withdrawn(work.connection, [command.account_id]):  # and given again, or this would be refused
            await repository.silence(work.connection, [command.account_id], COLLECTING)
        work.announce(DeviceBound(**work.stamp(command), binding_id=outcome.binding_id))
    await forgive(work.connection, [at_serial])
    await give_back(work.connection, [by_person])
    return outcome


async def _refused(work: Work, command: DeviceAction, needs: Needs) -> Refusal | None:
    refusal = await _refused_proof(work, command)
    withdrawn = await is_withdrawn(work.connection, command.account_id, needs, OWNER.name)
    return refusal or (CONSENT_WITHDRAWN if withdrawn else None)


async def _refused_proof(work: Work, command: DeviceAction) -> Refusal | None:
    """Check the access token of a wish that came by a topic; it had to be good when the broker took the message."""
    if command.taken_at is None:
        return None
    keys = work.settings.access_token_public_keys
    person = read_access_token(keys, command.access_token or "", command.taken_at)
    if not person or person.account_id != command.account_id or await no_longer_good(work.connection, person):
        return NOT_LOGGED_IN
    return None


def _announce_refused(work: Work, command: DeviceAction, refusal: Refusal) -> None:
    """Answer a wish that came by a topic; by HTTP the answer is the answer."""
    if command.taken_at is not None:
        work.announce(DeviceActionRefused(**work.stamp(command), reason=refusal.slug))


@handlers.of(RenameDevice)
async def rename_devices(work: Work, commands: Sequence[RenameDevice]) -> list[Refusal | None]:
    """Name each of one's own."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        refusal = await _not_as_seen(work, command)
        if not refusal and await repository.rename(
            work.connection, command.account_id, command.binding_id, command.name
        ):
            await note_changed(work, command, [str(command.binding_id)])
        outcomes.append(refusal)
    return outcomes


@handlers.of(Correct)
async def correct(work: Work, commands: Sequence[Correct]) -> None:
    """Name devices of one's own by the rules of the HTTP door, and answer what became of it."""
    for command in commands:
        if not await answered(work, command):
            fields = [await _corrected(work, command, field, value) for field, value in command.values]
            await answer(work, command, fields)


async def _corrected(work: Work, command: Correct, field: str, value: str | None) -> CorrectedField:
    decided = decide_correct(field, value)
    if isinstance(decided, Refusal):
        return outcome_of(field, decided)
    binding_id, name = decided
    if await repository.version(work.connection, command.account_id, binding_id) is None:
        return outcome_of(field, NO_SUCH_DEVICE)
    return outcome_of(field, answer=await repository.rename(work.connection, command.account_id, binding_id, name))


async def _not_as_seen(work: Work, command: RenameDevice | UnbindDevice) -> Refusal | None:
    version = await repository.version(work.connection, command.account_id, command.binding_id)
    if version is None:
        return NO_SUCH_DEVICE
    return CHANGED_MEANWHILE if command.version not in (None, version) else None


@handlers.of(UnbindDevice)
async def unbind_devices(work: Work, commands: Sequence[UnbindDevice]) -> list[Refusal | None]:
    """Unbind each of one's own, with its readings."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        refusal = await _refused(work, command, Needs.POLICY) or await _not_as_seen(work, command)
        if refusal:
            _announce_refused(work, command, refusal)
        else:
            await _unbind(work, command, command.binding_id)
        outcomes.append(refusal)
    return outcomes


async def _unbind(work: Work, command: Command, binding_id: UUID) -> None:
    await repository.remove_binding(work.connection, command.account_id, binding_id)
    work.announce(DeviceUnbound(**work.stamp(command), binding_id=binding_id))


@handlers.of(KeepToConsent)
async def keep_to_consent(work: Work, commands: Sequence[KeepToConsent]) -> None:
    """Take in nothing of the time in which collection is withdrawn, and erase what was before this was heard of."""
    await keep_to_consents(work, commands)
    by_account = {command.account_id: command for command in commands}
    await repository.silence(work.connection, by_account, COLLECTING)
    for command in by_account.values():
        await _erase_beyond(work, command)


@handlers.of(EraseBeyond)
async def erase_beyond(work: Work, commands: Sequence[EraseBeyond]) -> None:
    """Erase the next part of what accounts should not have."""
    for command in commands:
        await _erase_beyond(work, command)


async def _erase_beyond(work: Work, command: Command) -> None:
    account_id = command.account_id
    known = (await withdrawn(work.connection, [account_id])).get(account_id, ())
    periods = [each for each in known if each.scope in COLLECTING]
    for binding_id, bound_at in await repository.bound(work.connection, account_id) if periods else ():
        if any(period.covers(bound_at) for period in periods):
            await _unbind(work, command, binding_id)
    if erased := await repository.erase_beyond(work.connection, account_id):
        log.info("readings erased: beyond a withdrawal", extra={"count": erased})


@handlers.of(ContinueErasure)
async def continue_erasures(work: Work, commands: Sequence[ContinueErasure]) -> None:
    """Erase the next readings of accounts that have many."""
    await OWNER.go_on(work, commands)


@handlers.of(EraseCategories)
async def erase_categories(work: Work, commands: Sequence[EraseCategories]) -> None:
    """Erase; devices whose data goes are unbound, and their many readings go by their binding, which is no more."""
    ended = {c.account_id: await repository.bound(work.connection, c.account_id) for c in commands}
    for command in await OWNER.apart.erase_once(work, commands):
        if Category.DEVICE_DATA in command.categories:
            for binding_id, _ in ended.pop(command.account_id, []):
                await _unbind(work, command, binding_id)


@handlers.of(EraseReadings)
async def erase_readings(work: Work, commands: Sequence[EraseReadings]) -> None:
    """Erase a part of the readings of each binding that has ended."""
    for command in commands:
        await repository.erase_some(work.connection, command.account_id, command.binding_id)


@handlers.of(RecordReading)
async def record_readings(work: Work, commands: Sequence[RecordReading]) -> None:
    """Keep all of a batch in one statement; what is not the account's, or of an impossible time, is dropped."""
    dropped = await repository.record(work.connection, commands, work.now, work.settings.lateness)
    for fault, count in sorted(dropped.items()):
        log.info("readings dropped: %s", fault, extra={"count": count})


@handlers.of(EraseAccount)
async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
    """Erase bindings and readings, and answer."""
    await OWNER.erase(work, commands)
