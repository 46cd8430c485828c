"""Stands in for the YouTube Data API v3: every list that is asked for, in the real API's shapes and refusals.

In: the path below `/youtube` and the query. Whether a caller may ask at all is decided at the door. What there is to
show is youtube_model's; how it looks is youtube_items'.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from gcc.world import comments, youtube_items, youtube_model, youtube_query, youtube_talk
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.model import Cast, Creator, Post
from gcc.world.youtube_errors import REFUSALS, DataError, error
from gcc.world.youtube_items import Json
from gcc.world.youtube_items import duration as duration
from gcc.world.youtube_owners import CLIENT_ID, Owners, bearer, owners
from gcc.world.youtube_query import Page

KEYS = tuple(f"world-yt-{number}" for number in range(1, 4))
_BUCKETS = {"/v3/search": "search", "/v3/videos:batchGetStats": "batchGetStats"}
_LONG_S = {"short": (0, 240), "medium": (240, 1201), "long": (1201, 10**9)}  # of search's videoDuration
_REPLIES_MAX = 5  # that come with a thread
_EVER = dt.datetime(2005, 1, 1, tzinfo=dt.UTC)
_NEVER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
_ABOUT = 1_000_000  # results that a search claims to have


@dataclass(frozen=True, slots=True)
class _List:
    """What a collection answers: what it is a list of, the parts that it knows, and the page (None: no pages)."""

    what: str
    parts: frozenset[str]
    read: Callable[["DataApi", Query, Collection[str]], tuple[Iterable[Json], Page | None]]


class DataApi(Api):
    """The API over the YouTube channels of a world."""

    source = "ytapi"
    tokens = KEYS
    daily: ClassVar[Mapping[str, int]] = {"": 10_000, "search": 100, "batchGetStats": 10_000}

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._owners: Owners = owners(cast)

    def token(self, query: Query, headers: Headers) -> str | None:
        """The caller's key, `key` or the header that Google takes it in, or an owner's access token."""
        key = query.get("key") or headers.get(b"x-goog-api-key", b"").decode("latin-1")
        return key or bearer(headers)

    def lets_in(self, token: str | None) -> bool:
        return token in KEYS or self._owners.channel(token) is not None

    def app(self, token: str) -> str:
        """Each key has a project of its own; owners have signed in to one."""
        return token if token in KEYS else CLIENT_ID

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "GET":
            return self.fail(405)
        collection = _LISTS.get(path.removeprefix("/v3/"))
        if collection is None:
            return error("notFound", f"The requested URL {path} was not found.")
        try:
            parts = youtube_query.parts(query, collection.parts)
            if query.get("mine") == "true":
                query = self._as_owner(query, headers)
            items, page = collection.read(self, query, parts)
            return answer(200, _listing(collection.what, list(items), page))
        except DataError as refused:
            return refused.answer

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        if token is not None and token not in KEYS and expired:
            return error("authError")
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

    def _as_owner(self, query: Query, headers: Headers) -> Query:
        """The query in the words of a stranger: `mine` is the channel whose owner's token this is."""
        channel_id = self._owners.channel(bearer(headers))
        if channel_id is None:
            raise DataError("required")
        return {**query, "channelId": channel_id, "id": channel_id} if "id" not in query else query

    def _channels(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        by = youtube_query.one_of(query, "forUsername", "forHandle", "id")
        if by == "id":
            found = [self._cast.by_id(channel_id) for channel_id in youtube_query.ids(query)]
        else:  # nobody here is so old as to have a username
            found = [self._cast.by_handle(query[by]) if by == "forHandle" else None]
        items = [youtube_items.channel(self._cast, creator, parts) for creator in found if creator is not None]
        return items, Page(0, len(items), len(items), youtube_query.per_page(query))

    def _videos(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        if youtube_query.one_of(query, "chart", "myRating", "id") == "id":
            found = self._known(query)
            return [youtube_items.video(*pair, parts) for pair in found], Page(0, len(found), len(found), len(found))
        if query.get("chart") != "mostPopular":
            raise DataError("invalidParameter", "Only the chart mostPopular is known.")
        category, region = query.get("videoCategoryId", ""), query.get("regionCode", "US")
        if category not in ("", "0", *youtube_model.CHARTED):
            raise DataError("videoChartNotFound")
        if not (region.isalpha() and region.isascii() and len(region) == 2):
            raise DataError("invalidParameter", f"Invalid region code '{region[:20]}'.")
        chart = youtube_model.chart(self._cast, category, region.upper())
        page = youtube_query.page(query, len(chart))
        return [youtube_items.video(*pair, parts) for pair in page.of(chart)], page

    def _stats(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        youtube_query.required(query, "id")
        return [youtube_items.stats(*pair, parts) for pair in self._known(query)], None

    def _playlist_items(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        found = youtube_model.playlist(self._cast, youtube_query.required(query, "playlistId"))
        if found is None:  # so is an automatic one of no videos
            raise DataError("playlistNotFound")
        rows = [pair for pair in enumerate(found.rows) if query.get("videoId") in (None, pair[1].video_id)]
        page = youtube_query.page(query, len(rows))
        return [youtube_items.playlist_item(found, position, row, parts) for position, row in page.of(rows)], page

    def _playlists(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        if "channelId" in query:
            creator = self._channel(query["channelId"])
            found = youtube_model.playlists(self._cast, creator)
        else:
            youtube_query.one_of(query, "channelId", "id")
            known = (youtube_model.playlist(self._cast, each) for each in youtube_query.ids(query))
            found = [each for each in known if each is not None]
        page = youtube_query.page(query, len(found))
        return [youtube_items.playlist(each, parts) for each in page.of(found)], page

    def _search(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        about = [query.get(name, "") for name in ("q", "channelId", "videoCategoryId")]
        found = _filtered(youtube_model.search(self._cast, *about), query)
        page = youtube_query.page(query, len(found))
        return [youtube_items.found(*pair) for pair in page.of(found)], page

    def _threads(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        if youtube_query.one_of(query, "videoId", "id") == "id":
            known = (youtube_talk.comment(self._cast, each) for each in youtube_query.ids(query))
            found = [each for each in known if each is not None and each[2].parent_id is None]
            return [self._thread(*each, parts) for each in found], None
        creator, post = self._video(query["videoId"])
        if not youtube_model.takes_comments(creator):
            raise DataError("commentsDisabled")
        page = youtube_query.page(query, comments.thread_count(post), 20, 100)
        threads = comments.threads(self._cast, creator, post, page.start, page.stop)
        if query.get("order") == "relevance":
            threads = sorted(threads, key=lambda each: -each.likes)
        return [self._thread(creator, post, each, parts) for each in threads], page

    def _comments(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        if youtube_query.one_of(query, "parentId", "id") == "id":
            known = (youtube_talk.comment(self._cast, each) for each in youtube_query.ids(query))
            return [youtube_items.comment(*each, parts) for each in known if each is not None], None
        found = youtube_talk.comment(self._cast, query["parentId"])
        if found is None or found[2].parent_id is not None:
            raise DataError("commentNotFound")
        creator, post, thread = found
        page = youtube_query.page(query, thread.replies, 20, 100)
        replies = comments.replies(self._cast, creator, post, thread, page.start, page.stop)
        return [youtube_items.comment(creator, post, each, parts) for each in replies], page

    def _activities(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        creator = self._channel(youtube_query.required(query, "channelId"))
        begin = youtube_query.moment(query, "publishedAfter", _EVER)
        end = youtube_query.moment(query, "publishedBefore", _NEVER)
        found = [each for each in youtube_model.activities(self._cast, creator) if begin <= each.published < end]
        page = youtube_query.page(query, len(found))
        return [youtube_items.activity(creator, each, parts) for each in page.of(found)], page

    def _subscriptions(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        creator = self._cast.by_id(youtube_query.required(query, "channelId"))
        if creator is None:
            raise DataError("subscriberNotFound")
        if not youtube_model.tells_subscriptions(creator) and query.get("mine") != "true":
            raise DataError("subscriptionForbidden")
        found = youtube_model.subscriptions(self._cast, creator)
        wanted = query["forChannelId"].split(",") if "forChannelId" in query else None
        found = [each for each in found if wanted is None or each.channel.profile_id in wanted]
        page = youtube_query.page(query, len(found))
        return [youtube_items.subscription(self._cast, creator, each, parts) for each in page.of(found)], page

    def _categories(self, query: Query, parts: Collection[str]) -> tuple[Iterable[Json], Page | None]:
        known = youtube_items.CATEGORIES
        by_id = youtube_query.one_of(query, "regionCode", "id") == "id"
        wanted = youtube_query.ids(query) if by_id else list(known)
        return [youtube_items.category(each) for each in wanted if each in known], None

    def _thread(self, creator: Creator, post: Post, thread: comments.Comment, parts: Collection[str]) -> Json:
        replies = comments.replies(self._cast, creator, post, thread, 0, _REPLIES_MAX)
        return youtube_items.thread(creator, post, thread, replies, parts)

    def _known(self, query: Query) -> list[tuple[Creator, Post]]:
        """The videos of `id`; who is gone or private is missing."""
        found = (youtube_model.video(self._cast, video_id) for video_id in youtube_query.ids(query))
        return [pair for pair in found if pair is not None]

    def _channel(self, channel_id: str) -> Creator:
        creator = self._cast.by_id(channel_id)
        if creator is None:
            raise DataError("channelNotFound")
        return creator

    def _video(self, video_id: str) -> tuple[Creator, Post]:
        found = youtube_model.video(self._cast, video_id)
        if found is None:
            raise DataError("videoNotFound")
        return found


def _filtered(found: list[tuple[Creator, Post | None]], query: Query) -> list[tuple[Creator, Post | None]]:
    """What search's filters leave of it, in its order."""
    kinds = query.get("type", "video,channel,playlist").split(",")
    if not set(kinds) <= {"video", "channel", "playlist"}:
        raise DataError("invalidParameter", f"Invalid value '{query['type'][:40]}' for type.")
    event, length = query.get("eventType"), query.get("videoDuration", "any")
    if (event or length != "any") and kinds != ["video"]:
        raise DataError("invalidSearchFilter")
    begin = youtube_query.moment(query, "publishedAfter", _EVER)
    end = youtube_query.moment(query, "publishedBefore", _NEVER)
    shortest_s, longest_s = _LONG_S.get(length, (0, 10**9))
    category = query.get("videoCategoryId")

    def fits(creator: Creator, post: Post | None) -> bool:
        if post is None:
            return "channel" in kinds and begin.date() <= creator.joined < end.date()
        return (
            "video" in kinds
            and begin <= post.published < end
            and shortest_s <= post.duration_s < longest_s
            and category in (None, post.category_id)
            and event in (None, youtube_model.air(creator, post))
        )

    left = [pair for pair in found if fits(*pair)]
    match query.get("order", "relevance"):
        case "date":
            return sorted(left, key=lambda pair: pair[1].published if pair[1] else _EVER, reverse=True)
        case "viewCount":
            return sorted(left, key=lambda pair: (pair[1].views or 0) if pair[1] else 0, reverse=True)
        case "rating":
            return sorted(left, key=lambda pair: pair[1].likes if pair[1] else 0, reverse=True)
        case "title":
            return sorted(left, key=lambda pair: pair[1].title if pair[1] else pair[0].full_name)
        case "relevance" | "videoCount":
            return left
    raise DataError("invalidParameter", f"Invalid value '{query['order'][:40]}' for order.")


def _listing(what: str, items: list[Json], page: Page | None) -> Json:
    """A list response; like the real one it has no `items` where no channel was found, else an empty list."""
    response = youtube_items.head(f"{what}ListResponse", None, page.total if page else len(items))
    if page is not None:
        total = _ABOUT if what == "search" and page.stop < page.total else page.total
        response |= page.tokens | {"pageInfo": {"totalResults": total, "resultsPerPage": page.per_page}}
    if what == "search":
        response["regionCode"] = "IN"
    return response | {"items": items} if items or what != "channel" else response


_SNIPPET = frozenset({"id", "snippet"})
_LISTS = {
    "channels": _List(
        "channel",
        _SNIPPET | {"contentDetails", "statistics", "status", "brandingSettings", "topicDetails"},
        DataApi._channels,
    ),
    "videos": _List(
        "video",
        _SNIPPET | {"contentDetails", "statistics", "status", "liveStreamingDetails", "topicDetails"},
        DataApi._videos,
    ),
    "videos:batchGetStats": _List("videoStats", _SNIPPET | {"contentDetails", "statistics"}, DataApi._stats),
    "playlistItems": _List("playlistItem", _SNIPPET | {"contentDetails", "status"}, DataApi._playlist_items),
    "playlists": _List("playlist", _SNIPPET | {"contentDetails", "status"}, DataApi._playlists),
    "search": _List("search", _SNIPPET, DataApi._search),
    "commentThreads": _List("commentThread", _SNIPPET | {"replies"}, DataApi._threads),
    "comments": _List("comment", _SNIPPET, DataApi._comments),
    "activities": _List("activity", _SNIPPET | {"contentDetails"}, DataApi._activities),
    "subscriptions": _List("subscription", _SNIPPET | {"contentDetails"}, DataApi._subscriptions),
    "videoCategories": _List("videoCategory", _SNIPPET, DataApi._categories),
}
COLLECTIONS = tuple(_LISTS)
