"""Passwords: argon2id, hashed a few at a time, and as slow for an unknown address as for a known one."""

from __future__ import annotations

import asyncio
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

MIN_LENGTH, MAX_LENGTH = 15, 128
FEWEST_DIFFERENT = 5
SHORTEST_REPEATED = 8


def _common_passwords() -> frozenset[str]:
    """Read the list out of its file: to import the package would keep all of its other lists in memory."""
    package = find_spec("zxcvbn")
    if not package or not package.origin:
        raise ModuleNotFoundError("zxcvbn")
    return frozenset(
        run_path(str(Path(package.origin).with_name("frequency_lists.py")))["FREQUENCY_LISTS"]["passwords"]
    )


_COMMON = _common_passwords()
_ROWS = ("abcdefghijklmnopqrstuvwxyz" * 6, "01234567890" * 12, "qwertyuiopasdfghjklzxcvbnm" * 6)
_SEQUENCES = (*_ROWS, *(row[::-1] for row in _ROWS))


def is_common(password: str) -> bool:
    """Tell whether a password is among the first that somebody would try.

    It is in a list of common ones, only repeats such a one or something short, or runs along alphabet or keys.
    """
    word = _normal(password).lower()
    if word in _COMMON or len(set(word)) < FEWEST_DIFFERENT or any(word in row for row in _SEQUENCES):
        return True
    unit = _repeated(word)
    return unit != word and (unit in _COMMON or len(unit) < SHORTEST_REPEATED)


def is_address(password: str, email: str) -> bool:
    """Tell whether a password only says, or repeats, the address or the name in it."""
    word, address = _normal(password).lower(), _normal(email)
    return bool({word, _repeated(word)} & {address, address.partition("@")[0]})


def _repeated(word: str) -> str:
    """Find the shortest part that makes the word when it is repeated; the last time may be cut short."""
    lengths = range(1, len(word) + 1)
    return word[: next((each for each in lengths if word.startswith(word[each:])), 0)]


def _normal(password: str) -> str:
    """Make what different keyboards send for the same characters the same."""
    return unicodedata.normalize("NFKC", password)


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
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def fits(self, password: str, kept: str | None) -> bool:
        """Check a password; without a hash to check against the same work is done, in vain."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, kept or self._nobodys, password) and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _normal(password))
        except VerifyMismatchError:
            return False
