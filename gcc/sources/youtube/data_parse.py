"""Answers of the YouTube Data API v3 as snapshots and verdicts: channels, videos, playlists, results of a search. Pure.

Counts come as texts; a hidden or switched off one is left out by the API and is None here, and so is a field of a
wrong type, which the notes of the `Fields` tell. A figure that has no name here keeps its own. An answer without its
list of items, or an item without its id, is OddAnswer naming the path. The same shapes come from the API itself, from
what resells it, and from videos:batchGetStats, which tells less.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gcc.platforms import YOUTUBE
from gcc.sources.fields import ID_CHARS_MAX, Fields, opened
from gcc.sources.http import Answer
from gcc.sources.snapshot import Metrics, PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import OddAnswer, SourceFailed
from gcc.sources.youtube.data_errors import SOURCE, refusal

SHORTS_SINCE = (
    (dt.datetime(2024, 10, 15, tzinfo=dt.UTC), 180),
    (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 60),
)
"""How many seconds a short may last that was published since then, the latest rule first. No field tells shorts."""

_DURATION = re.compile(r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # 11 so far
_UNITS_S = (604_800, 86_400, 3600, 60, 1)
_THUMBNAILS = ("uhd", "qhd", "fhd", "maxres", "standard", "high", "medium", "default")  # few are always there
_INT32_MAX = 2**31 - 1
_OF_VIDEO = {"viewCount": "views", "likeCount": "likes", "commentCount": "comments"}
_OF_CHANNEL = {"subscriberCount": "subscribers", "videoCount": "uploads", "viewCount": "total_views"}
_SHARED = {"subscribers": "followers", "uploads": "media_count", "total_views": "views"}  # as all platforms call it
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def judge(answer: Answer, now: dt.datetime, source: str = SOURCE) -> Any:
    """The decoded JSON object, or the verdict that its error reasons, else its status, stand for.

    One that is no list is OddAnswer: none, whatever its status. An empty one has to say what it is a list of, and that
    of channels, which then may have no `items` at all, that there are none.
    """
    decoded, error = opened(answer, source, now)
    if error is not None:
        raise refusal(answer, error, now)
    root = Fields(decoded, source)
    kind = root.text("kind") or ""
    of_channels = kind == "youtube#channelListResponse"
    if root.objects("items", needed=not of_channels):
        return decoded
    if not kind.endswith("Response"):
        raise OddAnswer(f"{source}: $.kind should be that of a list, got {root.shown('kind')}")
    page = root.object("pageInfo")
    if of_channels and page.count("totalResults") != 0:
        total = page.shown("totalResults")
        raise OddAnswer(f"{source}: $.pageInfo.totalResults should be 0 beside no items, got {total}")
    return decoded


def channel(item: Fields, at: dt.datetime, asked: str = "") -> ProfileSnapshot:
    """A channel without its posts; one that shows no handle has the one that it was `asked` by."""
    snippet, statistics = item.object("snippet"), item.object("statistics")
    named = snippet.text("customUrl", chars_max=ID_CHARS_MAX) or asked
    handle = "" if YOUTUBE.is_id(named) else named.removeprefix("@")
    channel_id = item.identity("id")
    branding = item.object("brandingSettings").object("channel")
    title, country = snippet.text("title"), snippet.text("country") or branding.text("country")
    return ProfileSnapshot(
        platform=YOUTUBE.name,
        profile_id=channel_id,
        handle=handle or channel_id,
        source=item.source,
        at=at,
        metrics=_channel_metrics(statistics),
        dimensions={
            "handle": handle or channel_id,
            "title": title,
            "full_name": title,
            "description": snippet.text("description"),
            "country": country.upper() if country else None,
            "profile_pic_url": thumbnail(snippet),
            **known(
                language=snippet.text("defaultLanguage"),
                joined_at=iso(snippet.time("publishedAt")),
                keywords=branding.text("keywords"),
                topics=item.object("topicDetails").texts("topicCategories"),
                made_for_kids=item.object("status").flag("madeForKids"),
            ),
        },
        posts=[],
        notes=item.notes,
    )


def _channel_metrics(statistics: Fields) -> Metrics:
    """The platform's names and those that all platforms share. Hidden subscribers are served as 0, or not at all."""
    metrics = figures(statistics, _OF_CHANNEL)
    if "hiddenSubscriberCount" in statistics and statistics.flag("hiddenSubscriberCount") is not False:
        metrics["subscribers"] = None
    return {**metrics, **{shared: metrics[name] for name, shared in _SHARED.items()}}


