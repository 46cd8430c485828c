"""What scrapers of YouTube's pages answer (youtube138 and its like) as snapshots. Pure.

One reading serves their spellings: a list is `contents`, `data` or `items`, an entry stands below its type or flat, a
figure is a number, its digits, or as the page shows it ("4.03M subscribers"). A page tells ages and no dates: "2 years
ago" is no time of publication, so it is told as dimension `published_about` alone. See data_parse.py of what is absent
or odd.
"""

import datetime as dt
import re
from collections.abc import Iterator

from gcc.platforms import YOUTUBE
from gcc.sources.fields import ID_CHARS_MAX, Fields, parsed
from gcc.sources.snapshot import Activity, Metrics, Person, PostSnapshot, ProfileSnapshot
from gcc.sources.times import instant
from gcc.sources.youtube import data_parse
from gcc.sources.youtube.data_parse import iso, known

_OF_VIDEOS = ("videoId", "video_id", "lengthSeconds", "snippet")  # one of these stands in each
_TIMES = {
    "": 1, "K": 1_000, "THOUSAND": 1_000, "L": 100_000, "LAKH": 100_000, "M": 1_000_000, "MILLION": 1_000_000,
    "CR": 10_000_000, "CRORE": 10_000_000, "B": 1_000_000_000, "BILLION": 1_000_000_000,
}  # fmt: skip
_UNIT = "|".join(filter(None, _TIMES))
_COUNT = re.compile(  # in India 12,34,567 and 12 lakh
    r"(\d{1,19}|\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,3}\.\d{1,3})" + rf"\s*((?:{_UNIT})\b|)(?:\s+\w+)*",
    re.ASCII | re.IGNORECASE,
)
_CODE = re.compile(r"[A-Z]{2}")
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})", re.ASCII)
_AGO = re.compile(r"(?:.*\s)?(\d{1,4})\s+(second|minute|hour|day|week|month|year)s?\s+ago(?:\s.*)?", re.IGNORECASE)
_UNITS_S = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_629_746, "year": 31_556_952,
}  # fmt: skip
_INT64_MAX = 2**63 - 1


def entries(root: Fields) -> list[Fields]:
    """The entries of a list, those of shelves among them, each with its own fields at the top."""
    place = root.object("newData") if "newData" in root else root
    name = next((each for each in ("contents", "data", "items", "videos", "comments") if each in place), "contents")
    return [entry for item in place.objects(name, needed=True) for entry in _flat(item)]


def _flat(item: Fields) -> Iterator[Fields]:
    kind = item.text("type", chars_max=ID_CHARS_MAX) or ""
    if kind in ("video", "channel", "playlist", "short", "shorts") and kind in item:
        yield item.object(kind)
    elif "data" in item and "videoId" not in item:
        yield from item.objects("data")
    else:
        yield item


def videos(root: Fields, at: dt.datetime) -> list[PostSnapshot]:
    """The videos of a list, in its order; channels and playlists among them are left out."""
    shown = [entry for entry in entries(root) if any(name in entry for name in _OF_VIDEOS)]
    return [post for post in parsed(shown, lambda entry: video(entry, at)) if post is not None]


def channels(root: Fields, at: dt.datetime) -> list[ProfileSnapshot]:
    """The channels of a list."""
    shown = [entry for entry in entries(root) if "channelId" in entry and "videoId" not in entry]
    return parsed(shown, lambda entry: channel(entry, at))


def video(item: Fields, at: dt.datetime, channel_id: str = "", handle: str = "") -> PostSnapshot | None:
    """A video; None where it is a result of a search for something else."""
    match item.text("kind"):  # of the Data API's: some resell those
        case "youtube#video":
            return data_parse.video(item, at)
        case "youtube#searchResult":
            return data_parse.found_video(item, at)
    author = item.object("author")
    of = author.text("channelId", chars_max=ID_CHARS_MAX) or item.text("channelId", chars_max=ID_CHARS_MAX)
    video_id = item.identity(next((name for name in ("videoId", "video_id") if name in item), "id"))
    return PostSnapshot(
        platform=YOUTUBE.name,
        post_id=video_id,
        shortcode=video_id,
        profile_id=of or channel_id,
        handle=_handle(author, item) or handle or of or channel_id,
        source=item.source,
        at=at,
        publish_time=_published(item),
        metrics=_figures(item, {"views": "viewCount", "likes": "likeCount", "comments": "commentCount"}),
        dimensions={
            "post_type": _post_type(item),
            "title": item.text("title"),
            "description": item.text("description") or item.text("descriptionSnippet"),
            "tags": item.texts("keywords") or None,
            "category": item.text("category"),
            "duration_s": _seconds(item) or None,
            "thumbnail_url": _picture(item, "thumbnails", "thumbnail"),
            **known(
                channel_title=author.text("title") or item.text("channelTitle"),
                published_about=iso(_about(item, at)),
                paid_promotion=item.flag("includesPaidPromotion"),
            ),
        },
    )


