"""The comments under a post: threads with their replies, any page of them at the cost of that page.

A post's comments are numbered from its first one. They come in blocks of the same build: THREADS tells how many
replies each thread of a block has; numbers of replies follow their thread's. So where thread t begins is arithmetic,
and a comment keeps its number when others come. Everything else is chance, keyed by post and number.
"""

import bisect
import datetime as dt
from dataclasses import dataclass
from itertools import accumulate

from gcc.world import audience, ids, talk
from gcc.world.chance import key_of, mix, unit
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post

THREADS = (0, 0, 1, 0, 3, 0, 0, 1, 0, 30, 0, 0, 2, 0, 0, 1, 0, 0, 5, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 1)
_STARTS = (0, *accumulate(1 + replies for replies in THREADS))  # numbers of the threads of a block, and its length
_BLOCK = _STARTS[-1]
_BY_OWNER = 0.25  # of the replies


@dataclass(frozen=True, slots=True)
class Comment:
    comment_id: str
    parent_id: str | None  # of a reply: its thread's
    actor: Creator | Person
    text: str
    published: dt.datetime
    likes: int
    replies: int
    number: int  # among all of the post, from the first


def thread_count(post: Post) -> int:
    """How many comments answer the post itself; the others of `post.comments` answer these."""
    blocks, rest = divmod(post.comments, _BLOCK)
    return blocks * len(THREADS) + bisect.bisect_left(_STARTS, rest)


def threads(cast: Cast, creator: Creator, post: Post, start: int, stop: int) -> list[Comment]:
    """Comments on the post itself from `start` to before `stop`, the newest first."""
    total = thread_count(post)
    return [_thread(cast, creator, post, total - 1 - place) for place in range(start, min(stop, total))]


def replies(cast: Cast, creator: Creator, post: Post, thread: Comment, start: int, stop: int) -> list[Comment]:
    """What answers a thread, the oldest first."""
    return [
        _comment(cast, creator, post, thread.number + 1 + place, thread)
        for place in range(start, min(stop, thread.replies))
    ]


def comment(cast: Cast, comment_id: str) -> tuple[Creator, Post, Comment] | None:
    """A comment or reply by its id, with the post that it is under."""
    thing = ids.decode(comment_id)
    if thing is None or thing.sort != "comment" or (creator := cast.owner(thing.slot)) is None:
        return None
    post = next((post for post in cast.posts_of(creator) if post.number % ids.PARTS == thing.part), None)
    if post is None or thing.number >= post.comments:
        return None
    block, rest = divmod(thing.number, _BLOCK)
    inside = bisect.bisect_right(_STARTS, rest) - 1
    thread = _thread(cast, creator, post, block * len(THREADS) + inside)
    if rest == _STARTS[inside]:
        return creator, post, thread
    return creator, post, _comment(cast, creator, post, thing.number, thread)


def _thread(cast: Cast, creator: Creator, post: Post, place: int) -> Comment:
    """The thread that was begun as number `place`, from the first."""
    block, inside = divmod(place, len(THREADS))
    number = block * _BLOCK + _STARTS[inside]
    return _comment(cast, creator, post, number, None, min(THREADS[inside], post.comments - number - 1))


def _comment(
    cast: Cast, creator: Creator, post: Post, number: int, thread: Comment | None, replies: int = 0
) -> Comment:
    bits = mix(key_of(post.post_id), number)
    by_owner = thread is not None and unit(bits) < _BY_OWNER
    actor = creator if by_owner else audience.follower(creator, bits % cast.today_of(creator).followers)
    return Comment(
        comment_id=ids.encode(ids.Thing("comment", cast.slot(creator), post.number, number)),
        parent_id=None if thread is None else thread.comment_id,
        actor=actor,
        text=_text(creator, actor, thread, bits),
        published=_published(cast, post, number, bits),
        likes=int((1 / (1 - unit(mix(bits, 1)))) ** 0.7) - 1,  # most have none, some have many
        replies=replies,
        number=number,
    )


def _published(cast: Cast, post: Post, number: int, bits: int) -> dt.datetime:
    """In the order of the numbers, most within the first hours, all before the world's today."""
    midnight = dt.datetime.combine(cast.today, dt.time(), dt.UTC)
    passed = ((number + unit(bits)) / (post.comments + 1)) ** 3
    return post.published + dt.timedelta(seconds=int((midnight - post.published).total_seconds() * passed))


def _text(creator: Creator, actor: Creator | Person, thread: Comment | None, bits: int) -> str:
    if isinstance(actor, Person) and actor.fake:
        return talk.advert(bits)
    said = talk.comment(actor.home.language if isinstance(actor, Person) else actor.language, bits)
    if thread is not None:
        return f"@{thread.actor.handle} {said}"
    return f"@{creator.handle} {said}" if bits % 11 == 0 else said
