"""What YouTube holds beside channels and their uploads: playlists, charts, search, activities, subscriptions.

Pure functions of the cast; a page costs what it shows. Odd creators have YouTube's own oddities: a `private` one hides
subscribers, subscriptions and videos, an `age_gated` one takes no comments, a `renamed` one is on the air (a live
stream, and a premiere to come), `hides_likes` hides them, and who is `gone` is terminated.
"""

import datetime as dt
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gcc.world import names
from gcc.world.chance import key_of, letters, mix
from gcc.world.model import Cast, Creator, Post

Air = Literal["none", "live", "upcoming"]
CHARTED = {"10": "10", "20": "20", "1": "1", "30": "1"}
"""The categories that a chart is made of since July 2025, and whose videos stand in it: music, gaming, movies."""
_CHART_CREATORS, _CHART_POSTS = 50, 4
_FOUND_MAX = 200
_SEARCHED_CREATORS_MAX = 100  # a search that fits none of their videos takes some 50 ms
_PICKS = (2, 3, 5, 7)  # of a playlist: every so-manieth video


@dataclass(frozen=True, slots=True)
class Row:
    """Of a playlist; no post: the video has become private, and only its id is left."""

    video_id: str
    creator: Creator | None
    post: Post | None


@dataclass(frozen=True, slots=True)
class Playlist:
    playlist_id: str
    creator: Creator
    title: str
    published: dt.datetime
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Activity:
    activity_id: str
    kind: Literal["upload", "playlistItem"]
    published: dt.datetime
    post: Post
    playlist_id: str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    subscription_id: str
    channel: Creator
    since: dt.datetime


def hides_subscribers(creator: Creator) -> bool:
    return creator.state == "private"


def takes_comments(creator: Creator) -> bool:
    return creator.state != "age_gated"


def tells_subscriptions(creator: Creator) -> bool:
    """Two of three keep them to themselves."""
    return creator.state != "private" and key_of(creator.profile_id) % 3 == 0


def air(creator: Creator, post: Post) -> Air:
    """Whether a video is on the air or will be."""
    if creator.state != "renamed" or not post.post_id.startswith("air"):
        return "none"
    return "live" if post.post_id.endswith("0") else "upcoming"


def uploads(cast: Cast, creator: Creator) -> list[Post]:
    """All that can be listed, newest first."""
    if not creator.shows_posts:
        return []
    posts = cast.posts_of(creator)
    return _airing(cast, creator, posts) + posts if creator.state == "renamed" else posts


def video(cast: Cast, video_id: str) -> tuple[Creator, Post] | None:
    found = cast.post(video_id) or _on_the_air(cast).get(video_id)
    return found if found is not None and found[0].shows_posts else None


def playlist(cast: Cast, playlist_id: str) -> Playlist | None:
    """Of uploads (UU), of Shorts (UUSH), long videos (UULF) and live ones (UULV), or one that its owner made (PL).

    None: no such list, and an automatic one that would be empty.
    """
    for head, fits in _AUTOMATIC.items():
        creator = cast.by_id("UC" + playlist_id[len(head) :])
        if playlist_id.startswith(head) and creator is not None:
            rows = [Row(post.post_id, creator, post) for post in uploads(cast, creator) if fits(creator, post)]
            return Playlist(playlist_id, creator, "Uploads", _joined(creator), rows) if rows else None
    creator = cast.by_id("UC" + playlist_id[2:24]) if playlist_id.startswith("PL") else None
    if creator is None:
        return None
    return next((each for each in playlists(cast, creator) if each.playlist_id == playlist_id), None)


def playlists(cast: Cast, creator: Creator) -> list[Playlist]:
    """Those that the creator made, the newest first."""
    posts = uploads(cast, creator)
    base = key_of(creator.profile_id)
    return [_made(creator, posts, base, number) for number in range(base % len(_PICKS), -1, -1)] if posts else []


