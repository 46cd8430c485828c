"""Stands in for the YouTube Data API v3: channels, playlistItems and videos.

In: the path below `/youtube` and the query. Out: an `Answer` in the real API's shapes (counts as
strings, ISO 8601 durations, page tokens), errors in its real envelopes. Whether a caller may ask at
all is decided in server.py, with the refusals made here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from gcc.world import names
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.chance import key_of, letters, mix
from gcc.world.model import Cast, Creator, Post
from gcc.world.youtube_errors import REFUSALS, DataError, error

KEYS = tuple(f"world-yt-{number}" for number in range(1, 4))
_IDS_MAX = 50
_PAGE = 5
_PAGE_MAX = 50
_PARTS = {  # known of each collection; a live stream's details are asked for, but no video here was one
    "channel": frozenset({"id", "snippet", "contentDetails", "statistics", "status"}),
    "playlistItem": frozenset({"id", "snippet", "contentDetails", "status"}),
    "video": frozenset({"id", "snippet", "contentDetails", "statistics", "status", "liveStreamingDetails"}),
}
_THUMBNAILS = (("default", 120, 90), ("medium", 320, 180), ("high", 480, 360))
_BUCKETS = {"/v3/search": "search", "/v3/videos:batchGetStats": "batchGetStats"}
_TOKEN_MARK = 0x9A6E  # tells our page tokens from any other text


class DataApi(Api):
    """The API over the YouTube channels of a world."""

    source = "ytapi"
    tokens = KEYS
    daily: ClassVar[Mapping[str, int]] = {"": 10_000, "search": 100, "batchGetStats": 10_000}

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._routes: dict[str, Callable[[Query], dict[str, Any]]] = {
            "/v3/channels": self._channels,
            "/v3/playlistItems": self._playlist_items,
            "/v3/videos": self._videos,
        }

    def token(self, query: Query, headers: Headers) -> str | None:
        """The caller's key: `key`, or the header that Google takes it in."""
        return query.get("key") or headers.get(b"x-goog-api-key", b"").decode("latin-1") or None

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "GET":
            return self.fail(405)
        route = self._routes.get(path)
        if route is None:
            return error("notFound", f"The requested URL {path} was not found.")
        try:
            return answer(200, route(query))
        except DataError as refused:
            return refused.answer

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return error("forbidden" if token is None else "keyExpired" if expired else "keyInvalid")

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return error("userRateLimitExceeded" if of_user else "rateLimitExceeded", retry_after_s=retry_after_s)

    def cost(self, method: str, path: str, query: Query, body: bytes) -> tuple[str, int]:
        return _BUCKETS.get(path, ""), 1

    def refuse_quota(self, bucket: str = "") -> Answer:
        if bucket == "search":
            spent = (
                "Quota exceeded for quota metric 'Search Queries' and limit 'Search Queries per day' of the project."
            )
            return error("rateLimitExceeded", spent)
        return error("quotaExceeded")

    def error(self, code: str, subcode: str | None) -> Answer | None:
        """By its reason."""
        return error(code) if code in REFUSALS and subcode is None else None

    def fail(self, status: int) -> Answer:
        return error("backendError", status=status)

    def _channels(self, query: Query) -> dict[str, Any]:
        parts = _parts(query, "channel")
        if "forHandle" in query:
            found = [self._cast.by_handle(query["forHandle"])]
        elif "id" in query:
            found = [self._cast.by_id(channel_id) for channel_id in _ids(query)]
        else:
            filters = "forUsername, managedByMe, categoryId, mine, forHandle, id"
            message = f"No filter selected. Expected one of: {filters}"
            raise DataError("missingRequiredParameter", message)
        items = [self._channel(creator, parts) for creator in found if creator is not None]
        return _listing("channel", items, total=len(items), per_page=_per_page(query))

    def _playlist_items(self, query: Query) -> dict[str, Any]:
        parts = _parts(query, "playlistItem")
        playlist_id = _required(query, "playlistId")
        creator = self._cast.by_id("UC" + playlist_id[2:]) if playlist_id.startswith("UU") else None
        posts = [] if creator is None else self._cast.posts_of(creator)
        if creator is None or not posts:  # a channel without videos names a playlist that does not exist
            raise DataError("playlistNotFound")
        per_page = _per_page(query)
        start = _page_start(query.get("pageToken"), len(posts))
        end = start + per_page
        items = [
            self._playlist_item(creator, playlist_id, position, post, parts)
            for position, post in enumerate(posts[start:end], start)
        ]
        listing = _listing("playlistItem", items, total=len(posts), per_page=per_page)
        if end < len(posts):
            listing["nextPageToken"] = _page_token(end)
        if start > 0:
            listing["prevPageToken"] = _page_token(max(start - per_page, 0))
        return listing

    def _videos(self, query: Query) -> dict[str, Any]:
        parts = _parts(query, "video")
        _required(query, "id")
        found = [self._cast.post(video_id) for video_id in _ids(query)]
        items = [self._video(*pair, parts) for pair in found if pair is not None]
        return _listing("video", items, total=len(items), per_page=len(items))

    def _channel(self, creator: Creator, parts: list[str]) -> dict[str, Any]:
        day = self._cast.today_of(creator)
        item: dict[str, Any] = _head("channel", creator.profile_id, day.followers)
        picture = f"https://images.example/youtube/{creator.profile_id}"
        if "snippet" in parts:
            item["snippet"] = {
                "title": creator.full_name,
                "description": creator.bio,
                "customUrl": "@" + creator.handle,
                "publishedAt": f"{creator.joined.isoformat()}T09:30:00Z",
                "thumbnails": {
                    name: {"url": f"{picture}/s{size}.jpg", "width": size, "height": size}
                    for name, size in (("default", 88), ("medium", 240), ("high", 800))
                },
                "localized": {"title": creator.full_name, "description": creator.bio},
            }
            if creator.country and creator.tells_country:
                item["snippet"]["country"] = creator.country
        if "contentDetails" in parts:
            item["contentDetails"] = {"relatedPlaylists": {"likes": "", "uploads": "UU" + creator.key}}
        if "statistics" in parts:
            item["statistics"] = {
                "viewCount": str(day.total_views or 0),
                "subscriberCount": str(day.followers),
                "hiddenSubscriberCount": False,
                "videoCount": str(day.media_count or 0),
            }
        if "status" in parts:
            item["status"] = {
                "privacyStatus": "public",
                "isLinked": True,
                "longUploadsStatus": "longUploadsUnspecified",
            }
        return item

    def _playlist_item(
        self, creator: Creator, playlist_id: str, position: int, post: Post, parts: list[str]
    ) -> dict[str, Any]:
        item = _head("playlistItem", letters(key_of(playlist_id), key_of(post.post_id)), position)
        published = _time(post)
        if "snippet" in parts:
            item["snippet"] = {
                "publishedAt": published,
                "channelId": creator.profile_id,
                "title": post.title,
                "description": post.description,
                "thumbnails": _thumbnails(post),
                "channelTitle": creator.full_name,
                "playlistId": playlist_id,
                "position": position,
                "resourceId": {"kind": "youtube#video", "videoId": post.post_id},
                "videoOwnerChannelTitle": creator.full_name,
                "videoOwnerChannelId": creator.profile_id,
            }
        if "contentDetails" in parts:
            item["contentDetails"] = {"videoId": post.post_id, "videoPublishedAt": published}
        if "status" in parts:
            item["status"] = {"privacyStatus": "public"}
        return item

    def _video(self, creator: Creator, post: Post, parts: list[str]) -> dict[str, Any]:
        item = _head("video", post.post_id, post.likes)
        if "snippet" in parts:
            item["snippet"] = {
                "publishedAt": _time(post),
                "channelId": creator.profile_id,
                "title": post.title,
                "description": post.description,
                "thumbnails": _thumbnails(post),
                "channelTitle": creator.full_name,
                "tags": list(post.tags),
                "categoryId": post.category_id,
                "liveBroadcastContent": "none",
                "localized": {"title": post.title, "description": post.description},
            }
            if creator.language in names.LANGUAGE_CODES:
                item["snippet"]["defaultAudioLanguage"] = names.LANGUAGE_CODES[creator.language]
        if "contentDetails" in parts:
            item["contentDetails"] = {
                "duration": duration(post.duration_s),
                "dimension": "2d",
                "definition": "hd",
                "caption": "false",
                "licensedContent": True,
                "contentRating": {},
                "projection": "rectangular",
            }
        if "statistics" in parts:
            item["statistics"] = {
                "viewCount": str(post.views or 0),
                "likeCount": str(post.likes),
                "favoriteCount": "0",
                "commentCount": str(post.comments),
            }
        if "status" in parts:
            item["status"] = {
                "uploadStatus": "processed", "privacyStatus": "public", "license": "youtube", "embeddable": True,
                "publicStatsViewable": True, "madeForKids": False,
            }  # fmt: skip
        return item


