"""Answers of the YouTube Data API v3 (channels, playlistItems, videos) as snapshots and verdicts. Pure.

Counts come as texts; a hidden or switched off one is left out by the API and is None here, and so is a field of a
wrong type, which the snapshot's notes tell. An answer without its list of items, or a channel without its id, is
OddAnswer naming the path; a video without its id is left out.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from gcc.platforms import YOUTUBE
from gcc.sources.fields import ID_CHARS_MAX, Fields, opened
from gcc.sources.http import Answer
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import NotFound, OddAnswer, SourceFailed
from gcc.sources.youtube.data_errors import SOURCE, refusal

SHORT_S_MAX = 60

_DURATION = re.compile(r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)
_UNITS_S = (604_800, 86_400, 3600, 60, 1)
_THUMBNAILS = ("maxres", "standard", "high", "medium", "default")  # largest first; few are always there
_INT32_MAX = 2**31 - 1


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded JSON object, or the verdict that its error reasons, else its status, stand for.

    One that is no list is OddAnswer: none, whatever its status. An empty one has to say what it is a list of, and that
    of channels, which then may have no `items` at all, that there are none.
    """
    decoded, error = opened(answer, SOURCE, now)
    if error is not None:
        raise refusal(answer, error, now)
    root = Fields(decoded, SOURCE)
    kind = root.text("kind") or ""
    of_channels = kind == "youtube#channelListResponse"
    if root.objects("items", needed=not of_channels):
        return decoded
    if not kind.endswith("ListResponse"):
        raise OddAnswer(f"{SOURCE}: $.kind should be that of a list, got {root.shown('kind')}")
    page = root.object("pageInfo")
    if of_channels and page.count("totalResults") != 0:
        total = page.shown("totalResults")
        raise OddAnswer(f"{SOURCE}: $.pageInfo.totalResults should be 0 beside no items, got {total}")
    return decoded


def channel(decoded: Any, asked: str, at: dt.datetime) -> tuple[ProfileSnapshot, str | None]:
    """The first channel of a list that `judge` let through, without posts, and its uploads playlist, if it has one.

    Raises NotFound where the list is empty.
    """
    root = Fields(decoded, SOURCE)
    items = root.objects("items")
    if not items and root.notes:
        raise OddAnswer(f"{SOURCE}: {root.notes[0]}")
    if not items:
        raise NotFound("PROFILE_NOT_FOUND", f"{SOURCE}: there is no channel {asked!r}")
    item = items[0]
    snippet, statistics = item.object("snippet"), item.object("statistics")
    handle = (snippet.text("customUrl", chars_max=ID_CHARS_MAX) or "").removeprefix("@") or asked.removeprefix("@")
    shown = "hiddenSubscriberCount" not in statistics or statistics.flag("hiddenSubscriberCount") is False
    subscribers = statistics.count("subscriberCount") if shown else None  # a hidden one is served as 0
    uploads, views = statistics.count("videoCount"), statistics.count("viewCount")
    title, country = snippet.text("title"), snippet.text("country")
    profile = ProfileSnapshot(
        platform=YOUTUBE.name,
        profile_id=item.identity("id"),
        handle=handle,
        source=SOURCE,
        at=at,
        metrics={  # the platform's name and the one that all platforms share
            "subscribers": subscribers,
            "followers": subscribers,
            "uploads": uploads,
            "media_count": uploads,
            "total_views": views,
            "views": views,
        },
        dimensions={
            "handle": handle,
            "title": title,
            "full_name": title,
            "description": snippet.text("description"),
            "country": country.upper() if country else None,
            "profile_pic_url": _thumbnail(snippet),
        },
        posts=[],
        notes=root.notes,
    )
    playlists = item.object("contentDetails").object("relatedPlaylists")
    return profile, playlists.text("uploads", chars_max=ID_CHARS_MAX) or None


def video_ids(decoded: Any, notes: list[str] | None = None) -> list[str]:
    """The ids on a page of playlistItems, each once, in the playlist's order. What is odd is added to `notes`."""
    items = Fields(decoded, SOURCE, notes=notes).objects("items", needed=True)
    places = ((item.object("contentDetails"), item.object("snippet").object("resourceId")) for item in items)
    ids = (place.text("videoId", chars_max=ID_CHARS_MAX) for both in places for place in both)
    return list(dict.fromkeys(filter(None, ids)))


def posts(
    decoded: Any, ids: Sequence[str], profile: ProfileSnapshot, notes: list[str] | None = None
) -> list[PostSnapshot]:
    """The videos of `ids`, in that order, as posts of `profile`; those that the API leaves out are gone or private.

    What is odd is added to `notes`.
    """
    found = Fields(decoded, SOURCE, notes=notes).each("items", lambda video: (video.identity("id"), video), needed=True)
    videos = dict(found)
    return [_post(videos[video_id], video_id, profile) for video_id in ids if video_id in videos]


def _post(video: Fields, video_id: str, profile: ProfileSnapshot) -> PostSnapshot:
    snippet, statistics = video.object("snippet"), video.object("statistics")
    duration_s = video.object("contentDetails").read("duration", "a duration below 68 years", duration)
    return PostSnapshot(
        platform=YOUTUBE.name,
        post_id=video_id,
        shortcode=video_id,
        profile_id=profile.profile_id,
        handle=profile.handle,
        source=SOURCE,
        at=profile.at,
        publish_time=snippet.time("publishedAt"),
        metrics={
            "views": statistics.count("viewCount"),
            "likes": statistics.count("likeCount"),
            "comments": statistics.count("commentCount"),
        },
        dimensions={
            "post_type": _post_type(video, duration_s),
            "title": snippet.text("title"),
            "description": snippet.text("description"),
            "tags": snippet.texts("tags"),
            "language": snippet.text("defaultAudioLanguage") or snippet.text("defaultLanguage"),
            "category_id": snippet.text("categoryId"),
            "duration_s": duration_s or None,
            "thumbnail_url": _thumbnail(snippet),
        },
    )


def _post_type(video: Fields, duration_s: int | None) -> str | None:
    broadcast = video.object("snippet").text("liveBroadcastContent")
    if "liveStreamingDetails" in video or broadcast in ("live", "upcoming"):
        return "live"
    if duration_s == 0:
        return None  # P0D: nobody knows yet, it is being processed
    return "short" if duration_s is not None and duration_s <= SHORT_S_MAX else "video"


def duration(text: str) -> int:
    """Seconds of an ISO 8601 duration such as PT1H2M3S. SourceFailed where it is none."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise SourceFailed(f"{SOURCE}: contentDetails.duration should be a duration, got {text[:60]!r}")
    seconds = sum(int(number or 0) * unit_s for number, unit_s in zip(match.groups(), _UNITS_S, strict=True))
    if seconds > _INT32_MAX:
        raise SourceFailed(f"{SOURCE}: contentDetails.duration should be below 68 years, got {text[:60]!r}")
    return seconds


def _thumbnail(snippet: Fields) -> str | None:
    thumbnails = snippet.object("thumbnails")
    return next((url for size in _THUMBNAILS if (url := thumbnails.object(size).text("url"))), None)
