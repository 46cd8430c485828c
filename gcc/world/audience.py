"""Who follows a creator, whom it follows, who likes a post: any page of any list, at the cost of that page.

In: the cast, a creator and a slice of the list, newest first. Nothing is kept: who stands where is a function of the
creator and the place, so a list of millions can be entered anywhere. Nobody is twice in one list.
"""

from gcc.world import crowd
from gcc.world.chance import key_of, mix, unit
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post

_STEP = 6_180_339_887  # coprime to the counts of genuine ones and fakes: walks both without meeting anybody twice
_STRIDE = 1_000_000_007  # prime and above every count of followers: walks a list likewise
_PEERS_MAX = 40  # of those whom a creator follows are creators


def followers(cast: Cast, creator: Creator, start: int, stop: int) -> list[Person]:
    """The followers from `start` to before `stop`, the newest first; there are as many as today's figure says."""
    total = cast.today_of(creator).followers
    base = key_of(creator.profile_id)
    return [_follower(base, total - 1 - place) for place in range(start, min(stop, total))]


def follower(creator: Creator, place: int) -> Person:
    """The one who came as number `place`, counted from the first."""
    return _follower(key_of(creator.profile_id), place)


def following(cast: Cast, creator: Creator, start: int, stop: int) -> list[Creator | Person]:
    """Whom the creator follows: some creators, then the crowd."""
    total = cast.today_of(creator).following or 0
    peers = min(_PEERS_MAX, total, len(cast.ranked) - 1)
    base = mix(key_of(creator.profile_id), 2)
    return [
        cast.at(_peer(cast, creator, place)) if place < peers else _follower(base, place)
        for place in range(start, min(stop, total))
    ]


def likers(cast: Cast, creator: Creator, post: Post, start: int, stop: int) -> list[Person]:
    """Who likes the post: followers, where there are enough."""
    crowd = max(cast.today_of(creator).followers, post.likes)
    base, first = key_of(creator.profile_id), key_of(post.post_id)
    return [_follower(base, (first + place * _STRIDE) % crowd) for place in range(start, min(stop, post.likes))]


def fake_share(creator: Creator) -> float:
    """Of the followers: a few in a hundred; every fourth creator has bought some."""
    return _fake_share(key_of(creator.profile_id))


def _fake_share(base: int) -> float:
    chance = unit(mix(base, 3))
    return 0.02 + 0.04 * unit(mix(base, 4)) if chance < 0.75 else 0.1 + 0.3 * unit(mix(base, 4))


def _follower(base: int, place: int) -> Person:
    at = base + place * _STEP
    if unit(mix(at, 5)) < _fake_share(base):
        return crowd.fake(at % crowd.FAKES)
    return crowd.genuine(at % crowd.GENUINE)


def _peer(cast: Cast, creator: Creator, place: int) -> int:
    """The slot of another creator: the next ones after the creator's own, so that none is met twice."""
    return (cast.slot(creator) + 1 + place) % len(cast.ranked)