def uploads(item: Fields) -> str | None:
    """The id of the playlist of what the channel uploaded, if it has one."""
    playlists = item.object("contentDetails").object("relatedPlaylists")
    return playlists.text("uploads", chars_max=ID_CHARS_MAX) or None


def video(item: Fields, at: dt.datetime, handle: str = "", channel_id: str = "") -> PostSnapshot:
    """A video, of `videos` or of videos:batchGetStats; of the channel that it names, else of that of `channel_id`."""
    video_id = item.identity("id")
    snippet, details, status = item.object("snippet"), item.object("contentDetails"), item.object("status")
    published = snippet.time("publishedAt") or snippet.time("publishTime")
    duration_s = details.read("duration", "a duration below 68 years", duration)
    tags, broadcast, live = snippet.texts("tags"), _broadcast(snippet), item.object("liveStreamingDetails")
    watching: Metrics = {"watching": live.count("concurrentViewers")} if "concurrentViewers" in live else {}
    return _post(
        item,
        video_id,
        at,
        channel_id=snippet.text("channelId", chars_max=ID_CHARS_MAX) or channel_id,
        handle=handle,
        published=published,
        metrics=figures(item.object("statistics"), _OF_VIDEO) | watching,
        dimensions={
            "post_type": _post_type(item, broadcast, duration_s, published) if "duration" in details else None,
            "title": snippet.text("title"),
            "description": snippet.text("description"),
            "tags": tags if "tags" in snippet or "title" in snippet else None,  # a video without tags has no field
            "language": snippet.text("defaultAudioLanguage") or snippet.text("defaultLanguage"),
            "category_id": snippet.text("categoryId"),
            "duration_s": duration_s or None,
            "thumbnail_url": thumbnail(snippet),
            **known(
                channel_title=snippet.text("channelTitle"),
                broadcast=broadcast,
                scheduled_at=iso(live.time("scheduledStartTime")),
                privacy=status.text("privacyStatus"),
                made_for_kids=status.flag("madeForKids"),
                topics=item.object("topicDetails").texts("topicCategories"),
                paid_promotion=item.object("paidProductPlacementDetails").flag("hasPaidProductPlacement"),
            ),
        },
    )


