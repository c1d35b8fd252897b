"""Passwords: argon2id, hashed a few at a time, and as slow for an unknown address as for a known one."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

MIN_LENGTH, MAX_LENGTH = 15, 128


class Passwords:
    """Hashes and checks in threads, at most so many at once."""

    def __init__(self, parallel: int) -> None:
        # OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turn = asyncio.Semaphore(parallel)
        self._nobodys = self._hasher.hash("a password that nobody has")

    async def hash(self, password: str) -> str:
        """Make the hash to keep."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Check a password; without a hash to check against the same work is done, in vain."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, kept or self._nobodys, password) and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except VerifyMismatchError:
            return False
