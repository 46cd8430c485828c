"""What is found as tables for people: a row for each channel or video, in columns that stay as they are. Pure."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from gcc.sources.snapshot import Found, PostSnapshot, ProfileSnapshot, Sheet

CHANNEL_COLUMNS = (
    "channel_id", "handle", "title", "description", "country", "subscribers", "uploads", "total_views", "joined_at",
    "profile_pic_url", "seen_at",
)  # fmt: skip
VIDEO_COLUMNS = (
    "video_id", "channel_id", "channel_title", "title", "description", "publish_time", "post_type", "duration_s",
    "views", "likes", "comments", "tags", "category_id", "language", "thumbnail_url", "seen_at",
)  # fmt: skip


def of_channels(found: Found[list[ProfileSnapshot]]) -> Found[Sheet]:
    rows = [
        _row(CHANNEL_COLUMNS, channel, {"channel_id": channel.profile_id, "handle": channel.handle})
        for channel in found.items
    ]
    return Found(Sheet(CHANNEL_COLUMNS, rows), found.partial, found.notes)


def of_videos(found: Found[list[PostSnapshot]]) -> Found[Sheet]:
    rows = [
        _row(
            VIDEO_COLUMNS,
            video,
            {"video_id": video.post_id, "channel_id": video.profile_id, "publish_time": video.publish_time},
        )
        for video in found.items
    ]
    return Found(Sheet(VIDEO_COLUMNS, rows), found.partial, found.notes)


def _row(columns: Sequence[str], seen: ProfileSnapshot | PostSnapshot, own: dict[str, Any]) -> list[Any]:
    told = {**seen.dimensions, **seen.metrics, **own, "seen_at": seen.at}
    return [_cell(told.get(name)) for name in columns]


def _cell(value: Any) -> Any:
    """Times as RFC 3339, lists as words with commas between them."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list) else value