def duration(seconds: int) -> str:
    """ISO 8601 as YouTube writes it: PT21M7S, PT1H2S, PT45S."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + ("".join(f"{number}{unit}" for number, unit in parts if number) or "0S")


def _listing(what: str, items: Iterable[dict[str, Any]], *, total: int, per_page: int) -> dict[str, Any]:
    """A list response; like the real one it has no `items` where no channel was found, else an empty list."""
    items = list(items)
    response = _head(f"{what}ListResponse", None, total) | {
        "pageInfo": {"totalResults": total, "resultsPerPage": per_page}
    }
    return response | {"items": items} if items or what != "channel" else response


def _head(what: str, identity: str | None, version: int) -> dict[str, Any]:
    etag = letters(mix(key_of(identity or what), version), mix(version, key_of(what)))
    head: dict[str, Any] = {"kind": f"youtube#{what}", "etag": etag}
    return head if identity is None else head | {"id": identity}


def _thumbnails(post: Post) -> dict[str, Any]:
    return {
        name: {"url": f"https://images.example/youtube/{post.post_id}/{name}.jpg", "width": width, "height": height}
        for name, width, height in _THUMBNAILS
    }


def _time(post: Post) -> str:
    return post.published.strftime("%Y-%m-%dT%H:%M:%SZ")


def _required(query: Query, name: str) -> str:
    if name not in query:
        message = f"The request is missing a required parameter: {name}."
        raise DataError("missingRequiredParameter", message)
    return query[name]


def _parts(query: Query, what: str) -> list[str]:
    parts = _required(query, "part").split(",")
    for part in parts:
        if part not in _PARTS[what]:
            raise DataError("unknownPart", f"'{part}'")
    return parts


def _ids(query: Query) -> list[str]:
    """The distinct ids of `id`, in order."""
    ids = list(dict.fromkeys(query["id"].split(",")))
    if len(ids) > _IDS_MAX:
        raise DataError("invalidFilters")
    return ids


def _per_page(query: Query) -> int:
    text = query.get("maxResults", str(_PAGE))
    if text.isascii() and text.isdigit() and int(text[:4]) <= _PAGE_MAX:
        return max(int(text), 1)
    message = f"Invalid value '{text[:20]}'. Values must be within the range: [0, {_PAGE_MAX}]"
    raise DataError("invalidParameter", message)


def _page_token(start: int) -> str:
    """Opaque to the caller: where the page starts."""
    return "CA" + letters(_TOKEN_MARK << 32 | start)


def _page_start(token: str | None, count: int) -> int:
    if token is None:
        return 0
    for start in range(count):
        if _page_token(start) == token:
            return start
    raise DataError("invalidPageToken")
