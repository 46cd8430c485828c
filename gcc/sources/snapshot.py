"""What one crawl yields: a profile at a moment, with its recent posts. Values, no behaviour but `derive`.

Parsers build them, flows turn them into rows and events. A number that the platform hides or does not
serve is None (never 0), and an average skips it.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Metrics = dict[str, int | float | None]


@dataclass(frozen=True, slots=True)
class PostSnapshot:
    """A post as a source showed it at `at` (UTC). On YouTube post_id == shortcode == video id."""

    platform: str
    post_id: str
    shortcode: str
    profile_id: str
    handle: str
    source: str
    at: dt.datetime
    publish_time: dt.datetime | None
    metrics: Metrics
    dimensions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProfileSnapshot:
    """A profile as a source showed it at `at` (UTC), with its recent posts, newest first.

    `notes` tells what was odd in the answer, by path, and therefore is unknown here.
    """

    platform: str
    profile_id: str
    handle: str
    source: str
    at: dt.datetime
    metrics: Metrics
    dimensions: dict[str, Any]
    posts: list[PostSnapshot]
    notes: Sequence[str] = ()


def derive(profile: ProfileSnapshot) -> ProfileSnapshot:
    """The profile with avg_likes, avg_comments, avg_views over its posts and engagement_rate.

    engagement_rate = (avg_likes + avg_comments) / followers; None where a part is hidden or there are no followers.
    """
    likes, comments, views = (_mean(post.metrics.get(name) for post in profile.posts) for name in _AVERAGED)
    followers = profile.metrics.get("followers")
    rate = (likes + comments) / followers if followers and likes is not None and comments is not None else None
    derived: Metrics = {"avg_likes": likes, "avg_comments": comments, "avg_views": views, "engagement_rate": rate}
    return replace(profile, metrics={**profile.metrics, **derived})


_AVERAGED = ("likes", "comments", "views")


def _mean(values: Iterable[int | float | None]) -> float | None:
    shown = [value for value in values if value is not None]
    return sum(shown) / len(shown) if shown else None
