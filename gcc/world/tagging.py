"""Posts found by what they are tagged with: a hashtag, or a creator who is in them.

Like the platform's, a search shows a selection: the posts of the biggest creators whose field can bear the tag. Cheap
enough to be asked for while others wait: some 20 ms the first time, nothing after that.
"""

import functools

from gcc.world import names
from gcc.world.chance import key_of, mix
from gcc.world.model import Cast, Creator, Post

CREATORS_MAX = 40
_TAGGED_MAX = 24
Tagged = tuple[Creator, Post]


@functools.lru_cache(maxsize=128)
def hashtag(cast: Cast, tag: str) -> list[Tagged]:
    """Posts with the tag (without "#", in any case), newest first. Not to be changed: the list is shared."""
    tag = tag.lower()
    able = (creator for creator, _ in cast.ranked if creator.shows_posts and names.may_bear(creator.category, tag))
    found = [
        (creator, post)
        for creator, _ in zip(able, range(CREATORS_MAX), strict=False)
        for post in cast.posts_of(creator)
        if tag in map(str.lower, post.tags)
    ]
    return _newest_first(found)


def tagged(cast: Cast, creator: Creator) -> list[Tagged]:
    """Posts of others in which the creator is tagged, newest first."""
    bits = mix(key_of(creator.profile_id), 3)
    count = min(bits % (_TAGGED_MAX + 1), len(cast.ranked) - 1)
    found = []
    for place in range(count):
        other = cast.at((cast.slot(creator) + 1 + place * 3 % (len(cast.ranked) - 1)) % len(cast.ranked))
        posts = cast.posts_of(other)
        if posts and other.shows_posts:
            found.append((other, posts[mix(bits, place) % len(posts)]))
    return _newest_first(list({post.post_id: (other, post) for other, post in found}.values()))


def _newest_first(found: list[Tagged]) -> list[Tagged]:
    return sorted(found, key=lambda pair: (pair[1].published, pair[1].post_id), reverse=True)
