"""The HTTP door of notifier. Nobody asks it anything: what it does, it does because of what it hears."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/v1")
