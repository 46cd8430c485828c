"""Stands in for the Instagram Graph API: business discovery, and what an account tells its owner.

In: the path below the room and the query. Out: an `Answer` in the real API's shapes, errors in its real envelopes.
Whether a caller may ask at all (token, rate, faults) is decided at the door, with the refusals made here. The same
class serves graph.facebook.com and graph.instagram.com; by Instagram Login an account sees itself and nothing else.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gcc.world import comments, graph_insights, ids, stories, tagging
from gcc.world import graph_refusals as refusals
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.chance import letters
from gcc.world.comments import Comment
from gcc.world.graph_edges import LIMIT, LIMIT_MAX, Listing, address, page, whole
from gcc.world.graph_fields import Field, FieldsError, parse
from gcc.world.graph_hashtags import EDGES, HASHTAG, Hashtags
from gcc.world.graph_nodes import (
    CHILD,
    COMMENT,
    DISCOVERED,
    OWN_MEDIA,
    OWN_PROFILE,
    PROFILE,
    STORY,
    Node,
    Reader,
    child_ids,
    compiled,
    read,
)
from gcc.world.graph_refusals import GraphError, no_field
from gcc.world.graph_tokens import TOKENS, USER, Caller, Login, Tokens, owners
from gcc.world.graph_usage import Usage, told
from gcc.world.limits import Used
from gcc.world.model import Cast, Creator, Post
from gcc.world.stories import Story

__all__ = ["SOURCES", "TOKENS", "USER", "GraphApi", "Login"]
OLDEST, NEWEST = 21, 27
"""Versions that live; an ended one is answered as the oldest of them, silently."""
SOURCES: Mapping[Login, str] = {"facebook": "graphapi", "instagram": "graphapi-instagram"}
_HOSTS: Mapping[Login, str] = {"facebook": "https://graph.facebook.com", "instagram": "https://graph.instagram.com"}
_PATH = re.compile(r"(?:/v(\d{1,2})\.\d)?/([\w.-]{1,60})(?:/([a-z_]{1,40}))?")
_COMMENTS_MAX = 50
_ACCOUNTS = "17841"  # how ids of professional accounts begin
_DESK = Node("ShadowIGUser", {  # the account in whose name the app's own tokens ask
    "id": lambda node: node,
    "user_id": lambda node: node,
    "username": lambda node: "world.desk",
    "name": lambda node: "World Desk",
    "followers_count": lambda node: 140,
    "follows_count": lambda node: 7,
    "media_count": lambda node: 0,
    "account_type": lambda node: "BUSINESS",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """A call: who asks what, and how addresses of further pages begin."""

    caller: Caller
    node: str
    edge: str
    query: Query
    root: str

    @property
    def fields(self) -> tuple[Field, ...] | None:
        return parse(self.query["fields"]) if "fields" in self.query else None


class GraphApi(Api):
    """The API over the Instagram creators of a world. `now` (UTC) tells how old tokens and searches are.

    `hourly_calls`: what the app, and each account of its own data, may ask within an hour; None: no usage headers.
    """

    def __init__(
        self,
        cast: Cast,
        now: Callable[[], dt.datetime] | None = None,
        *,
        login: Login = "facebook",
        hourly_calls: int | None = None,
    ) -> None:
        self._cast = cast
        self._now = now or (lambda: dt.datetime.combine(cast.today, dt.time(), dt.UTC))
        self._login = login
        self._tokens = Tokens(cast, login, self._now)
        self._hashtags = Hashtags(cast, self._now)
        self._usage = None if hourly_calls is None else Usage(hourly_calls)
        self.source = SOURCES[login]
        self.tokens = TOKENS if login == "facebook" else [token for _, by, token in owners(cast) if by == login]
        self._services: Mapping[str, Callable[[Ask], dict[str, Any]]] = {
            "debug_token": lambda ask: self._tokens.debugged(ask.query.get("input_token", "")),
            "oauth/access_token": self._exchange,
            "refresh_access_token": lambda ask: self._tokens.renew(ask.caller.token),
            "access_token": self._lengthen,
            "ig_hashtag_search": lambda ask: self._hashtags.search(ask.query.get("user_id", ""), ask.query),
        }

    def token(self, query: Query, headers: Headers) -> str | None:
        """The caller's token: `access_token`, or a Bearer header."""
        scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return query.get("access_token") or (value if scheme.lower() == "bearer" else None)

    def lets_in(self, token: str | None) -> bool:
        return self._tokens.caller(token) is not None

    def given_out(self) -> list[dict[str, Any]]:
        """The app's own tokens, then those of owners, with their accounts."""
        own = [] if self._login == "instagram" else [{"token": token, "account": USER} for token in TOKENS]
        return [
            {**found, "login": self._login, "expires_at": self._tokens.expires(str(found["token"])).isoformat()}
            for found in (
                *own,
                *(
                    {"token": token, "account": creator.profile_id, "handle": creator.handle}
                    for creator, login, token in owners(self._cast)
                    if login == self._login
                ),
            )
        ]

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "GET":
            return self.fail(405)
        matched = _PATH.fullmatch(path)
        if matched is None:
            return refusals.unknown_path(path)
        caller = self._tokens.caller(self.token(query, headers)) or Caller(TOKENS[0], self._login)
        own = caller.creator is not None and "business_discovery" not in query.get("fields", "")
        refusal = self._use(caller.account if own else "")
        if refusal is not None:
            return refusal
        ask = Ask(caller, matched[2], matched[3] or "", query, self._root(matched[1], headers))
        try:
            found = answer(200, self._asked(ask))
        except FieldsError as wrong:
            found = refusals.error(400, 2500, str(wrong))
        except GraphError as refused:
            found = refused.answer
        if self._usage is None:
            return found
        return replace(found, headers=self._usage.headers(caller.account if own else "", self._now()))

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return refusals.no_token() if token is None else refusals.dead_token()

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        """The whole application's limit (4), or one user's (17): both forms are met in the wild."""
        return refusals.user_limit(retry_after_s) if of_user else refusals.app_limit(retry_after_s)

    def error(self, code: str, subcode: str | None) -> Answer | None:
        return refusals.by_code(code, subcode)

    def usage(self, used: Used) -> Sequence[tuple[str, str]]:
        return told(round(100 * used.share))

    def fail(self, status: int) -> Answer:
        message = "An unexpected error has occurred. Please retry your request later."
        return refusals.error(status, 2, message, is_transient=True)

    def _use(self, account: str) -> Answer | None:
        """Counts the call; a refusal where the hour's allowance is spent."""
        if self._usage is None:
            return None
        now = self._now()
        self._usage.count(account, now)
        if self._usage.minutes("", now):
            return replace(refusals.app_limit_untold(), headers=self._usage.headers("", now))
        if account and self._usage.minutes(account, now):
            return replace(refusals.account_limit(), headers=self._usage.headers(account, now))
        return None

    def _root(self, version: str | None, headers: Headers) -> str:
        number = min(max(int(version or NEWEST), OLDEST), NEWEST)
        host = headers.get(b"host", b"").decode("latin-1")
        room = {"facebook": "graph", "instagram": "graph_instagram"}[self._login]
        return f"{f'http://{host}/{room}' if host else _HOSTS[self._login]}/v{number}.0"

    def _asked(self, ask: Ask) -> dict[str, Any]:
        service = self._services.get(f"{ask.node}/{ask.edge}" if ask.edge else ask.node)
        if service is not None:
            return service(ask)
        if ask.node == "me":
            ask = replace(ask, node=ask.caller.account)
        if ask.node == USER:
            return self._desk(ask)
        creator = self._cast.by_id(ask.node)
        if creator is not None:
            return self._account(ask, creator)
        if (tag := self._hashtags.tag(ask.node)) is not None and self._login == "facebook":
            return self._hashtag(ask, tag)
        if (found := self._cast.post(ask.node)) is not None:
            return self._post(ask, *found)
        if (thing := ids.decode(ask.node)) is not None and (shown := self._thing(ask, thing)) is not None:
            return shown
        if ask.node.startswith("18") and len(ask.node) == 17:
            raise refusals.media_gone()
        if ask.caller.creator is None and ask.node.isdigit() and (ask.node.startswith(_ACCOUNTS) or len(ask.node) < 15):
            return self._desk(ask)  # whatever account the app says it asks for
        raise refusals.not_there(ask.node)

    def _exchange(self, ask: Ask) -> dict[str, Any]:
        """GET /oauth/access_token: a new token of 60 days."""
        if ask.query.get("grant_type") != "fb_exchange_token":
            raise refusals.refused("Missing or invalid grant_type parameter")
        return self._tokens.renew(ask.query.get("fb_exchange_token", ""))

    def _lengthen(self, ask: Ask) -> dict[str, Any]:
        """GET /access_token: a token of 60 days for one of an hour."""
        if ask.query.get("grant_type") != "ig_exchange_token":
            raise refusals.refused("Missing or invalid grant_type parameter")
        return self._tokens.lengthen(ask.caller.token, ask.query.get("client_secret", ""))

    def _desk(self, ask: Ask) -> dict[str, Any]:
        if ask.edge == "recently_searched_hashtags":
            return {"data": [{"id": found} for found in map(HASHTAG.fields["id"], self._hashtags.searched(ask.node))]}
        if ask.edge:
            raise no_field(ask.edge, _DESK.kind)
        return read(_DESK, ask.fields or (), (ask.node,), self._discovery_edge())

    def _discovery_edge(self) -> dict[str, Callable[[Field], Reader]]:
        if self._login == "instagram":
            return {}
        return {"business_discovery": lambda field: lambda *_: self._discovery(field)}

    def _account(self, ask: Ask, creator: Creator) -> dict[str, Any]:
        """An account's own node and its edges."""
        if ask.caller.creator != creator:
            raise refusals.not_permitted() if ask.edge else refusals.not_there(ask.node)
        if ask.edge == "insights":
            return graph_insights.account(self._cast, creator, ask.query, self._now())
        listings = self._listings(ask, creator)
        if ask.edge in listings:
            listing = listings[ask.edge]()
            return self._page(ask, listing, ask.query, ask.fields or parse(listing.node.shown))
        if ask.edge:
            raise no_field(ask.edge, OWN_PROFILE.kind)
        nested: dict[str, Callable[[Field], Reader]] = {
            **self._discovery_edge(),
            **{name: partial(self._nested, ask, lambda _, __, it=it: it()) for name, it in listings.items()},
            "insights": lambda field: (
                lambda cast, creator: graph_insights.account(cast, creator, field.args, self._now())
            ),
        }
        return read(OWN_PROFILE, ask.fields or (), (self._cast, creator), nested)

    def _listings(self, ask: Ask, creator: Creator) -> dict[str, Callable[[], Listing]]:
        cast, own = self._cast, creator.profile_id

        def media() -> Listing:
            posts = [(creator, post) for post in cast.posts_of(creator)]
            return _listing(f"{own}/media", posts, OWN_MEDIA, self._of_post(ask))

        def told() -> Listing:
            return _listing(f"{own}/stories", [(creator, each) for each in stories.stories(cast, creator)], STORY, {})

        def tags() -> Listing:
            return _listing(f"{own}/tags", tagging.tagged(cast, creator), OWN_MEDIA, {"children": self._children})

        return {"media": media, "stories": told, "tags": tags}

    def _nested(self, ask: Ask, listing: Callable[..., Listing], field: Field) -> Reader:
        """An edge within the fields of a node: `media.limit(5){id}`."""

        def reader(*item: Any) -> dict[str, Any] | None:
            found = listing(*item)
            shown = self._page(ask, found, field.args, field.fields or parse(found.node.shown))
            return shown if shown["data"] else None

        return reader

    def _page(self, ask: Ask, listing: Listing, args: Mapping[str, str], fields: Sequence[Field]) -> dict[str, Any]:
        return page(listing, args, fields, address(ask.root, f"/{listing.of}", ask.caller.token))

    def _hashtag(self, ask: Ask, tag: str) -> dict[str, Any]:
        if not ask.edge:
            return read(HASHTAG, ask.fields or (), (tag,), {})
        if ask.edge not in EDGES:
            raise no_field(ask.edge, HASHTAG.kind)
        if "user_id" not in ask.query:
            raise refusals.refused("The parameter user_id is required")
        listing = self._hashtags.listing(tag, ask.edge)
        listing = replace(listing, of=f"{ask.node}/{ask.edge}", nested={"children": self._children})
        return self._page(ask, listing, ask.query, ask.fields or parse("id"))

    def _post(self, ask: Ask, creator: Creator, post: Post) -> dict[str, Any]:
        self._only_own(ask, creator)
        match ask.edge:
            case "":
                return read(OWN_MEDIA, ask.fields or (), (creator, post), self._of_post(ask))
            case "insights":
                return graph_insights.post(self._cast, creator, post, ask.query)
            case "comments":
                listing = self._comments(ask, creator, post)
                return self._page(ask, listing, ask.query, ask.fields or parse(COMMENT.shown))
            case "children":
                show = compiled(CHILD, ask.fields or (), {})
                return {"data": [show((creator, post, child)) for child in child_ids(self._cast, creator, post)]}
        raise no_field(ask.edge, OWN_MEDIA.kind)

    def _of_post(self, ask: Ask) -> dict[str, Callable[[Field], Reader]]:
        """The edges of a post within its fields."""
        return {
            "children": self._children,
            "comments": partial(self._nested, ask, partial(self._comments, ask)),
            "insights": lambda field: lambda creator, post: graph_insights.post(self._cast, creator, post, field.args),
        }

    def _children(self, field: Field) -> Reader:
        show = compiled(CHILD, field.fields, {})

        def reader(creator: Creator, post: Post) -> dict[str, Any] | None:
            found = [show((creator, post, child)) for child in child_ids(self._cast, creator, post)]
            return {"data": found} if found else None

        return reader

    def _comments(self, ask: Ask, creator: Creator, post: Post) -> Listing:
        """The threads under a post, the newest first."""

        def items(start: int, stop: int) -> list[tuple[Creator, Post, Comment]]:
            return [(creator, post, each) for each in comments.threads(self._cast, creator, post, start, stop)]

        nested = {"replies": partial(self._nested, ask, self._replies)}
        count = comments.thread_count(post)
        return Listing(f"{post.post_id}/comments", count, items, COMMENT, nested, _COMMENTS_MAX)

    def _replies(self, creator: Creator, post: Post, thread: Comment) -> Listing:
        def items(start: int, stop: int) -> list[tuple[Creator, Post, Comment]]:
            return [(creator, post, each) for each in comments.replies(self._cast, creator, post, thread, start, stop)]

        return Listing(f"{thread.comment_id}/replies", thread.replies, items, COMMENT, {}, _COMMENTS_MAX)

    def _thing(self, ask: Ask, thing: ids.Thing) -> dict[str, Any] | None:
        """A story, a comment or a picture of an album, by an id that is computed; None: there is none."""
        if thing.sort == "story" and (story := stories.story(self._cast, ask.node)) is not None:
            return self._story(ask, *story)
        if thing.sort == "comment" and (found := comments.comment(self._cast, ask.node)) is not None:
            return self._comment(ask, *found)
        if thing.sort == "child" and (creator := self._cast.owner(thing.slot)) is not None:
            for post in self._cast.posts_of(creator):
                if ask.node in child_ids(self._cast, creator, post):
                    return self._child(ask, creator, post)
        return None

    def _story(self, ask: Ask, creator: Creator, story: Story) -> dict[str, Any]:
        self._only_own(ask, creator)
        if ask.edge == "insights":
            return graph_insights.story(self._cast, creator, story, ask.query)
        if ask.edge:
            raise no_field(ask.edge, STORY.kind)
        return read(STORY, ask.fields or (), (creator, story), {})

    def _comment(self, ask: Ask, creator: Creator, post: Post, comment: Comment) -> dict[str, Any]:
        self._only_own(ask, creator)
        if ask.edge == "replies":
            listing = self._replies(creator, post, comment)
            return self._page(ask, listing, ask.query, ask.fields or parse(COMMENT.shown))
        if ask.edge:
            raise no_field(ask.edge, COMMENT.kind)
        nested = {"replies": partial(self._nested, ask, self._replies)}
        return read(COMMENT, ask.fields or parse(COMMENT.shown), (creator, post, comment), nested)

    def _child(self, ask: Ask, creator: Creator, post: Post) -> dict[str, Any]:
        self._only_own(ask, creator)
        if ask.edge == "insights":
            raise refusals.refused("Insights are not available for album children")
        if ask.edge:
            raise no_field(ask.edge, CHILD.kind)
        return read(CHILD, ask.fields or (), (creator, post, ask.node), {})

    def _only_own(self, ask: Ask, creator: Creator) -> None:
        if ask.caller.creator != creator:
            raise refusals.not_there(ask.node)

    def _discovery(self, field: Field) -> dict[str, Any]:
        username = field.args.get("username")
        if not username:
            raise refusals.refused("The parameter username is required")
        creator = None if username.startswith("@") else self._cast.by_handle(username)
        if creator is None or creator.state in ("private", "age_gated"):
            raise refusals.user_not_found(username)
        nested = {"media": lambda wanted: lambda cast, creator: self._discovered(creator, wanted)}
        return read(PROFILE, field.fields, (self._cast, creator), nested)

    def _discovered(self, creator: Creator, field: Field) -> dict[str, Any]:
        """A page of another's posts, newest first; it has cursors to its neighbours, and no `next`."""
        posts = self._cast.posts_of(creator)
        limit = min(whole(field.args.get("limit", str(LIMIT)), "limit"), LIMIT_MAX)
        start = 0
        if "after" in field.args:
            start = 1 + _position(posts, field.args["after"])
        elif "before" in field.args:
            end = _position(posts, field.args["before"])
            start, limit = max(end - limit, 0), min(limit, end)
        shown = posts[start : start + limit]
        show = compiled(DISCOVERED, field.fields, {"children": self._children})
        cursors = {}
        if shown and start > 0:
            cursors["before"] = _cursor(shown[0])
        if shown and start + limit < len(posts):
            cursors["after"] = _cursor(shown[-1])
        return {"data": [show((creator, post)) for post in shown]} | (
            {"paging": {"cursors": cursors}} if cursors else {}
        )


def _listing(
    of: str, items: Sequence[tuple[Any, ...]], node: Node, nested: Mapping[str, Callable[[Field], Reader]]
) -> Listing:
    return Listing(of, len(items), lambda start, stop: items[start:stop], node, nested)


def _cursor(post: Post) -> str:
    """Opaque to the caller: the post at the edge of the page."""
    return "QVFI" + letters(int(post.post_id))


def _position(posts: list[Post], cursor: str) -> int:
    for position, post in enumerate(posts):
        if _cursor(post) == cursor:
            return position
    raise refusals.refused("Invalid cursors values")
