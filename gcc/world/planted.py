"""What the world plants for analytics to find: days of bought followers, sponsored posts, and one person's two
accounts. /truth tells all of it (`planted` of a profile). Pure: the same for the same seed.

Not all of it can be found, as outside: some sponsored posts say nothing of it, some posts sound sponsored and are not,
some persons do not link their accounts, and many creators link to the channel of somebody else.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from gcc.world.chance import mix, unit
from gcc.world.model import AnomalyKind, Creator
from gcc.world.names import pick

_BUYS, _SAYS, _IS = 21, 22, 23  # streams of chance
_BUYERS, _SPONSORED, _SOUNDING, _PERSONS = 6, 9, 9, 4  # one in so many
BOUGHT = 0.03  # of followers
_LOST_DAYS = 5.0  # until a third of those is left
_FANS = 14  # of one channel, that link to it: more than one person's accounts


def bought(key: int, days: int) -> float:
    """By what bought followers multiply a creator's on this day."""
    if mix(key, _BUYS) % _BUYERS:
        return 1.0
    every_days, age, stays = _purchase(key, days)
    if stays:
        return (1 + BOUGHT) ** ((days + key % 997) // every_days - key % 997 // every_days)
    return 1 + BOUGHT * math.exp(-age / _LOST_DAYS)


def bought_on(key: int, days: int) -> AnomalyKind | None:
    """Of the days on which followers are bought: whether they stay."""
    if mix(key, _BUYS) % _BUYERS:
        return None
    _, age, stays = _purchase(key, days)
    return None if age else "SPIKE" if stays else "SPIKE_LOST"


def _purchase(key: int, days: int) -> tuple[int, int, bool]:
    """How often, how many days ago, and whether they stay."""
    draw = mix(key, _BUYS, 1)
    every_days = 60 + draw % 90
    return every_days, (days + key % 997) % every_days, bool(draw >> 40 & 1)


_ADS = (
    "#ad with @mynykaa",
    "Paid partnership with @boat.nirvana",
    "Use code {}20 for 20% off at @mamaearth.in",
    "Made in collaboration with @sugarcosmetics",
    "Mine is from https://amzn.to/3xYzAbc #gifted",
    "#विज्ञापन",
    "#sponsored",
    "So happy to be working with my friends of @lenskart",  # which a reader guesses, and no rule tells
)
_SOUNDS = (
    "#adventure awaits",
    "#notanad, I paid for it",
    "#collab with my sister",
    "Thanks @zomato for the dinner, it was late again",
    "The code of the door was 1234",
    "#pr means personal record",
    "Lost my code for 10% off at @nike, did anybody find one?",  # which a rule takes for one
)


def said(bits: int, handle: str) -> tuple[str, bool]:
    """What a post says beside its caption, "" for most, and whether it is sponsored."""
    draw = mix(bits, _SAYS)
    if draw % _SPONSORED == 0:
        return pick(_ADS, draw >> 16).format("".join(filter(str.isalnum, handle)).upper()[:8]), True
    if draw % _SOUNDING == 1:
        return pick(_SOUNDS, draw >> 16), False
    return "", False


def persons(instagram: Sequence[Creator], youtube: Sequence[Creator], seed: int) -> tuple[list[Creator], list[Creator]]:
    """The creators of both platforms, some of whom are one person with two accounts. They come in the same order."""
    ours, theirs = list(instagram), list(youtube)
    for place in range(min(len(ours), len(theirs))):
        draw = mix(seed, _IS, place)
        if draw % _PERSONS == 0 and ours[place].state == theirs[place].state == "public":
            ours[place], theirs[place] = _one(ours[place], theirs[place], unit(mix(draw)))
    fans = [place for place, creator in enumerate(ours) if place and creator.same_person is None]
    for place in fans[:_FANS]:
        ours[place] = _linking(ours[place], f"I watch youtube.com/@{theirs[0].handle}")
    return ours, theirs


def _one(instagram: Creator, youtube: Creator, mood: float) -> tuple[Creator, Creator]:
    youtube = replace(youtube, full_name=instagram.full_name, same_person=instagram.profile_id)
    instagram = replace(instagram, same_person=youtube.profile_id)
    if mood < 0.7:
        instagram = _linking(instagram, f"youtube.com/@{youtube.handle}")
    if 0.3 < mood < 0.9:  # the last tenth links nothing
        youtube = _linking(youtube, f"https://www.instagram.com/{instagram.handle}/")
    return instagram, youtube


def _linking(creator: Creator, text: str) -> Creator:
    return replace(creator, bio=f"{creator.bio}\n{text}")
