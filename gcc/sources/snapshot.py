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
