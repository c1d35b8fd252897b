"""What requests does with a deletion: has it counted, and once accepted the account cancelled, or a part erased."""

from __future__ import annotations

from collections.abc import Collection

from services.requests.commands import AskPreview, RemindOfPreview, TakeCount
from services.requests.domain.cases import NOT_NOW, Request, State
from services.requests.handlers.desk import Outcome, one_by_one, taken
from services.requests.handlers.orders import open_for
from services.requests.handlers.registry import handlers
from services.requests.preview import NOT_READY, not_apart, owing, preview
from services.requests.repository import cases, deletions, orders
from shared.bus import Work
from shared.commands import Command, Refusal
from shared.contracts.requests import CancellationOrdered, Kind, PreviewOrdered


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Have categories erased, or the account cancelled by the second door; its erasure fulfils the request."""
    if categories := request.scope.get("categories"):
        await open_for(work, command, request, categories)
        return
    reference = await cases.reference_of(work.connection, request.request_id)
    told = {"request_id": request.request_id, "reference": reference}
    work.announce(CancellationOrdered(**work.stamp(command), **told))


async def prepare(work: Work, command: Command, request: Request) -> None:
    """Have every owner count what would be erased: staff sees that before anything is decided."""
    await _ask(work, command, request, await orders.owners(work.connection))


async def _ask(work: Work, command: Command, request: Request, owners: Collection[str]) -> None:
    await deletions.ask(work.connection, request.request_id, owners, work.now)
    told = {"request_id": request.request_id, "owners": tuple(sorted(owners))}
    work.announce(PreviewOrdered(**work.stamp(command), **told))


async def preview_digest(work: Work, request: Request) -> str | Refusal:
    """Digest what is shown of the deletion now; refuses what is not counted, and what cannot go alone."""
    owners = await orders.owners(work.connection)
    categories = request.scope.get("categories")
    if categories and (refusal := not_apart(owners, categories)):
        return refusal
    counted = await deletions.counted(work.connection, request.request_id)
    if owing(counted, owners, work.now):
        return NOT_READY
    return str(preview(counted, owners, categories)["sha256"])


@handlers.of(AskPreview)
@one_by_one
async def ask_preview(work: Work, command: AskPreview) -> Outcome:
    """Have it counted anew."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    if request.kind is not Kind.DELETION or request.state is not State.OPEN:
        return NOT_NOW
    await prepare(work, command, request)
    return request


@handlers.of(TakeCount)
@one_by_one
async def take_count(work: Work, command: TakeCount) -> Outcome:
    """Keep what an owner has counted."""
    request = await taken(work, command)
    if isinstance(request, Request) and not request.ended:
        await deletions.take(work.connection, command, work.now)
    return request


@handlers.of(RemindOfPreview)
@one_by_one
async def remind_of_preview(work: Work, command: RemindOfPreview) -> Outcome:
    """Repeat it to whoever still owes."""
    request = await taken(work, command)
    if isinstance(request, Request) and not request.ended:
        counted = await deletions.counted(work.connection, request.request_id)
        if missing := [each.owner for each in counted if not each.at]:
            await _ask(work, command, request, missing)
    return request
