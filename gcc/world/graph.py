"""Stands in for the Instagram Graph API: business discovery by username, media nested and paged.

In: the path below `/graph` and the query. Out: an `Answer` in the real API's shapes, errors in its
real envelopes. Whether a caller may ask at all (token, rate, faults) is decided in server.py, with the
refusals made here.
"""

import re
from typing import Any

from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.chance import key_of, letters, mix
from gcc.world.graph_fields import Field, FieldsError, parse
from gcc.world.model import Cast, Creator, Post

TOKENS = tuple(f"world-ig-{number}" for number in range(1, 6))
_MEDIA_LIMIT = 25  # without .limit()
_MEDIA_LIMIT_MAX = 100
_MEDIA_TYPES = {"image": "IMAGE", "carousel": "CAROUSEL_ALBUM", "reel": "VIDEO"}
_PATH = re.compile(r"/v\d{2}\.\d/(\d{1,20})")  # any version, as an ended one is answered as the oldest that lives


class GraphError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, refusal: Answer) -> None:
        super().__init__(refusal.body.decode())
        self.answer = refusal


class GraphApi(Api):
    """The API over the Instagram creators of a world."""

    source = "graphapi"
    tokens = TOKENS

    def __init__(self, cast: Cast) -> None:
        self._cast = cast

    def token(self, query: Query, headers: Headers) -> str | None:
        """The caller's token: `access_token`, or a Bearer header."""
        scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return query.get("access_token") or (value if scheme.lower() == "bearer" else None)

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "GET":
            return self.fail(405)
        matched = _PATH.fullmatch(path)
        if matched is None:
            return error(400, 2500, f"Unknown path components: {path}")
        found: dict[str, Any] = {}
        try:
            for field in parse(query.get("fields", "id")):
                if field.name == "business_discovery":
                    found["business_discovery"] = self._discovery(field)
                elif field.name != "id":
                    raise _no_field(field.name)
        except FieldsError as wrong:
            return error(400, 2500, str(wrong))
        except GraphError as refused:
            return refused.answer
        return answer(200, {**found, "id": matched[1]})

    def refuse_token(self, token: str | None) -> Answer:
        if token is None:
            return error(400, 2500, "An active access token must be used to query information about the current user.")
        message = "Error validating access token: Session has expired on Thursday, 01-Jan-26 04:00:00 PST."
        return error(400, 190, message, error_subcode=463)

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        """The whole application's limit (4), or one user's (17): both forms are met in the wild."""
        if of_user:
            return error(
                400, 17, "(#17) User request limit reached", retry_after_s,
                error_subcode=2446079, is_transient=True, error_user_title="Rate Limit Exceeded",
                error_user_msg="You've made too many requests. Please wait before trying again.",
            )  # fmt: skip
        return error(429, 4, "(#4) Application request limit reached", retry_after_s, is_transient=True)

    def fail(self, status: int) -> Answer:
        message = "An unexpected error has occurred. Please retry your request later."
        return error(status, 2, message, is_transient=True)

    def _discovery(self, field: Field) -> dict[str, Any]:
        username = field.args.get("username")
        if not username:
            raise GraphError(error(400, 100, "(#100) The parameter username is required"))
        creator = self._cast.by_handle(username)
        if creator is None or username.startswith("@"):
            raise GraphError(_user_not_found(username))
        asked = [(wanted.name, self._profile(creator, wanted)) for wanted in field.fields]
        return {name: value for name, value in asked if value is not None} | {"id": creator.profile_id}

    def _profile(self, creator: Creator, field: Field) -> Any:
        day = self._cast.today_of(creator)
        match field.name:
            case "id":
                return creator.profile_id
            case "ig_id":
                return int(creator.profile_id) % 10**10
            case "username":
                return creator.handle
            case "name":
                return creator.full_name
            case "biography":
                return creator.bio
            case "website":
                return creator.website
            case "followers_count":
                return day.followers
            case "follows_count":
                return day.following
            case "media_count":
                return day.media_count
            case "profile_picture_url":
                return f"https://images.example/instagram/{creator.profile_id}/profile.jpg"
            case "media":
                return self._media(creator, field)
        raise _no_field(field.name)

    def _media(self, creator: Creator, field: Field) -> dict[str, Any]:
        """A page of the posts, newest first, with the cursors to its neighbours."""
        posts = self._cast.posts_of(creator)
        limit = _whole(field.args.get("limit", str(_MEDIA_LIMIT)), _MEDIA_LIMIT_MAX)
        start = 0
        if "after" in field.args:
            start = 1 + _position(posts, field.args["after"])
        elif "before" in field.args:
            end = _position(posts, field.args["before"])
            start, limit = max(end - limit, 0), min(limit, end)
        page = posts[start : start + limit]
        names = [wanted.name for wanted in field.fields]
        data = [
            {"id": post.post_id}
            | {name: value for name in names if (value := _media_field(creator, post, name)) is not None}
            for post in page
        ]
        cursors = {}
        if page and start > 0:
            cursors["before"] = _cursor(page[0])
        if page and start + limit < len(posts):
            cursors["after"] = _cursor(page[-1])
        return {"data": data} | ({"paging": {"cursors": cursors}} if cursors else {})


def error(status: int, code: int, message: str, retry_after_s: int | None = None, **more: Any) -> Answer:
    """The Graph API's error envelope."""
    trace = "A" + letters(mix(key_of(message), code))
    body = {"error": {"message": message, "type": "OAuthException", "code": code, **more, "fbtrace_id": trace}}
    return answer(status, body, retry_after_s)


def _user_not_found(username: str) -> Answer:
    return error(
        400, 100, "Invalid user id", error_subcode=2207013, is_transient=False, error_user_title="Cannot find User",
        error_user_msg=f"The user with username: {username} cannot be found.",
    )  # fmt: skip


def _no_field(name: str) -> GraphError:
    message = f"(#100) Tried accessing nonexisting field ({name}) on node type (ShadowIGUser)"
    return GraphError(error(400, 100, message))


def _media_field(creator: Creator, post: Post, name: str) -> Any:
    match name:
        case "id":
            return post.post_id
        case "shortcode":
            return post.shortcode
        case "caption":
            return post.title
        case "like_count":
            return post.likes
        case "comments_count":
            return post.comments
        case "view_count":
            return post.views
        case "media_type":
            return _MEDIA_TYPES[post.kind]
        case "media_product_type":
            return "REELS" if post.kind == "reel" else "FEED"
        case "media_url":
            return f"https://images.example/instagram/{post.shortcode}.{'mp4' if post.kind == 'reel' else 'jpg'}"
        case "thumbnail_url":
            return f"https://images.example/instagram/{post.shortcode}.jpg" if post.kind == "reel" else None
        case "permalink":
            return f"https://www.instagram.com/{'reel' if post.kind == 'reel' else 'p'}/{post.shortcode}/"
        case "timestamp":
            return post.published.strftime("%Y-%m-%dT%H:%M:%S+0000")
        case "username":
            return creator.handle
        case "owner":
            return {"id": creator.profile_id}
    raise _no_field(name)


def _whole(text: str, largest: int) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 10**9:
        return min(int(text[:9]), largest)
    raise GraphError(error(400, 100, f"(#100) Param limit must be a positive number, got {text[:20]}"))


def _cursor(post: Post) -> str:
    """Opaque to the caller: the post at the edge of the page."""
    return "QVFI" + letters(int(post.post_id))


def _position(posts: list[Post], cursor: str) -> int:
    for position, post in enumerate(posts):
        if _cursor(post) == cursor:
            return position
    raise GraphError(error(400, 100, "(#100) Invalid cursors values"))
