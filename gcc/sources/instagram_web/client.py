"""Asking one of those who scrape Instagram, whichever: its row in providers.py tells how, parse.py reads what it says.

In: a handle, an id or a shortcode, and the attempt's visit. Out: snapshots, or `Found` with the reason why it may not
be all. Failures: what `Outside.ask` raises; NotFound is final (a scraper sees what a visitor sees), Unserved where
this provider has no endpoint for it. A credential's secret is {"token": its key}.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from gcc.errors import Transient
from gcc.platforms import INSTAGRAM
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.http import Request
from gcc.sources.instagram.hashtags import hashtags
from gcc.sources.instagram.identity import is_fbid, may_be, media_id
from gcc.sources.instagram_web import parse, shapes
from gcc.sources.instagram_web.answers import Judge
from gcc.sources.instagram_web.providers import Provider
from gcc.sources.instagram_web.shapes import Path
from gcc.sources.known import Known, is_of
from gcc.sources.paging import Page, pages
from gcc.sources.rapidapi.usage import usage
from gcc.sources.snapshot import Activity, Found, Person, PostSnapshot, ProfileSnapshot, Relation
from gcc.sources.verdicts import CredentialDead, InvalidHandle, NotVisible, OddAnswer, QuestionFailed, Refused, Unserved

T = TypeVar("T")
POSTS_MAX = 12  # beside a profile: the first page
TAG_CHARS_MAX = 100
_SHORTCODE = re.compile(r"[\w-]{1,64}", re.ASCII)
_ABSENT = {"post": parse.NO_POST, "comments": parse.NO_POST, "likers": parse.NO_POST, "hashtag": parse.NO_HASHTAG}


class WebClient:
    """`base_url` is the provider's root, such as https://instagram-scraper2.p.rapidapi.com."""

    def __init__(self, provider: Provider, outside: Outside, base_url: str) -> None:
        self._provider = provider
        self._outside = outside
        self._root = base_url.rstrip("/")
        self._source = provider.name
        self._api = SourceApi(provider.asks_as or provider.name, self._judge("user"), usage)

    @property
    def known(self) -> Known:
        return self._outside.known

    async def profile(self, handle: str, visit: Visit) -> ProfileSnapshot:
        """The profile now, with its first page of posts. Raises InvalidHandle without asking."""
        found = await self._named(handle, visit)
        self._require(found.handle.lower() == handle.lower(), handle, found.handle)
        return await self._with_posts(found, visit)

    async def profile_by_id(self, profile_id: str, visit: Visit) -> ProfileSnapshot:
        """The same by its id, whatever its handle is now."""
        if (ig_id := await self._ig_id(profile_id)) is None:
            found = await self._of_fbid(profile_id, "", visit)
        else:
            decoded = await self._ask("user_by_id", visit, profile_id=ig_id)
            found = parse.profile(decoded, self._source, self._now())
            self._require(ig_id == found.profile_id, ig_id, found.profile_id)
        return await self._with_posts(found, visit)

    async def post(self, shortcode: str, handle: str, visit: Visit) -> PostSnapshot:
        """One post; `handle` is its owner's, where it is known and the answer does not tell."""
        decoded = await self._ask("post", visit, shortcode=_shortcode(shortcode))
        found = parse.post(decoded, self._source, self._now(), Person("", handle))
        self._require(found.shortcode == shortcode, shortcode, found.shortcode)
        return found

    async def posts(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """A profile's posts, newest first."""
        owner = await self._person(handle, profile_id, visit)
        return await self._posts("posts", partial(parse.posts, owner=owner), pages_max, visit, owner.profile_id)

    async def tagged(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """Others' posts in which the profile is tagged."""
        owner = await self._person(handle, profile_id, visit)
        return await self._posts("tagged", parse.tagged, pages_max, visit, owner.profile_id)

    async def hashtag(self, tag: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """Posts with the hashtag `tag`, which is written without its #."""
        if len(tag) > TAG_CHARS_MAX or hashtags(f"#{tag}") != [tag.lower()]:
            raise QuestionFailed(f"{tag[:60]!r} is no hashtag")
        return await self._posts("hashtag", parse.hashtag, pages_max, visit, tag=tag)

    async def stories(self, handle: str, profile_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """What the profile shows for a day."""
        owner = await self._person(handle, profile_id, visit)
        decoded = await self._ask("stories", visit, profile_id=owner.profile_id)
        page = parse.stories(decoded, self._source, self._now(), owner)
        return Found(list(page.items), page.partial, page.notes)

    async def followers(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[Relation]]:
        """Who follows the profile."""
        return await self._relations("followers", parse.followers, handle, profile_id, pages_max, visit)

    async def following(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[Relation]]:
        """Whom the profile follows."""
        return await self._relations("following", parse.following, handle, profile_id, pages_max, visit)

    async def comments(self, shortcode: str, post_id: str, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        return await self._activities("comments", parse.comments, shapes.COMMENTS, shortcode, post_id, pages_max, visit)

    async def likers(self, shortcode: str, post_id: str, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        return await self._activities("likers", parse.likers, shapes.LIKERS, shortcode, post_id, pages_max, visit)

    async def _with_posts(self, profile: ProfileSnapshot, visit: Visit) -> ProfileSnapshot:
        """With the first page of posts, where none stood beside it and it has some to show."""
        nothing = profile.dimensions["is_private"] or profile.metrics["media_count"] == 0
        if profile.posts or nothing or "posts" not in self._provider.endpoints:
            return replace(profile, posts=profile.posts[:POSTS_MAX])
        owner = Person(profile.profile_id, profile.handle)
        decoded = await self._ask("posts", visit, profile_id=owner.profile_id, handle=owner.handle)
        page = parse.posts(decoded, self._source, self._now(), owner)
        posts = list({post.post_id: post for post in page.items}.values())
        return replace(profile, posts=posts[:POSTS_MAX], notes=[*profile.notes, *page.notes])

    async def _posts(
        self,
        asked: str,
        read: Callable[..., Page[PostSnapshot]],
        pages_max: int,
        visit: Visit,
        profile_id: str = "",
        tag: str = "",
    ) -> Found[list[PostSnapshot]]:
        async def page(after: str | None) -> Page[PostSnapshot]:
            decoded = await self._ask(asked, visit, profile_id=profile_id, tag=tag, after=after or "")
            return read(decoded, self._source, self._now())

        return await pages(page, pages_max=pages_max, key=lambda post: post.post_id)

    async def _relations(
        self,
        asked: str,
        read: Callable[[Any, str, Any, Person], Page[Relation]],
        handle: str,
        profile_id: str,
        pages_max: int,
        visit: Visit,
    ) -> Found[list[Relation]]:
        """All of a list, or why not: it is cut where it is shorter than the profile says."""
        owner = await self._person(handle, profile_id, visit)

        async def page(after: str | None) -> Page[Relation]:
            decoded = await self._ask(asked, visit, profile_id=owner.profile_id, handle=handle, after=after or "")
            return read(decoded, self._source, self._now(), owner)

        found = await pages(
            page, pages_max=pages_max, key=lambda each: (each.person.profile_id, each.target.profile_id)
        )
        if found.partial is not None:
            return found
        try:
            decoded = await self._ask("user_by_id", visit, profile_id=owner.profile_id)
            profile = parse.profile(decoded, self._source, self._now())
        except (Transient, Refused) as error:
            return replace(found, partial=f"nobody tells whether these are all: {error}")
        if profile.dimensions["is_private"] and not found.items:
            raise NotVisible(f"{self._source}: the profile is private")
        return _of_total(found, profile.metrics[asked])

    async def _activities(
        self,
        asked: str,
        read: Callable[[Any, str, Any, str, str], Page[Activity]],
        sought: tuple[Path, ...],
        shortcode: str,
        post_id: str,
        pages_max: int,
        visit: Visit,
    ) -> Found[list[Activity]]:
        post_id = media_id(shortcode) or post_id  # the Graph API's is none to those who scrape it
        total: list[int | None] = []

        async def page(after: str | None) -> Page[Activity]:
            code = _shortcode(shortcode)
            decoded = await self._ask(asked, visit, shortcode=code, post_id=post_id, after=after or "")
            found = read(decoded, self._source, self._now(), post_id, shortcode)
            total.append(parse.total(decoded, self._source, sought))
            return found

        found = await pages(page, pages_max=pages_max, key=lambda each: each.activity_id)
        return _of_total(found, total[0])

    async def _person(self, handle: str, profile_id: str, visit: Visit) -> Person:
        """Whose list is asked for: lists want Instagram's own id, which a handle alone has to be asked for."""
        if profile_id and (ig_id := await self._ig_id(profile_id)):
            return Person(ig_id, handle)
        found = await self._of_fbid(profile_id, handle, visit) if profile_id else await self._named(handle, visit)
        fbid = {name: found.dimensions[name] for name in ("fbid", "fbid_about") if found.dimensions.get(name)}
        return Person(found.profile_id, found.handle, dimensions=fbid)

    async def _named(self, handle: str, visit: Visit) -> ProfileSnapshot:
        decoded = await self._ask("user", visit, handle=_handle(handle))
        return parse.profile(decoded, self._source, self._now(), handle)

    async def _ig_id(self, profile_id: str) -> str | None:
        """Instagram's own id of the account: the Graph API's is none to those who scrape it. None: it is not known."""
        if not is_fbid(_id(profile_id)):
            return profile_id
        account = await self.known.account(profile_id)
        return account.ig_id if account else None

    async def _of_fbid(self, fbid: str, handle: str, visit: Visit) -> ProfileSnapshot:
        """The profile that the Graph API knows by this id, by the handle that it had last."""
        account = await self.known.account(fbid)
        if not (handle := account.handle if account else handle):
            raise NotVisible(f"{self._source}: nobody knows the handle of {fbid}, which is an id of the Graph API")
        found = await self._named(handle, visit)
        if not (await is_of(self.known, account, found) if account else may_be(fbid, found.dimensions)):
            raise NotVisible(f"{self._source}: {handle} is another profile now, and nobody knows the name of {fbid}")
        return found

    async def _ask(self, asked: str, visit: Visit, **values: str) -> Any:
        """The decoded answer of the endpoint for what is `asked`."""
        endpoint = self._provider.endpoints.get(asked)
        if endpoint is None:
            raise Unserved(f"{self._source} does not show {asked}")
        plain = replace(
            endpoint.request(self._api.name, self._root, values), timeout_s=self._outside.timeout_s(self._source)
        )

        def build(credential: Credential) -> Request:
            token = credential.secret.get("token")
            if not token:
                raise CredentialDead(f"{self._source}: credential {credential.handle!r} holds no token")
            return replace(plain, headers={**plain.headers, **self._provider.headers_for(str(token))})

        text = f"{asked}?{urlencode({name: value for name, value in values.items() if value})}"
        return await self._outside.ask(self._api, Question(text, build, judge=self._judge(asked)), visit)

    def _require(self, same: bool, asked: str, got: str) -> None:
        """An answer about another thing is none."""
        if not same:
            raise OddAnswer(f"{self._source}: $ should be about {asked!r}, got {got[:60]!r}")

    def _judge(self, asked: str) -> Judge:
        row, absent = self._provider, _ABSENT.get(asked, parse.NO_PROFILE)
        return Judge(row.name, absent, row.absent_statuses, row.private_statuses)

    def _now(self) -> Any:
        return self._outside.clock.now()


def _of_total(found: Found[list[T]], total: float | None) -> Found[list[T]]:
    """Partial where the list ends before it has as many as it is said to have."""
    if found.partial is None and total is not None and len(found.items) < total:
        return replace(found, partial=f"{len(found.items)} of {total}")
    return found


def _handle(text: str) -> str:
    if not INSTAGRAM.is_handle(text):
        raise InvalidHandle(f"{text[:60]!r} is no Instagram handle: 1 to 30 of A-Z a-z 0-9 . _")
    return text


def _id(text: str) -> str:
    if not INSTAGRAM.is_id(text):
        raise QuestionFailed(f"{text[:60]!r} is no Instagram id: {INSTAGRAM.id_rule}")
    return text


def _shortcode(text: str) -> str:
    if not _SHORTCODE.fullmatch(text):
        raise QuestionFailed(f"{text[:60]!r} is no shortcode: 1 to 64 of A-Z a-z 0-9 - _")
    return text
