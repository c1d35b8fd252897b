"""The internal door for a mail that is taken in by hand."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from services.requests.intake.mime import MOST_BYTES
from services.requests.intake.taking import Intake
from services.requests.settings import Settings
from shared.security import internal_door
from shared.service import Running

router = APIRouter(prefix="/internal", dependencies=[Depends(internal_door)], include_in_schema=False)


class Taken(BaseModel):
    """What became of a mail: `taken`, or why it is no request."""

    outcome: str


@router.post("/mails", max_body_size=MOST_BYTES)
async def take_mail(request: Request, service: Running) -> Taken:
    """Take a mail in as the mail relay would; the same mail again is the same."""
    intake = Intake(service.bus, cast("Settings", service.settings))
    return Taken(outcome=await intake.take(await request.body()) or "taken")
