"""Stands in for two who scrape YouTube, behind RapidAPI's gateway.

youtubev31 answers as the Data API does, its paths without a version. youtube138 has shapes of its own: numbers are
numbers, times are words ("3 days ago"), pages go on by `cursorNext`.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from gcc.world import comments, youtube_items, youtube_model, youtube_talk
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Headers
from gcc.world.model import Cast, Creator, Post
from gcc.world.rapidapi import RapidApi
from gcc.world.youtube import COLLECTIONS, DataApi

T = TypeVar("T")
Json = dict[str, Any]
_PAGE = 30
_COMMENTS = 20
_MARK = "4qmFs"  # how a cursor begins
_REPLIES = "Eg0SC"  # how the cursor of a thread's replies begins
_FILTERS: dict[str, Callable[[Creator, Post], bool]] = {
    "videos_latest": lambda creator, post: post.kind != "short" and youtube_model.air(creator, post) == "none",
    "shorts_latest": lambda creator, post: post.kind == "short",
    "live_now": lambda creator, post: youtube_model.air(creator, post) == "live",
    "streams_latest": lambda creator, post: youtube_model.air(creator, post) != "none",
}
_STEPS = (("year", 365 * 86_400), ("month", 30 * 86_400), ("week", 7 * 86_400), ("day", 86_400), ("hour", 3600))


class V31Api(RapidApi):
    """The Data API over again."""

    def __init__(self, cast: Cast) -> None:
        super().__init__("youtubev31")
        self._data = DataApi(cast)

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        collection = path.removeprefix("/v3").strip("/")
        if collection not in COLLECTIONS:
            return self.no_endpoint(path)
        return self._data.answer(method, f"/v3/{collection}", query, {}, b"")


class Youtube138(RapidApi):
    lists: ClassVar[Sequence[str]] = ("contents", "comments")

    def __init__(self, cast: Cast) -> None:
        super().__init__("youtube138")
        self._cast = cast
        self._routes: dict[str, Callable[[str, Query], Json | None]] = {
            "channel/details": self._channel,
            "channel/videos": self._channel_videos,
            "playlist/videos": self._playlist,
            "video/details": self._video,
            "video/comments": self._comments,
            "search": self._search,
        }

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        route = self._routes.get(path.strip("/"))
        if route is None:
            return self.no_endpoint(path)
        if method != "GET":
            return self.fail(405)
        name = "q" if path.strip("/") == "search" else "id"
        if name not in query:
            return answer(400, {"error": f"Missing required parameter: {name}"})
        shown = route(query[name], query)
        return answer(404, {"error": "Not found"}) if shown is None else answer(200, shown)

    def _channel(self, name: str, query: Query) -> Json | None:
        creator = self._creator(name)
        if creator is None:
            return None
        day = self._cast.today_of(creator)
        hidden = youtube_model.hides_subscribers(creator)
        return {
            "avatar": _pictures(creator.profile_id, 176),
            "badges": [],
            "canonicalBaseUrl": f"/@{creator.handle}",
            "channelId": creator.profile_id,
            "country": creator.country if creator.tells_country else None,
            "description": creator.bio,
            "isFamilySafe": True,
            "joinedDate": creator.joined.isoformat(),
            "joinedDateText": f"Joined {creator.joined:%b} {creator.joined.day}, {creator.joined.year}",
            "keywords": [],
            "links": [],
            "stats": {
                "subscribers": None if hidden else day.followers,
                "subscribersText": None if hidden else f"{_short(day.followers)} subscribers",
                "videos": day.media_count,
                "views": day.total_views,
            },
            "title": creator.full_name,
            "username": f"@{creator.handle}",
        }

    def _channel_videos(self, name: str, query: Query) -> Json | None:
        creator = self._creator(name)
        fits = _FILTERS.get(query.get("filter", "videos_latest"))
        if creator is None or fits is None:
            return None
        found = [post for post in youtube_model.uploads(self._cast, creator) if fits(creator, post)]
        page, after = _page(found, query, _PAGE)
        return {"contents": [self._entry(creator, post, own=True) for post in page]} | after

    def _playlist(self, name: str, query: Query) -> Json | None:
        found = youtube_model.playlist(self._cast, name)
        if found is None:
            return None
        page, after = _page(found.rows, query, 100)
        shown = [self._entry(row.creator, row.post) for row in page if row.creator and row.post]
        return {"contents": shown} | after

    def _search(self, words: str, query: Query) -> Json:
        found = youtube_model.search(self._cast, words)
        page, after = _page(found, query, _PAGE)
        shown = [self._found(creator) if post is None else self._entry(creator, post) for creator, post in page]
        return {
            "contents": shown, "didYouMean": None, "estimatedResults": str(len(found)), "filterGroups": [],
            "refinements": [],
        } | after  # fmt: skip

    def _video(self, video_id: str, query: Query) -> Json | None:
        found = youtube_model.video(self._cast, video_id)
        if found is None:
            return None
        creator, post = found
        air = youtube_model.air(creator, post)
        author = self._author(creator)
        author["stats"] = {"subscribers": self._cast.today_of(creator).followers}
        return {
            "author": author,
            "category": youtube_items.CATEGORIES.get(post.category_id),
            "description": post.description,
            "isLiveContent": air != "none",
            "isLiveNow": air == "live",
            "keywords": list(post.tags),
            "lengthSeconds": post.duration_s,
            "publishedDate": post.published.date().isoformat(),
            "stats": {
                "comments": post.comments if youtube_model.takes_comments(creator) else None,
                "likes": post.likes if creator.shows_likes else None,
                "viewers": post.views if air == "live" else None,
                "views": post.views,
            },
            "superTitle": {"items": []},
            "thumbnails": _pictures(post.post_id, 336),
            "title": post.title,
            "type": "NORMAL",
            "videoId": post.post_id,
        }

    def _comments(self, video_id: str, query: Query) -> Json | None:
        found = youtube_model.video(self._cast, video_id)
        if found is None:
            return None
        creator, post = found
        total = comments.thread_count(post) if youtube_model.takes_comments(creator) else 0
        cursor = query.get("cursor", "")
        thread = youtube_talk.comment(self._cast, cursor.removeprefix(_REPLIES)) if cursor else None
        if thread is not None:
            answers = comments.replies(self._cast, creator, post, thread[2], 0, thread[2].replies)
            return {"status": "success", "comments": [self._comment(creator, each) for each in answers]}
        places, after = _page(range(total), query, _COMMENTS)
        threads = comments.threads(self._cast, creator, post, places[0], places[-1] + 1) if places else []
        return {
            "status": "success",
            "totalCommentsCount": post.comments if total else 0,
            "filters": [],
            "comments": [self._comment(creator, each) for each in threads],
        } | after

    def _comment(self, creator: Creator, shown: comments.Comment) -> Json:
        author = youtube_talk.channel_id(shown.actor)
        return {
            "commentId": youtube_talk.comment_id(shown),
            "content": shown.text,
            "author": {
                "channelId": author,
                "title": youtube_talk.handle(shown.actor),
                "isVerified": False,
                "isArtist": False,
                "isCreator": author == creator.profile_id,
                "avatar": _pictures(author, 88),
                "avatarThumbnailUrl": _pictures(author, 88)[0]["url"],
            },
            "publishedTimeText": self._ago(shown.published),
            "stats": {"votes": shown.likes, "replies": shown.replies},
            "cursorReplies": _REPLIES + youtube_talk.comment_id(shown) if shown.replies else None,
        }

    def _entry(self, creator: Creator, post: Post, *, own: bool = False) -> Json:
        """A video of a list; of a channel's own without its author."""
        live = youtube_model.air(creator, post) == "live"
        shown = {
            "badges": [],
            "isLiveNow": live,
            "lengthSeconds": None if live else post.duration_s,
            "movingThumbnails": None,
            "publishedTimeText": self._ago(post.published),
            "stats": {"viewers": post.views} if live else {"views": post.views},
            "thumbnails": _pictures(post.post_id, 336),
            "title": post.title,
            "videoId": post.post_id,
        }
        more = {} if own else {"author": self._author(creator), "descriptionSnippet": post.description[:100]}
        return {"type": "video", "video": more | shown}

    def _found(self, creator: Creator) -> Json:
        stats = {"subscribers": self._cast.today_of(creator).followers}
        return {"type": "channel", "channel": self._author(creator) | {"stats": stats}}

    def _author(self, creator: Creator) -> Json:
        return {
            "avatar": _pictures(creator.profile_id, 68), "badges": [], "canonicalBaseUrl": f"/@{creator.handle}",
            "channelId": creator.profile_id, "title": creator.full_name,
        }  # fmt: skip

    def _creator(self, name: str) -> Creator | None:
        return self._cast.by_id(name) or (self._cast.by_handle(name) if name.startswith("@") else None)

    def _ago(self, moment: dt.datetime) -> str:
        """Whole steps of the largest kind: it tells no moment."""
        passed_s = (dt.datetime.combine(self._cast.today, dt.time(), dt.UTC) - moment).total_seconds()
        for name, step_s in _STEPS:
            if passed_s >= step_s:
                count = int(passed_s // step_s)
                return f"{count} {name}{'s' if count > 1 else ''} ago"
        return "1 hour ago"


def _page(things: Sequence[T], query: Query, size: int) -> tuple[Sequence[T], Json]:
    """The things of the cursor's page, and the next one's cursor."""
    digits = (query.get("cursor") or query.get("cursorNext") or "").removeprefix(_MARK)
    start = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0
    after = {"cursorNext": f"{_MARK}{start + size}"} if start + size < len(things) else {"cursorNext": None}
    return things[start : start + size], after


def _pictures(name: str, width: int) -> list[Json]:
    return [{"height": width, "url": f"https://images.example/youtube/{name}/s{width}.jpg", "width": width}]


def _short(count: int) -> str:
    """1.2M, 3.4K, 12."""
    for name, step in (("M", 1_000_000), ("K", 1000)):
        if count >= step:
            return f"{count / step:.3g}{name}"
    return str(count)
