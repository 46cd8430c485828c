"""Ids of what is computed and not kept: a comment's, a story's, an album child's tells whose it is. Pure.

17 digits like Instagram's own; the part after "17" holds the creator's place in the cast, a post's or day's number
and the thing's own, stirred so that neighbours look nothing alike.
"""

from typing import Literal, NamedTuple

Sort = Literal["comment", "story", "child"]
_STARTS: dict[Sort, int] = {"comment": 0, "story": 8_000_000, "child": 9_000_000}  # of the thing's own number
_SPAN = 10**15
_STIR = 618_033_988_749_893  # coprime to 10
_UNSTIR = pow(_STIR, -1, _SPAN)
PARTS = 100
"""A post's or day's number counts modulo this: no creator lists more posts."""


class Thing(NamedTuple):
    sort: Sort
    slot: int  # the creator's, see `Cast.slot`
    part: int  # of a post's number or a day's, below PARTS
    number: int  # of the thing among its like


def encode(thing: Thing) -> str:
    """Distinct things have distinct ids: 10**6 creators, 8 million comments a post, a million of the others."""
    packed = (thing.slot * PARTS + thing.part % PARTS) * 10_000_000 + _STARTS[thing.sort] + thing.number
    return f"17{packed * _STIR % _SPAN:015d}"


def decode(text: str) -> Thing | None:
    """What the id names; it need not be there. None: no such id."""
    if len(text) != 17 or not text.startswith("17") or not (text.isascii() and text.isdigit()):
        return None
    packed, number = divmod(int(text[2:]) * _UNSTIR % _SPAN, 10_000_000)
    slot, part = divmod(packed, PARTS)
    sort = next(sort for sort in reversed(_STARTS) if number >= _STARTS[sort])
    return Thing(sort, slot, part, number - _STARTS[sort])
