"""What a world is made of, generated or recorded alike: creators, their figures by day, their posts.

Everything here is immutable and computed on demand; a `Cast` pins one `today`, so that what the
API answers, what /truth says and what /history tells agree for as long as the process lives.
"""

import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gcc.world import ids

Platform = Literal["INSTAGRAM", "YOUTUBE"]
Kind = Literal["image", "carousel", "reel", "video", "short"]
AnomalyKind = Literal["DROP", "SPIKE", "SPIKE_LOST"]
State = Literal["public", "private", "renamed", "gone", "age_gated", "hides_likes"]
"""What the platform shows of an account; a renamed one is public under its new handle."""
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
    """A post and its figures as of today. On YouTube `post_id` and `shortcode` are the video id.

    On Instagram `post_id` is the Graph API's; `pk` is Instagram's own, which all others tell.
    """

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
    number: int = 0  # among all posts of its creator, from the first one
    copyrighted: bool = False  # its sound belongs to others: the file is not given out
    sponsored: bool = False  # whether or not it says so

    @property
    def pk(self) -> str:
        return self.post_id if self.post_id == self.shortcode else ids.media_pk(self.shortcode)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day whose followers are unlike those of the day before: by which share of them, at least."""

    date: dt.date
    kind: AnomalyKind
    share: float


class Course(Protocol):
    """How a creator's figures run: a pure function of the day."""

    def anomalies(self, dates: Sequence[dt.date]) -> list[Anomaly]:
        """What happens on these days that does not on others."""

    def day(self, date: dt.date) -> Day | None:
        """The figures on `date` (UTC), None where nothing is known of it."""

    def post_names(self, today: dt.date) -> list[str]:
        """The ids and shortcodes of `posts(today)`, cheaper."""

    def posts(self, today: dt.date) -> list[Post]:
        """The posts that can be listed on `today`, newest first, all published a day before it, or earlier."""


@dataclass(frozen=True, slots=True)
class Creator:
    platform: Platform
    profile_id: str  # on Instagram the Graph API's
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
    state: State = "public"
    former_handles: tuple[str, ...] = ()  # of a renamed one; nobody is called so any more
    same_person: str | None = None  # the id of that person's account on the other platform

    @property
    def key(self) -> str:
        """The part of a YouTube channel id that its uploads playlist shares."""
        return self.profile_id[2:]

    @property
    def pk(self) -> str:
        """Instagram's own id, which its apps and those who scrape them tell."""
        return ids.account_pk(self.profile_id)

    @property
    def shows_posts(self) -> bool:
        """Whether a stranger may see the posts, grown up as the stranger is."""
        return self.state not in ("private", "gone")

    @property
    def shows_likes(self) -> bool:
        return self.state != "hides_likes"


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
        self._creators = creators
        self._slots = {creator.profile_id: slot for slot, creator in enumerate(creators)}
        self._by_id = {creator.profile_id: creator for creator in creators}
        self._by_handle = {creator.handle: creator for creator in creators}
        self._posts = functools.lru_cache(maxsize=512)(lambda profile_id: self._by_id[profile_id].course.posts(today))
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
        """In any case, with "@" or without; None also where the creator is gone."""
        return _unless_gone(self._by_handle.get(handle.lower().removeprefix("@")))

    def by_id(self, profile_id: str) -> Creator | None:
        return _unless_gone(self._by_id.get(profile_id))

    def remembered(self, name: str) -> Creator | None:
        """By handle, former handle or id, gone or not: for the truth, not for an API."""
        name = name.lower().removeprefix("@") if name not in self._by_id else name
        former = (each for each in self._creators if name in each.former_handles)
        return self._by_handle.get(name) or self._by_id.get(name) or next(former, None)

    def slot(self, creator: Creator) -> int:
        """The creator's place among all, the same on every day."""
        return self._slots[creator.profile_id]

    def at(self, slot: int) -> Creator:
        return self._creators[slot]

    def owner(self, slot: int) -> Creator | None:
        """Of a thing whose id names this slot; None: no such place, or gone."""
        return _unless_gone(self._creators[slot]) if slot < len(self._creators) else None

    def today_of(self, creator: Creator) -> Day:
        return self._figures[creator.profile_id]

    def posts_of(self, creator: Creator) -> list[Post]:
        """Newest first. Not to be changed: the list is shared."""
        return self._posts(creator.profile_id)

    def post(self, name: str) -> tuple[Creator, Post] | None:
        """A post that can be listed, by its id or shortcode."""
        owner = self.by_id(self._owners.get(name, ""))
        if owner is None:
            return None
        return next(((owner, post) for post in self.posts_of(owner) if name in (post.post_id, post.shortcode)), None)

    @functools.cached_property
    def _owners(self) -> dict[str, str]:
        """Whose each post is, by its id and shortcode; some 0.1 ms a creator, the first time."""
        return {
            name: creator.profile_id for creator in self._creators for name in creator.course.post_names(self.today)
        }

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


def _unless_gone(creator: Creator | None) -> Creator | None:
    return None if creator is None or creator.state == "gone" else creator