def is_video_id(text: str) -> bool:
    return _VIDEO_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a playlist. `hidden` says why there is nothing to see behind it."""

    video_id: str
    hidden: str | None


def entry(item: Fields) -> Entry:
    """Private and deleted videos keep their rows, with no owner and a title that says so."""
    snippet, status = item.object("snippet"), item.object("status")
    details, place = item.object("contentDetails"), snippet.object("resourceId")
    title, privacy = snippet.text("title"), status.text("privacyStatus")
    hidden = title if title in ("Private video", "Deleted video") and "videoOwnerChannelId" not in snippet else None
    return Entry(
        (details if "videoId" in details else place).identity("videoId"),
        hidden or (privacy if privacy == "private" else None),
    )


def found_video(item: Fields, at: dt.datetime) -> PostSnapshot | None:
    """A result of a search as a post without figures; None where it is a channel or a playlist."""
    place = item.object("id")
    if "videoId" not in place:
        return None
    snippet = item.object("snippet")
    return _post(
        item,
        place.identity("videoId"),
        at,
        channel_id=snippet.text("channelId", chars_max=ID_CHARS_MAX) or "",
        handle="",
        published=snippet.time("publishedAt") or snippet.time("publishTime"),
        metrics={},
        dimensions={
            "title": snippet.text("title"),
            "description": snippet.text("description"),
            "thumbnail_url": thumbnail(snippet),
            **known(
                channel_title=snippet.text("channelTitle"),
                broadcast=_broadcast(snippet),
            ),
        },
    )


def playlist(item: Fields) -> dict[str, Any]:
    """What a playlist tells of itself."""
    snippet = item.object("snippet")
    return {
        "playlist_id": item.identity("id"),
        "channel_id": snippet.text("channelId", chars_max=ID_CHARS_MAX),
        "title": snippet.text("title"),
        "description": snippet.text("description"),
        "videos": item.object("contentDetails").count("itemCount"),
        "published_at": iso(snippet.time("publishedAt")),
    }


def category(item: Fields) -> tuple[str, str]:
    """(id, title) of a category of videos."""
    return item.identity("id"), item.object("snippet").text("title") or ""


def figures(statistics: Fields, names: Mapping[str, str]) -> Metrics:
    """The counts by their names here, None where there is none; others by their own, in small letters."""
    others = [name for name in statistics.names() if name not in names and name.endswith("Count")]
    known: Metrics = {name: statistics.count(field) for field, name in names.items()}
    return known | {snake(name): statistics.count(name) for name in others if name != "hiddenSubscriberCount"}


def snake(name: str) -> str:
    """favoriteCount -> favorite_count."""
    return _CAPITAL.sub("_", name).lower()


def _post(
    item: Fields,
    video_id: str,
    at: dt.datetime,
    *,
    channel_id: str,
    handle: str,
    published: dt.datetime | None,
    metrics: Metrics,
    dimensions: dict[str, Any],
) -> PostSnapshot:
    return PostSnapshot(
        platform=YOUTUBE.name,
        post_id=video_id,
        shortcode=video_id,
        profile_id=channel_id,
        handle=handle or channel_id,  # which stands for a channel where its handle is not told
        source=item.source,
        at=at,
        publish_time=published,
        metrics=metrics,
        dimensions=dimensions,
    )


def _broadcast(snippet: Fields) -> str | None:
    """live, upcoming (a premiere, where the film has its length already), or None."""
    broadcast = snippet.text("liveBroadcastContent")
    return broadcast if broadcast in ("live", "upcoming") else None


def _post_type(
    item: Fields, broadcast: str | None, duration_s: int | None, published: dt.datetime | None
) -> str | None:
    """A premiere is a video that all see first at one time: unlike a stream, it has its length before."""
    premiere = broadcast == "upcoming" and bool(duration_s)
    if (broadcast or "liveStreamingDetails" in item) and not premiere:
        return "live"
    if not duration_s:
        return None  # P0D: nobody knows yet, it is being processed
    return "short" if is_short(duration_s, published) else "video"


def is_short(duration_s: int, published: dt.datetime | None) -> bool:
    """By its length, as nothing else tells; of a video of unknown age by today's rule."""
    longest_s = (most_s for since, most_s in SHORTS_SINCE if published is None or published >= since)
    return duration_s <= next(longest_s, 0)


def duration(text: str) -> int:
    """Seconds of an ISO 8601 duration such as PT1H2M3S. SourceFailed where it is none."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise SourceFailed(f"contentDetails.duration should be a duration, got {text[:60]!r}")
    seconds = sum(int(number or 0) * unit_s for number, unit_s in zip(match.groups(), _UNITS_S, strict=True))
    if seconds > _INT32_MAX:
        raise SourceFailed(f"contentDetails.duration should be below 68 years, got {text[:60]!r}")
    return seconds


def thumbnail(snippet: Fields) -> str | None:
    thumbnails = snippet.object("thumbnails")
    sizes = (size for size in _THUMBNAILS if size in thumbnails)
    return next((url for size in sizes if (url := thumbnails.object(size).text("url"))), None)


def known(**dimensions: Any) -> dict[str, Any]:
    """Those that are told: the others are left out, not None."""
    return {name: value for name, value in dimensions.items() if value not in (None, "", [])}


def iso(time: dt.datetime | None) -> str | None:
    return time.isoformat() if time else None
