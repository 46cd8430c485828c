"""Stands in for those who scrape Instagram: the same creators and crowd as the Graph API's, in each one's own shapes.

A route says what an endpoint shows, in which shape and wrapping; all five are rows of routes. They see what a visitor
sees: personal accounts too, no posts of a private one, and nothing of who is gone. Cut as the real ones are: likers end
near a thousand, one's followers at FOLLOWERS_MAX.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec

from gcc.world import audience, comments, crowd, ids, stories, tagging
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Headers
from gcc.world.instagram_shapes import Account, Json, Shape, comment, media, person, story, user
from gcc.world.model import Cast, Creator, Post
from gcc.world.rapidapi import RapidApi

LIKERS_MAX = 1000
FOLLOWERS_MAX = 2000  # of the one that cuts them
_PAGE_POSTS, _PAGE_PEOPLE, _PAGE_THREADS = 12, 50, 20
_MARK = "QVFE"  # how a cursor begins


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list: its things as JSON, the next one's cursor, and how many there are in all."""

    things: Sequence[Any]
    after: str | None
    total: int


class Absent(Exception):
    """There is no such account, post or hashtag."""


class Hidden(Exception):
    """It is a private one's."""


class Feed:
    """What there is to show, in any shape: a method for each kind of thing, of a query's subject and cursor."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast

    def user(self, name: str, after: str, shape: Shape) -> Json:
        return user(self._cast, self._account(name), shape)

    def user_and_posts(self, name: str, after: str, shape: Shape) -> Json:
        """With the first page of posts beside it, as the web shows it."""
        account = self._account(name)
        shown = user(self._cast, account, shape)
        if isinstance(account, Creator) and account.shows_posts:
            page = self.posts(name, "", shape)
            shown["edge_owner_to_timeline_media"] = edges(page)
        return shown

    def posts(self, name: str, after: str, shape: Shape) -> Page:
        account = self._open(name)
        if not isinstance(account, Creator):
            return Page([], None, 0)
        page = _page(self._cast.posts_of(account), after, _PAGE_POSTS, lambda post: media(account, post, shape))
        return replace(page, total=self._cast.today_of(account).media_count or 0)  # more than can be listed

    def post(self, name: str, after: str, shape: Shape) -> Json:
        creator, post = self._post(name)
        return media(creator, post, shape)

    def tagged(self, name: str, after: str, shape: Shape) -> Page:
        account = self._open(name)
        found = tagging.tagged(self._cast, account) if isinstance(account, Creator) else []
        return _page(found, after, _PAGE_POSTS, lambda each: media(each[0], each[1], shape))

    def hashtag(self, name: str, after: str, shape: Shape) -> Page:
        found = tagging.hashtag(self._cast, name)
        if not found:
            raise Absent
        return _page(found, after, _PAGE_PEOPLE, lambda each: media(each[0], each[1], shape))

    def stories(self, name: str, after: str, shape: Shape) -> list[Json]:
        account = self._open(name)
        if not isinstance(account, Creator):
            return []
        return [story(account, each, shape) for each in stories.stories(self._cast, account)]

    def followers(self, name: str, after: str, shape: Shape) -> Page:
        return self._people(name, after, shape, audience.followers, lambda day: day.followers)

    def following(self, name: str, after: str, shape: Shape) -> Page:
        return self._people(name, after, shape, audience.following, lambda day: day.following or 0)

    def cut_followers(self, name: str, after: str, shape: Shape) -> Page:
        """The followers, of whom no more than FOLLOWERS_MAX are ever told."""
        page = self.followers(name, after, shape)
        return page if _start(page.after or "") < FOLLOWERS_MAX else Page(page.things, None, page.total)

    def likers(self, name: str, after: str, shape: Shape) -> Page:
        creator, post = self._post(name)
        total = post.likes if creator.shows_likes else 0
        start, stop = _slice(after, _PAGE_PEOPLE, min(total, LIKERS_MAX))
        found = audience.likers(self._cast, creator, post, start, stop)
        return Page([person(each, shape) for each in found], _cursor(stop, min(total, LIKERS_MAX)), total)

    def comments(self, name: str, after: str, shape: Shape) -> Page:
        creator, post = self._post(name)
        count = comments.thread_count(post)
        start, stop = _slice(after, _PAGE_THREADS, count)
        found = [
            comment(each, comments.replies(self._cast, creator, post, each, 0, each.replies))
            for each in comments.threads(self._cast, creator, post, start, stop)
        ]
        return Page(found, _cursor(stop, count), post.comments)

    def _people(
        self, name: str, after: str, shape: Shape, who: Callable[..., Sequence[Account]], count: Callable[[Any], int]
    ) -> Page:
        account = self._open(name)
        if not isinstance(account, Creator):
            return Page([], None, account.followers)
        total = count(self._cast.today_of(account))
        start, stop = _slice(after, _PAGE_PEOPLE, total)
        found = who(self._cast, account, start, stop)
        return Page([person(each, shape) for each in found], _cursor(stop, total), total)

    def _account(self, name: str) -> Account:
        creator = self._cast.by_handle(name) or self._cast.by_id(ids.account_of_pk(name) or "")
        found = creator or crowd.by_handle(name) or crowd.by_id(name)
        if found is None:
            raise Absent
        return found

    def _open(self, name: str) -> Account:
        account = self._account(name)
        if (account.state == "private") if isinstance(account, Creator) else account.private:
            raise Hidden
        return account

    def _post(self, name: str) -> tuple[Creator, Post]:
        found = self._cast.post(name)
        if found is None or not found[0].shows_posts:
            raise Absent
        return found


# Wrappings of what a feed shows, of the whole thing or page.


def bare(shown: Any, subject: str) -> Any:
    return shown


def as_user(shown: Any, subject: str) -> Any:
    return {"user": shown, "status": "ok"}


def as_web_user(shown: Any, subject: str) -> Any:
    return {"data": {"user": shown}, "status": "ok"}


def as_graphql_user(shown: Any, subject: str) -> Any:
    return {"graphql": {"user": shown}, "logging_page_id": "profilePage"}


def as_items(shown: Any, subject: str) -> Any:
    page = shown if isinstance(shown, Page) else Page([shown], None, 1)
    told = {"items": page.things, "num_results": len(page.things), "more_available": page.after is not None}
    return {**told, **({"next_max_id": page.after} if page.after else {}), "status": "ok"}


def as_users(page: Page, subject: str) -> Any:
    return {"users": page.things, "big_list": page.after is not None, "next_max_id": page.after, "status": "ok"}


def as_chunk(page: Page, subject: str) -> Any:
    return [page.things, page.after or ""]


def as_reels(shown: list[Json], subject: str) -> Any:
    return {"reels": {subject: {"items": shown, "user": shown[0]["user"]}} if shown else {}, "status": "ok"}


def as_edges(*way: str) -> Callable[[Page, str], Any]:
    """A connection at the end of `way`."""

    def wrap(page: Page, subject: str) -> Any:
        found: Any = edges(page)
        for name in reversed(way):
            found = {name: found}
        return {"data": found, "status": "ok"}

    return wrap


def edges(page: Page) -> Json:
    page_info = {"has_next_page": page.after is not None, "end_cursor": page.after or ""}
    return {"count": page.total, "page_info": page_info, "edges": [{"node": thing} for thing in page.things]}


Shows = Callable[[Feed, str, str, Shape], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint: what it shows of whom the first of `subjects` names, in which shape and wrapping."""

    shows: Shows
    subjects: tuple[str, ...]
    shape: Shape
    wrap: Callable[[Any, str], Any]
    cursor: str = ""


