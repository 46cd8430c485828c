"""How the platforms name profiles: which handles and ids can exist, and the handle inside a profile's URL. Pure.

What cannot exist is refused before anybody is asked for it. The rules are the platforms' own: on Instagram 1 to 30
of A-Z a-z 0-9 . _ without a dot at either end or two in a row; on YouTube 1 to 30 letters, marks and digits of any
script and _ - . · (or a channel id). Instagram's ids are digits, the first not 0; YouTube's are UC and 22 characters.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

LENGTH_MAX = 30
CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")

_INSTAGRAM_HANDLE = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._]{1,30}(?<!\.)")
_YOUTUBE_HANDLE_ASCII = re.compile(r"[A-Za-z0-9_.-]{1,30}")  # most are; the others are looked at letter by letter
_IDS = {"INSTAGRAM": re.compile(r"[1-9][0-9]{0,19}"), "YOUTUBE": CHANNEL_ID}
ID_RULES = {"INSTAGRAM": "1 to 20 digits, the first not 0", "YOUTUBE": "UC and 22 letters, digits, _ or -"}


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a platform's pages are. `pages`: firsts of a path that are nobody's name; `prefixes`: what may stand before
    a name; `titles`: before a name that is no handle; `tabs`: what may follow it (None: anything)."""

    hosts: Collection[str]
    pages: Collection[str]
    prefixes: Collection[str]
    titles: Collection[str]
    tabs: Collection[str] | None


def _words(text: str) -> Collection[str]:
    return frozenset(text.split())


_SITES = {
    "INSTAGRAM": _Site(
        hosts=_words("instagram.com instagr.am"),
        pages=_words(
            "about accounts ads ar api archive challenge developer developers direct directory emails explore graphql "
            "hashtag legal lite locations nametag oauth p popular press privacy push reel reels session share static "
            "stories terms threads topics tv web"
        ),
        prefixes=_words("_u"),
        titles=(),
        tabs=_words("channel feed followers following guides reels tagged"),
    ),
    "YOUTUBE": _Site(
        hosts=_words("youtube.com music.youtube.com"),
        pages=_words(
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
        prefixes=_words("channel"),
        titles=_words("c user"),
        tabs=None,
    ),
}


def is_handle(platform: str, text: str) -> bool:
    """Whether the platform can have this handle (without @); for YouTube also a channel id."""
    if platform == "INSTAGRAM":
        return _INSTAGRAM_HANDLE.fullmatch(text) is not None
    return _YOUTUBE_HANDLE_ASCII.fullmatch(text) is not None or (
        0 < len(text) <= LENGTH_MAX and all(c in "_-.·" or unicodedata.category(c)[0] in "LMN" for c in text)
    )


def is_id(platform: str, text: str) -> bool:
    return _IDS[platform].fullmatch(text) is not None


def handle_in(platform: str, text: str) -> str | None:
    """The handle that is written there, with or without @, or as the URL of a profile. ValueError: there is none.

    None: it is the URL of a profile, and does not tell its handle. YouTube's old names (/c/NAME, /user/NAME) are no
    handles: the same word may be the handle of somebody else.
    """
    is_url = "/" in text or _site_name(text) in _SITES[platform].hosts
    named = _of_url(platform, text) if is_url else text
    if named is None:
        return None
    bare = named.removeprefix("@")
    # lists write names with accents: they are kept as they are, and asking tells whether there is such a one
    if not is_handle(
        platform, "".join("a" if letter.isalpha() and not letter.isascii() else letter for letter in bare)
    ):
        raise ValueError(f"{_shown(bare)} cannot be a handle on {platform}")
    return bare


def _of_url(platform: str, text: str) -> str | None:
    site = _SITES[platform]
    url = urlsplit(text if "://" in text else f"//{text.lstrip('/')}")
    if url.scheme not in ("", "http", "https") or _site_name(url.hostname or "") not in site.hosts:
        raise ValueError(f"{_shown(text)} is no page of {platform}")
    parts = [unquote(part) for part in url.path.split("/") if part]
    first = parts[0].lower() if parts else ""
    if len(parts) > 1 and first in site.titles:
        return None
    if len(parts) > 1 and first in site.prefixes:
        parts = parts[1:] if first != "channel" or CHANNEL_ID.fullmatch(parts[1]) else []
    elif {first} & {*site.pages, *site.prefixes, *site.titles}:
        parts = []
    if not parts or not (len(parts) == 1 or site.tabs is None or parts[1].lower() in site.tabs):
        raise ValueError(f"{_shown(text)} is a page that is no profile's")
    return parts[0]


def _site_name(host: str) -> str:
    """A host without what only says how its pages look."""
    return host.lower().rstrip(".").removeprefix("www.").removeprefix("m.")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