def activities(cast: Cast, creator: Creator) -> list[Activity]:
    """Uploads and what was put into playlists, the newest first."""
    made = playlists(cast, creator)
    found = []
    for post in uploads(cast, creator):
        bits = key_of(post.post_id)
        if made and bits % 5 == 0:
            later = post.published + dt.timedelta(minutes=30)
            found.append(
                Activity(letters(bits, 2), "playlistItem", later, post, made[bits // 5 % len(made)].playlist_id)
            )
        found.append(Activity(letters(bits, 1), "upload", post.published, post, None))
    return found


def subscriptions(cast: Cast, creator: Creator) -> list[Subscription]:
    """To whom the creator has subscribed, by name; the neighbours in the cast."""
    base, slot = key_of(creator.profile_id), cast.slot(creator)
    count = min(3 + base % 60, len(cast.ranked) - 1)
    found = []
    for place in range(1, count + 1):
        other = cast.at((slot + place) % len(cast.ranked))
        if other.state != "gone":
            since = dt.datetime(2018, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=mix(base, place) % 4_000_000)
            found.append(Subscription(letters(base, place), other, since))
    return sorted(found, key=lambda each: (each.channel.full_name, each.channel.profile_id))


@functools.lru_cache(maxsize=64)
def chart(cast: Cast, category_id: str, region: str) -> list[tuple[Creator, Post]]:
    """The most popular of a category of CHARTED, "" for all of them, in a country; at most 200."""
    wanted = set(CHARTED.values()) if category_id in ("", "0") else {CHARTED[category_id]}
    makers = (creator for creator, _ in cast.ranked if _category_of(creator) in wanted and creator.shows_posts)
    found = [
        (creator, post)
        for creator in itertools.islice(makers, _CHART_CREATORS)
        for post in cast.posts_of(creator)[:_CHART_POSTS]
    ]
    region_key = key_of(region)
    return sorted(found, key=lambda pair: -(pair[1].views or 0) * (1 + mix(region_key, key_of(pair[1].post_id)) % 8))


@functools.lru_cache(maxsize=64)
def search(cast: Cast, words: str, channel_id: str = "", category_id: str = "") -> list[tuple[Creator, Post | None]]:
    """Channels (no post) and videos that have all the words, of a channel or category or of all; the greatest first.

    As the real one it finds no more than some hundreds.
    """
    asked = words.lower().split()
    own = cast.by_id(channel_id)
    if channel_id:
        makers = iter([own] if own is not None else [])
    else:
        may = (
            creator
            for creator, _ in cast.ranked
            if category_id in ("", _category_of(creator)) and all(_speaks_of(creator, word) for word in asked)
        )
        makers = itertools.islice(may, _SEARCHED_CREATORS_MAX)
    return list(itertools.islice(_matching(cast, makers, asked), _FOUND_MAX))


def _matching(cast: Cast, makers: Iterator[Creator], asked: list[str]) -> Iterator[tuple[Creator, Post | None]]:
    for creator in makers:
        if creator.state == "gone":
            continue
        name = f"{creator.full_name} {creator.handle}".lower()
        if all(word in name for word in asked):
            yield creator, None
        for post in uploads(cast, creator):
            text = f"{name} {post.title} {' '.join(post.tags)}".lower()
            if all(word in text for word in asked):
                yield creator, post


def _category_of(creator: Creator) -> str:
    """The number of all its videos' category."""
    return names.YOUTUBE_CATEGORY_IDS.get(creator.category or "", "24")


def _speaks_of(creator: Creator, word: str) -> bool:
    return word in f"{creator.full_name} {creator.handle}".lower() or names.may_say(creator.category, word)


def _made(creator: Creator, posts: Sequence[Post], base: int, number: int) -> Playlist:
    """A playlist of some of the videos; in every second one, a video has become private since."""
    bits = mix(base, 40 + number)
    rows = [Row(post.post_id, creator, post) for post in posts[number :: _PICKS[number]]]
    if number % 2:
        rows.insert(1, Row(letters(bits), None, None))
    title = f"{creator.category or 'Best'} picks {number + 1}"
    published = _joined(creator) + dt.timedelta(days=30 * (number + 1))
    return Playlist(f"PL{creator.key}{letters(bits)[:10]}", creator, title, published, rows)


def _airing(cast: Cast, creator: Creator, posts: Sequence[Post]) -> list[Post]:
    """A live stream, and a premiere that waits for its hour."""
    midnight = dt.datetime.combine(cast.today, dt.time(), dt.UTC)
    name = letters(key_of(creator.profile_id))[:7]
    return [
        replace(
            posts[0], post_id=f"air{name}{number}", shortcode=f"air{name}{number}", kind="video",
            published=midnight - dt.timedelta(hours=hours_ago), title=title, likes=0, comments=0, views=views,
            duration_s=seconds, number=99 - number,
        )
        for number, title, hours_ago, views, seconds in (
            (1, "Premiere tonight", 1, 0, 600), (0, "Live: ask me anything", 2, 1200, 0),
        )
    ]  # fmt: skip


@functools.lru_cache(maxsize=8)
def _on_the_air(cast: Cast) -> dict[str, tuple[Creator, Post]]:
    return {
        post.post_id: (creator, post)
        for creator, _ in cast.ranked
        if creator.state == "renamed"
        for post in uploads(cast, creator)[:2]
    }


def _joined(creator: Creator) -> dt.datetime:
    return dt.datetime.combine(creator.joined, dt.time(9, 30), dt.UTC)


def _short(creator: Creator, post: Post) -> bool:
    return post.kind == "short"


def _live(creator: Creator, post: Post) -> bool:
    return air(creator, post) == "live"


_AUTOMATIC: dict[str, Callable[[Creator, Post], bool]] = {
    "UUSH": _short,
    "UULF": lambda creator, post: not _short(creator, post) and not _live(creator, post),
    "UULV": _live,
    "UU": lambda creator, post: True,
}