_USER_EDGES = ("user", "edge_owner_to_timeline_media")
_SCRAPER_2022 = {
    "/ig/info_username/": Route(Feed.user, ("user",), "private", as_user),
    "/ig/info/": Route(Feed.user, ("id_user",), "private", as_user),
    "/ig/posts/": Route(Feed.posts, ("id_user",), "web", as_edges(*_USER_EDGES), "end_cursor"),
    "/ig/post_info/": Route(Feed.post, ("shortcode",), "web", bare),
    "/ig/tagged/": Route(
        Feed.tagged, ("id_user",), "web", as_edges("user", "edge_user_to_photos_of_you"), "end_cursor"
    ),
    "/ig/stories/": Route(Feed.stories, ("id_user",), "private", as_reels),
}
ROUTES: Mapping[str, Mapping[str, Route]] = {
    "insta-best-performance": {
        "/profile": Route(Feed.user, ("username", "user_id"), "private", bare),
        "/feed": Route(Feed.posts, ("user_id",), "private", as_items, "next_max_id"),
    },
    "instagram-scraper2": {
        "/user_info_by_id": Route(Feed.user, ("user_name", "user_id"), "private", as_user),
        "/medias_v2": Route(Feed.posts, ("user_id",), "private", as_items, "max_id"),
        "/media_info_v2": Route(Feed.post, ("short_code",), "private", as_items),
        "/followers": Route(Feed.followers, ("user_id",), "web", as_edges("user", "edge_followed_by"), "next_cursor"),
        "/following": Route(Feed.following, ("user_id",), "web", as_edges("user", "edge_follow"), "next_cursor"),
        "/media_likers": Route(
            Feed.likers, ("short_code",), "web", as_edges("shortcode_media", "edge_liked_by"), "next_cursor"
        ),
        "/media_comments": Route(
            Feed.comments, ("short_code",), "web", as_edges("shortcode_media", "edge_media_to_parent_comment"),
            "next_cursor",
        ),
        "/hash_tag_medias_v2": Route(
            Feed.hashtag, ("hash_tag",), "web", as_edges("hashtag", "edge_hashtag_to_media"), "next_cursor"
        ),
    },
    "instagram-scraper-2022": _SCRAPER_2022,
    "rocketapi": {
        "/instagram/user/get_info": Route(Feed.user, ("username",), "web", as_web_user),
        "/instagram/user/get_info_by_id": Route(Feed.user, ("id",), "private", as_user),
        "/instagram/user/get_media": Route(Feed.posts, ("id",), "private", as_items, "max_id"),
        "/instagram/media/get_info_by_shortcode": Route(Feed.post, ("shortcode",), "private", as_items),
        "/instagram/user/get_stories": Route(Feed.stories, ("ids",), "private", as_reels),
        "/instagram/user/get_followers": Route(Feed.cut_followers, ("id",), "private", as_users, "max_id"),
    },
    "lama": {
        "/a1/user": Route(Feed.user_and_posts, ("username",), "web", as_graphql_user),
        "/v1/user/by/id": Route(Feed.user, ("id",), "flat", bare),
        "/v1/user/medias/chunk": Route(Feed.posts, ("user_id",), "flat", as_chunk, "end_cursor"),
        "/v1/media/by/code": Route(Feed.post, ("code",), "flat", bare),
        "/v1/user/stories": Route(Feed.stories, ("user_id",), "flat", bare),
        "/gql/user/followers/chunk": Route(Feed.followers, ("user_id",), "flat", as_chunk, "end_cursor"),
        "/gql/user/following/chunk": Route(Feed.following, ("user_id",), "flat", as_chunk, "end_cursor"),
        "/v1/hashtag/medias/recent/chunk": Route(Feed.hashtag, ("name",), "flat", as_chunk, "max_id"),
    },
}  # fmt: skip


