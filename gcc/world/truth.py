"""What a perfect crawl would store, and what an import of the past would: the world's own view of itself.

Tests compare the platform with this. Names are those of the stored rows (spec/storage.md).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from gcc.world.answer import written
from gcc.world.model import PAGE_POSTS, Cast, Creator, Day, Platform, Post

HISTORY_DAYS = 90
_POST_TYPES = {"reel": "reels"}  # the other kinds are called as they are stored
_CHUNK_ROWS = 250  # encoded at once, some milliseconds


class HistoryRow(msgspec.Struct, rename={
    "category": "dimensions.category", "language": "dimensions.language", "country": "dimensions.country",
    "full_name": "dimensions.full_name",
}):  # fmt: skip
    """A line of an import: metrics that the platform does not have are null."""

    platform: Platform
    profile_id: str
    handle: str
    timestamp: str
    followers: int
    following: int | None
    media_count: int | None
    views: int | None
    avg_views: float | None
    avg_likes: float | None
    avg_comments: float | None
    engagement_rate: float | None
    category: str | None
    language: str | None
    country: str | None
    full_name: str


def profile(cast: Cast, creator: Creator) -> dict[str, Any]:
    """The row, its recent posts and its past, as of today."""
    day = cast.today_of(creator)
    recent = cast.posts_of(creator)[: PAGE_POSTS[cast.platform]] if creator.shows_posts else []
    if not creator.shows_posts or not creator.shows_likes:
        day = replace(day, avg_likes=None, engagement_rate=None)
    if not creator.shows_posts:
        day = replace(day, avg_comments=None, avg_views=None)
    return {
        "state": creator.state,
        "former_handles": creator.former_handles,
        **(_youtube_row(creator, day) if cast.platform == "YOUTUBE" else _instagram_row(creator, day)),
        "metrics": _metrics(cast.platform, day),
        "planted": planted(cast, creator),
        "posts": [post_row(creator, post) for post in recent],
        "history": [
            {"date": date.isoformat(), **_metrics(cast.platform, past)}
            for date in cast.dates(HISTORY_DAYS)
            if (past := creator.course.day(date)) is not None
        ],
    }


def planted(cast: Cast, creator: Creator) -> dict[str, Any]:
    """What analytics should find out: odd days of the history, sponsored posts, the same person's other account."""
    return {
        "anomalies": [
            {"date": each.date.isoformat(), "kind": each.kind, "share": each.share}
            for each in creator.course.anomalies(cast.dates(HISTORY_DAYS))
        ],
        "sponsored": [post.shortcode for post in cast.posts_of(creator) if post.sponsored]
        if creator.shows_posts
        else [],
        "same_person": creator.same_person,
    }


def listing(cast: Cast, limit: int, offset: int) -> dict[str, Any]:
    """Creators, most followers first."""
    page = cast.ranked[offset : offset + limit]
    return {
        "total": len(cast.ranked),
        "data": [
            {
                "handle": creator.handle,
                "profile_id": creator.profile_id,
                "followers": day.followers,
                "engagement_rate": day.engagement_rate,
                "avg_views": day.avg_views,
                "views": day.total_views,
                "category": creator.category,
                "language": creator.language,
                "country": creator.country,
                "state": creator.state,
            }
            for creator, day in page
        ],
    }


def history(cast: Cast, days: int) -> Iterator[bytes]:
    """NDJSON of every creator on every day of the past, ascending by day, then by followers.

    Comes in pieces of some milliseconds' work each; an empty piece is a pause for breath.
    """
    encode = msgspec.json.Encoder().encode_lines
    for date in cast.dates(days):
        timestamp = f"{date.isoformat()}T00:00:00Z"
        rows = []
        for creator, day in cast.on(date):
            rows.append((day.followers, creator.profile_id, creator, day))
            if len(rows) % _CHUNK_ROWS == 0:
                yield b""
        rows.sort(key=lambda row: row[:2])
        for start in range(0, len(rows), _CHUNK_ROWS):
            yield encode([_line(creator, day, timestamp) for *_, creator, day in rows[start : start + _CHUNK_ROWS]])


def _line(creator: Creator, day: Day, timestamp: str) -> HistoryRow:
    return HistoryRow(
        creator.platform,
        creator.profile_id,
        creator.handle,
        timestamp,
        day.followers,
        day.following,
        day.media_count,
        day.total_views,
        day.avg_views,
        day.avg_likes,
        day.avg_comments,
        day.engagement_rate,
        creator.category,
        creator.language,
        creator.country,
        creator.full_name,
    )


def _instagram_row(creator: Creator, day: Day) -> dict[str, Any]:
    return {
        "platform": "INSTAGRAM",
        "profile_id": creator.profile_id,
        "ig_id": creator.pk,
        "handle": creator.handle,
        "full_name": creator.full_name,
        "bio": creator.bio,
        "followers": day.followers,
        "following": day.following,
        "media_count": day.media_count,
        **_averages(day),
        "category": creator.category,
        "language": creator.language,
        "country": creator.country,
    }


def _youtube_row(creator: Creator, day: Day) -> dict[str, Any]:
    return {
        "platform": "YOUTUBE",
        "profile_id": creator.profile_id,
        "channel_id": creator.profile_id,
        "handle": creator.handle,
        "title": creator.full_name,
        "description": creator.bio,
        "followers": day.followers,
        "subscribers": day.followers,
        "media_count": day.media_count,
        "uploads": day.media_count,
        "total_views": day.total_views,
        **_averages(day),
        "category": creator.category,
        "language": creator.language,
        "country": creator.country,
    }


def _metrics(platform: Platform, day: Day) -> dict[str, Any]:
    """The metrics of a profile event."""
    shared = {"followers": day.followers, "media_count": day.media_count, **_averages(day)}
    if platform == "INSTAGRAM":
        return {**shared, "following": day.following}
    return {
        **shared,
        "subscribers": day.followers,
        "uploads": day.media_count,
        "views": day.total_views,
        "total_views": day.total_views,
    }


def _averages(day: Day) -> dict[str, float | None]:
    return {
        "avg_likes": day.avg_likes,
        "avg_comments": day.avg_comments,
        "avg_views": day.avg_views,
        "engagement_rate": day.engagement_rate,
    }


def post_row(creator: Creator, post: Post) -> dict[str, Any]:
    """A post as a stranger sees it."""
    return {
        "post_id": post.pk,
        **({} if post.pk == post.post_id else {"fbid": post.post_id}),
        "shortcode": post.shortcode,
        "post_type": _POST_TYPES.get(post.kind, post.kind),
        "likes": post.likes if creator.shows_likes else None,
        "comments": post.comments,
        "views": post.views,
        "publish_time": written(post.published),
    }
