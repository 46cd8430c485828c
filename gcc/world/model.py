"""What a world is made of, generated or recorded alike: creators, their figures by day, their posts.

Everything here is immutable and computed on demand; a `Cast` pins one `today`, so that what the
API answers, what /truth says and what /history tells agree for as long as the process lives.
"""

import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Platform = Literal["INSTAGRAM", "YOUTUBE"]
Kind = Literal["image", "carousel", "reel", "video", "short"]
PAGE_POSTS: dict[Platform, int] = {"INSTAGRAM": 12, "YOUTUBE": 15}
"""Posts on the first page of a crawl; the averages are means over these."""


@dataclass(frozen=True, slots=True)
class Day:
    """A creator's figures on one day; None is unknown, never zero. Averages are per post."""

    followers: int
    following: int | None
    media_count: int | None
    total_views: int | None
    avg_likes: float | None
    avg_comments: float | None
    avg_views: float | None
    engagement_rate: float | None


@dataclass(frozen=True, slots=True)
class Post:
    """A post and its figures as of today. On YouTube `post_id` and `shortcode` are the video id."""

    post_id: str
    shortcode: str
    kind: Kind
    published: dt.datetime
    title: str  # Instagram: the caption
    description: str  # Instagram: empty
    tags: tuple[str, ...]
    category_id: str  # YouTube's number of a category; Instagram: empty
    likes: int
    comments: int
    views: int | None  # None on Instagram: business discovery does not tell it
    duration_s: int


class Course(Protocol):
    """How a creator's figures run: a pure function of the day."""

    def day(self, date: dt.date) -> Day | None:
        """The figures on `date` (UTC), None where nothing is known of it."""

    def post_ids(self, today: dt.date) -> list[str]:
        """The ids of `posts(today)`, cheaper."""

    def posts(self, today: dt.date) -> list[Post]:
        """The posts that can be listed on `today`, newest first, all published before it."""


@dataclass(frozen=True, slots=True)
class Creator:
    platform: Platform
    profile_id: str
    handle: str  # lower case, without "@"
    full_name: str
    bio: str
    website: str | None
    category: str | None
    language: str | None
    country: str | None  # two letters, ISO 3166
    city: str | None
    joined: dt.date
    tells_country: bool  # YouTube: whether the channel's snippet names its country
    course: Course

    @property
    def key(self) -> str:
        """The part of a YouTube channel id that its uploads playlist shares."""
        return self.profile_id[2:]


class Cast:
    """The creators of one platform on one day, and the ways to find them.

    `dates` are the only days with a recorded history; None means that every day has one.
    """

    def __init__(
        self, platform: Platform, creators: Sequence[Creator], today: dt.date, dates: Sequence[dt.date] | None = None
    ) -> None:
        self.platform = platform
        self.today = today
        self._dates = dates
        figures = [(creator, self._today(creator)) for creator in creators]
        figures.sort(key=lambda pair: (-pair[1].followers, pair[0].profile_id))
        self.ranked = figures
        """(creator, today's figures), most followers first, then by profile id."""
        self._figures = {creator.profile_id: day for creator, day in figures}
        self._by_id = {creator.profile_id: creator for creator in creators}
        self._by_handle = {creator.handle: creator for creator in creators}
        self._posts = functools.lru_cache(maxsize=512)(lambda profile_id: self._by_id[profile_id].course.posts(today))
        self._owners = {
            post_id: creator.profile_id
            for creator in creators
            if platform == "YOUTUBE"  # only its API looks posts up by their ids
            for post_id in creator.course.post_ids(today)
        }
        if len(self._by_handle) != len(creators) or len(self._by_id) != len(creators):
            raise ValueError(f"{platform}: two creators share a handle or an id")

    def top(self, count: int) -> "Cast":
        """The same day with only the `count` creators of most followers."""
        if count >= len(self.ranked):
            return self
        return Cast(self.platform, [creator for creator, _ in self.ranked[:count]], self.today, self._dates)

    def _today(self, creator: Creator) -> Day:
        day = creator.course.day(self.today)
        if day is None:
            raise ValueError(f"{creator.platform} {creator.handle} has no figures on {self.today}")
        return day

    def by_handle(self, handle: str) -> Creator | None:
        """In any case, with "@" or without."""
        return self._by_handle.get(handle.lower().removeprefix("@"))

    def by_id(self, profile_id: str) -> Creator | None:
        return self._by_id.get(profile_id)

    def today_of(self, creator: Creator) -> Day:
        return self._figures[creator.profile_id]

    def posts_of(self, creator: Creator) -> list[Post]:
        """Newest first. Not to be changed: the list is shared."""
        return self._posts(creator.profile_id)

    def video(self, post_id: str) -> tuple[Creator, Post] | None:
        """A YouTube video by its id."""
        owner = self._by_id.get(self._owners.get(post_id, ""))
        if owner is None:
            return None
        return next(((owner, post) for post in self.posts_of(owner) if post.post_id == post_id), None)

    def dates(self, days: int) -> list[dt.date]:
        """The days of the history, ascending: the `days` before today, or all the recorded ones."""
        if self._dates is not None:
            return sorted(self._dates)
        return [self.today - dt.timedelta(days=ago) for ago in range(days, 0, -1)]

    def on(self, date: dt.date) -> Iterator[tuple[Creator, Day]]:
        """Every creator with figures on `date`, in no particular order."""
        for creator, _ in self.ranked:
            day = creator.course.day(date)
            if day is not None:
                yield creator, day
