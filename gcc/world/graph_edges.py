"""Lists of the Graph API, a page at a time, with cursors and `next` addresses that hold the token as the real ones do.

A page may be empty though more follow, as where the API has filtered what was on it; the last page still has cursors.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gcc.world.chance import key_of, mix
from gcc.world.graph_fields import Field
from gcc.world.graph_nodes import Node, Reader, compiled
from gcc.world.graph_refusals import refused, too_much_data

LIMIT = 25  # where none is asked for
LIMIT_MAX = 100
_EMPTY_ONE_IN = 8  # pages after the first


@dataclass(frozen=True, slots=True)
class Listing:
    """`items(start, stop)` are a part of the list; `of` tells it from others: a cursor of one fits no other."""

    of: str
    count: int
    items: Callable[[int, int], Sequence[tuple[Any, ...]]]
    node: Node
    nested: Mapping[str, Callable[[Field], Reader]] = field(default_factory=dict)
    clamps_at: int | None = None  # a longer page is cut to this; None: longer than LIMIT_MAX is too much data


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a page begins; `waited`: an empty one has been shown in its place."""

    start: int
    waited: bool = False


def page(
    listing: Listing, args: Mapping[str, str], fields: Sequence[Field], address: Callable[[Mapping[str, str]], str]
) -> dict[str, Any]:
    """The page that `after`, `before` and `limit` ask for; `address` makes that of another one."""
    limit = _limit(listing, args)
    turn = _turn(listing, args, limit)
    stop = min(turn.start + limit, listing.count)
    more = stop < listing.count
    if more and not turn.waited and turn.start and mix(key_of(listing.of), turn.start) % _EMPTY_ONE_IN == 0:
        after = _cursor(listing.of, Turn(turn.start, waited=True))
        return {"data": [], "paging": {"cursors": {"after": after}, "next": address({**args, "after": after})}}
    show = compiled(listing.node, fields, listing.nested)
    data = [show(item) for item in listing.items(turn.start, stop)]
    if not data:
        return {"data": []}
    before, after = _cursor(listing.of, Turn(turn.start)), _cursor(listing.of, Turn(stop))
    paging: dict[str, Any] = {"cursors": {"before": before, "after": after}}
    rest = {name: value for name, value in args.items() if name not in ("after", "before")}
    if more:
        paging["next"] = address({**rest, "after": after})
    if turn.start:
        paging["previous"] = address({**rest, "before": before})
    return {"data": data, "paging": paging}


def whole(text: str, name: str) -> int:
    """A positive number, of any size below a thousand million."""
    if text.isascii() and text.isdigit() and len(text) <= 9 and int(text):
        return int(text)
    raise refused(f"Param {name} must be a positive number, got {text[:20]}")


def _limit(listing: Listing, args: Mapping[str, str]) -> int:
    limit = whole(args.get("limit", str(LIMIT)), "limit")
    if listing.clamps_at is not None:
        return min(limit, listing.clamps_at)
    if limit > LIMIT_MAX:
        raise too_much_data()
    return limit


def _turn(listing: Listing, args: Mapping[str, str], limit: int) -> Turn:
    if "after" in args:
        return _read(listing.of, args["after"])
    if "before" in args:
        return Turn(max(_read(listing.of, args["before"]).start - limit, 0))
    return Turn(0)


def _cursor(of: str, turn: Turn) -> str:
    """Opaque to the caller, and of this list alone."""
    told = f"{turn.start}{'w' if turn.waited else ''}:{mix(key_of(of), turn.start) % 10**8}"
    return "QVFI" + base64.urlsafe_b64encode(told.encode()).rstrip(b"=").decode()


def _read(of: str, cursor: str) -> Turn:
    try:
        told = base64.urlsafe_b64decode(cursor[4:] + "=" * (-len(cursor[4:]) % 4)).decode()
        start = told.partition(":")[0]
        turn = Turn(int(start.removesuffix("w")[:12]), start.endswith("w"))
    except (binascii.Error, ValueError):
        raise refused("Invalid cursors values") from None
    if turn.start < 0 or _cursor(of, turn) != cursor:
        raise refused("Invalid cursors values")
    return turn


def address(root: str, path: str, token: str) -> Callable[[Mapping[str, str]], str]:
    """Makes addresses as the API writes them: the token first, for all to see."""

    def make(args: Mapping[str, str]) -> str:
        shown = {"access_token": token, "pretty": "0"} | {
            name: value for name, value in args.items() if name not in ("access_token", "pretty")
        }
        return f"{root}{path}?{urlencode(shown)}"

    return make
