"""What the jobs of each flow ask for, odd ones of the cast too, and the code each ends with where nothing fails."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcc.channels.jobs import Job
from gcc.world import shopify, youtube_model
from gcc.world.graph_tokens import login_of
from gcc.world.model import Creator, State
from gcc.world.youtube_owners import OWNERS
from tests.simulation.world import BUGS, CASTS, credentials

PAGES = {"pages_max": 2}
UNKNOWN, UNKNOWN_ID, UNKNOWN_CHANNEL = "nobody_has_this_handle", "99999999999", f"UC{'0' * 22}"
WAITS = "waits"
"""In place of a code: for ever, so nobody asks that."""


@dataclass(frozen=True)
class Example:
    """`ends`, and `alone` where those who scrape are switched off, is the code; "" is COMPLETE."""

    params: Mapping[str, Any]
    ends: str
    alone: str


def _each(asked: Iterable[Mapping[str, Any]], ends: str = "", alone: str | None = None) -> list[Example]:
    return [Example(params, ends, ends if alone is None else alone) for params in asked]


def _of(platform: str, state: State = "public") -> list[Creator]:
    return [creator for creator, _ in CASTS[platform].ranked if creator.state == state]


def _handles(creators: Iterable[Creator]) -> list[dict[str, Any]]:
    return [{"handle": creator.handle} for creator in creators]


def _accounts(creators: Iterable[Creator], **more: Any) -> list[dict[str, Any]]:
    return [{"profile_id": creator.profile_id, "handle": creator.handle, **more} for creator in creators]


def _ids(creators: Iterable[Creator]) -> list[dict[str, Any]]:
    return [{"profile_id": creator.profile_id} for creator in creators]


def _post_ids(creators: Iterable[Creator]) -> list[dict[str, Any]]:
    posts = {creator.profile_id: CASTS["INSTAGRAM"].posts_of(creator)[0] for creator in creators}
    return [{"post_id": post.post_id, "profile_id": profile_id} for profile_id, post in posts.items()]


def _posts(creators: Iterable[Creator]) -> list[dict[str, Any]]:
    posts = [CASTS["INSTAGRAM"].posts_of(creator)[0] for creator in creators]
    return [{"shortcode": post.shortcode, "post_id": post.post_id, **PAGES} for post in posts]


def _channels(creators: Iterable[Creator], **more: Any) -> list[dict[str, Any]]:
    return [{"channel_id": creator.profile_id, **more} for creator in creators]


def _videos(creators: Iterable[Creator], **more: Any) -> list[dict[str, Any]]:
    return [{"video_id": CASTS["YOUTUBE"].posts_of(creator)[0].post_id, **more} for creator in creators]


def _known(*sources: str, kinds: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"source": source, "credential": handle}
        for source, handle, _, facts in credentials()
        if source in sources and facts.kind in kinds
    ]


_IG, _YT = _of("INSTAGRAM"), _of("YOUTUBE")
_OWNERS = [creator for creator in _IG if login_of(CASTS["INSTAGRAM"], creator)]
_STRANGERS = [creator for creator in _IG if creator not in _OWNERS]
_SIGNED_IN = [creator for creator in _YT if CASTS["YOUTUBE"].slot(creator) < OWNERS]
_OTHERS = [creator for creator in _YT if creator not in _SIGNED_IN]
_PRIVATE, _RENAMED, _GONE = (_of("INSTAGRAM", state) for state in ("private", "renamed", "gone"))
_LOST = [{"handle": handle} for handle in (UNKNOWN, _GONE[0].handle, *_RENAMED[0].former_handles)]

_PROFILES = [
    *_each(_handles([*_IG, *_RENAMED])),
    *_each(_handles(_PRIVATE), alone="NOT_VISIBLE"),
    *_each(_LOST, "PROFILE_NOT_FOUND", alone="NOT_VISIBLE"),
]
_WITH_POSTS = [
    *_each(_handles([*_IG, *_RENAMED])),
    *_each(_handles(_PRIVATE), "NOT_VISIBLE"),
    *_each(_LOST, "PROFILE_NOT_FOUND", alone="NOT_VISIBLE"),
]
_OWNED = [*_each(_accounts(_OWNERS)), *_each(_accounts(_STRANGERS), alone="NEEDS_OWNER")]
_SCRAPED = _each(_accounts(_IG, **PAGES), alone="SOURCE_NOT_ENABLED")
_BY_CHANNEL = [
    *_each(_channels(_YT)),
    *_each([{"channel_id": UNKNOWN_CHANNEL}], "PROFILE_NOT_FOUND"),
]
_TELLING = [creator for creator in _YT if youtube_model.tells_subscriptions(creator)]
_OF_VIDEOS = _each(
    {"video_ids": [post.post_id for post in CASTS["YOUTUBE"].posts_of(creator)[:count]]}
    for creator in _YT
    for count in (1, 20)
)
_OF_A_FEW_PAGES = [
    {"video_id": post.post_id, "pages_max": 100}
    for creator in _YT
    for post in CASTS["YOUTUBE"].posts_of(creator)
    if 100 < post.comments < 400
][:12]
_PLAYLISTS = [
    *_each({"playlist_id": f"UU{creator.key}"} for creator in _YT),
    *_each([{"playlist_id": f"UU{'0' * 22}"}], "PLAYLIST_NOT_FOUND"),
]
_GENRES = _each({"category": category} for category in ("Music", "10", "Sports"))
_REPORTS = [*_each(_channels(_SIGNED_IN)), *_each(_channels(_OTHERS), "NEEDS_OWNER")]

EXAMPLES: Mapping[str, Sequence[Example]] = {
    "refresh_profile_by_handle": _PROFILES,
    "refresh_profile_basic": _PROFILES,
    "refresh_profile_custom": _WITH_POSTS,
    "refresh_profile_by_profile_id": [
        *_each(_ids(_OWNERS)),
        *_each(_ids(_STRANGERS), "NEEDS_OWNER"),  # scrapers know them by another id, and nobody knows which
        *_each([{"profile_id": creator.pk} for creator in _STRANGERS], alone="NEEDS_OWNER"),
        *_each([{"profile_id": UNKNOWN_ID}], "PROFILE_NOT_FOUND", alone="NEEDS_OWNER"),
    ],
    "refresh_post_by_shortcode": _each(
        {"shortcode": CASTS["INSTAGRAM"].posts_of(creator)[0].shortcode, "handle": creator.handle} for creator in _IG
    ),
    "refresh_tagged_posts": _OWNED,
    "refresh_stories_posts": _OWNED,
    "refresh_post_insights": [*_each(_post_ids(_OWNERS)), *_each(_post_ids(_STRANGERS), "NEEDS_OWNER")],
    "refresh_story_insights": _each(_post_ids(_STRANGERS), "NEEDS_OWNER"),
    "refresh_profile_insights": [*_each(_ids(_OWNERS)), *_each(_ids(_STRANGERS), "NEEDS_OWNER")],
    "fetch_profile_followers": _SCRAPED,
    "fetch_profile_following": _SCRAPED,
    "fetch_hashtag_posts": _each(({"hashtag": tag, **PAGES} for tag in ("cricket", "fitness")), alone=WAITS),
    "fetch_post_comments": _each(_posts(_IG), alone="NEEDS_OWNER"),
    "fetch_post_likes": _each(_posts(_IG), alone="SOURCE_NOT_ENABLED"),
    "refresh_yt_profiles": [
        *_each(_handles(_YT)),
        *_each([{"handle": UNKNOWN}, *_handles(_of("YOUTUBE", "gone"))], "PROFILE_NOT_FOUND"),
    ],
    "refresh_yt_posts": _OF_VIDEOS,
    "refresh_yt_posts_by_channel_id": _BY_CHANNEL,
    "refresh_yt_posts_by_playlist_id": _PLAYLISTS,
    "refresh_yt_posts_by_genre": _GENRES,
    "refresh_yt_posts_by_search": _each({"query": creator.full_name} for creator in _YT),
    "refresh_yt_post_type": _each(_videos(_YT)),
    "fetch_channels_csv": _each({"channels": [_YT[0].handle, *(each.profile_id for each in _YT[:n])]} for n in (1, 9)),
    "fetch_channel_videos_csv": _BY_CHANNEL,
    "fetch_playlist_videos_csv": _PLAYLISTS,
    "fetch_video_details_csv": _OF_VIDEOS,
    "fetch_genre_videos_csv": _GENRES,
    "fetch_channel_daily_stats_csv": _REPORTS,
    "fetch_channel_monthly_stats_csv": _REPORTS,
    "fetch_channel_demographic_csv": _REPORTS,
    "fetch_channel_audience_geography_csv": _REPORTS,
    "refresh_yt_profile_insights": _REPORTS,
    "refresh_yt_activities": _BY_CHANNEL,
    "fetch_yt_post_comments": [*_each(_videos(_YT, **PAGES)), *_each(_OF_A_FEW_PAGES)],
    "refresh_yt_profile_relationship": [
        *_each(_channels(_TELLING, **PAGES)),
        *_each(_channels([creator for creator in _YT if creator not in _TELLING]), "NOT_VISIBLE"),
    ],
    "refresh_orders_by_store": [
        *_each({"store": store} for store in shopify.STORES),
        *_each([{"store": "no-such-shop"}], "NEEDS_OWNER"),
    ],
    "refresh_credential": [
        *_each(_known("graphapi", "ytanalytics", kinds=("instagram", "google"))),
        *_each(_known("graphapi", kinds=("token", "facebook")), "NOT_RENEWABLE"),
        *_each([{"source": "ytapi", "credential": "none"}], "CREDENTIAL_NOT_FOUND"),
    ],
    "probe_credential": _each(_known("graphapi", "ytapi", kinds=("token", "facebook"))),
}

_ENDS = {
    (flow, repr(sorted(example.params.items()))): example for flow, examples in EXAMPLES.items() for example in examples
}


def ends_as(job: Job, *, alone: bool) -> str:
    """The code that a job of one of EXAMPLES or BUGS ends with, where nothing fails; INVALID_PARAMS of any other."""
    if job.params.get("handle") in BUGS:
        return "BUG"
    example = _ENDS.get((job.flow, repr(sorted(job.params.items()))))
    if example is None:
        return "INVALID_PARAMS"
    return example.alone if alone else example.ends
