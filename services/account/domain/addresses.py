"""When two e-mail addresses are the same, and the digest by which one that wrote to us is known again."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated
from unicodedata import is_normalized

from pydantic import AfterValidator, EmailStr, TypeAdapter, ValidationError

Email = Annotated[EmailStr, AfterValidator(str.lower)]
"""An address as it is kept: small and capital letters make no difference."""
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def as_kept(address: str) -> str | None:
    """Write an address that has come by mail as it would be kept; none where it could be only alike.

    No account has one in quotation marks, and what is a character of another kind (the sign of a kelvin) is another
    mailbox, although it would be normalised to the same letter. Tags behind a plus are part of the address.
    """
    if not is_normalized("NFC", address):
        return None
    try:
        kept = _EMAIL.validate_python(address)
    except ValidationError:
        return None
    same = kept.rpartition("@")[0] == address.rpartition("@")[0].lower()
    return kept if same else None


def sender_digest(key: bytes, address: str) -> str:
    """Digest an address: the same for the same mailbox, and nobody without the key can try addresses."""
    return hmac.new(key, (as_kept(address) or address).encode(errors="replace"), hashlib.sha256).hexdigest()
