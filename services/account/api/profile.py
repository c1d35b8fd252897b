"""The HTTP door to see and change what the account says of the person."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import BaseModel, EmailStr, StringConstraints

from services.account.api.doors import Asking, AskingStill, Config, done, policy_outdated
from services.account.commands import AgreeToPolicy, ChangeAvatar, ChangeProfile, ClearAvatar
from services.account.domain.profile import Language, Nickname, Region
from services.account.repository import profile
from services.account.settings import Settings
from shared import pictures
from shared.contracts.base import Text
from shared.http import Body, IfMatch, IfNoneMatch, Problem, count_try, etag, expected_version, picture_problem
from shared.security import Person
from shared.service import Running, Service
from shared.throttle import Limit

router = APIRouter(prefix="/v1/account", tags=["account"])

AVATARS = Limit("avatars", 20, timedelta(hours=1))
"""To decode a picture is work."""
UNCHANGED: dict[int | str, dict[str, Any]] = {HTTPStatus.NOT_MODIFIED: {"description": "As it was seen."}}


class Changes(Body):
    """What a person can change here: what is not sent stays, a nickname of `null` is cleared."""

    nickname: Nickname | None = None
    region: Region = ""
    language: Language = ""


class Policy(BaseModel):
    """What was agreed to, and what there is to agree to."""

    agreed: str
    agreed_at: datetime
    current: str
    agreement_needed: bool


class Account(BaseModel):
    """What the account says of the person."""

    email: EmailStr
    nickname: str | None
    region: str
    language: str
    created_at: datetime
    has_avatar: bool
    second_factor: bool
    policy: Policy


class Agreement(Body):
    """A version of the privacy policy."""

    policy_version: Annotated[Text, StringConstraints(max_length=40)]


class Agreed(BaseModel):
    """A version of the privacy policy, and when it was agreed to."""

    policy_version: str
    agreed_at: datetime


@router.get("", responses=UNCHANGED)
async def see_account(
    person: AskingStill, service: Running, settings: Config, response: Response, seen: IfNoneMatch = None
) -> Account:
    """See one's own data."""
    account, tag = await _account(service, person, settings)
    # A new policy is no change of the account, but has to be seen.
    if seen == tag and not account.policy.agreement_needed:
        return _as_seen(tag)  # type: ignore[return-value] # FastAPI sends a response as it is
    response.headers["ETag"] = tag
    return account


def _as_seen(tag: str) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})


async def _account(service: Service, person: Person, settings: Settings) -> tuple[Account, str]:
    async with service.engine.connect() as connection:
        row = await profile.profile(connection, person.account_id)
    if not row:
        raise Problem(HTTPStatus.GONE, "account-closed")
    policy = Policy(
        agreed=row["policy_version"],
        agreed_at=row["agreed_at"],
        current=settings.policy_version,
        agreement_needed=row["policy_version"] != settings.policy_version,
    )
    return Account(**{**row, "policy": policy}), etag(row["version"])


@router.patch("")
async def change_account(
    body: Changes, person: Asking, service: Running, settings: Config, response: Response, *, seen: IfMatch = None
) -> Account:
    """Change nickname, region and language."""
    changes = body.model_dump(include=body.model_fields_set)
    command = ChangeProfile(account_id=person.account_id, changes=changes, version=expected_version(seen))
    await done(service, command)
    account, response.headers["ETag"] = await _account(service, person, settings)
    return account


@router.put("/avatar", status_code=HTTPStatus.NO_CONTENT)
async def set_avatar(
    person: Asking,
    service: Running,
    settings: Config,
    *,
    picture: Annotated[bytes, FromBody(media_type="image/*")] = b"",
    seen: IfMatch = None,
) -> None:
    """Set the avatar: PNG, JPEG or WebP of at most 1 MiB. Only its pixels are kept."""
    await count_try(service.bus, AVATARS.at(settings, person.account_id))
    try:
        clean = await pictures.clean(picture)
    except pictures.BadPicture as bad:
        raise picture_problem(bad.slug) from None
    version = expected_version(seen)
    command = ChangeAvatar(
        account_id=person.account_id, avatar=clean.content, media_type=clean.media_type, version=version
    )
    await done(service, command)


@router.get("/avatar", response_class=Response, responses=UNCHANGED)
async def see_avatar(person: AskingStill, service: Running, seen: IfNoneMatch = None) -> Response:
    """See the avatar."""
    async with service.engine.connect() as connection:
        picture = await profile.avatar(connection, person.account_id)
    if not picture:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-avatar")
    tag = etag(picture["version"])
    if seen == tag:
        return _as_seen(tag)
    headers = {"ETag": tag, "Content-Disposition": 'inline; filename="avatar"'}
    return Response(picture["avatar"], headers=headers, media_type=picture["avatar_media_type"])


@router.delete("/avatar", status_code=HTTPStatus.NO_CONTENT)
async def clear_avatar(person: Asking, service: Running, seen: IfMatch = None) -> None:
    """Have no avatar."""
    version = expected_version(seen)
    await done(service, ClearAvatar(account_id=person.account_id, version=version))


@router.post("/agreements", status_code=HTTPStatus.CREATED)
async def agree(body: Agreement, person: AskingStill, service: Running, settings: Config) -> Policy:
    """Agree to the privacy policy as it is now."""
    if body.policy_version != settings.policy_version:
        raise policy_outdated(settings)
    await done(service, AgreeToPolicy(account_id=person.account_id, policy_version=body.policy_version))
    account, _ = await _account(service, person, settings)
    return account.policy


@router.get("/agreements")
async def list_agreements(person: AskingStill, service: Running) -> list[Agreed]:
    """List the versions of the privacy policy that one has agreed to, latest first."""
    async with service.engine.connect() as connection:
        return [Agreed(**row) for row in await profile.agreements(connection, person.account_id)]
