"""When a creator posts, and how the figures of the posts follow from the creator's averages.

The averages come first (they are what a history tells of any day); the posts of today are made to
have exactly these means. So a crawl of the first page computes what the history goes on from, and
no history needs a post to be computed. All pure.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gcc.world import names
from gcc.world.chance import bell, letters, mix, unit
from gcc.world.model import PAGE_POSTS, Kind, Platform, Post

_TIME, _WEIGHT, _LIKES, _COMMENTS, _ID, _SHORTCODE, _TEXT = range(1, 8)  # one stream of chance for each purpose
_JITTER = 0.8  # of an interval; below 1 keeps the posts in order
_PICTURES: tuple[Kind, ...] = ("image", "carousel", "reel", "reel")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the posts of the first page, in whole likes, comments and views."""

    likes: int
    comments: int
    views: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A creator's posts, numbered from 0 on the day of joining; `kept` of the newest can be listed."""

    platform: Platform
    key: int
    joined: dt.date
    interval_days: float
    kept: int
    category: str | None
    handle: str

    def _bits(self, number: int, stream: int) -> int:
        return mix(mix(self.key, number) + stream)

    def _age_days(self, number: int) -> float:
        """Days from joining to the post's publication."""
        return (number + _JITTER * unit(self._bits(number, _TIME))) * self.interval_days

    def published(self, number: int) -> dt.datetime:
        joined = dt.datetime(self.joined.year, self.joined.month, self.joined.day, tzinfo=dt.UTC)
        return joined + dt.timedelta(seconds=int(self._age_days(number) * 86_400))

    def count(self, date: dt.date) -> int:
        """How many posts were published before `date` begins."""
        days = (date - self.joined).days
        last = int(days / self.interval_days)
        return last + (self._age_days(last) < days) if days > 0 else 0

    def numbers(self, today: dt.date) -> range:
        """The numbers of the posts that can be listed, newest first."""
        count = self.count(today)
        return range(count - 1, max(count - self.kept, 0) - 1, -1)

    def post_id(self, number: int) -> str:
        bits = self._bits(number, _ID)
        return letters(bits) if self.platform == "YOUTUBE" else f"18{bits % 10**15:015d}"

    def posts(self, today: dt.date, totals: Totals) -> list[Post]:
        """The newest posts; those of the first page have `totals` as the sums of their figures."""
        numbers = self.numbers(today)
        days = (today - self.joined).days
        weights = [
            math.exp(0.45 * bell(self._bits(number, _WEIGHT)))
            * (1 - math.exp(-(days - self._age_days(number) + 0.3) / 2.0))  # a young post is not yet seen
            for number in numbers
        ]
        page = PAGE_POSTS[self.platform]
        likes = spread(totals.likes, self._varied(weights, numbers, _LIKES, 0.12), page)
        comments = spread(totals.comments, self._varied(weights, numbers, _COMMENTS, 0.35), page)
        views = [None] * len(weights) if totals.views is None else spread(totals.views, weights, page)
        make = self._picture if self.platform == "INSTAGRAM" else self._video
        return [make(*figures) for figures in zip(numbers, likes, comments, views, strict=True)]

    def _varied(self, weights: list[float], numbers: Sequence[int], stream: int, by: float) -> list[float]:
        return [
            weight * math.exp(by * bell(self._bits(number, stream)))
            for weight, number in zip(weights, numbers, strict=True)
        ]

    def _picture(self, number: int, likes: int, comments: int, views: int | None) -> Post:
        bits = self._bits(number, _TEXT)
        title, tags = names.headline(bits, self.category)
        kind = _PICTURES[(bits >> 40) % 4]
        return Post(
            post_id=self.post_id(number),
            shortcode="C" + letters(self._bits(number, _SHORTCODE))[:10],
            kind=kind,
            published=self.published(number),
            title=f"{title}\n\n" + " ".join(f"#{tag}" for tag in tags),
            description="",
            tags=tags,
            category_id="",
            likes=likes,
            comments=comments,
            views=views,
            duration_s=15 + bits % 60 if kind == "reel" else 0,
        )

    def _video(self, number: int, likes: int, comments: int, views: int | None) -> Post:
        bits = self._bits(number, _TEXT)
        title, tags = names.headline(bits, self.category)
        post_id = self.post_id(number)
        short = (bits >> 40) % 4 == 0
        return Post(
            post_id=post_id,
            shortcode=post_id,
            kind="short" if short else "video",
            published=self.published(number),
            title=title,
            description=f"{title}. New videos on @{self.handle} every week.",
            tags=tags,
            category_id=names.YOUTUBE_CATEGORY_IDS.get(self.category or "", "24"),
            likes=likes,
            comments=comments,
            views=views,
            duration_s=15 + bits % 45 if short else 120 + bits % 1500,
        )


def spread(total: int, weights: Sequence[float], page: int) -> list[int]:
    """Whole numbers in proportion to the weights; the first `page` of them sum to `total` exactly.

    Fewer weights than a page take their share of it.
    """
    first = weights[:page]
    if not first:
        return []
    total = total * len(first) // page
    scale = total / sum(first)
    marks = [round(mark * scale) for mark in accumulate(first)]
    marks[-1] = total  # rounding of the sum may be off by one
    figures = [after - before for before, after in zip([0, *marks], marks, strict=False)]
    return figures + [round(weight * scale) for weight in weights[page:]]
