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
from typing import NamedTuple

from gcc.world import names, planted
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


class _Draft(NamedTuple):
    """A post before it has figures."""

    number: int
    bits: int  # the chance of all that is its own
    at_days: float  # published so many days after joining


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

    def count(self, date: dt.date) -> int:
        """How many posts were published before the day before `date` begins.

        A day's posts still grow, and no average counts them (rule 2.1): so the means of the first page are just that
        of a crawl, at whatever hour it comes.
        """
        days = (date - self.joined).days - 1
        last = int(days / self.interval_days)
        return last + (self._draft(last).at_days < days) if days > 0 else 0

    def post_names(self, today: dt.date) -> list[str]:
        """The ids and the shortcodes of the posts that can be listed."""
        drawn = [mix(self.key, number) for number in self._numbers(today)]
        ids = [self._post_id(bits) for bits in drawn]
        return ids if self.platform == "YOUTUBE" else ids + [_shortcode(bits) for bits in drawn]

    def posts(self, today: dt.date, totals: Totals) -> list[Post]:
        """The posts that can be listed, newest first; `totals` are the sums of the first page's figures."""
        drafts = [self._draft(number) for number in self._numbers(today)]
        days = (today - self.joined).days
        weights = [
            math.exp(0.45 * bell(mix(draft.bits + _WEIGHT)))
            * (1 - math.exp(-(days - draft.at_days + 0.3) / 2.0))  # a young post is not yet seen
            for draft in drafts
        ]
        page = PAGE_POSTS[self.platform]
        likes = spread(totals.likes, _varied(weights, drafts, _LIKES, 0.12), page)
        comments = spread(totals.comments, _varied(weights, drafts, _COMMENTS, 0.35), page)
        views = [None] * len(weights) if totals.views is None else spread(totals.views, weights, page)
        make = self._picture if self.platform == "INSTAGRAM" else self._video
        return [make(*figures) for figures in zip(drafts, likes, comments, views, strict=True)]

    def _numbers(self, today: dt.date) -> range:
        count = self.count(today)
        return range(count - 1, max(count - self.kept, 0) - 1, -1)

    def _draft(self, number: int) -> _Draft:
        bits = mix(self.key, number)
        return _Draft(number, bits, (number + _JITTER * unit(mix(bits + _TIME))) * self.interval_days)

    def _published(self, draft: _Draft) -> dt.datetime:
        joined = dt.datetime(self.joined.year, self.joined.month, self.joined.day, tzinfo=dt.UTC)
        return joined + dt.timedelta(seconds=int(draft.at_days * 86_400))

    def _post_id(self, bits: int) -> str:
        bits = mix(bits + _ID)
        return letters(bits) if self.platform == "YOUTUBE" else f"18{bits % 10**15:015d}"

    def _picture(self, draft: _Draft, likes: int, comments: int, views: int | None) -> Post:
        bits = mix(draft.bits + _TEXT)
        title, tags = names.headline(bits, self.category)
        said, sponsored = planted.said(draft.bits, self.handle)
        kind = _PICTURES[(bits >> 40) % 4]
        return Post(
            post_id=self._post_id(draft.bits),
            shortcode=_shortcode(draft.bits),
            kind=kind,
            published=self._published(draft),
            title="\n\n".join(filter(None, (title, said, f"#{' #'.join(tags)}"))),
            description="",
            tags=tags,
            category_id="",
            likes=likes,
            comments=comments,
            views=views,
            duration_s=15 + bits % 60 if kind == "reel" else 0,
            number=draft.number,
            copyrighted=kind == "reel" and (bits >> 48) % 16 == 0,
            sponsored=sponsored,
        )

    def _video(self, draft: _Draft, likes: int, comments: int, views: int | None) -> Post:
        bits = mix(draft.bits + _TEXT)
        title, tags = names.headline(bits, self.category)
        said, sponsored = planted.said(draft.bits, self.handle)
        post_id = self._post_id(draft.bits)
        short = (bits >> 40) % 4 == 0
        return Post(
            post_id=post_id,
            shortcode=post_id,
            kind="short" if short else "video",
            published=self._published(draft),
            title=title,
            description=f"{title}. New videos on @{self.handle} every week." + (said and f"\n{said}"),
            tags=tags,
            category_id=names.YOUTUBE_CATEGORY_IDS.get(self.category or "", "24"),
            likes=likes,
            comments=comments,
            views=views,
            duration_s=15 + bits % 45 if short else 120 + bits % 1500,
            number=draft.number,
            sponsored=sponsored,
        )


def _shortcode(bits: int) -> str:
    return "C" + letters(mix(bits + _SHORTCODE))[:10]


def _varied(weights: list[float], drafts: Sequence[_Draft], stream: int, by: float) -> list[float]:
    """The weights, each a little off: likes do not follow views exactly."""
    return [
        weight * math.exp(by * bell(mix(draft.bits + stream))) for weight, draft in zip(weights, drafts, strict=True)
    ]


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
