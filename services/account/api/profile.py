"""The HTTP door to see and change what the account says of the person."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import StringConstraints

from services.account.api.doors import Asking, done
from services.account.commands import (
    ChangeAvatar,
    ChangeNickname,
)
from services.account.repository import profile
from shared.contracts.base import Text
from shared.http import Body, Problem
from shared.service import Running

router = APIRouter(prefix="/v1")


MAX_AVATAR_BYTES = 1024 * 1024
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


class Profile(Body):
    """What a person can change."""

    nickname: Annotated[Text, StringConstraints(min_length=1, max_length=60)] | None


@router.get("/account")
async def see_account(person: Asking, service: Running) -> dict[str, Any]:
    """See one's own data."""
    async with service.engine.connect() as connection:
        row = await profile.profile(connection, person.account_id)
        if not row:
            raise Problem(HTTPStatus.GONE, "account-closed")
        return {**row, "login_times": await profile.login_times(connection, person.account_id)}


@router.patch("/account")
async def change_account(body: Profile, person: Asking, service: Running) -> dict[str, Any]:
    """Set or clear the nickname."""
    await done(service, ChangeNickname(account_id=person.account_id, nickname=body.nickname))
    return await see_account(person, service)


@router.put("/account/avatar", status_code=HTTPStatus.NO_CONTENT)
async def set_avatar(
    person: Asking,
    service: Running,
    picture: Annotated[bytes, FromBody(media_type="image/*")] = b"",
) -> None:
    """Set the avatar: PNG, JPEG or WebP of at most 1 MiB."""
    if len(picture) > MAX_AVATAR_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "picture-too-large")
    if not picture.startswith(PICTURES):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-such-picture", "PNG, JPEG or WebP.")
    await done(service, ChangeAvatar(account_id=person.account_id, avatar=picture))


@router.get("/account/avatar")
async def see_avatar(person: Asking, service: Running) -> Response:
    """See the avatar."""
    async with service.engine.connect() as connection:
        picture = await profile.avatar(connection, person.account_id)
    if picture is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no-avatar")
    return Response(picture, media_type="application/octet-stream")
