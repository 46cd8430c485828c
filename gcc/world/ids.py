"""Ids of what is computed and not kept: a comment's, a story's, an album child's tells whose it is. Pure.

And Instagram's own ids, by which its apps know what the Graph API has other ids for.

17 digits like Instagram's own; the part after "17" holds the creator's place in the cast, a post's or day's number
and the thing's own, stirred so that neighbours look nothing alike.
"""

from typing import Literal, NamedTuple

Sort = Literal["comment", "story", "child"]
_STARTS: dict[Sort, int] = {"comment": 0, "story": 8_000_000, "child": 9_000_000}  # of the thing's own number
_SPAN = 10**15
_STIR = 618_033_988_749_893  # coprime to 10
_UNSTIR = pow(_STIR, -1, _SPAN)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ACCOUNTS = 10**11
_FIRST_ACCOUNT = 10**11  # above all of the crowd
_STIR_ACCOUNT = 61_803_398_877  # coprime to 10
_UNSTIR_ACCOUNT = pow(_STIR_ACCOUNT, -1, _ACCOUNTS)
_GRAPH = "178414"  # how the Graph API's ids of accounts begin
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


def account_pk(graph_id: str) -> str:
    """The id that Instagram's apps have for the account of this id of the Graph API."""
    number = int(graph_id.removeprefix(_GRAPH))
    return str(_FIRST_ACCOUNT + number * _STIR_ACCOUNT % _ACCOUNTS)


def account_of_pk(pk: str) -> str | None:
    """The other way; None: no such account."""
    if not (len(pk) == 12 and pk.isascii() and pk.isdigit() and pk[0] == "1"):
        return None
    return f"{_GRAPH}{(int(pk) - _FIRST_ACCOUNT) * _UNSTIR_ACCOUNT % _ACCOUNTS:011d}"


def media_pk(shortcode: str) -> str:
    """The id that the apps have for a post or a story: its shortcode is that number, written to the base of 64."""
    number = 0
    for letter in shortcode:
        number = number * len(_LETTERS) + _LETTERS.index(letter)
    return str(number)


def shortcode(media_pk: str) -> str:
    """The other way, of a shortcode that does not begin with A, as none does; "" of what is no number."""
    number = int(media_pk) if media_pk.isascii() and media_pk.isdigit() and len(media_pk) < 30 else 0
    letters = ""
    while number:
        number, value = divmod(number, len(_LETTERS))
        letters = _LETTERS[value] + letters
    return letters
