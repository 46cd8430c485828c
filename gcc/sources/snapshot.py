"""What one crawl yields: profiles, posts, who follows whom, what was done under a post. Values; `derive` adds averages.

Parsers build them, flows turn them into rows and events. A number that the platform hides or does not
serve is None (never 0), and an average skips it.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
OTHERS = ("collaborators", "tagged")
"""Dimensions of posts that list the handles of other profiles."""
Metrics = dict[str, int | float | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """What `source` showed of `platform` at `at` (UTC)."""

    platform: str
    source: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class PostSnapshot(Seen):
    """A post. On YouTube post_id == shortcode == video id."""

    post_id: str
    shortcode: str
    profile_id: str
    handle: str
    publish_time: dt.datetime | None
    metrics: Metrics
    dimensions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProfileSnapshot(Seen):
    """A profile, with its recent posts, newest first.

    `more` are further posts, where they were asked for: averages are of the recent ones, whatever the flow. `notes`
    tells what was odd in the answer, by path, and therefore is unknown here.
    """

    profile_id: str
    handle: str
    metrics: Metrics
    dimensions: dict[str, Any]
    posts: list[PostSnapshot]
    notes: Sequence[str] = ()
    more: "Found[list[PostSnapshot]] | None" = None


@dataclass(frozen=True, slots=True)
class Person:
    """Another profile as it is seen beside one: a follower, who liked, who commented. "" where it is not told."""

    profile_id: str
    handle: str = ""
    metrics: Metrics = field(default_factory=dict)
    dimensions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relation(Seen):
    """`person` follows `target` (on YouTube: subscribes to it)."""

    person: Person
    target: Person
    kind: Literal["follows", "subscribes"] = "follows"


@dataclass(frozen=True, slots=True)
class Activity(Seen):
    """What somebody did with a post: `activity_id` is the comment's own, of a like "{post_id}:{actor's id}".

    `profile_id`: whose post it is, "" where it is not told. A comment's text and the comment that it answers are
    dimensions `text` and `parent_id`.
    """

    activity_id: str
    kind: Literal["comment", "like"]
    post_id: str
    shortcode: str
    profile_id: str
    actor: Person
    publish_time: dt.datetime | None = None
    metrics: Metrics = field(default_factory=dict)
    dimensions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelActivity(Seen):
    """What a YouTube channel did: uploaded, liked, subscribed, ..."""

    activity_id: str
    kind: str
    channel_id: str
    publish_time: dt.datetime | None
    metrics: Metrics
    dimensions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order(Seen):
    """An order of a shop; `placed_at` is when it was made."""

    order_id: str
    store: str
    placed_at: dt.datetime | None
    metrics: Metrics
    dimensions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table for people: its header, and rows of as many values."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What was found: all of it, or, where `partial` says why, a part. `notes`: see `ProfileSnapshot`.

    `after`: the cursor of the page before which a capped walk ended. `rest`: with these params, beside its own, another
    job of the flow finds the rest.
    """

    items: T
    partial: str | None = None
    notes: Sequence[str] = ()
    after: str | None = None
    rest: Mapping[str, Any] | None = None


RECENT_N = {"INSTAGRAM": 12, "YOUTUBE": 15}
"""So many of the newest posts make an average, by platform."""
RECENT_DAYS = 180
MIN_AGE_H = 24
MIN_POSTS = 3
HIDDEN_LIKES_COMMENTS = 10


def derive(profile: ProfileSnapshot) -> ProfileSnapshot:
    """The profile with avg_likes, avg_comments, avg_views over its newest posts and engagement_rate.

    The rule is that of mart_insta_recent_stats, whose vars the constants above repeat. Of the posts whose time is
    known, that are at least a day and at most 180 days old and no stories, the newest count, the greater id first of
    two of one time. An average needs three known values. Hidden likes are None, and so are none beside many comments;
    pictures have no views. engagement_rate = (avg_likes + avg_comments) / followers; None where a part is unknown or
    there are no followers.
    """
    newest = _newest(profile)
    likes = _mean(_shown_likes(post) for post in newest)
    comments = _mean(post.metrics.get("comments") for post in newest)
    views = _mean(_views(post) for post in newest)
    followers = profile.metrics.get("followers")
    rate = (likes + comments) / followers if followers and likes is not None and comments is not None else None
    derived: Metrics = {"avg_likes": likes, "avg_comments": comments, "avg_views": views, "engagement_rate": rate}
    return replace(profile, metrics={**profile.metrics, **derived})


_PICTURES = frozenset(("image", "photo", "carousel", "carousel_album", "album", "sidecar"))


def _newest(profile: ProfileSnapshot) -> list[PostSnapshot]:
    oldest, youngest = profile.at - dt.timedelta(days=RECENT_DAYS), profile.at - dt.timedelta(hours=MIN_AGE_H)
    aged = (
        (post.publish_time, post.post_id, post)
        for post in profile.posts
        if post.publish_time is not None and oldest <= post.publish_time <= youngest and _kind(post) != "story"
    )
    newest = sorted(aged, key=lambda each: each[:2], reverse=True)[: RECENT_N.get(profile.platform, 12)]
    return [post for *_, post in newest]


def _kind(post: PostSnapshot) -> str:
    return str(post.dimensions.get("post_type") or "").lower()


def _shown_likes(post: PostSnapshot) -> int | float | None:
    likes, comments = post.metrics.get("likes"), post.metrics.get("comments")
    return None if likes == 0 and comments is not None and comments >= HIDDEN_LIKES_COMMENTS else likes


def _views(post: PostSnapshot) -> int | float | None:
    """Views and plays are one number under two names."""
    if _kind(post) in _PICTURES:
        return None
    views = post.metrics.get("views")
    return post.metrics.get("plays") if views is None else views


def _mean(values: Iterable[int | float | None]) -> float | None:
    shown = [value for value in values if value is not None]
    return sum(shown) / len(shown) if len(shown) >= MIN_POSTS else None