class Scraper(RapidApi):
    """One of them, behind RapidAPI's gateway unless it says its refusals itself (`plain`)."""

    lists: ClassVar[Sequence[str]] = ("items", "users", "edges", "reels")

    def __init__(self, source: str, cast: Cast, *, posted: bool = False, plain: bool = False) -> None:
        super().__init__(source, plain=plain)
        self._feed = Feed(cast)
        self._routes = ROUTES[source]
        self._posted = posted  # its parameters come as a JSON body, its answers in an envelope
        self._plain = plain

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        route = self._routes.get(path)
        if route is None:
            return self.no_endpoint(path)
        if method != ("POST" if self._posted else "GET"):
            return self.fail(405)
        given = _given(body) if self._posted else query
        subject = next((given[name] for name in route.subjects if given.get(name)), "")
        try:
            shown = route.wrap(route.shows(self._feed, subject, given.get(route.cursor, ""), route.shape), subject)
        except Absent:
            return self._absent()
        except Hidden:
            return self._hidden()
        return answer(200, _enveloped(200, shown) if self._posted else shown)

    def _absent(self) -> Answer:
        if self._plain:  # a user is told by 400
            return answer(400, {"detail": "Target not found", "exc_type": "NotFoundError"})
        refusal = {"message": "User or media not found", "status": "fail"}
        return answer(200, _enveloped(404, refusal)) if self._posted else answer(404, refusal)

    def _hidden(self) -> Answer:
        if self._plain:
            return answer(403, {"detail": "Private account", "exc_type": "PrivateAccount"})
        refusal = {"message": "Not authorized to view user", "status": "fail"}
        return answer(200, _enveloped(400, refusal)) if self._posted else answer(200, refusal)


def _enveloped(status: int, body: Any) -> Json:
    return {"status": "done", "response": {"status_code": status, "content_type": "application/json", "body": body}}


def _given(body: bytes) -> dict[str, str]:
    """The parameters of a JSON body as texts; of a list the first one."""
    try:
        sent = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    items = sent.items() if isinstance(sent, dict) else ()
    return {name: str(value[0] if isinstance(value, list) and value else value) for name, value in items if value}


def _page(found: Sequence[Any], after: str, size: int, shown: Callable[[Any], Json]) -> Page:
    start, stop = _slice(after, size, len(found))
    return Page([shown(each) for each in found[start:stop]], _cursor(stop, len(found)), len(found))


def _slice(after: str, size: int, total: int) -> tuple[int, int]:
    start = _start(after)
    return start, min(start + size, total)


def _start(cursor: str) -> int:
    """Where the page of a cursor begins; one that is none begins at 0."""
    digits = cursor.removeprefix(_MARK)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 12 else 0


def _cursor(stop: int, total: int) -> str | None:
    return f"{_MARK}{stop}" if stop < total else None
