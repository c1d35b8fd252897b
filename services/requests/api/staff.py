"""The HTTP doors of privacy staff: the queue, one request with its words, what was decided, the audit chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from math import floor
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.requests.api.wishes import AnyWish, Said, Status, Words
from services.requests.commands import (
    Accept,
    AcceptInPart,
    AskContact,
    AskPerson,
    AskPreview,
    Classify,
    Cost,
    Extend,
    JudgeEvidence,
    OnRequest,
    Pause,
    QuoteFee,
    RecordEvidence,
    Refuse,
    Resume,
    Submit,
)
from services.requests.domain.audit import fault_in
from services.requests.domain.cases import Request as Case
from services.requests.law import law_named
from services.requests.preview import owing, preview
from services.requests.repository import cases, deletions, mails, orders
from services.requests.settings import Settings
from shared.contracts.base import Label, Text
from shared.contracts.receipts import Item
from shared.contracts.requests import Channel, Ground
from shared.http import Body, IdempotencyKey, Problem, done, id_for
from shared.pages import After, Cursor, Limit, Page, page
from shared.personal_data import Category
from shared.security import reference_for
from shared.service import Running, Service
from shared.staff import PRIVACY, Staff, read_staff_token

router = APIRouter(prefix="/v1/staff/requests", tags=["staff"])

_bearer = HTTPBearer(auto_error=False, scheme_name="staff")


def _deciding(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Staff:
    service: Service = request.app.state.service
    settings: Settings = service.settings  # type: ignore[assignment] # the one that this service was made with
    staff = credentials and read_staff_token(settings.staff_keys, credentials.credentials, service.clock())
    if not staff:
        how = {"WWW-Authenticate": "Bearer"}
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-staff", "Send a good token of staff as bearer.", how)
    if PRIVACY not in staff.roles:
        raise Problem(HTTPStatus.FORBIDDEN, "role-missing", f"This takes the role `{PRIVACY}`.")
    return staff


Deciding = Annotated[Staff, Depends(_deciding)]
"""Who decides: staff with the role `privacy`."""


# What is shown


class Waiting(Status):
    """A request in the queue."""

    days_left: int = Field(description="Until it is due; below zero when it is late.")
    stopped: bool = Field(description="The time to answer stands still.")

    @classmethod
    def at(cls, request: Case, now: datetime) -> Waiting:
        """Show a request as it waits now."""
        left = request.due_at - (request.stopped_at or now)
        more = {"days_left": floor(left.total_seconds() / 86_400), "stopped": request.stopped_at is not None}
        return cls(**Status.of(request).model_dump(), **more)


class Written(BaseModel):
    """What the person has written."""

    text: str | None
    values: dict[str, str | None] | None
    written_at: datetime
    proven: bool = Field(description="False for a mail: anybody can write one in somebody's name.")


class Attached(BaseModel):
    """A file that came with a mail: kept, or only named."""

    mail_id: UUID
    number: int
    name: str
    media_type: str
    kept: bool


class Evidence(BaseModel):
    """What shows an authority."""

    id: UUID
    authority: str
    note: str
    given_at: datetime
    accepted: bool | None


class Whole(Waiting):
    """A request with all that was written about it."""

    scope: dict[str, Any]
    law: str
    grounds: list[Ground]
    words: list[Written]
    evidence: list[Evidence]
    attachments: list[Attached]
    decisions: list[Said]


class AuditStep(BaseModel):
    """A line of the audit chain."""

    number: int
    at: datetime
    actor: str
    step: str
    digest: str


class Audit(BaseModel):
    """The audit chain of a request, and whether it holds."""

    lines: list[AuditStep]
    fault: int | None = Field(description="The first line that is missing or changed; none where the chain holds.")


class PreviewOf(BaseModel):
    """What an owner would erase, and what it would keep."""

    owner: str
    items: list[Item]


class Preview(BaseModel):
    """What a deletion would erase: to accept it takes the digest over all of this."""

    categories: list[str] | Literal["all"]
    owners: list[PreviewOf]
    waits_for: list[str] = Field(description="Who has not counted yet, or too long ago: nothing is accepted before.")
    sha256: str


# What staff say


Chosen = Annotated[list[Category] | None, Query(min_length=1, max_length=50)]
Authority = Literal["power-of-attorney", "guardianship", "legal-representation"]
Note = Annotated[Text, StringConstraints(min_length=1, max_length=2000)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=9, decimal_places=2)]


class Spoken(Body):
    """What somebody has asked for in speech, of which account, and where they live."""

    account_id: UUID
    region: Annotated[str, StringConstraints(max_length=10)]
    wish: AnyWish


class Given(Body):
    """What somebody has shown to ask for another person."""

    authority: Authority
    note: Note


class Named(Body):
    """For whom somebody says to write: an address, as it stands in the mail."""

    address: Annotated[Text, StringConstraints(min_length=3, max_length=254)]


class Judgement(Body):
    """Whether an authority counts."""

    accepted: bool


class Acceptance(Body):
    """Bound to what was shown: the digest of the preview, where there is one."""

    shown: Annotated[str, StringConstraints(max_length=64)] | None = None


class Reasons(Body):
    """On which ground, by which facts, about which items, and what the person can do."""

    ground: Ground
    facts: Note
    items: list[Annotated[Label, StringConstraints(max_length=200)]] = Field(min_length=1, max_length=50)
    remedy: Note


class PartlyAccepted(Reasons, Acceptance):
    """What of it is carried out, and why not the rest."""

    part: AnyWish


class Reason(Body):
    """Why it takes longer."""

    reason: Note


class Question(Body):
    """What staff has to know."""

    question: Words


class Rest(Body):
    """Until when it rests."""

    until: AwareDatetime


class DeclaredCost(Body):
    """One thing that costs something."""

    what: Annotated[Label, StringConstraints(max_length=200)]
    amount: Amount


class Quote(Body):
    """The declared costs."""

    currency: Currency
    costs: list[DeclaredCost] = Field(min_length=1, max_length=20)


# Doors


@router.get("")
async def see_queue(_: Deciding, service: Running, limit: Limit = 100, after: After = None) -> Page[Waiting]:
    """See what waits, by due date."""
    async with service.engine.connect() as connection:
        found = await cases.queue(connection, limit, after)
    shown = [Waiting.at(request, service.clock()).model_dump() for request in found]
    return Page[Waiting](**page(shown, limit, lambda each: Cursor(each["due_at"], each["request_id"])))


@router.post("", status_code=HTTPStatus.CREATED)
async def record_spoken(body: Spoken, staff: Deciding, service: Running, key: IdempotencyKey = None) -> Waiting:
    """Record what was asked for in speech, where the law recognises that; the person confirms it by a code."""
    reference = reference_for(key, "reference", staff.id)
    command = Submit(
        account_id=body.account_id,
        request_id=id_for(key, "spoken", staff.id),
        actor=_actor(staff),
        reference=reference,
        kind=body.wish.kind,
        channel=Channel.SPOKEN,
        known=False,
        scope=body.wish.scope(),
        region=body.region,
        text=body.wish.text,
        values=body.wish.values_asked(),
    )
    return Waiting.at(await done(service.bus, command), service.clock())


@router.get("/{request_id}")
async def see_whole(request_id: UUID, _: Deciding, service: Running) -> Whole:
    """See a request with all that was written about it."""
    request = await _found(service, request_id)
    async with service.engine.connect() as connection:
        written = {
            "words": await cases.words(connection, request_id),
            "evidence": await cases.evidence(connection, request_id),
            "attachments": await mails.attachments(connection, request_id),
            "decisions": await cases.decisions(connection, request_id),
        }
    known = {"scope": request.scope, "law": request.law, "grounds": sorted(law_named(request.law).grounds)}
    return Whole.model_validate(
        Waiting.at(request, service.clock()).model_dump()
        | known
        | {name: [dict(row) for row in rows] for name, rows in written.items()}
    )


async def _found(service: Service, request_id: UUID) -> Case:
    async with service.engine.connect() as connection:
        request = await cases.see(connection, request_id)
    if not request:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-request")
    return request


@router.get("/{request_id}/audit")
async def see_audit(request_id: UUID, _: Deciding, service: Running) -> Audit:
    """See every step, and whether the chain of them holds."""
    snapshot = service.engine.execution_options(isolation_level="REPEATABLE READ")
    async with snapshot.connect() as connection:
        request = await cases.see(connection, request_id)
        lines = await cases.chain(connection, request_id)
    if not request:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-request")
    fault = fault_in(request_id, lines, request.audit_count, request.audit_digest)
    return Audit(lines=[AuditStep.model_validate(vars(line), extra="ignore") for line in lines], fault=fault)


@router.get("/{request_id}/preview")
async def see_preview(request_id: UUID, _: Deciding, service: Running, category: Chosen = None) -> Preview:
    """See what a deletion would erase and what kept, by owner; or what a part of it would, of these categories."""
    request = await _found(service, request_id)
    snapshot = service.engine.execution_options(isolation_level="REPEATABLE READ")
    async with snapshot.connect() as connection:
        owners = await orders.owners(connection)
        counted = await deletions.counted(connection, request_id)
    if not counted:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-preview", "Only of a deletion, from when it is known who asks.")
    shown = preview(counted, owners, category or request.scope.get("categories"))
    return Preview.model_validate(shown | {"waits_for": owing(counted, owners, service.clock())})


@router.post("/{request_id}/preview", status_code=HTTPStatus.ACCEPTED)
async def count_anew(request_id: UUID, staff: Deciding, service: Running) -> Waiting:
    """Have every owner count anew what a deletion would erase."""
    return await _do(service, staff, request_id, AskPreview)


def _actor(staff: Staff) -> str:
    return f"staff:{staff.id}"


async def _do(
    service: Service,
    staff: Staff,
    request_id: UUID,
    command: type[OnRequest],
    **fields: Any,  # noqa: ANN401 - of the command
) -> Waiting:
    """Have a command carried out on a request, in the name of whoever decides."""
    request = await _found(service, request_id)
    whose: Mapping[str, Any] = {"account_id": request.account_id, "request_id": request_id}
    return Waiting.at(await done(service.bus, command(**whose, actor=_actor(staff), **fields)), service.clock())


@router.post("/{request_id}/evidence", status_code=HTTPStatus.CREATED)
async def record_evidence(
    request_id: UUID, body: Given, staff: Deciding, service: Running, key: IdempotencyKey = None
) -> Evidence:
    """Record what shows that somebody may ask for the person."""
    evidence_id = id_for(key, "evidence", request_id)
    given = {"authority": body.authority, "note": body.note}
    await _do(service, staff, request_id, RecordEvidence, evidence_id=evidence_id, **given)
    async with service.engine.connect() as connection:
        found = await cases.evidence(connection, request_id)
    return next(Evidence.model_validate(dict(row)) for row in found if row["id"] == evidence_id)


@router.post("/{request_id}/evidence/{evidence_id}/judgement")
async def judge_evidence(
    request_id: UUID, evidence_id: UUID, body: Judgement, staff: Deciding, service: Running
) -> Waiting:
    """Judge an authority; accepted, it is known who asks."""
    judged = {"evidence_id": evidence_id, "accepted": body.accepted}
    return await _do(service, staff, request_id, JudgeEvidence, **judged)


@router.get("/{request_id}/attachments/{mail_id}/{number}", response_class=Response)
async def see_attachment(
    request_id: UUID, mail_id: UUID, number: Annotated[int, Path(ge=1, lt=2**31)], _: Deciding, service: Running
) -> Response:
    """Fetch what is attached to a mail, as a file to be saved: it is a stranger's."""
    async with service.engine.connect() as connection:
        content = await mails.attachment(connection, request_id, mail_id, number)
    if content is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-attachment", "Not there, or only named.")
    headers = {"Content-Disposition": 'attachment; filename="attachment"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post("/{request_id}/contact")
async def ask_contact(request_id: UUID, body: Named, staff: Deciding, service: Running) -> Waiting:
    """Have the person for whom somebody writes confirm it. The answer is the same whether there is an account."""
    return await _do(service, staff, request_id, AskContact, address=body.address)


@router.post("/{request_id}/kind")
async def classify(request_id: UUID, body: AnyWish, staff: Deciding, service: Running) -> Waiting:
    """Say what is wished, having read it."""
    said = {"kind": body.kind, "scope": body.scope(), "values": body.values_asked()}
    return await _do(service, staff, request_id, Classify, **said)


@router.post("/{request_id}/accept")
async def accept(request_id: UUID, body: Acceptance, staff: Deciding, service: Running) -> Waiting:
    """Accept it; a deletion as its preview has shown it."""
    return await _do(service, staff, request_id, Accept, shown=body.shown)


@router.post("/{request_id}/accept-in-part")
async def accept_in_part(request_id: UUID, body: PartlyAccepted, staff: Deciding, service: Running) -> Waiting:
    """Accept a part of it, and say why not the rest."""
    part = {"shown": body.shown, "kind": body.part.kind, "scope": body.part.scope()}
    return await _do(service, staff, request_id, AcceptInPart, **part, **_reasons(body))


@router.post("/{request_id}/refuse")
async def refuse(request_id: UUID, body: Reasons, staff: Deciding, service: Running) -> Waiting:
    """Refuse it, on a ground that the law allows."""
    return await _do(service, staff, request_id, Refuse, **_reasons(body))


def _reasons(body: Reasons) -> dict[str, Any]:
    said = {"ground": body.ground, "facts": body.facts, "remedy": body.remedy}
    return {**said, "items": tuple(body.items)}


@router.post("/{request_id}/extend")
async def extend(request_id: UUID, body: Reason, staff: Deciding, service: Running) -> Waiting:
    """Take longer, once; the person is told why."""
    return await _do(service, staff, request_id, Extend, reason=body.reason)


@router.post("/{request_id}/ask")
async def ask_person(request_id: UUID, body: Question, staff: Deciding, service: Running) -> Waiting:
    """Ask the person; the time to answer stands still."""
    return await _do(service, staff, request_id, AskPerson, question=body.question)


@router.post("/{request_id}/pause")
async def pause(request_id: UUID, body: Rest, staff: Deciding, service: Running) -> Waiting:
    """Let it rest, for ninety days at most."""
    return await _do(service, staff, request_id, Pause, until=body.until)


@router.post("/{request_id}/resume")
async def resume(request_id: UUID, staff: Deciding, service: Running) -> Waiting:
    """Go on with it."""
    return await _do(service, staff, request_id, Resume)


@router.post("/{request_id}/fee")
async def quote_fee(request_id: UUID, body: Quote, staff: Deciding, service: Running) -> Waiting:
    """Ask for the declared costs of a record that is not the first in twelve months."""
    costs = tuple(Cost(cost.what, cost.amount) for cost in body.costs)
    return await _do(service, staff, request_id, QuoteFee, currency=body.currency, costs=costs)
