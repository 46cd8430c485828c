"""Cursors: where the next page begins, opaque to clients.

Base64url of JSON [snapshot, scope, key]: the snapshot the page was read from, a hash of the query (a
cursor continues the query that made it and no other), the sort key of the last row. Not signed: a
forged one can only name another place of the same query, and everything in it is bound as a parameter.
"""

import base64
import binascii
import hashlib
import json
import re
from typing import Annotated, Any, TypeVar

import msgspec

from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code

LENGTH_MAX = 512
PATTERN = r"^[A-Za-z0-9_-]+$"
LIVE = "live"
"""The snapshot of a table that is never swapped."""

_TEXT = re.compile(PATTERN)

Text = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00]*$")]
"""A text inside a key: PostgreSQL takes no NUL."""

Key = TypeVar("Key")


def scope(tenant: Tenant, *query: str | int | None) -> str:
    """A short hash of what makes a query itself: who asks, in which plan, for what, in which order (not its limit:
    pages may differ in size)."""
    return hashlib.blake2b(json.dumps((tenant.partner_id, tenant.plan, query)).encode(), digest_size=9).hexdigest()


def encode(snapshot: str, scope: str, key: Any) -> str:
    """The cursor after the row with sort key `key` (an array-like msgspec struct)."""
    return base64.urlsafe_b64encode(msgspec.json.encode((snapshot, scope, key))).decode().rstrip("=")


def decode(text: str, scope: str, key: type[Key]) -> tuple[str, Key]:
    """(snapshot, key) of a cursor that `encode` made for the same scope; else ApiError INVALID_CURSOR.

    The struct `key` gives types and bounds: what does not match them is refused, whoever wrote it.
    """
    try:
        if len(text) > LENGTH_MAX or not _TEXT.fullmatch(text):
            raise ValueError("no cursor looks like that")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        snapshot, made_for, place = msgspec.json.decode(raw, type=tuple[str, str, key])  # type: ignore[valid-type]
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise _invalid("it is malformed; pass meta.cursor of the page before unchanged") from None
    if made_for != scope:
        raise _invalid("it belongs to another query; start again without a cursor")
    return snapshot, place


def expired(what: str) -> ApiError:
    return ApiError(Code.CURSOR_EXPIRED, f"the {what} was refreshed; start again without cursor")


def _invalid(reason: str) -> ApiError:
    return ApiError(Code.INVALID_CURSOR, f"cursor: {reason}", errors=[{"path": "cursor", "reason": reason}])
