"""Current state of profiles and their posts: upserts of a snapshot, inside the caller's transaction.

Rows are written in key order (no deadlocks between crawls), never over newer ones, and a column that
the source does not know keeps the value it had.
"""

from typing import Any

from gcc import statements
from gcc.clock import Clock
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.stores.postgres import Connection

SQL = statements.load("profiles")
_DERIVED = ("avg_likes", "avg_comments", "avg_views", "engagement_rate")
_INSTAGRAM = (
    "full_name", "bio", "followers", "following", "media_count", "profile_type", "is_verified", "is_business",
    "category", "language", "country", "city", "profile_pic_url",
)  # fmt: skip
_YOUTUBE = (
    "title", "description", "subscribers", "uploads", "total_views", "country", "category", "language",
    "profile_pic_url",
)  # fmt: skip


async def upsert(conn: Connection, profile: ProfileSnapshot, clock: Clock) -> None:
    """Write `profile`, its posts, and its place in the list of followed profiles."""
    instagram = profile.platform == "INSTAGRAM"
    known = {**profile.dimensions, **profile.metrics}
    row = {name: known.get(name) for name in (*(_INSTAGRAM if instagram else _YOUTUBE), *_DERIVED)}
    row |= {
        "id": clock.new_id(),
        "profile_id": profile.profile_id,
        "handle": profile.handle,
        "source": profile.source,
        "at": profile.at,
    }
    await conn.execute(SQL["upsert_instagram_account" if instagram else "upsert_youtube_account"], row)
    posts = list({post.post_id: post for post in profile.posts}.values())
    if posts:
        columns: dict[str, Any] = _instagram_posts(posts) if instagram else _youtube_posts(posts)
        columns |= {
            "profile_id": profile.profile_id,
            "source": profile.source,
            "at": profile.at,
            "post_ids": [post.post_id for post in posts],
            "publish_times": [post.publish_time for post in posts],
            **_dimension(posts, post_types="post_type", thumbnail_urls="thumbnail_url"),
            **_metric(posts, likes="likes", comments="comments"),
        }
        await conn.execute(SQL["upsert_instagram_posts" if instagram else "upsert_youtube_posts"], columns)
    await track(conn, [(profile.platform, profile.profile_id, profile.handle)])


async def track(conn: Connection, profiles: list[tuple[str, str, str]]) -> None:
    """Add (platform, profile_id, handle) to what the platform follows; a new handle replaces the old one."""
    await conn.execute(
        SQL["track"],
        {
            "platforms": [platform for platform, _, _ in profiles],
            "profile_ids": [profile_id for _, profile_id, _ in profiles],
            "handles": [handle for _, _, handle in profiles],
        },
    )


def _instagram_posts(posts: list[PostSnapshot]) -> dict[str, Any]:
    return {
        "shortcodes": [post.shortcode for post in posts],
        "hashtags": [_array(post.dimensions.get("hashtags")) for post in posts],
        **_dimension(posts, captions="caption"),
        **_metric(posts, plays="plays"),
    }


def _youtube_posts(posts: list[PostSnapshot]) -> dict[str, Any]:
    return {
        "tags": [_array(post.dimensions.get("tags")) for post in posts],
        **_dimension(posts, titles="title", descriptions="description", durations_s="duration_s"),
        **_metric(posts, views="views"),
    }


def _dimension(posts: list[PostSnapshot], **columns: str) -> dict[str, list[Any]]:
    return {column: [post.dimensions.get(name) for post in posts] for column, name in columns.items()}


def _metric(posts: list[PostSnapshot], **columns: str) -> dict[str, list[Any]]:
    return {column: [post.metrics.get(name) for post in posts] for column, name in columns.items()}


def _array(values: list[str] | None) -> str | None:
    """A PostgreSQL array literal: unnest() would flatten an array of arrays, so each travels as text."""
    if values is None:
        return None
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"
