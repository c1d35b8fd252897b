"""Who is in the story, and what they put in: every value of theirs carries a mark that is nowhere else."""

from __future__ import annotations

import secrets
import struct
import zlib
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from ops.products import Product

# No vowels, so no words; no upper case, since addresses lose it.
ALPHABET = "bcdfghjkmnpqrstvwxz0123456789"
MARK_LENGTH = 16
MODEL = "Purifier 2"


def _mark() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(MARK_LENGTH))


def _peculiar_number() -> float:
    """Make a number of twelve digits, which JSON and a database keep to the last."""
    return float(f"{secrets.choice('123456789')}{secrets.randbelow(10**3):03}.{secrets.randbelow(10**7):07}1")


@dataclass
class Person:
    """Somebody with an account. `mark` is part of every text, `number` of every reading."""

    name: str
    region: str
    language: str
    mark: str = field(default_factory=_mark)
    number: float = field(default_factory=_peculiar_number)
    account_id: UUID = field(default_factory=uuid4)
    access_token: str = ""
    bindings: list[UUID] = field(default_factory=list)

    @property
    def email(self) -> str:
        return f"{self.name.lower()}.{self.mark}@people.example"

    @property
    def password(self) -> str:
        return f"horse {self.mark} staple"

    @property
    def nickname(self) -> str:
        return f"{self.name} {self.mark}"

    @property
    def avatar(self) -> bytes:
        return _picture(f"{self.name} {self.mark}")

    @property
    def products(self) -> list[Product]:
        """The devices that will be theirs."""
        return [Product(f"SN-{self.mark}-{n}", MODEL, f"pair-{self.mark}-{n}") for n in (1, 2)]

    def feedback(self, number: int) -> str:
        return f"Clean air, number {number}, says {self.nickname}."

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    @property
    def marks(self) -> tuple[str, ...]:
        """What a search for this person's data looks for."""
        return self.mark, str(self.number)


def _picture(comment: str) -> bytes:
    """Draw a PNG of one pixel that carries a comment."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"tEXt", b"Comment\0" + comment.encode()),
        (b"IDAT", zlib.compress(b"\0\xc0")),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
