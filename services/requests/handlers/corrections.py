"""What requests does with an accepted correction: has the owner of each value put it right, and tells the outcome."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from services.requests.commands import RemindOfCorrection, TakeCorrected
from services.requests.domain.cases import Request
from services.requests.handlers.desk import Outcome, fulfil, one_by_one, taken
from services.requests.handlers.registry import handlers
from services.requests.repository import cases, corrections
from shared.bus import Work
from shared.commands import Command
from shared.contracts.requests import AccountCorrectionOrdered, DeviceCorrectionOrdered
from shared.contracts.topics import ACCOUNT_CORRECTIONS, DEVICE_CORRECTIONS

PROFILE, DEVICES = str(ACCOUNT_CORRECTIONS.reader), str(DEVICE_CORRECTIONS.reader)
ORDERS: Mapping[str, type[AccountCorrectionOrdered | DeviceCorrectionOrdered]] = {
    PROFILE: AccountCorrectionOrdered,
    DEVICES: DeviceCorrectionOrdered,
}
"""Which order goes to which owner: each has a topic of its own, since it carries the values."""


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Order each value to be put right by its owner, as the person has sent it last."""
    values = await _values(work, request)
    if not values:
        await fulfil(work, command, request.request_id)
        return
    owners = sorted({_owner_of(field) for field in values})
    await _order(work, command, request, values, owners)


async def _values(work: Work, request: Request) -> Mapping[str, str | None]:
    written = [row["values"] for row in await cases.words(work.connection, request.request_id) if row["values"]]
    asked = request.scope.get("fields", ())
    return {field: value for field, value in written[-1].items() if field in asked} if written else {}


def _owner_of(field: str) -> str:
    """Find who has a field: a device is named by its binding, whose id is random; the rest is of the profile."""
    try:
        UUID(field)
    except ValueError:
        return PROFILE
    return DEVICES


async def _order(
    work: Work, command: Command, request: Request, values: Mapping[str, str | None], owners: Collection[str]
) -> None:
    await corrections.ask(work.connection, request.request_id, owners, work.now)
    for owner in owners:
        mine = {field: value for field, value in values.items() if _owner_of(field) == owner}
        work.announce(ORDERS[owner](**work.stamp(command), request_id=request.request_id, values=mine))


@handlers.of(TakeCorrected)
@one_by_one
async def take_corrected(work: Work, command: TakeCorrected) -> Outcome:
    """Note the answer; after the last one the person is told what became of each value."""
    request = await taken(work, command)
    if isinstance(request, Request) and await corrections.take(work.connection, command, work.now):
        dues = await corrections.dues(work.connection, request.request_id)
        if all(due["answered_at"] for due in dues):
            fields = [field for due in dues for field in due["fields"]]
            await fulfil(work, command, request.request_id, notice="correction-done", fields=fields)
    return request


@handlers.of(RemindOfCorrection)
@one_by_one
async def remind_of_correction(work: Work, command: RemindOfCorrection) -> Outcome:
    """Order it again of whoever has not answered."""
    request = await taken(work, command)
    if isinstance(request, Request) and not request.ended:
        dues = await corrections.dues(work.connection, request.request_id)
        owing = [due["owner"] for due in dues if not due["answered_at"]]
        if owing:
            await _order(work, command, request, await _values(work, request), owing)
    return request
