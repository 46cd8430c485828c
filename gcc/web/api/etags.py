"""Whether a client has an answer already: weak tags (RFC 9110) of what the answer was made from.

In: versions, never the answer itself, so that an answer that is known costs no serialising.
"""

import hashlib
from typing import Any

import msgspec
from quart import Request

CACHE_CONTROL = "private, no-cache"  # kept by who asked, and asked for again each time
_encode = msgspec.json.Encoder().encode


def tag(*made_from: Any) -> str:
    return f'W/"{hashlib.blake2b(_encode(made_from), digest_size=12).hexdigest()}"'


def headers(etag: str) -> dict[str, str]:
    return {"etag": etag, "cache-control": CACHE_CONTROL}


def is_known(request: Request, etag: str) -> bool:
    """Whether If-None-Match names it. Weak or strong is one here."""
    asked = ",".join(request.headers.getlist("if-none-match"))
    if not asked:
        return False
    wanted = etag.removeprefix("W/")
    return asked.strip() == "*" or any(each.strip().removeprefix("W/") == wanted for each in asked.split(","))
