"""Answers of the Instagram Graph API (business discovery) as snapshots and verdicts. Pure.

Fields that the API leaves out are None (like_count of a post that hides its likes), and so is a field of a wrong
type, which the snapshot's notes tell. An answer without a profile or its id is OddAnswer naming the path, a post
without its id is left out.
"""

import datetime as dt
import re
from typing import Any

from gcc.platforms import INSTAGRAM
from gcc.sources.fields import ID_CHARS_MAX, Fields, opened
from gcc.sources.http import Answer
from gcc.sources.instagram.graph_errors import SOURCE, refusal
from gcc.sources.instagram.hashtags import hashtags
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot

_SHORTCODE = re.compile(r"instagram\.com/(?:[\w.]+/)?(?:p|reels?|tv)/([\w-]{1,64})", re.ASCII)


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded JSON object, or the verdict that its error code, else its status, stands for.

    One without what was asked for is OddAnswer: none, whatever its status.
    """
    decoded, error = opened(answer, SOURCE, now)
    if error is not None:
        raise refusal(answer, error, now)
    Fields(decoded, SOURCE).object("business_discovery", needed=True)
    return decoded


def profile(decoded: Any, asked: str, at: dt.datetime) -> ProfileSnapshot:
    """The profile that business discovery found for the handle `asked`, with its first page of posts."""
    found = Fields(decoded, SOURCE).object("business_discovery", needed=True)
    profile_id = found.identity("id")
    handle = found.identity("username") if "username" in found else asked
    posts = found.object("media").each("data", lambda media: _post(media, profile_id, handle, at))
    return ProfileSnapshot(
        platform=INSTAGRAM.name,
        profile_id=profile_id,
        handle=handle,
        source=SOURCE,
        at=at,
        metrics={
            "followers": found.count("followers_count"),
            "following": found.count("follows_count"),
            "media_count": found.count("media_count"),
        },
        dimensions={
            "handle": handle,
            "full_name": found.text("name"),
            "bio": found.text("biography"),
            "profile_pic_url": found.text("profile_picture_url"),
            "website": found.text("website"),
        },
        posts=list({post.post_id: post for post in posts}.values()),
        notes=found.notes,
    )


def _post(media: Fields, profile_id: str, handle: str, at: dt.datetime) -> PostSnapshot:
    post_id = media.identity("id")
    caption, permalink = media.text("caption"), media.text("permalink")
    in_link = _SHORTCODE.search(permalink or "")
    views = media.count("view_count")
    return PostSnapshot(
        platform=INSTAGRAM.name,
        post_id=post_id,
        shortcode=media.text("shortcode", chars_max=ID_CHARS_MAX) or (in_link[1] if in_link else post_id),
        profile_id=profile_id,
        handle=handle,
        source=SOURCE,
        at=at,
        publish_time=media.time("timestamp"),
        # one number under both names: rows of posts hold plays, models compare views across platforms
        metrics={
            "likes": media.count("like_count"),
            "comments": media.count("comments_count"),
            "views": views,
            "plays": views,
        },
        dimensions={
            "post_type": _post_type(media.text("media_type"), media.text("media_product_type")),
            "caption": caption,
            "hashtags": hashtags(caption or ""),
            "permalink": permalink,
            "thumbnail_url": media.text("thumbnail_url") or media.text("media_url"),
        },
    )


def _post_type(media_type: str | None, product: str | None) -> str | None:
    if product == "REELS":
        return "reels"
    if media_type == "CAROUSEL_ALBUM":
        return "carousel"
    return media_type.lower() if media_type else None
