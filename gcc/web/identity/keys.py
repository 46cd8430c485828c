"""What an API key looks like: gcc_live_ + 8 characters that people know it by + 32 that are secret + 6 of a CRC.

The CRC tells a torn or mistyped key from one that has ended without a question to anybody, and lets scanners of
repositories know a key when they see one.
"""

import hashlib
import re
import secrets
import zlib

from gcc.stores.postgres_identity_keys import NewKey

PREFIX = "gcc_live_"
ID_CHARS, SECRET_CHARS, CRC_CHARS = 8, 32, 6

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_CHARS + SECRET_CHARS + CRC_CHARS}}}")


def made() -> str:
    body = PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(ID_CHARS + SECRET_CHARS))
    return body + _crc(body)


def is_whole(text: str) -> bool:
    """Whether it is a key that was not torn or mistyped."""
    return bool(_KEY.fullmatch(text)) and text[-CRC_CHARS:] == _crc(text[:-CRC_CHARS])


def known(key: str) -> NewKey:
    """What the database knows of it."""
    return NewKey(key[: len(PREFIX) + ID_CHARS], hashlib.sha256(key.encode()).digest())


def _crc(body: str) -> str:
    rest, letters = zlib.crc32(body.encode()), ""
    for _ in range(CRC_CHARS):
        rest, place = divmod(rest, len(_LETTERS))
        letters = _LETTERS[place] + letters
    return letters
