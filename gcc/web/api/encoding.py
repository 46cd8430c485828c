"""In which form a body leaves: as it is, or gzipped.

In: Accept-Encoding (RFC 9110), and what an answer is. Out: the coding. What fits one packet gains nothing, nor does
what never leaves this machine: both are gzipped only for who takes nothing else. Answers with secrets beside what
callers sent are never: their length would tell the secret, guess by guess (BREACH).
"""

import zlib
from functools import lru_cache
from typing import NamedTuple

from gcc.config import is_loopback

GZIP_BYTES_MIN = 1400
LEVEL, LEVEL_KEPT = 1, 9
_GZIP = 16 + zlib.MAX_WBITS


class Accepted(NamedTuple):
    plain: bool
    gzip: bool
    prefers_gzip: bool


@lru_cache(maxsize=128)
def accepted(header: str) -> Accepted:
    """What an Accept-Encoding takes; an element that cannot be read says nothing."""
    qualities: dict[str, float] = {}
    for element in header.lower().split(","):
        name, _, parameter = element.partition(";")
        quality = _quality(parameter)
        if quality is not None:
            qualities.setdefault(name.strip(), quality)
    others = qualities.get("*")
    gzip = qualities.get("gzip", qualities.get("x-gzip", others or 0.0))
    plain = qualities.get("identity", 1.0 if others is None else others)
    asked_plain = qualities.get("identity", 0.0)
    return Accepted(plain > 0, gzip > 0, gzip > 0 and gzip >= asked_plain)


def zipped(body: bytes, level: int = LEVEL) -> bytes:
    gzip = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return gzip.compress(body) + gzip.flush()


@lru_cache(maxsize=1024)
def is_here(address: str) -> bool:
    """Whether what is sent there stays on this machine."""
    return is_loopback(address.removeprefix("::ffff:"))


def _quality(parameter: str) -> float | None:
    name, _, text = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(text)
    except ValueError:
        return None
    return quality if name.strip() == "q" and 0 <= quality <= 1 else None
