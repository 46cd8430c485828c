"""How the Data API reads a query: parts, ids, pages, moments; what is wrong with one is its refusal."""

import base64
import binascii
import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gcc.world.answer import Query
from gcc.world.chance import letters
from gcc.world.youtube_errors import DataError

T = TypeVar("T")
IDS_MAX = 50
PAGE_MAX = 50
_TOKEN_MARK = 0x9A6E  # tells our page tokens from any other text


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list of `total` things."""

    start: int
    stop: int
    total: int
    per_page: int

    @property
    def tokens(self) -> dict[str, str]:
        """Of the neighbouring pages, where there are any."""
        after = {"nextPageToken": _token(self.stop)} if self.stop < self.total else {}
        return after | ({"prevPageToken": _token(max(self.start - self.per_page, 0))} if self.start > 0 else {})

    def of(self, things: Sequence[T]) -> Sequence[T]:
        return things[self.start : self.stop]


def required(query: Query, name: str) -> str:
    if name not in query:
        raise DataError("missingRequiredParameter", f"The request is missing a required parameter: {name}.")
    return query[name]


def one_of(query: Query, *names: str) -> str:
    """The name of the filter that is chosen."""
    chosen = [name for name in names if name in query]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise DataError("missingRequiredParameter", "Incompatible parameters specified in the request.")
    raise DataError("missingRequiredParameter", f"No filter selected. Expected one of: {', '.join(names)}")


def parts(query: Query, known: Collection[str]) -> list[str]:
    asked = required(query, "part").split(",")
    for part in asked:
        if part not in known:
            raise DataError("unknownPart", f"'{part}'")
    return asked


def ids(query: Query) -> list[str]:
    """The distinct ones, in order."""
    found = list(dict.fromkeys(query["id"].split(",")))
    if len(found) > IDS_MAX:
        raise DataError("invalidFilters")
    return found


def per_page(query: Query, default: int = 5, largest: int = PAGE_MAX) -> int:
    text = query.get("maxResults", str(default))
    if text.isascii() and text.isdigit() and int(text[:4]) <= largest:
        return max(int(text), 1)
    raise DataError("invalidParameter", f"Invalid value '{text[:20]}'. Values must be within the range: [0, {largest}]")


def page(query: Query, total: int, default: int = 5, largest: int = PAGE_MAX) -> Page:
    size = per_page(query, default, largest)
    start = _start(query["pageToken"], total) if "pageToken" in query else 0
    return Page(start, min(start + size, total), total, size)


def moment(query: Query, name: str, default: dt.datetime) -> dt.datetime:
    """RFC 3339, with its zone."""
    if name not in query:
        return default
    try:
        found = dt.datetime.fromisoformat(query[name])
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise DataError("invalidParameter", f"Invalid value '{query[name][:40]}' for {name}.")
    return found


def _token(start: int) -> str:
    """Opaque to the caller: where the page starts."""
    return "CA" + letters(_TOKEN_MARK << 32 | start)


def _start(token: str, total: int) -> int:
    try:
        packed = int.from_bytes(base64.b64decode(token[2:] + "=", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        packed = 0
    start = packed & 0xFFFFFFFF
    if packed >> 32 != _TOKEN_MARK or token != _token(start) or not 0 <= start < max(total, 1):
        raise DataError("invalidPageToken")
    return start
