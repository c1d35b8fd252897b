"""The code that shows that an account's contact is one's own: drawn from a key and the request, and kept nowhere."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from shared.security import CODE_DIGITS


def code_of(key: str, request_id: UUID, account_id: UUID) -> str:
    """Give a request its code, the same each time: a reminder repeats it. For another account it is another one."""
    drawn = hmac.new(key.encode(), f"identity\x1f{request_id}\x1f{account_id}".encode(), hashlib.sha256).digest()
    return f"{int.from_bytes(drawn) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def is_code(key: str, request_id: UUID, account_id: UUID, code: str) -> bool:
    """Tell whether it is the code, in a time that says nothing about how much of it is right."""
    return hmac.compare_digest(code_of(key, request_id, account_id).encode(), code.encode())
