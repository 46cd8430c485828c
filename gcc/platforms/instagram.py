"""Instagram.

Handles are 1 to 30 of A-Z a-z 0-9 . _ without a dot at either end or two in a row; ids are digits, the first not 0.
"""

import re

from gcc.platforms.platform import AVERAGES, Platform, Site, words
from gcc.tables import Table

_HANDLE = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._]{1,30}(?<!\.)")
_OTHER_IDS = ("ig_id", "fbid")  # Instagram's own, and the Graph API's: one of them is the profile_id

INSTAGRAM = Platform(
    "INSTAGRAM",
    is_handle=lambda text: _HANDLE.fullmatch(text) is not None,
    handle_rule="Letters of a to z, digits, underscores, and dots between them.",
    handle_pattern="^@?(?=.{1,30}$)[A-Za-z0-9_]+([.][A-Za-z0-9_]+)*$",
    id_pattern=re.compile(r"[1-9][0-9]{0,19}"),
    id_rule="1 to 20 digits, the first not 0",
    known_by_id=False,
    site=Site(
        hosts=words("instagram.com instagr.am"),
        pages=words(
            "about accounts ads ar api archive challenge developer developers direct directory emails explore graphql "
            "hashtag legal lite locations nametag oauth p popular press privacy push reel reels session share static "
            "stories terms threads topics tv web"
        ),
        prefixes=words("_u"),
        tabs=words("channel feed followers following guides reels tagged"),
    ),
    recent_posts_max=12,
    account=Table(
        "instagram_account",
        key={"profile_id": "text"},
        first={"id": "uuid"},
        latest={"handle": "text", "state": "text", **AVERAGES, "source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("full_name", "bio", "profile_type", "category", "language", "country", "city"), "text"),
            **dict.fromkeys(("followers", "following", "media_count"), "bigint"),
            **dict.fromkeys(("is_verified", "is_business"), "boolean"),
            "profile_pic_url": "text",
            **dict.fromkeys(_OTHER_IDS, "text"),
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
    post=Table(
        "instagram_post",
        key={"post_id": "text"},
        latest={"shortcode": "text", "source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("profile_id", "post_type", "caption", "thumbnail_url", "fbid"), "text"),
            **dict.fromkeys(("likes", "comments", "plays", "reach", "impressions", "shares", "saved"), "bigint"),
            "hashtags": "text[]",
            "publish_time": "timestamptz",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
    other_ids=_OTHER_IDS,
)
