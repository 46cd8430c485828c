"""The YouTube Data API v3 as this platform asks it: channels, videos, playlists, searches, comments, subscriptions.

Each call goes through the limits, in one of three buckets: searches, figures alone, all else; a spent one leaves the
others. Channels and videos are asked for by id, up to 50 a call, those of other jobs among them; a channel by its
handle alone. Failures: see `Outside.ask`; what a list's later pages fail with makes it partial. A credential's secret
is {"token": API key}.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from gcc.errors import Transient
from gcc.platforms import YOUTUBE
from gcc.sources.chain import Outside, Probed, Question, SourceApi, Visit
from gcc.sources.credentials import Credential, NoCredential
from gcc.sources.fields import Fields
from gcc.sources.http import Request
from gcc.sources.limits import LimitRefused
from gcc.sources.paging import Page, pages
from gcc.sources.snapshot import Activity, ChannelActivity, Found, PostSnapshot, ProfileSnapshot, Relation
from gcc.sources.verdicts import CredentialDead, InvalidHandle, NotFound, OddAnswer, QuestionFailed, Refused
from gcc.sources.youtube import data_parse, data_people
from gcc.sources.youtube.batching import Answered, Batch, Batching
from gcc.sources.youtube.data_errors import SOURCE, CommentsOff, StalePage
from gcc.supervisor.lifecycle import one_line

T = TypeVar("T")
SEARCH, STATS, UNITS = "search", "stats", "units"
"""The buckets of the daily quota."""
POSTS_MAX = 15
PAGE = 50
COMMENTS_PAGE = 100
REPLIES_ASKED_MAX = 50  # threads of one video whose other replies are asked for, a call each at least
SHORTS_PAGES = 4  # one, unless the API answers more than the video that it is asked for
CHARTED = frozenset({"10", "20", "1", "30"})  # music, gaming, movies: charts of others ended in July 2025
_CHANNEL_PARTS = "snippet,contentDetails,statistics"
_VIDEO_PARTS = "snippet,contentDetails,statistics,liveStreamingDetails"


class DataApi:
    """`base_url` is the API's root with its version, such as https://www.googleapis.com/youtube/v3."""

    api = SourceApi(SOURCE, data_parse.judge)
    has_buckets = True

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._root = base_url.rstrip("/")
        # without maxResults, channels would come by five
        listing = {"part": _CHANNEL_PARTS, "maxResults": str(PAGE)}
        self._channels = Batching(partial(self._by_id, "channels", listing, UNITS))
        self._videos = Batching(partial(self._by_id, "videos", {"part": _VIDEO_PARTS}, UNITS))
        figures = {"part": "id,snippet,statistics,contentDetails"}
        self._figures = Batching(partial(self._by_id, "videos:batchGetStats", figures, STATS))

    async def probe(self, handle: str, visit: Visit) -> Probed:
        """See `Outside.probe`: a channel that need not exist, for one unit."""
        params = {"part": "id", "id": "UC_x5XG1OV2P6uZZ5FSM9Ttw"}
        return await self._outside.probe(
            self.api,
            handle,
            lambda credential: self._request(credential, "channels", params),
            visit,
            bucket=UNITS if self.has_buckets else "",
        )

    async def profile(self, handle_or_id: str, visit: Visit) -> ProfileSnapshot:
        """The channel now, with its latest videos. Raises InvalidHandle without asking, NotFound."""
        item = await self._channel(handle_or_id, visit)
        notes: list[str] = list(item.notes)
        item = item.noting(notes)
        profile = data_parse.channel(item, self._outside.clock.now(), handle_or_id)
        ids = await self._uploaded(data_parse.uploads(item), notes, visit)
        found = await self._shown(ids, notes, visit, handle=profile.handle, channel_id=profile.profile_id)
        return replace(profile, posts=found, notes=notes)

    async def channels(self, handles_or_ids: Iterable[str], visit: Visit) -> Found[list[ProfileSnapshot]]:
        """The channels that there are, without their videos. Raises NotFound where there is none of them."""
        wanted = list(dict.fromkeys(handles_or_ids))
        answered = await self._channels.fetch(filter(YOUTUBE.is_id, wanted), visit)
        items, notes, at = dict(answered.items), list(answered.odd), self._outside.clock.now()
        for handle in wanted:
            if not YOUTUBE.is_id(handle):
                with suppress(NotFound, InvalidHandle):
                    items[handle] = await self._by_handle(handle, visit)
        absent = ", ".join(each for each in wanted if each not in items)[:500]
        self._some(items, notes, "PROFILE_NOT_FOUND", f"there are no channels {absent}")
        found = [data_parse.channel(items[each].noting(notes), at, each) for each in wanted if each in items]
        return Found(found, f"there are no channels {absent}" if absent else None, notes)

    async def videos(self, ids: Iterable[str], visit: Visit) -> Found[list[PostSnapshot]]:
        """The videos that there are of `ids`, with their figures alone where the quota of all else is spent.

        Those that are gone or private are told as what is missing. Raises NotFound where nothing is left.
        """
        wanted, reason = list(dict.fromkeys(ids)), ""
        notes: list[str] = []
        try:
            found = await self._shown(wanted, notes, visit)
        except (LimitRefused, NoCredential) as refusal:
            if not self.has_buckets:
                raise
            reason = f"figures alone: {one_line(str(refusal))}"
            found = await self._shown(wanted, notes, visit, by=self._figures)
        self._some(found, notes, "POST_NOT_FOUND", f"gone or private: {', '.join(wanted[:5]) or 'no id'}")
        gone = _missing(wanted, found)
        return Found(found, "; ".join(filter(None, (reason, gone))) or None, notes)

    async def channel_videos(self, channel_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """What the channel uploaded, newest first. Raises NotFound where there is no such channel."""
        if not YOUTUBE.is_id(channel_id):
            raise InvalidHandle(f"{channel_id[:60]!r} is no id of a YouTube channel")
        try:
            return await self.playlist(f"UU{channel_id[2:]}", pages_max, visit)
        except NotFound:
            await self._channel(channel_id, visit)  # it never uploaded, or is not there itself
            return Found([])

    async def playlist(self, playlist_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The videos of a playlist, in its order; those behind which there is nothing to see are told as missing."""
        params = {"part": "snippet,contentDetails,status", "playlistId": playlist_id}
        rows = await self._walk("playlistItems", params, data_parse.entry, _row_key, pages_max, visit)
        seen = [row.video_id for row in rows.items if row.hidden is None]
        notes = list(rows.notes)
        found = await self._shown(seen, notes, visit)
        places = {row.video_id: place for place, row in enumerate(rows.items)}
        listed = [
            replace(post, dimensions={**post.dimensions, "playlist_id": playlist_id, "position": places[post.post_id]})
            for post in found
        ]
        gone = _missing([row.video_id for row in rows.items], found)
        return Found(listed, "; ".join(filter(None, (rows.partial, gone))) or None, notes)

    async def search(self, query: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """Videos that a search finds, best first, with their figures."""
        return await self._searched({"q": query}, pages_max, visit)

    async def genre(self, category: str, region: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """The most viewed videos of a category, by its id or its title, in a region (two letters): of its chart, where
        it has one, which costs no search."""
        wanted = category if category.isdigit() else await self._category(category, region, visit)
        if wanted in CHARTED and self.has_buckets:
            asked = {"part": _VIDEO_PARTS, "chart": "mostPopular", "videoCategoryId": wanted, "regionCode": region}
            parse = partial(data_parse.video, at=self._outside.clock.now())
            with suppress(QuestionFailed):
                return await self._walk("videos", asked, parse, lambda each: each.post_id, pages_max, visit)
        asked = {"videoCategoryId": wanted, "regionCode": region, "order": "viewCount"}
        return await self._searched(asked, pages_max, visit)

    async def post_type(self, video_id: str, channel_id: str, visit: Visit) -> Found[list[PostSnapshot]]:
        """The video with its post_type by the channel's playlist of shorts, where it has one, else by its length."""
        found = await self.videos([video_id], visit)
        (post,) = found.items
        of = post.profile_id or channel_id
        told = post.dimensions["post_type"]
        if told in ("short", "video") and YOUTUBE.is_id(of):
            params = {"part": "contentDetails", "playlistId": f"UUSH{of[2:]}", "videoId": video_id}
            try:
                rows = await self._walk("playlistItems", params, data_parse.entry, _row_key, SHORTS_PAGES, visit)
                told = "short" if video_id in {row.video_id for row in rows.items} else "video"
            except NotFound as absent:
                told = "video" if absent.code == "POST_NOT_FOUND" else told
            except QuestionFailed:
                pass  # these playlists stand in no document
        return replace(found, items=[replace(post, dimensions={**post.dimensions, "post_type": told})])

    async def activities(self, channel_id: str, pages_max: int, visit: Visit) -> Found[list[ChannelActivity]]:
        """What the channel did lately; its uploads alone where it is not told."""
        parse = partial(data_people.activity, at=self._outside.clock.now())
        params = {"part": "snippet,contentDetails", "channelId": channel_id}
        try:
            return await self._walk("activities", params, parse, lambda each: each.activity_id, pages_max, visit)
        except QuestionFailed as untold:
            found = await self.channel_videos(channel_id, pages_max, visit)
            reason = f"uploads alone: {one_line(str(untold))}"
            return Found([data_people.upload(post) for post in found.items], reason, found.notes)

    async def comments(self, video_id: str, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        """The comments under a video and the replies to them; none, with the reason, where they are switched off."""
        at = self._outside.clock.now()
        params = {"part": "snippet,replies", "videoId": video_id, "textFormat": "plainText"}
        parse = partial(data_people.thread, at=at)
        try:
            threads = await self._walk(
                "commentThreads", params, parse, lambda each: each[0].activity_id, pages_max, visit, COMMENTS_PAGE
            )
        except CommentsOff as off:
            return Found([], one_line(str(off)))
        partials, notes = [threads.partial], list(threads.notes)
        found = {each.activity_id: each for thread in threads.items for each in thread}
        cut = [thread for thread in threads.items if (thread[0].metrics["replies"] or 0) > len(thread) - 1]
        for first, *_ in cut[:REPLIES_ASKED_MAX]:
            replies = await self._replies(first, pages_max, visit)
            found.update((each.activity_id, each) for each in replies.items)
            partials.append(replies.partial)
            notes += replies.notes
        if len(cut) > REPLIES_ASKED_MAX:
            partials.append(f"further replies to {len(cut) - REPLIES_ASKED_MAX} comments were not asked for")
        return Found(list(found.values()), "; ".join(dict.fromkeys(filter(None, partials))) or None, notes)

    async def subscriptions(self, channel_id: str, pages_max: int, visit: Visit) -> Found[list[Relation]]:
        """Whom the channel subscribes to. Raises NotVisible where it does not show that."""
        params = {"part": "snippet,contentDetails", "channelId": channel_id}
        parse = partial(data_people.subscription, at=self._outside.clock.now())
        return await self._walk("subscriptions", params, parse, lambda each: each.target.profile_id, pages_max, visit)

    async def _channel(self, handle_or_id: str, visit: Visit) -> Fields:
        """The channel's item. By its id it is asked for together with others."""
        if not YOUTUBE.is_id(handle_or_id):
            return await self._by_handle(handle_or_id, visit)
        answered = await self._channels.fetch([handle_or_id], visit)
        self._some(answered.items, answered.odd, "PROFILE_NOT_FOUND", f"there is no channel {handle_or_id!r}")
        return answered.items[handle_or_id]

    async def _by_handle(self, asked: str, visit: Visit) -> Fields:
        handle = asked.removeprefix("@")
        if not YOUTUBE.is_handle(handle):
            raise InvalidHandle(f"{asked[:60]!r} is neither a YouTube handle nor a channel id")
        root = await self._list("channels", {"part": _CHANNEL_PARTS, "forHandle": handle}, visit)
        items = root.objects("items")
        self._some(items, root.notes, "PROFILE_NOT_FOUND", f"there is no channel {asked!r}")
        return items[0]

    def _some(self, found: Sized, odd: Sequence[str], absent: str, told: str) -> None:
        """NotFound where there is nothing, and nothing that could not be read: that may be what was asked for."""
        if not found and odd:
            raise OddAnswer(f"{self.api.name}: {odd[0]}")
        if not found:
            raise NotFound(absent, f"{self.api.name}: {told}")

    async def _uploaded(self, playlist_id: str | None, notes: list[str], visit: Visit) -> list[str]:
        """The latest uploads' ids. A channel that never uploaded names a playlist that does not exist."""
        if playlist_id is None:
            return []
        params = {"part": "contentDetails", "playlistId": playlist_id, "maxResults": str(POSTS_MAX)}
        try:
            root = await self._list("playlistItems", params, visit)
        except NotFound as absent:
            if absent.code != "PLAYLIST_NOT_FOUND":
                raise
            return []
        rows = root.each("items", data_parse.entry)
        notes += root.notes
        return list(dict.fromkeys(row.video_id for row in rows))[:POSTS_MAX]

    async def _shown(
        self,
        ids: Sequence[str],
        notes: list[str],
        visit: Visit,
        by: Batching | None = None,
        handle: str = "",
        channel_id: str = "",
    ) -> list[PostSnapshot]:
        """The videos of `ids` that there are, in that order; the others are gone or private. What is odd is noted."""
        ids = [each for each in ids if data_parse.is_video_id(each)]
        if not ids:
            return []
        answered, at = await (by or self._videos).fetch(ids, visit), self._outside.clock.now()
        notes += answered.odd
        items = (answered.items[each].noting(notes) for each in ids if each in answered.items)
        return [data_parse.video(item, at, handle, channel_id) for item in items]

    async def _searched(self, params: dict[str, str], pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        """What a search finds is kept without figures where these are refused: searches are few."""
        parse = partial(data_parse.found_video, at=self._outside.clock.now())
        asked = {"part": "snippet", "type": "video", **params}
        results = await self._walk("search", asked, parse, lambda each: each and each.post_id, pages_max, visit)
        posts = [post for post in results.items if post is not None]
        notes, reason = list(results.notes), results.partial
        try:
            full = {post.post_id: post for post in await self._shown([post.post_id for post in posts], notes, visit)}
        except Transient as refusal:
            full, reason = {}, f"without figures: {one_line(str(refusal))}"
        return Found([full.get(post.post_id, post) for post in posts], reason, notes)

    async def _category(self, title: str, region: str, visit: Visit) -> str:
        root = await self._list("videoCategories", {"part": "snippet", "regionCode": region}, visit)
        known = {name.lower(): category_id for category_id, name in root.each("items", data_parse.category)}
        if title.lower() not in known:
            raise Refused("GENRE_NOT_FOUND", f"{title[:60]!r} is none of {', '.join(known)[:500]}")
        return known[title.lower()]

    async def _replies(self, first: Activity, pages_max: int, visit: Visit) -> Found[list[Activity]]:
        parse = partial(data_people.comment, at=first.at, post_id=first.post_id, channel_id=first.profile_id,
                        parent_id=first.activity_id)  # fmt: skip
        params = {"part": "snippet", "parentId": first.activity_id, "textFormat": "plainText"}
        try:
            return await self._walk(
                "comments", params, parse, lambda each: each.activity_id, pages_max, visit, COMMENTS_PAGE
            )
        except (Transient, Refused) as error:
            return Found([], f"replies are missing: {one_line(str(error))}")

    async def _walk(
        self,
        collection: str,
        params: dict[str, str],
        parse: Callable[[Fields], T],
        key: Callable[[T], Hashable],
        pages_max: int,
        visit: Visit,
        per_page: int = PAGE,
    ) -> Found[list[T]]:
        """All pages, from the first one again where a cursor went stale."""
        stale = False

        async def ask(after: str | None) -> Page[T]:
            nonlocal stale
            token = {"pageToken": after} if after else {}
            try:
                root = await self._list(collection, {**params, "maxResults": str(per_page), **token}, visit)
            except StalePage:
                stale = True
                raise
            return Page(root.each("items", parse), root.text("nextPageToken") or None, root.notes)

        found = await pages(ask, pages_max=pages_max, key=key)
        return await pages(ask, pages_max=pages_max, key=key) if stale else found

    async def _list(self, collection: str, params: dict[str, str], visit: Visit) -> Fields:
        def build(credential: Credential) -> Request:
            return self._request(credential, collection, params)

        bucket = SEARCH if collection == "search" else UNITS
        question = self._question(f"{collection}?{urlencode(params)}", build, bucket)
        return Fields(await self._outside.ask(self.api, question, visit), self.api.name)

    async def _by_id(
        self, collection: str, params: dict[str, str], bucket: str, batch: Batch, visit: Visit
    ) -> Answered:
        """One call for a batch; which ids are in it is known when the request is built."""

        def build(credential: Credential) -> Request:
            return self._request(credential, collection, {**params, "id": ",".join(batch.close())})

        question = self._question(f"{collection} of {batch.first} and others", build, bucket)
        root = Fields(await self._outside.ask(self.api, question, visit), self.api.name)
        items = root.each("items", lambda item: (item.identity("id"), item))
        return Answered(dict(items), root.notes)

    def _question(self, text: str, build: Callable[[Credential], Request], bucket: str) -> Question:
        return Question(text, build, bucket=bucket if self.has_buckets else "")

    def _request(self, credential: Credential, collection: str, params: dict[str, Any]) -> Request:
        return Request(
            source=self.api.name,
            method="GET",
            url=f"{self._root}/{collection}",
            params={**params, "key": token(credential)},
            timeout_s=self._outside.timeout_s(self.api.name),
        )


def token(credential: Credential) -> str:
    """What it asks with. Raises CredentialDead where it holds none."""
    if not (held := credential.secret.get("token")):
        raise CredentialDead(f"{credential.source}: credential {credential.handle!r} holds no token")
    return str(held)


def _row_key(row: data_parse.Entry) -> Hashable:
    return row.video_id


def _missing(ids: Sequence[str], found: Sequence[PostSnapshot]) -> str:
    gone = len(set(ids) - {post.post_id for post in found})
    return f"{gone} videos are gone or private" if gone else ""
