"""The Instagram Graph API as this platform asks it, with both of its logins.

A Facebook login's token asks graph.facebook.com: business discovery of any professional account by its handle,
hashtags, and its own account's data. An Instagram login's asks graph.instagram.com, for its own account's data alone.
What an account's owner alone is told is asked with a credential of that account: NeedsOwner, where there is none.

In: names and the attempt's visit. Out: snapshots, or what was found with the reason why it is not all. Failures: see
`Outside.ask`; NotVisible where the API does not show it. A credential's secret is {"token": ..., "ig_user_id": ...}:
the professional account that asks in its name, where the credential's `account` does not tell.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from gcc.errors import Transient
from gcc.platforms import INSTAGRAM
from gcc.sources.chain import Outside, Probed, Visit
from gcc.sources.instagram import graph_metrics, graph_parse
from gcc.sources.instagram.graph_asking import Asking, NothingFits, Size
from gcc.sources.instagram.graph_errors import SOURCE, NoInsights
from gcc.sources.instagram.graph_insights import Insights
from gcc.sources.instagram.hashtags import as_asked, has_emoji
from gcc.sources.instagram.identity import is_fbid, shortcode_of
from gcc.sources.known import Author, Known, is_of
from gcc.sources.paging import Page, pages
from gcc.sources.snapshot import Activity, Found, PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import InvalidHandle, NeedsOwner, NotFound, NotVisible, OddAnswer, QuestionFailed
from gcc.supervisor.lifecycle import one_line

T = TypeVar("T")
Item = TypeVar("Item", PostSnapshot, Activity)
POSTS_MAX = 12  # of a profile
PAGE = 50
PAGES_MAX = 20  # of the posts among which one is looked for
HASHTAGS = "hashtag"  # the bucket of questions that the 30 hashtags of 7 days bound
REMEMBERED_MAX = 10_000


def _names(text: str) -> list[str]:
    return text.split(",")


_PROFILE = _names("id,username,name,biography,followers_count,follows_count,media_count,profile_picture_url,website")
_POST = _names(
    "id,caption,like_count,comments_count,media_type,media_product_type,permalink,timestamp,thumbnail_url,media_url"
)
_DISCOVERED_POST = [*_POST, "view_count"]  # which nobody is told outside of business discovery
_OWN_PROFILE = [*_PROFILE, "ig_id", "account_type"]
_OWN_POST = [
    *_POST,
    *_names("shortcode,username,owner,is_comment_enabled,is_shared_to_feed,alt_text,children,collaborators"),
    *_names("saved_count,shares_count,reposts_count,total_like_count,total_comments_count,total_views_count"),
]
_TAGGED = _names("id,caption,like_count,comments_count,media_type,media_url,owner,permalink,timestamp,username")
_HASHTAGGED = _names("id,caption,like_count,comments_count,media_type,media_url,permalink,timestamp,children")
_COMMENT = _names("id,text,timestamp,username,from,user,like_count,hidden,parent_id,media")


class GraphApi:
    """`base_url` is the API's root with its version."""

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._asking = Asking(outside, base_url.rstrip("/"))
        self._no_insights: dict[str, str] = {}  # of posts that never have any, with the reason

    @property
    def known(self) -> Known:
        return self._outside.known

    async def probe(self, handle: str, visit: Visit) -> Probed:
        """See `Outside.probe`: the id of the account in whose name it asks."""
        return await self._asking.probe(handle, visit)

    # Of anybody whose account is a professional one.

    async def profile(self, handle: str, visit: Visit) -> ProfileSnapshot:
        """The profile now, by business discovery. Raises InvalidHandle without asking."""

        async def ask(limit: int) -> ProfileSnapshot:
            def fields(fit: Collection[str]) -> str:
                return f"{_chosen(_PROFILE, fit)},media.limit({limit}){{{_chosen(_DISCOVERED_POST, fit)}}}"

            names = [*_PROFILE, *_DISCOVERED_POST]
            return await self._discover(handle, names, fields, _this_profile, visit)

        return await Size(POSTS_MAX).fitting(ask)

    async def posts(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The posts of a profile, latest first."""
        return await _walk(lambda after, limit: self._discovered(handle, after, visit, limit), pages_max)

    async def post(self, shortcode: str, handle: str, visit: Visit) -> PostSnapshot:
        """A post, looked for among the latest of the profile whose it is: of `handle`, or as our rows tell."""
        author = None if handle else await self.known.author_of(shortcode=shortcode)
        handle = handle or (author.handle if author else "")
        if not handle:
            raise NotVisible(f"{SOURCE}: a post is found by its author's handle, and nobody knows whose {shortcode} is")
        size, after = Size(PAGE), None
        for _ in range(PAGES_MAX):
            page = await size.fitting(partial(self._discovered, handle, after, visit))
            if found := next((post for post in page.items if post.shortcode == shortcode), None):
                return found
            after = page.after
            if after is None:
                raise NotVisible(f"{SOURCE}: {shortcode} is not among the posts of {handle}")
        raise NotVisible(f"{SOURCE}: {shortcode} is not among the latest {PAGES_MAX * PAGE} posts of {handle}")

    async def hashtag(self, tag: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The posts of a hashtag: those of the last day, then the top ones; nobody is told whose they are."""
        name = as_asked(tag)
        if has_emoji(name):
            raise NotVisible(f"{SOURCE}: hashtags with emoji are not found by it")
        turn = await self.known.hashtag_turn(name)
        me = {"user_id": turn.account}
        hashtag_id = turn.hashtag_id
        if hashtag_id is None:
            found = await self._asking.ask(
                f"hashtag {name}", "ig_hashtag_search", lambda decoded, _: graph_parse.hashtag_ids(decoded), visit,
                params=lambda _: {**me, "q": name}, owner=turn.account, bucket=HASHTAGS,
            )  # fmt: skip
            hashtag_id = next(iter(found), None)
            if hashtag_id is None:
                raise NotFound("HASHTAG_NOT_FOUND", f"{SOURCE}: there is no hashtag {name}")
            await self.known.hashtag_found(name, hashtag_id)
        recent, top = [
            await self._edge(
                f"{hashtag_id}/{edge}", _HASHTAGGED, graph_parse.posts, pages_max, visit,
                params=me, owner=turn.account, bucket=HASHTAGS, cursors_move=False,
            )
            for edge in ("recent_media", "top_media")
        ]  # fmt: skip
        both = {post.post_id: post for post in (*top.items, *recent.items)}
        return Found(list(both.values()), recent.partial or top.partial, [*recent.notes, *top.notes])

    # Of the account whose own credential asks. Our rows tell which it is, where it is named by Instagram's own id.

    async def profile_by_id(self, profile_id: str, visit: Visit) -> ProfileSnapshot:
        """The profile with this id: with its own credential, else by the handle that it had last."""
        fbid = await self._fbid(profile_id)
        try:
            profile = await self._own_profile(fbid, visit)
        except NeedsOwner:
            account = await self.known.account(profile_id)
            if account is None:
                raise
            profile = await self.profile(account.handle, visit)
            if profile.profile_id != fbid and not await is_of(self.known, account, profile):
                raise NotVisible(
                    f"{SOURCE}: {account.handle} is another profile now, and nobody knows the name of {profile_id}"
                ) from None
            return profile
        profile_id = fbid
        names, path = _OWN_POST, f"{profile_id}/media"
        media = await self._edge(
            path, names, partial(graph_parse.posts, profile_id=profile_id, handle=profile.handle), 1, visit,
            owner=profile_id, limit=POSTS_MAX,
        )  # fmt: skip
        return replace(profile, posts=media.items, notes=[*profile.notes, *media.notes])

    async def tagged(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The posts of others that tag the account."""
        profile_id = await self._fbid(profile_id)
        return await self._edge(f"{profile_id}/tags", _TAGGED, graph_parse.posts, pages_max, visit, owner=profile_id)

    async def stories(self, handle: str, profile_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """The stories of the last day."""
        profile_id = await self._fbid(profile_id)
        parse = partial(graph_parse.posts, profile_id=profile_id, handle=handle)
        return await self._edge(f"{profile_id}/stories", _OWN_POST, parse, PAGES_MAX, visit, owner=profile_id)

    async def comments(self, shortcode: str, post_id: str, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        """The comments under a post, each followed by the replies that came with it."""
        author = await self._author(shortcode, post_id)
        fbid = await self._media_fbid(author.post_id, author.fbid, "media", author.profile_id, visit)

        def fields(fit: Collection[str]) -> str:
            return f"{_chosen(_COMMENT, fit)},replies.limit({PAGE}){{{_chosen(_COMMENT, fit)}}}"

        parse = partial(
            graph_parse.comments,
            post_id=author.post_id, shortcode=shortcode or author.shortcode, profile_id=author.profile_id,
        )  # fmt: skip
        return await self._edge(
            f"{fbid}/comments", _COMMENT, parse, pages_max, visit,
            fields=fields, owner=author.profile_id, of_post=True,
        )  # fmt: skip

    async def post_insights(self, post_id: str, profile_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """A post of the account with what its owner is told of it; partial says why there is less, or nothing."""
        return await self._media_insights(post_id, profile_id, graph_metrics.FEED, visit)

    async def story_insights(self, post_id: str, profile_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """As `post_insights`, of a story: as long as it is shown, and at least five saw it."""
        return await self._media_insights(post_id, profile_id, graph_metrics.STORY, visit)

    async def profile_insights(self, profile_id: str, visit: Visit) -> ProfileSnapshot:
        """What the account's owner is told of it, as its metrics and dimensions; without posts."""
        profile_id = await self._fbid(profile_id)
        profile = await self._own_profile(profile_id, visit)
        insights, missing = await self._insights(profile_id, graph_metrics.ACCOUNT, profile_id, visit)
        notes = [*insights.notes, *([missing] if missing else [])]
        return replace(profile, metrics=insights.metrics, dimensions=insights.dimensions, posts=[], notes=notes)

    async def _discover(
        self,
        handle: str,
        names: Sequence[str],
        fields: Callable[[Collection[str]], str],
        parse: Callable[[Any, str, dt.datetime], T],
        visit: Visit,
    ) -> T:
        if not INSTAGRAM.is_handle(handle):  # it goes into a field expression: anything else could ask for more
            raise InvalidHandle(f"{handle[:60]!r} is no Instagram handle: 1 to 30 of A-Z a-z 0-9 . _")
        return await self._asking.ask(
            f"profile {handle}", None, lambda decoded, at: parse(graph_parse.discovered(decoded), handle, at), visit,
            names=names, params=lambda fit: {"fields": f"business_discovery.username({handle}){{{fields(fit)}}}"},
        )  # fmt: skip

    async def _discovered(self, handle: str, after: str | None, visit: Visit, limit: int) -> Page[PostSnapshot]:
        """A page of the posts of a profile."""
        edge = f"media{f'.after({after})' if after else ''}.limit({limit})"
        return await self._discover(
            handle, _DISCOVERED_POST, lambda fit: f"{edge}{{{_chosen(_DISCOVERED_POST, fit)}}}",
            graph_parse.discovered_posts, visit,
        )  # fmt: skip

    async def _edge(
        self,
        path: str,
        names: Sequence[str],
        parse: Callable[[Any, dt.datetime], Page[Item]],
        pages_max: int,
        visit: Visit,
        *,
        fields: Callable[[Collection[str]], str] = ",".join,
        params: Mapping[str, str] = MappingProxyType({}),
        owner: str,
        bucket: str = "",
        of_post: bool = False,
        limit: int = PAGE,
        cursors_move: bool = True,
    ) -> Found[list[Item]]:
        """The items of an edge, page after page, asked for by the `owner`'s credential."""

        async def ask(after: str | None, size: int) -> Page[Item]:
            place = {**params, "limit": str(size), **({"after": after} if after else {})}
            return await self._asking.ask(
                f"{path} {place}", path, parse, visit, of=path.rpartition("/")[2], names=names,
                params=lambda fit: {"fields": fields(fit), **place}, owner=owner, bucket=bucket, of_post=of_post,
            )  # fmt: skip

        return await _walk(ask, pages_max, limit, cursors_move)

    async def _own_profile(self, profile_id: str, visit: Visit) -> ProfileSnapshot:
        return await self._asking.ask(
            f"own profile {profile_id}", profile_id, lambda decoded, at: graph_parse.profile(decoded, "", at), visit,
            names=_OWN_PROFILE, params=_fields, owner=profile_id,
        )  # fmt: skip

    async def _fbid(self, profile_id: str) -> str:
        """The account's id in this API, where our rows tell it: others know it by Instagram's own."""
        account = None if is_fbid(profile_id) else await self.known.account(profile_id)
        return account.fbid if account and account.fbid else profile_id

    async def _media_fbid(self, post_id: str, known: str, edge: str, owner: str, visit: Visit) -> str:
        """The post's id in this API: `known` to our rows, else looked for on an edge of its owner."""
        code = None if known else shortcode_of(post_id)
        if code is None:
            return known or post_id
        names = ["id", "permalink", "shortcode"]
        found = await self._edge(f"{owner}/{edge}", names, graph_parse.posts, PAGES_MAX, visit, owner=owner)
        if fbid := next((post.post_id for post in found.items if post.shortcode == code), None):
            return fbid
        raise NotVisible(f"{SOURCE}: {code} is not among the latest {edge} of {owner}")

    async def _author(self, shortcode: str, post_id: str) -> Author:
        """Whose the post is, with the post's id. Raises NeedsOwner where our rows do not tell."""
        author = await self.known.author_of(shortcode=shortcode, post_id=post_id)
        if author is None or not author.profile_id:
            raise NeedsOwner(f"{SOURCE}: nobody knows whose post {post_id or shortcode} is, and only its owner is told")
        return replace(author, post_id=post_id or author.post_id)

    async def _media_insights(
        self, post_id: str, profile_id: str, kind: str, visit: Visit
    ) -> Found[list[PostSnapshot]]:
        author = await self.known.author_of(post_id=post_id) if profile_id else await self._author("", post_id)
        owner = await self._fbid(profile_id or (author.profile_id if author else ""))
        edge = "stories" if kind == graph_metrics.STORY else "media"
        post_id = await self._media_fbid(post_id, author.fbid if author else "", edge, owner, visit)
        post = await self._asking.ask(
            f"post {post_id}", post_id, lambda decoded, at: graph_parse.post(decoded, at, profile_id=owner), visit,
            names=_OWN_POST, params=_fields, owner=owner, of_post=True,
        )  # fmt: skip
        kind = {"reels": graph_metrics.REELS, "story": graph_metrics.STORY}.get(post.dimensions["post_type"], kind)
        insights, missing = Insights({}, {}), self._no_insights.get(post_id)
        if missing is None:
            try:
                insights, missing = await self._insights(post_id, kind, owner, visit)
            except NoInsights as none:
                missing = str(none)
                if none.for_good:
                    self._remember(post_id, missing)
        whole = replace(
            post,
            metrics={**post.metrics, **insights.metrics},
            dimensions={**post.dimensions, **insights.dimensions},
        )
        return Found([whole], missing, insights.notes)

    async def _insights(self, path: str, kind: str, owner: str, visit: Visit) -> tuple[Insights, str | None]:
        """All insights of an object, and which calls for more were in vain. Raises where all were."""
        found = Insights({}, {})
        failed: list[Transient] = []
        asked = 0
        for call in graph_metrics.calls(kind, self._asking.version):
            try:
                part = await self._asking.ask(
                    f"insights of {path}: {','.join(call.names)}", f"{path}/insights",
                    lambda decoded, _: graph_parse.insights(decoded), visit, of=kind, names=call.names,
                    params=partial(_metrics, call.params), owner=owner, of_post=kind != graph_metrics.ACCOUNT,
                    alone=call.alone,
                )  # fmt: skip
            except NothingFits:
                continue
            except NoInsights:
                raise
            except Transient as error:
                if not (asked or isinstance(error, QuestionFailed)):
                    raise
                if not call.alone or not isinstance(error, QuestionFailed):
                    failed.append(error)
                continue
            asked += 1
            found = found.with_more(part)
        if failed and not asked:
            raise failed[0]
        return found, "; ".join(one_line(str(error)) for error in failed) or None

    def _remember(self, post_id: str, why: str) -> None:
        self._no_insights[post_id] = why
        if len(self._no_insights) > REMEMBERED_MAX:
            del self._no_insights[next(iter(self._no_insights))]


def _this_profile(decoded: Any, asked: str, at: dt.datetime) -> ProfileSnapshot:
    found = graph_parse.profile(decoded, asked, at)
    if found.handle.lower() != asked.lower():
        raise OddAnswer(f"{SOURCE}: $.business_discovery.username should be {asked!r}, got {found.handle!r}")
    return found


async def _walk(
    ask: Callable[[str | None, int], Awaitable[Page[Item]]],
    pages_max: int,
    limit: int = PAGE,
    cursors_move: bool = True,
) -> Found[list[Item]]:
    size = Size(limit)

    def key(item: Item) -> str:
        return item.post_id if isinstance(item, PostSnapshot) else item.activity_id

    return await pages(
        lambda after: size.fitting(partial(ask, after)), pages_max=pages_max, key=key, cursors_move=cursors_move
    )


def _chosen(names: Sequence[str], fit: Collection[str]) -> str:
    return ",".join(name for name in names if name in fit)


def _fields(fit: Sequence[str]) -> Mapping[str, str]:
    return {"fields": ",".join(fit)}


def _metrics(params: Mapping[str, str], fit: Sequence[str]) -> Mapping[str, str]:
    return {"metric": ",".join(fit), **params}
