"""Passwords: argon2id in two threads, and which ones nobody may choose.

In: passwords and hashes. Out: hashes, verdicts. Hashing takes a core for tens of milliseconds, so at most THREADS run
and QUEUE wait; more are refused at once (`Busy`), whoever asks. An unknown e-mail costs what a known one does: it is
verified against NOBODY.
"""

import gzip
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gcc import threads
from gcc.errors import Transient

THREADS, QUEUE = 2, 32
CHARS_MIN, CHARS_MAX = 12, 128
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$9e812pVIh3MkD+qFeiUeqg$YhmEWXsd9LwF9ZsEi2LAUX2Vvx6vNLJ3AAHw3SNhREk"
"""A hash with the parameters of today, which no password has."""

_WORDS = Path(__file__).parent / "words" / "common-passwords.txt.gz"
_ADDED = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_REPEATED = re.compile(rf"(.{{1,{CHARS_MIN - 1}}})\1+.{{0,5}}")
"""What is repeated could be no password itself."""
_ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm",
         "azertyuiopqsdfghjklmwxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p")  # fmt: skip
_STEPS = frozenset(step for row in _ROWS for way in (row, row[::-1]) for step in pairwise(way))
"""From a character to its neighbour in the alphabet or on a keyboard."""

Result = TypeVar("Result")


class Busy(Transient):
    """So many passwords are being looked at that this one would wait too long."""


class Passwords:
    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = trio.CapacityLimiter(THREADS)

    async def hashed(self, password: str) -> str:
        """Raises Busy."""
        return await self._in_thread(lambda: self._hasher.hash(_written(password)))

    async def verified(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the password of that hash; None: there is no such person, and it takes as long. Raises Busy."""

        def verify() -> bool:
            try:
                return self._hasher.verify(password_hash or NOBODY, _written(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_thread(verify) and password_hash is not None

    def outgrown(self, password_hash: str) -> bool:
        """Whether it was made with smaller parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._threads.statistics().tasks_waiting >= QUEUE:
            raise Busy("too many passwords are being looked at", retry_after_s=1.0)
        with threads.needed("passwords"):
            return await trio.to_thread.run_sync(work, limiter=self._threads)


def _written(password: str) -> bytes:
    """Keyboards write some letters as one character or as two."""
    return unicodedata.normalize("NFC", password).encode()


def weakness(password: str, *own: str) -> str | None:
    """Why nobody may choose it, or not who has these e-mails and names of their `own`; None: it may be chosen."""
    if not CHARS_MIN <= len(password) <= CHARS_MAX:
        return f"a password has {CHARS_MIN} to {CHARS_MAX} characters"
    plain = password.lower()
    bare = _ADDED.sub("", plain)
    if plain in _common() or bare in _common():
        return "it is one of those that are tried first, or one with digits and marks around it"
    if _REPEATED.fullmatch(plain):
        return "it repeats a few characters"
    if 4 * sum(step in _STEPS for step in pairwise(plain)) >= 3 * (len(plain) - 1):
        return "it goes along the alphabet or the keyboard"
    told = {_letters(part) for text in own for part in (text, *text.split("@"))} - {""}
    if told & {_letters(plain), _letters(bare)}:
        return "it is your own e-mail or name, or a part of it, with digits and marks around it at most"
    return None


def _letters(text: str) -> str:
    """As one remembers it: cases, blanks and marks apart."""
    return re.sub(r"[\W_]", "", text.lower())


@cache
def _common() -> frozenset[str]:
    """The 19,640 of Django's list (see NOTICE.md); read once: 10 ms."""
    return frozenset(gzip.decompress(_WORDS.read_bytes()).decode().split("\n")) - {""}
