"""YouTube."""

from gcc.platforms.platform import Platform
from gcc.tables import Table

_FIGURES = dict.fromkeys(("avg_likes", "avg_comments", "avg_views", "engagement_rate"), "double precision")

YOUTUBE = Platform(
    "YOUTUBE",
    account=Table(
        "youtube_account",
        key={"channel_id": "text"},
        first={"id": "uuid"},
        latest={**_FIGURES, "source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("handle", "title", "description", "category", "language", "country"), "text"),
            **dict.fromkeys(("subscribers", "uploads", "total_views"), "bigint"),
            "profile_pic_url": "text",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
    post=Table(
        "youtube_post",
        key={"video_id": "text"},
        first={"channel_id": "text"},
        latest={"source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("title", "description", "post_type", "thumbnail_url"), "text"),
            **dict.fromkeys(("views", "likes", "comments"), "bigint"),
            "duration_s": "integer",
            "tags": "text[]",
            "publish_time": "timestamptz",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
)
