"""Instagram."""

from gcc.platforms.platform import Platform
from gcc.tables import Table

_FIGURES = dict.fromkeys(("avg_likes", "avg_comments", "avg_views", "engagement_rate"), "double precision")

INSTAGRAM = Platform(
    "INSTAGRAM",
    account=Table(
        "instagram_account",
        key={"profile_id": "text"},
        first={"id": "uuid"},
        latest={"handle": "text", **_FIGURES, "source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("full_name", "bio", "profile_type", "category", "language", "country", "city"), "text"),
            **dict.fromkeys(("followers", "following", "media_count"), "bigint"),
            **dict.fromkeys(("is_verified", "is_business"), "boolean"),
            "profile_pic_url": "text",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
    post=Table(
        "instagram_post",
        key={"post_id": "text"},
        first={"profile_id": "text"},
        latest={"shortcode": "text", "source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("post_type", "caption", "thumbnail_url"), "text"),
            **dict.fromkeys(("likes", "comments", "plays"), "bigint"),
            "hashtags": "text[]",
            "publish_time": "timestamptz",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
)
