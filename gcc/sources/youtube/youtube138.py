"""youtube138 behind RapidAPI: YouTube's pages, scraped; a channel, its videos, playlists, searches, comments.

Unofficial. It knows no ids in bulk, no categories and no exact times of publication; see scraped_parse.py. Failures:
see `Outside.ask`; what a list's later pages fail with makes it partial. A credential's secret is {"token": key}.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from gcc.errors import Transient
from gcc.platforms import YOUTUBE
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.fields import Fields, opened
from gcc.sources.http import Answer, Request
from gcc.sources.paging import Page, pages
from gcc.sources.rapidapi import gateway
from gcc.sources.rapidapi.usage import usage
from gcc.sources.snapshot import Activity, Found, PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import InvalidHandle, NotFound, OddAnswer, QuestionFailed, failed, may_not
from gcc.sources.youtube import data_parse, scraped_parse
from gcc.sources.youtube.data_client import POSTS_MAX, token
from gcc.supervisor.lifecycle import one_line

T = TypeVar("T")
SOURCE = "youtube138"
HOST = "youtube138.p.rapidapi.com"
ASKED_MAX = 50  # of one job: each costs a call
_GONE = ("not found", "does not exist", "unavailable", "private", "terminated", "removed", "violat")
PROFILE, POST, PLAYLIST = "PROFILE_NOT_FOUND", "POST_NOT_FOUND", "PLAYLIST_NOT_FOUND"


def judge(answer: Answer, now: dt.datetime, absent: str = PROFILE) -> Any:
    """The decoded JSON object; NotFound with code `absent` where it says that there is no such thing."""
    if (refusal := gateway.refusal(answer, SOURCE, now)) is not None:
        raise refusal
    if answer.status == 404:  # an endpoint that does not exist is told by the gateway
        raise NotFound(absent, f"{SOURCE}: HTTP 404 for {answer.url}")
    decoded, error = opened(answer, SOURCE, now)
    if error is None:
        return decoded
    said = one_line(error.text("message") or error.text("error") or "no message")[:200]
    told = f"{SOURCE}: HTTP {answer.status}: {said}"
    if any(words in said.lower() for words in _GONE):
        raise NotFound(absent, told)
    if answer.status in (400, 422):
        raise QuestionFailed(told)
    raise (may_not if answer.status in (401, 403) else failed)(told, gateway.wait_s(answer, now))


class Youtube138:
    """`base_url` is the gateway's host for it."""

    api = SourceApi(SOURCE, judge, usage)

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._root = base_url.rstrip("/")

    async def profile(self, handle_or_id: str, visit: Visit) -> ProfileSnapshot:
        """The channel now, with its latest videos. Raises InvalidHandle without asking, NotFound."""
        profile = await self._channel(handle_or_id, visit)
        latest = {"id": profile.profile_id, "filter": "videos_latest"}
        listed = await self._get("channel/videos", latest, PROFILE, visit)
        posts = [_of(profile, post) for post in scraped_parse.videos(listed, profile.at)[:POSTS_MAX]]
        return replace(profile, posts=posts, notes=[*profile.notes, *listed.notes])

    async def channels(self, handles_or_ids: Iterable[str], visit: Visit) -> Found[list[ProfileSnapshot]]:
        """The channels that there are, without their videos. Raises NotFound where there is none of them."""
        return await self._one_by_one(handles_or_ids, self._channel, PROFILE, visit)

    async def videos(self, ids: Iterable[str], visit: Visit) -> Found[list[PostSnapshot]]:
        """The videos that there are of `ids`. Raises NotFound where nothing is left."""
        return await self._one_by_one(filter(data_parse.is_video_id, ids), self._video, POST, visit)

    async def channel_videos(self, channel_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """What the channel uploaded, newest first, without shorts and streams, which have lists of their own."""
        return await self._listed("channel/videos", {"id": channel_id, "filter": "videos_latest"}, pages_max, visit,
                                  channel_id=channel_id)  # fmt: skip

    async def playlist(self, playlist_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The videos of a playlist, in its order."""
        found = await self._listed("playlist/videos", {"id": playlist_id}, pages_max, visit, absent=PLAYLIST)
        listed = [
            replace(post, dimensions={**post.dimensions, "playlist_id": playlist_id, "position": place})
            for place, post in enumerate(found.items)
        ]
        return replace(found, items=listed)

    async def search(self, query: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """Videos that a search finds, best first."""
        return await self._listed("search", {"q": query}, pages_max, visit)

    async def genre(self, category: str, region: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """A search for the category's title: there is no other way to it here."""
        if category.isdigit():
            raise QuestionFailed(f"{SOURCE}: it knows no categories by their ids, as {category!r} is")
        found = await self._listed("search", {"q": category, "gl": region}, pages_max, visit)
        return replace(found, partial="; ".join(filter(None, ("a search for its title", found.partial))))

    async def post_type(self, video_id: str, channel_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """The video with its post_type by the channel's list of latest shorts, else by its length."""
        found = await self.videos([video_id], visit)
        (post,) = found.items
        of = post.profile_id or channel_id
        if not YOUTUBE.is_id(of):
            return found
        shorts = await self._get("channel/videos", {"id": of, "filter": "shorts_latest"}, PROFILE, visit)
        if video_id in {each.post_id for each in scraped_parse.videos(shorts, post.at)}:
            post = replace(post, dimensions={**post.dimensions, "post_type": "short"})
        return replace(found, items=[post])

    async def comments(self, video_id: str, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        """The comments under a video, without the replies to them."""
        parse = partial(scraped_parse.comment, at=self._outside.clock.now(), video_id=video_id)

        def read(root: Fields) -> list[Activity]:
            return root.each("comments", parse, needed=True)

        found = await self._walk(
            "video/comments", {"id": video_id}, read, lambda each: each.activity_id, pages_max, visit, POST
        )
        answered = any(each.metrics["replies"] for each in found.items)
        return replace(found, partial=found.partial or ("replies are not told" if answered else None))

    async def _one_by_one(
        self, names: Iterable[str], ask: Callable[[str, Visit], Awaitable[T]], absent: str, visit: Visit
    ) -> Found[list[T]]:
        """A call or more for each of the first ones. What fails after the first is told as missing."""
        wanted, found, missing = list(dict.fromkeys(names)), list[T](), list[str]()
        for name in wanted[:ASKED_MAX]:
            try:
                found.append(await ask(name, visit))
            except (NotFound, InvalidHandle):
                missing.append("not there, or private")
            except Transient as error:
                if not found:
                    raise
                missing.append(one_line(str(error)))
        missing += ["more than were asked for"] * max(len(wanted) - ASKED_MAX, 0)
        if not found:
            raise NotFound(absent, f"{SOURCE}: not there, or private: {', '.join(wanted[:5]) or 'no id'}")
        why = ", ".join(dict.fromkeys(missing))
        return Found(found, f"{len(missing)} are missing: {why}" if missing else None)

    async def _channel(self, handle_or_id: str, visit: Visit) -> ProfileSnapshot:
        channel_id = await self._channel_id(handle_or_id, visit)
        root = await self._get("channel/details", {"id": channel_id}, PROFILE, visit)
        return scraped_parse.channel(root, self._outside.clock.now())

    async def _video(self, video_id: str, visit: Visit) -> PostSnapshot:
        root = await self._get("video/details", {"id": video_id}, POST, visit)
        if (post := scraped_parse.video(root, self._outside.clock.now())) is None:
            raise OddAnswer(f"{SOURCE}: $ should be a video")
        return post

    async def _channel_id(self, handle_or_id: str, visit: Visit) -> str:
        handle = handle_or_id.removeprefix("@")
        if YOUTUBE.is_id(handle_or_id):
            return handle_or_id
        if not YOUTUBE.is_handle(handle):
            raise InvalidHandle(f"{handle_or_id[:60]!r} is neither a YouTube handle nor a channel id")
        found = await self._get("search", {"q": f"@{handle}"}, PROFILE, visit)
        for channel in scraped_parse.channels(found, self._outside.clock.now()):
            if channel.handle.lower() == handle.lower():
                return channel.profile_id
        raise QuestionFailed(f"{SOURCE}: a search does not find @{handle}")

    async def _listed(
        self,
        path: str,
        params: dict[str, str],
        pages_max: int,
        visit: Visit,
        *,
        absent: str = PROFILE,
        channel_id: str = "",
    ) -> Found[list[PostSnapshot]]:
        at = self._outside.clock.now()

        def read(root: Fields) -> list[PostSnapshot]:
            posts = scraped_parse.videos(root, at)
            return [replace(post, profile_id=post.profile_id or channel_id) for post in posts]

        return await self._walk(path, params, read, lambda each: each.post_id, pages_max, visit, absent)

    async def _walk(
        self,
        path: str,
        params: dict[str, str],
        read: Callable[[Fields], list[T]],
        key: Callable[[T], Hashable],
        pages_max: int,
        visit: Visit,
        absent: str,
    ) -> Found[list[T]]:
        async def ask(after: str | None) -> Page[T]:
            root = await self._get(path, {**params, **({"cursorNext": after} if after else {})}, absent, visit)
            return Page(read(root), root.text("cursorNext") or None, root.notes)

        return await pages(ask, pages_max=pages_max, key=key)

    async def _get(self, path: str, params: dict[str, str], absent: str, visit: Visit) -> Fields:
        def build(credential: Credential) -> Request:
            return Request(
                source=SOURCE,
                method="GET",
                url=f"{self._root}/{path}/",
                params={"hl": "en", "gl": "US", **params},
                headers=gateway.headers(HOST, token(credential)),
                timeout_s=self._outside.timeout_s(SOURCE),
            )

        question = Question(f"{path}?{urlencode(params)}", build, judge=partial(judge, absent=absent))
        return Fields(await self._outside.ask(self.api, question, visit), SOURCE)


def _of(profile: ProfileSnapshot, post: PostSnapshot) -> PostSnapshot:
    return replace(post, profile_id=post.profile_id or profile.profile_id, handle=profile.handle)
