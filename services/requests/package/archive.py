"""A ZIP that is written piece by piece and kept nowhere whole; every file's digest, and names that lead nowhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from typing import IO, Any, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

READABLE_BY_ALL = 0o644 << 16
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$")
"""Names that Windows takes for devices."""
LONGEST_NAME = 60


@dataclass
class File:
    """A file of the archive while it is written."""

    inside: IO[bytes]
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, content: bytes) -> None:
        """Add to it."""
        self.inside.write(content)
        self.digest.update(content)
        self.size += len(content)


class _Outlet:
    """Where the archive is written to: goes forward only, and is emptied meanwhile."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, some: bytes) -> int:
        self.waiting += some
        return len(some)

    def flush(self) -> None:
        """Nothing to do: what was written is here."""


class Archive:
    """Takes files one after the other; what is ready of the ZIP is taken away meanwhile."""

    def __init__(self, made_at: datetime) -> None:
        self._outlet = _Outlet()
        self._zip = ZipFile(cast("IO[bytes]", self._outlet), "w", ZIP_DEFLATED)
        self._made_at = made_at
        self._stems: set[str] = set()
        self.files: list[dict[str, Any]] = []
        """Of each file: path, size, digest, and what else was said about it."""

    @contextmanager
    def file(self, path: str, **about: object) -> Iterator[File]:
        """Write a file; of any size."""
        info = ZipInfo(path, self._made_at.timetuple()[:6])
        info.external_attr, info.compress_type = READABLE_BY_ALL, ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as inside:
            file = File(inside)
            yield file
        self.files.append({"path": path, "size": file.size, "sha256": file.digest.hexdigest(), **about})

    def stem(self, *names: str) -> str:
        """Make a path, without an ending, of names that came from anywhere: it stays in here, and is given once."""
        first = "/".join(safe_name(name) for name in names)
        tries = chain([first], (f"{first}-{number}" for number in count(2)))
        stem = next(each for each in tries if each not in self._stems)
        self._stems.add(stem)
        return stem

    def ready(self, size: int) -> bytes | None:
        """Take the next bytes of the ZIP away: so many, or none while there are no more than that."""
        return self._taken(size) if len(self._outlet.waiting) > size else None

    def close(self) -> bytes:
        """End the ZIP, and take away what is left."""
        self._zip.close()
        return self._taken(len(self._outlet.waiting))

    def _taken(self, size: int) -> bytes:
        some = bytes(self._outlet.waiting[:size])
        del self._outlet.waiting[:size]
        return some


def safe_name(name: str) -> str:
    """Make a name that is one step down, on every system, whatever it was."""
    safe = re.sub(r"[^a-z0-9_-]", "_", name.lower())[:LONGEST_NAME] or "_"
    return f"_{safe}" if RESERVED.match(safe) else safe
