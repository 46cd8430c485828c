"""YouTube.

Handles are 1 to 30 letters, marks and digits of any script and _ - . ·; ids are UC and 22 characters, and stand where
a handle does.
"""

import re
import unicodedata

from gcc.platforms.platform import AVERAGES, HANDLE_CHARS_MAX, Platform, Site, words
from gcc.tables import Table

_HANDLE_ASCII = re.compile(r"[A-Za-z0-9_.-]{1,30}")  # most are; the others are looked at letter by letter
# Where scripts have their letters is too long to be written here: what surely are none are the signs of ASCII but
# _ - . and the blocks of punctuation, arrows, boxes, symbols, private use and pictures.
_NO_LETTERS = (
    r"\u0000-,/:-@\[-\^`{-\u00a9\u00ab-\u00b1\u00b4\u00b6\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u2190-\u245f"
    r"\u2500-\u2775\u2794-\u2bff\u3000-\u3004\ue000-\uf8ff"
    "\U0001f000-\U0001f0ff\U0001f110-\U0001faff"
)


def _is_handle(text: str) -> bool:
    return _HANDLE_ASCII.fullmatch(text) is not None or (
        0 < len(text) <= HANDLE_CHARS_MAX and all(c in "_-.·" or unicodedata.category(c)[0] in "LMN" for c in text)
    )


YOUTUBE = Platform(
    "YOUTUBE",
    is_handle=_is_handle,
    handle_rule="Letters, marks and digits of any script.",
    handle_pattern=f"^@?[^{_NO_LETTERS}]{{1,30}}$",
    id_pattern=re.compile(r"UC[A-Za-z0-9_-]{22}"),
    id_rule="UC and 22 letters, digits, _ or -",
    known_by_id=True,
    site=Site(
        hosts=words("youtube.com music.youtube.com"),
        pages=words(
            "about account account_advanced account_notifications account_privacy ads api artist attribution_link "
            "audiolibrary blog browse channel_switcher channels charts clip comment copyright_complaint_form create "
            "create_channel creators dashboard dev e embed error feed feeds gaming get_video_info getting_started "
            "hashtag help howyoutubeworks iframe_api index inbox intl jobs kids live live_chat login logout movie "
            "movies music my_videos my_subscriptions new news oembed oops paid_memberships partners player_api "
            "playlist playlists podcasts post premium press privacy profile purchases qr red redirect reporthistory "
            "results rss s search select_site shop shopping shorts show shows signin signin_prompt signup source "
            "sports static subscription_center subscription_manager t testtube timedtext trending trends tv upload v "
            "verify verify_age video videos view_play_list vi watch watch_popup watch_videos youtubei yt yts"
        ),
        before_id=words("channel"),
        titles=words("c user"),
    ),
    recent_posts_max=15,
    account=Table(
        "youtube_account",
        key={"channel_id": "text"},
        first={"id": "uuid"},
        latest={"state": "text", **AVERAGES, "source": "text", "scraped_at": "timestamptz"},
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
        latest={"source": "text", "scraped_at": "timestamptz"},
        known={
            **dict.fromkeys(("channel_id", "title", "description", "post_type", "thumbnail_url"), "text"),
            **dict.fromkeys(("views", "likes", "comments"), "bigint"),
            "duration_s": "integer",
            "tags": "text[]",
            "publish_time": "timestamptz",
        },
        newer="scraped_at",
        stamp="updated_at",
    ),
)
