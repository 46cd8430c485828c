"""What the clients of YouTube ask and answer: buckets, ids together, pages, what is missing or refused."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts, NoCredential
from gcc.sources.http import Request
from gcc.sources.limits import Daily, InProcessLimiter, Limit, Rule
from gcc.sources.snapshot import Found
from gcc.sources.verdicts import (
    InvalidHandle,
    NeedsOwner,
    NotFound,
    NotVisible,
    OddAnswer,
    QuestionFailed,
    Refused,
    SourceFailed,
)
from gcc.sources.youtube.analytics import REPORTS, AnalyticsApi, Kind
from gcc.sources.youtube.data_client import DataApi
from gcc.sources.youtube.v31 import HOST, V31Api
from gcc.sources.youtube.youtube138 import Youtube138
from tests.fakes.credentials import FakeCredentials
from tests.fakes.days import FakeDays
from tests.fakes.fetcher import FakeFetcher, Reply

Clock = trio.testing.MockClock
SOURCES = ("ytapi", "ytanalytics", "youtube138", "youtubev31")


def channel_id(number: int) -> str:
    return f"UC{number:022}"


def listing(kind: str, items: list[Any], **more: Any) -> Reply:
    body = {"kind": f"youtube#{kind}ListResponse", "pageInfo": {"totalResults": len(items)}, "items": items, **more}
    return Reply(200, json.dumps(body).encode())


def refused(reason: str, status: int = 403, message: str = "no") -> Reply:
    error = {"code": status, "message": message, "errors": [{"reason": reason}]}
    return Reply(status, json.dumps({"error": error}).encode())


class Tube:
    """The Data API over a few channels of three uploads each; `odd` maps a collection to what it answers instead.

    Video n_2 is private. Lists come by two, to the end.
    """

    def __init__(self) -> None:
        self.odd: dict[str, Callable[[Request], Reply | None]] = {}

    def __call__(self, request: Request) -> Reply:
        collection = request.url.rpartition("/")[2]
        odd = self.odd.get(collection)
        reply: Reply = (odd and odd(request)) or getattr(self, f"_{collection.replace(':', '_')}")(request)
        return reply

    def _channels(self, request: Request) -> Reply:
        asked = request.params.get("id") or channel_id(int(request.params["forHandle"].removeprefix("handle")))
        items = [
            {"id": each, "snippet": {"customUrl": f"@handle{int(each[2:])}"},
             "contentDetails": {"relatedPlaylists": {"uploads": f"UU{each[2:]}"}}}
            for each in asked.split(",") if int(each[2:]) < 100
        ]  # fmt: skip
        return listing("channel", items)

    def _playlistItems(self, request: Request) -> Reply:
        kind, of = request.params["playlistId"][:4], request.params["playlistId"][-22:]
        if kind == "UUSH":
            return listing(
                "playlistItem", [{"contentDetails": {"videoId": f"{int(of)}_1"}}]
            )  # whatever it is asked for
        if int(of) >= 90:
            return refused("playlistNotFound", 404)
        rows = [
            {"snippet": {"title": "Private video" if number == 2 else "A video"},
             "contentDetails": {"videoId": f"{int(of)}_{number}"}}
            for number in range(1, 4)
        ]  # fmt: skip
        return self._paged("playlistItem", rows, request)

    def _videos(self, request: Request) -> Reply:
        asked = request.params.get("id", "8_1,9_1")  # else: of a chart
        items = [
            {"id": each, "snippet": {"channelId": channel_id(int(each.partition("_")[0])), "title": "A video"},
             "contentDetails": {"duration": "PT2M"}, "statistics": {"viewCount": "7"}}
            for each in asked.split(",") if "_" in each and not each.endswith("_2")
        ]  # fmt: skip
        return listing("video", items)

    def _videos_batchGetStats(self, request: Request) -> Reply:
        items = [
            {"kind": "youtube#videoStats", "id": each, "snippet": {"publishTime": "2026-01-01T00:00:00Z"},
             "statistics": {"viewCount": "9"}}
            for each in request.params["id"].split(",")
        ]  # fmt: skip
        return Reply(200, json.dumps({"kind": "youtube#batchGetStatsResponse", "items": items}).encode())

    def _search(self, request: Request) -> Reply:
        found = [{"id": {"videoId": f"{number}_1"}, "snippet": {"title": "A video"}} for number in range(3)]
        return self._paged("search", [*found, {"id": {"channelId": channel_id(1)}}], request)

    def _videoCategories(self, request: Request) -> Reply:
        titles = {"10": "Music", "26": "Howto & Style"}
        return listing("videoCategory", [{"id": each, "snippet": {"title": title}} for each, title in titles.items()])

    def _commentThreads(self, request: Request) -> Reply:
        def comment(name: str) -> dict[str, Any]:
            return {"id": name, "snippet": {"textOriginal": "hi", "authorChannelId": {"value": channel_id(5)}}}

        threads = [
            {"snippet": {"videoId": "1_1", "totalReplyCount": replies, "topLevelComment": comment(f"c{number}")},
             "replies": {"comments": [comment(f"c{number}.{each}") for each in range(min(replies, 5))]}}
            for number, replies in enumerate((0, 2, 7))
        ]  # fmt: skip
        return self._paged("commentThread", threads, request)

    def _comments(self, request: Request) -> Reply:
        parent = request.params["parentId"]
        return self._paged("comment", [{"id": f"{parent}.{n}", "snippet": {"likeCount": n}} for n in range(7)], request)

    def _activities(self, request: Request) -> Reply:
        done = {"type": "upload", "channelId": request.params["channelId"]}
        return listing("activity", [{"id": "a", "snippet": done, "contentDetails": {"upload": {"videoId": "1_1"}}}])

    def _subscriptions(self, request: Request) -> Reply:
        rows = [
            {"id": str(n), "snippet": {"channelId": request.params["channelId"],
                                       "resourceId": {"channelId": channel_id(n)}}}
            for n in range(3)
        ]  # fmt: skip
        return self._paged("subscription", rows, request)

    def _paged(self, kind: str, rows: list[Any], request: Request) -> Reply:
        start = int(request.params.get("pageToken", 0))
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(rows) else {}
        return listing(kind, rows[start : start + 2], **more)


class Bench:
    def __init__(self, outside: Callable[[Request], Reply]) -> None:
        self.clock = VirtualClock(seed=1)
        self.fetcher = FakeFetcher(outside)
        self.credentials = FakeCredentials(self.clock)
        self.limiter = InProcessLimiter({name: Limit(1000, 1.0) for name in SOURCES})
        self.outside = Outside(self.fetcher, self.limiter, self.credentials, self.clock, Metrics(), {})
        self.visit = Visit()

    async def ready(self, keys: int = 1) -> "Bench":
        for source in SOURCES:
            for number in range(keys):
                await self.credentials.put(source, f"{source}-{number}", {"token": f"token-{number}"})
        return self

    @property
    def asked(self) -> list[str]:
        return [request.url.rpartition("/")[2] for request in self.fetcher.requests]


@pytest.fixture
def tube() -> Tube:
    return Tube()


@pytest.fixture
async def bench(tube: Tube) -> Bench:
    return await Bench(tube).ready()


@pytest.fixture
def api(bench: Bench) -> DataApi:
    return DataApi(bench.outside, "http://x/v3")


def ids(found: Found[list[Any]]) -> list[str]:
    return [each.post_id for each in found.items]


async def test_profiles_asked_for_at_once_share_calls(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    """Of what 50 ids can be asked for: channels, and the videos of up to three or so profiles of 15."""
    profiles = []

    async def refresh(number: int) -> None:
        profiles.append(await api.profile(channel_id(number), Visit()))

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(refresh, number)
    assert sorted(profile.handle for profile in profiles) == sorted(f"handle{number}" for number in range(40))
    for profile in profiles:
        number = int(profile.profile_id[2:])
        assert [(post.post_id, post.handle) for post in profile.posts] == [(f"{number}_1", f"handle{number}")]
    assert bench.asked.count("channels") == 1
    assert bench.asked.count("playlistItems") == 40
    assert bench.asked.count("videos") == 2  # two on each first page: 80


async def test_who_is_not_there_is_not_found_and_others_are(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    answers = {}

    async def refresh(number: int) -> None:
        try:
            answers[number] = (await api.profile(channel_id(number), Visit())).handle
        except NotFound as absent:
            answers[number] = absent.code

    async with trio.open_nursery() as nursery:
        for number in (1, 100, 2):
            nursery.start_soon(refresh, number)
    assert answers == {1: "handle1", 100: "PROFILE_NOT_FOUND", 2: "handle2"}
    assert bench.asked.count("channels") == 1


@pytest.mark.parametrize("reply", [
    {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 0, "resultsPerPage": 5}},
    {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 0}, "items": []},
    {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 0}, "items": None},
])  # fmt: skip
@pytest.mark.parametrize("asked", ["@nobody", channel_id(1)])
async def test_no_items_is_no_channel(
    autojump_clock: Clock, api: DataApi, tube: Tube, reply: Any, asked: str, bench: Bench
) -> None:
    tube.odd["channels"] = lambda _: Reply(200, json.dumps(reply).encode())
    with pytest.raises(NotFound) as caught:
        await api.profile(asked, bench.visit)
    assert caught.value.code == "PROFILE_NOT_FOUND"


async def test_a_channel_that_cannot_be_read_is_not_absent(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    tube.odd["channels"] = lambda _: listing("channel", [{"id": ["UC"]}])
    with pytest.raises(Exception, match=r"\$\.items\[0\]\.id should be an id") as caught:
        await api.profile(channel_id(1), bench.visit)
    assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("asked", ["a b", "@", "", "x" * 40])
async def test_what_is_no_handle_is_not_asked_for(
    autojump_clock: Clock, api: DataApi, bench: Bench, asked: str
) -> None:
    with pytest.raises(InvalidHandle):
        await api.profile(asked, bench.visit)
    assert bench.asked == []


async def test_a_spent_search_bucket_stops_searches_alone(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    message = "Quota exceeded for quota metric 'Search Queries' and limit 'Search Queries per day'"
    body = json.dumps({"error": {"code": 429, "message": message}}).encode()
    tube.odd["search"] = lambda _: Reply(429, body)
    with pytest.raises(NoCredential, match="search") as caught:
        await api.search("x", 1, bench.visit)
    assert caught.value.retry_after_s == pytest.approx(8 * 3600, abs=60)  # 2026-01-01 00:00 UTC, to midnight Pacific
    assert bench.asked == ["search"]
    with pytest.raises(NoCredential):
        await api.search("x", 1, bench.visit)
    assert bench.asked == ["search"]
    assert (await api.profile(channel_id(1), bench.visit)).handle == "handle1"
    del tube.odd["search"]
    await trio.sleep(8 * 3600 + 1)
    assert ids(await api.search("x", 5, bench.visit)) == ["0_1", "1_1", "2_1"]


async def test_each_key_has_its_own_search_bucket(autojump_clock: Clock, tube: Tube) -> None:
    bench = await Bench(tube).ready(keys=2)
    tube.odd["search"] = lambda request: refused("quotaExceeded") if request.params["key"] == "token-0" else None
    api = DataApi(bench.outside, "http://x/v3")
    for _ in range(4):
        assert len((await api.search("x", 1, bench.visit)).items) == 2
    assert sum(request.params["key"] == "token-0" for request in bench.fetcher.requests if "search" in request.url) <= 1


async def test_where_units_are_spent_figures_are_asked_for(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    tube.odd["videos"] = lambda _: refused("quotaExceeded")
    found = await api.videos(["1_1", "1_3"], bench.visit)
    assert [post.metrics["views"] for post in found.items] == [9, 9]
    assert found.items[0].publish_time is not None
    assert found.partial and found.partial.startswith("figures alone")
    assert bench.asked == ["videos", "videos:batchGetStats"]


async def test_what_is_gone_of_videos_is_told(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    found = await api.videos(["1_1", "1_2", "no id!"], bench.visit)
    assert (ids(found), found.partial) == (["1_1"], "2 videos are gone or private")
    with pytest.raises(NotFound, match="1_2"):
        await api.videos(["1_2"], bench.visit)


async def test_what_cannot_be_read_is_not_gone(autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench) -> None:
    tube.odd["videos"] = lambda _: listing("video", [{"id": ["1_1"]}])
    tube.odd["channels"] = lambda _: listing("channel", [{"id": ["UC"]}])
    with pytest.raises(OddAnswer, match=r"\$\.items\[0\]\.id should be an id"):
        await api.videos(["1_1"], bench.visit)
    with pytest.raises(OddAnswer, match=r"\$\.items\[0\]\.id should be an id"):
        await api.channels([channel_id(1)], bench.visit)


async def test_channels_by_ids_and_handles(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    found = await api.channels([channel_id(1), "@handle2", channel_id(200), "handle300", "no handle!"], bench.visit)
    assert [(each.handle, each.posts) for each in found.items] == [("handle1", []), ("handle2", [])]
    assert found.partial == f"there are no channels {channel_id(200)}, handle300, no handle!"
    assert bench.asked == ["channels"] * 3
    with pytest.raises(NotFound, match="there are no channels handle300"):
        await api.channels(["handle300"], bench.visit)


async def test_a_channels_videos_and_what_is_private_of_them(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    found = await api.channel_videos(channel_id(1), 9, bench.visit)
    assert (ids(found), found.partial) == (["1_1", "1_3"], "1 videos are gone or private")
    assert [post.dimensions["position"] for post in found.items] == [0, 2]
    assert (await api.channel_videos(channel_id(1), 1, bench.visit)).partial == (
        "there are more than 1 pages; 1 videos are gone or private"
    )


async def test_no_uploads_are_no_missing_channel(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    assert await api.channel_videos(channel_id(95), 1, bench.visit) == Found([])
    for absent, code in ((channel_id(100), "PROFILE_NOT_FOUND"), ("handle", "INVALID_HANDLE")):
        with pytest.raises(Refused) as caught:
            await api.channel_videos(absent, 1, bench.visit)
        assert caught.value.code == code


async def test_a_stale_page_begins_anew_once(autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench) -> None:
    stale = [True]

    def pages(request: Request) -> Reply | None:
        return refused("invalidPageToken", 400) if "pageToken" in request.params and stale and stale.pop() else None

    tube.odd["playlistItems"] = pages
    assert ids(await api.playlist(f"UU{channel_id(1)[2:]}", 9, bench.visit)) == ["1_1", "1_3"]
    assert bench.asked.count("playlistItems") == 4
    stale += [True] * 9
    cut = await api.playlist(f"UU{channel_id(1)[2:]}", 9, bench.visit)
    assert (ids(cut), len(stale)) == (["1_1"], 7)
    assert cut.partial and "invalidPageToken" in cut.partial


async def test_searches_keep_what_they_found_without_figures(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    tube.odd["videos"] = lambda _: Reply(500)
    found = await api.search("x", 9, bench.visit)
    assert (ids(found), [post.metrics for post in found.items]) == (["0_1", "1_1", "2_1"], [{}] * 3)
    assert found.partial and found.partial.startswith("without figures")


@pytest.mark.parametrize("category", ["26", "Howto & Style", "howto & style"])
async def test_a_genre_by_its_id_or_title(autojump_clock: Clock, api: DataApi, bench: Bench, category: str) -> None:
    assert len((await api.genre(category, "IN", 9, bench.visit)).items) == 3
    (search, _) = [request for request in bench.fetcher.requests if request.url.endswith("search")]
    assert (search.params["videoCategoryId"], search.params["regionCode"]) == ("26", "IN")


async def test_a_genre_with_a_chart_costs_no_search(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    assert ids(await api.genre("10", "IN", 1, bench.visit)) == ["8_1", "9_1"]
    (chart,) = bench.fetcher.requests
    assert (chart.params["chart"], chart.params["videoCategoryId"], chart.params["regionCode"]) == (
        "mostPopular", "10", "IN",
    )  # fmt: skip
    tube.odd["videos"] = lambda request: refused("videoChartNotFound", 404) if "chart" in request.params else None
    assert ids(await api.genre("10", "IN", 1, bench.visit)) == ["0_1", "1_1"]


async def test_no_such_genre_is_told_with_those_that_are(autojump_clock: Clock, api: DataApi, bench: Bench) -> None:
    with pytest.raises(Refused, match="'Musik' is none of music, howto") as caught:
        await api.genre("Musik", "IN", 1, bench.visit)
    assert caught.value.code == "GENRE_NOT_FOUND"


@pytest.mark.parametrize(
    ("video_id", "playlist", "told"),
    [
        ("1_1", None, "short"),
        ("1_3", None, "video"),
        ("1_3", refused("playlistNotFound", 404), "short"),  # two minutes
        ("1_3", refused("invalidFilters", 400), "short"),
        ("1_1", refused("videoNotFound", 404), "video"),
    ],
)
async def test_shorts_by_their_playlist_else_by_length(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench, video_id: str, playlist: Reply | None, told: str
) -> None:
    tube.odd["playlistItems"] = lambda _: playlist
    (post,) = (await api.post_type(video_id, "", bench.visit)).items
    assert (post.post_id, post.dimensions["post_type"]) == (video_id, told)


async def test_comments_with_the_replies_that_a_thread_does_not_show(
    autojump_clock: Clock, api: DataApi, bench: Bench
) -> None:
    found = await api.comments("1_1", 9, bench.visit)
    by_id = {each.activity_id: each for each in found.items}
    assert len(found.items) == len(by_id) == 3 + 2 + 7
    assert found.partial is None
    assert (by_id["c2"].metrics["replies"], by_id["c2.6"].dimensions["parent_id"]) == (7, "c2")
    assert {each.post_id for each in found.items} == {"1_1"}
    assert bench.asked.count("comments") == 4


async def test_replies_that_fail_leave_the_comments(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    tube.odd["comments"] = lambda _: refused("processingFailure", 400)
    found = await api.comments("1_1", 9, bench.visit)
    assert len(found.items) == 3 + 2 + 5
    assert found.partial and found.partial.startswith("replies are missing: ytapi: HTTP 400, processingFailure")


async def test_comments_that_are_off_are_none_with_the_reason(
    autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench
) -> None:
    tube.odd["commentThreads"] = lambda _: refused("commentsDisabled", message="The video has disabled comments.")
    found = await api.comments("1_1", 9, bench.visit)
    assert (found.items, found.partial) == ([], "ytapi: HTTP 403, commentsDisabled: The video has disabled comments.")
    del tube.odd["commentThreads"]
    assert (await api.comments("1_1", 9, bench.visit)).items  # the key is as good as before


async def test_activities_else_uploads(autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench) -> None:
    (done,) = (await api.activities(channel_id(1), 9, bench.visit)).items
    assert (done.activity_id, done.kind, done.dimensions["video_id"]) == ("a", "upload", "1_1")
    tube.odd["activities"] = lambda _: refused("activitiesNotAvailable", 400) and refused("invalidValue", 400)
    found = await api.activities(channel_id(1), 9, bench.visit)
    assert [each.activity_id for each in found.items] == ["upload:1_1", "upload:1_3"]
    assert found.partial and found.partial.startswith("uploads alone")


async def test_subscriptions_of_who_shows_them(autojump_clock: Clock, api: DataApi, tube: Tube, bench: Bench) -> None:
    found = await api.subscriptions(channel_id(1), 9, bench.visit)
    assert [each.target.profile_id for each in found.items] == [channel_id(n) for n in range(3)]
    assert {(each.person.profile_id, each.kind) for each in found.items} == {(channel_id(1), "subscribes")}
    tube.odd["subscriptions"] = lambda _: refused("subscriptionForbidden")
    with pytest.raises(NotVisible):
        await api.subscriptions(channel_id(1), 9, bench.visit)


async def test_v31_asks_the_same_of_the_gateway(autojump_clock: Clock, bench: Bench) -> None:
    api = V31Api(bench.outside, "http://gateway")
    profile = await api.profile("handle7", bench.visit)
    assert (profile.source, profile.handle, len(profile.posts)) == ("youtubev31", "handle7", 1)
    assert bench.asked == ["channels", "playlistItems", "videos"]
    for request in bench.fetcher.requests:
        assert dict(request.headers) == {"X-RapidAPI-Host": HOST, "X-RapidAPI-Key": "token-0"}
        assert "key" not in request.params
    assert "token-0" not in repr(bench.visit.traces)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(403, b'{"message":"You are not subscribed to this API."}'), NoCredential),
        (Reply(429, b'{"message":"Too many requests"}', {"Retry-After": "3"}), NoCredential),
        (refused("commentsDisabled"), QuestionFailed),
    ],
)
async def test_v31_knows_the_gateways_refusals(
    autojump_clock: Clock, tube: Tube, bench: Bench, reply: Reply, verdict: type[Exception]
) -> None:
    tube.odd["channels"] = lambda _: reply
    with pytest.raises(verdict):
        await V31Api(bench.outside, "http://gateway").profile("handle7", bench.visit)


class Pages:
    """youtube138 over one channel of three videos, a page each; `odd` as of Tube."""

    def __init__(self) -> None:
        self.odd: dict[str, Reply] = {}

    def __call__(self, request: Request) -> Reply:
        path = request.url.removeprefix("http://gateway").strip("/")
        params, after = request.params, int(request.params.get("cursorNext", 0))
        if path in self.odd:
            return self.odd[path]
        channel = {"channelId": channel_id(1), "title": "One", "username": "@one", "stats": {"subscribersText": "2K"}}
        body: dict[str, Any]
        match path:
            case "search":
                body = {"contents": [{"type": "channel", "channel": channel}]}
            case "channel/details":
                body = channel
            case "channel/videos" | "playlist/videos":
                name = "short" if params.get("filter") == "shorts_latest" else "v"
                body = {"contents": [{"type": "video", "video": {"videoId": f"{name}{after}", "stats": {"views": 5}}}]}
                body |= {"cursorNext": str(after + 1)} if after < 2 else {}
            case "video/details":
                body = {"videoId": params["id"], "author": {"channelId": channel_id(1)}, "lengthSeconds": 500}
            case "video/comments":
                body = {"comments": [{"commentId": "c1", "content": "hi", "stats": {"votes": 1, "replies": 2}}]}
            case _:
                return Reply(404, b'{"message":"Endpoint \'/x\' does not exist"}')
        return Reply(200, json.dumps(body).encode())


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
async def scraper(pages: Pages) -> Bench:
    return await Bench(pages).ready()


async def test_138_finds_a_channel_by_id_and_by_handle(autojump_clock: Clock, scraper: Bench) -> None:
    api = Youtube138(scraper.outside, "http://gateway")
    for asked in (channel_id(1), "@One"):
        profile = await api.profile(asked, scraper.visit)
        assert (profile.source, profile.profile_id, profile.handle) == ("youtube138", channel_id(1), "one")
        assert profile.metrics["subscribers"] == 2000
        assert [(post.post_id, post.profile_id, post.handle) for post in profile.posts] == [
            ("v0", channel_id(1), "one")
        ]
    with pytest.raises(QuestionFailed, match="does not find @two"):
        await api.profile("two", scraper.visit)
    assert (await api.channels([channel_id(1), "two"], scraper.visit)).partial == (
        "1 are missing: youtube138: a search does not find @two"
    )


async def test_138_walks_by_its_cursor(autojump_clock: Clock, scraper: Bench) -> None:
    api = Youtube138(scraper.outside, "http://gateway")
    assert ids(await api.channel_videos(channel_id(1), 9, scraper.visit)) == ["v0", "v1", "v2"]
    assert [request.params.get("cursorNext") for request in scraper.fetcher.requests] == [None, "1", "2"]
    listed = await api.playlist("PL", 2, scraper.visit)
    assert [post.dimensions["position"] for post in listed.items] == [0, 1]
    assert listed.partial == "there are more than 2 pages"


async def test_138_tells_what_it_cannot(autojump_clock: Clock, scraper: Bench) -> None:
    api = Youtube138(scraper.outside, "http://gateway")
    assert (await api.comments("v0", 9, scraper.visit)).partial == "replies are not told"
    with pytest.raises(QuestionFailed, match="no categories by their ids"):
        await api.genre("10", "IN", 1, scraper.visit)
    for video_id, told in (("short0", "short"), ("v0", "video")):
        (post,) = (await api.post_type(video_id, "", scraper.visit)).items
        assert post.dimensions["post_type"] == told


@pytest.mark.parametrize(
    ("reply", "verdict", "code"),
    [
        (Reply(404, b'{"error":"nothing here"}'), NotFound, "POST_NOT_FOUND"),
        (Reply(200, b'{"error":"Video unavailable"}'), NotFound, "POST_NOT_FOUND"),
        (Reply(404, b'{"message":"Endpoint \'/video/details/\' does not exist"}'), SourceFailed, None),
        (Reply(200, b'{"error":"This account has been terminated."}'), NotFound, "POST_NOT_FOUND"),
        (Reply(200, b'{"error":{"message":"It violated our Community Guidelines."}}'), NotFound, "POST_NOT_FOUND"),
        (Reply(400, b'{"error":"bad id"}'), QuestionFailed, None),
        (Reply(200, b'{"title":"no id"}'), OddAnswer, None),
        (Reply(403, b'{"message":"You are not subscribed to this API."}'), NoCredential, "NO_CREDENTIAL"),
    ],
)
async def test_138_says_absent_only_where_it_is_told(
    autojump_clock: Clock, pages: Pages, scraper: Bench, reply: Reply, verdict: type[Exception], code: str | None
) -> None:
    pages.odd["video/details"] = reply
    with pytest.raises(verdict) as caught:
        await Youtube138(scraper.outside, "http://gateway").videos(["v0"], scraper.visit)
    assert getattr(caught.value, "code", None) == code


COLUMNS = {"views": 7, "engagedViews": 5, "viewerPercentage": 40.5}


class Owned:
    """The Analytics API of a channel: two rows for each question, `unfit` metrics refused."""

    def __init__(self) -> None:
        self.unfit: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        dimensions = [name for name in request.params.get("dimensions", "").split(",") if name]
        metrics = request.params["metrics"].split(",")
        if self.unfit & set(metrics):
            return refused("badRequest", 400, "The query is not supported.")
        rows = [[*(f"{name}{n}" for name in dimensions), *(COLUMNS.get(name, 1) for name in metrics)] for n in (1, 2)]
        header = [{"name": name} for name in (*dimensions, *metrics)]
        return Reply(200, json.dumps({"columnHeaders": header, "rows": rows}).encode())


@pytest.fixture
def owned() -> Owned:
    return Owned()


@pytest.fixture
async def owner(owned: Owned) -> Bench:
    bench = Bench(owned)
    facts = Facts(kind="google", account=channel_id(1))
    await bench.credentials.put("ytanalytics", "mine", {"token": "secret-oauth"}, facts)
    return bench


TODAY = dt.date(2026, 1, 1)


@pytest.mark.parametrize(
    ("kind", "start", "end", "asked"),
    [
        ("daily", None, None, ("2025-12-02", "2025-12-29")),
        ("daily", dt.date(2025, 12, 1), TODAY, ("2025-12-01", "2025-12-29")),
        ("monthly", None, None, ("2025-11-01", "2025-11-01")),
        ("monthly", dt.date(2025, 9, 2), dt.date(2025, 12, 31), ("2025-10-01", "2025-11-01")),
        ("monthly", dt.date(2025, 9, 1), dt.date(2025, 10, 31), ("2025-09-01", "2025-10-01")),
        ("demographic", dt.date(2025, 9, 1), dt.date(2025, 9, 9), ("2025-09-01", "2025-09-09")),
    ],
)
async def test_reports_are_of_days_that_are_counted(
    autojump_clock: Clock, owner: Bench, kind: Kind, start: dt.date, end: dt.date, asked: tuple[str, str]
) -> None:
    found = await AnalyticsApi(owner.outside, "http://x/v2").report(kind, channel_id(1), start, end, owner.visit)
    (request,) = owner.fetcher.requests
    assert (request.params["startDate"], request.params["endDate"]) == asked
    assert (request.url, request.params["ids"]) == ("http://x/v2/reports", "channel==MINE")
    assert request.headers["Authorization"] == "Bearer secret-oauth"
    assert "secret-oauth" not in repr(owner.visit.traces)
    assert (tuple(found.items.header), len(found.items.rows)) == (REPORTS[kind].columns, 2)
    assert found.partial == (
        "days after 2025-12-29 are not counted yet" if end and end > dt.date(2025, 12, 29) else None
    )


async def test_where_nothing_is_counted_nothing_is_asked(autojump_clock: Clock, owner: Bench) -> None:
    api, day = AnalyticsApi(owner.outside, "http://x/v2"), dt.date(2025, 9, 2)
    month = await api.report("monthly", channel_id(1), day, day, owner.visit)
    today = await api.report("daily", channel_id(1), TODAY, TODAY, owner.visit)
    assert (month.items.rows, month.partial) == ([], "no whole month lies in between")
    assert today.partial == "days after 2025-12-29 are not counted yet; no day of it is counted"
    assert owner.fetcher.requests == []


async def test_an_unfit_mix_is_asked_for_without_what_may_be_unfit(
    autojump_clock: Clock, owned: Owned, owner: Bench
) -> None:
    owned.unfit = {"engagedViews"}
    found = await AnalyticsApi(owner.outside, "http://x/v2").report("daily", channel_id(1), None, None, owner.visit)
    assert found.items.rows[0][:3] == ["day1", 7, None]
    assert found.partial and found.partial.startswith("views alone: ytanalytics: HTTP 400, badRequest")


async def test_an_owners_report_needs_the_owners_own_token(autojump_clock: Clock, owner: Bench) -> None:
    api = AnalyticsApi(owner.outside, "http://x/v2")
    with pytest.raises(NeedsOwner):
        await api.report("daily", channel_id(2), None, None, owner.visit)
    with pytest.raises(NeedsOwner):
        await api.profile_insights(channel_id(2), owner.visit)
    assert owner.fetcher.requests == []


async def test_what_an_owner_is_told_of_a_channel(autojump_clock: Clock, owner: Bench) -> None:
    profile = await AnalyticsApi(owner.outside, "http://x/v2").profile_insights(channel_id(1), owner.visit)
    assert (profile.profile_id, profile.metrics["views"], profile.metrics["engaged_views"]) == (channel_id(1), 7, 5)
    assert profile.dimensions == {
        "days": 28,
        "audience_age": {"ageGroup1": 40.5, "ageGroup2": 40.5},
        "audience_gender": {"gender1": 40.5, "gender2": 40.5},
        "audience_country": {"country1": 7, "country2": 7},
    }


async def test_a_probe_takes_of_the_day_of_its_key(autojump_clock: Clock, bench: Bench) -> None:
    rules = (Rule(Limit(1000, 1.0)), Rule(Daily(10_000, "America/Los_Angeles"), "credential", "units"))
    limiter = InProcessLimiter({rule.name("ytapi"): rule.limit for rule in rules}, FakeDays(bench.clock))
    fetcher = FakeFetcher(lambda request: Reply(200, b'{"items": []}'))
    outside = Outside(fetcher, limiter, bench.credentials, bench.clock, Metrics(), {}, rules={"ytapi": rules})
    assert (await DataApi(outside, "http://x/v3").probe("ytapi-0", bench.visit)).alive
    assert {use.name: use.used for use in limiter.usage()}["ytapi.units@ytapi-0"] == 1