def channel(item: Fields, at: dt.datetime) -> ProfileSnapshot:
    """A channel as its page or a search shows it, without its videos."""
    channel_id = item.identity("channelId")
    figures = _figures(item, {"subscribers": "subscriberCount", "videos": "videosCount", "views": "viewCount"})
    subscribers, uploads, views = (figures.pop(name) for name in ("subscribers", "videos", "views"))
    title, country = item.text("title"), item.text("country") or ""
    handle = _handle(item, item)
    return ProfileSnapshot(
        platform=YOUTUBE.name,
        profile_id=channel_id,
        handle=handle or channel_id,
        source=item.source,
        at=at,
        metrics={
            "subscribers": subscribers,
            "followers": subscribers,
            "uploads": uploads,
            "media_count": uploads,
            "total_views": views,
            "views": views,
            **figures,
        },
        dimensions={
            "handle": handle or channel_id,
            "title": title,
            "full_name": title,
            "description": item.text("description") or item.text("descriptionSnippet"),
            "country": country if _CODE.fullmatch(country) else None,
            "profile_pic_url": _picture(item, "avatar"),
            **known(
                country_name="" if _CODE.fullmatch(country) else country,
                is_verified=any(badge.text("type") == "VERIFIED_CHANNEL" for badge in item.objects("badges"))
                or item.flag("isVerified")
                or None,
                joined_at=item.text("joinedDate"),
            ),
        },
        posts=[],
        notes=item.notes,
    )


def comment(item: Fields, at: dt.datetime, video_id: str) -> Activity:
    """A comment without the replies to it."""
    author = item.object("author")
    name = author.text("title") or ""
    return Activity(
        platform=YOUTUBE.name,
        source=item.source,
        at=at,
        activity_id=item.identity("commentId"),
        kind="comment",
        post_id=video_id,
        shortcode=video_id,
        profile_id="",
        actor=Person(
            author.text("channelId", chars_max=ID_CHARS_MAX) or "",
            handle=name.removeprefix("@") if name.startswith("@") else "",
            dimensions=known(
                full_name=name, is_verified=author.flag("isVerified"), profile_pic_url=_picture(author, "avatar")
            ),
        ),
        metrics=_figures(item, {"votes": "voteCount", "replies": "replyCount"}, {"votes": "likes"}),
        dimensions=known(text=item.text("content"), published_about=iso(_about(item, at))),
    )


def counted(text: str) -> int:
    """ "4.03M subscribers", "1,234 views", "12": the number. ValueError: it shows none."""
    if text.lower().startswith("no "):
        return 0
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    digits, unit = match[1].replace(",", ""), _TIMES[match[2].upper()]
    whole, _, part = digits.partition(".")
    number = int(whole) * unit + (int(part) * unit // 10 ** len(part) if part else 0)
    if number > _INT64_MAX:
        raise ValueError(text)
    return number


def ago(text: str, at: dt.datetime) -> dt.datetime:
    """When it was "3 weeks ago", as exactly as that is said. ValueError: it is no age."""
    match = _AGO.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return (at - dt.timedelta(seconds=int(match[1]) * _UNITS_S[match[2].lower()])).replace(microsecond=0)


def _figures(item: Fields, names: dict[str, str], renamed: dict[str, str] | None = None) -> Metrics:
    """What `stats` holds, else the field or the text of a flat entry; other numbers of `stats` by their own names."""
    stats = item.object("stats")
    found: Metrics = {}
    for name, flat in names.items():
        value = _number(stats, name)
        if value is None:
            value = _number(item, flat)
        found[(renamed or {}).get(name, name)] = value
    others = [name for name in stats.names() if name not in names and not name.endswith("Text")]
    return found | {name: stats.count(name) for name in others}


def _number(place: Fields, name: str) -> int | None:
    if place.code(name) is not None:
        return place.count(name)
    text = f"{name}Text"
    return place.read(text if text in place else name, "a number as pages show it", counted)


def _published(item: Fields) -> dt.datetime | None:
    return next((time for name in ("publishedAt", "uploadDate") if (time := item.time(name))), None)


def _about(item: Fields, at: dt.datetime) -> dt.datetime | None:
    if "publishedDate" in item:
        return item.read("publishedDate", "a date", lambda text: instant(text).replace(tzinfo=dt.UTC))
    name = "publishedTimeText"
    return item.read(name, "an age", lambda text: ago(text, at)) if "ago" in (item.text(name) or "") else None


def _seconds(item: Fields) -> int | None:
    if "lengthSeconds" in item:
        return item.count("lengthSeconds")
    text = item.text("lengthText") or ""
    match = _CLOCK.fullmatch(text)
    return (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else None
    )


def _post_type(item: Fields) -> str | None:
    """By what the page calls it, else by its length; None where it shows neither."""
    if item.text("type") in ("shorts", "short"):
        return "short"
    if item.flag("isLiveNow") or item.flag("isLive") or item.flag("isLiveContent"):
        return "live"
    seconds = _seconds(item)
    if not seconds:
        return None
    return "short" if data_parse.is_short(seconds, _published(item)) else "video"


def _handle(*places: Fields) -> str:
    """Of the fields that hold one, the first, without @; what stands there and is none is nothing."""
    for place in places:
        for name in ("username", "canonicalBaseUrl", "channelHandle", "handle"):
            text = (place.text(name, chars_max=ID_CHARS_MAX) or "").removeprefix("/")
            if text.startswith("@") and YOUTUBE.is_handle(text[1:]):
                return text[1:]
    return ""


def _picture(item: Fields, *names: str) -> str | None:
    """The address of the widest picture of a list."""
    pictures = [picture for name in names for picture in item.objects(name)]
    widest = max(pictures, key=lambda each: each.code("width") or 0, default=None)
    return widest.text("url") if widest else None
