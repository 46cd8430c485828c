"""Each flow of YouTube: what it is given, what it yields, and how it ends where nobody may show it."""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import trio.testing

from gcc.actors.scraper import Deferred, Retries
from gcc.channels.jobs import Crawl, Failure, Job, JobStatus
from gcc.config import Scraper
from gcc.errors import Transient
from gcc.pipelines.events.audit import TABLES, Audit, audited, unaudited
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG, EventType
from gcc.pipelines.scraping import youtube
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.table import Apis
from gcc.pipelines.scraping.work import FlowWork
from gcc.sources.breakers import Breakers
from gcc.sources.credentials import Facts
from gcc.sources.http import Request
from gcc.sources.snapshot import Found, Sheet
from gcc.sources.table import SOURCES
from gcc.sources.verdicts import NeedsOwner
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Board
from tests.fakes.erasures import NobodyErased
from tests.fakes.fetcher import Reply
from tests.fakes.objects import MemoryObjects
from tests.unit.test_youtube_clients import Bench, Owned, Tube, channel_id, refused

FLOWS: Mapping[str, Flow] = {flow.name: flow for flow in youtube.FLOWS}
CHANNEL = {"channel_id": channel_id(1)}
EXAMPLES: dict[str, tuple[dict[str, Any], Mapping[str, int]]] = {
    # params, and how many rows of which table, or lines of the sheet
    "refresh_yt_profiles": ({"handle": "@handle1"}, {"youtube_account": 1, "youtube_post": 1, "tracked_profile": 1}),
    "refresh_yt_posts": ({"video_ids": ["1_1", "1_3"]}, {"youtube_post": 2}),
    "refresh_yt_posts_by_channel_id": (CHANNEL, {"youtube_post": 2}),
    "refresh_yt_posts_by_playlist_id": ({"playlist_id": f"UU{1:022}"}, {"youtube_post": 2}),
    "refresh_yt_posts_by_genre": ({"category": "26", "pages_max": 2}, {"youtube_post": 3}),
    "refresh_yt_posts_by_search": ({"query": "tea"}, {"youtube_post": 2}),
    "refresh_yt_post_type": ({"video_id": "1_1"}, {"youtube_post": 1}),
    "fetch_channels_csv": ({"channels": ["@handle1", channel_id(2)]}, {"lines": 3}),
    "fetch_channel_videos_csv": (CHANNEL, {"lines": 3}),
    "fetch_playlist_videos_csv": ({"playlist_id": f"UU{1:022}"}, {"lines": 3}),
    "fetch_video_details_csv": ({"video_ids": ["1_1"]}, {"lines": 2}),
    "fetch_genre_videos_csv": ({"category": "10", "region": "in"}, {"lines": 3}),
    "fetch_channel_daily_stats_csv": ({**CHANNEL, "start": "2025-12-01", "end": "2025-12-09"}, {"lines": 3}),
    "fetch_channel_monthly_stats_csv": (CHANNEL, {"lines": 3}),
    "fetch_channel_demographic_csv": (CHANNEL, {"lines": 3}),
    "fetch_channel_audience_geography_csv": (CHANNEL, {"lines": 3}),
    "refresh_yt_profile_insights": (CHANNEL, {"youtube_profile_insights": 1}),
    "refresh_yt_activities": (CHANNEL, {"youtube_activity": 1}),
    "fetch_yt_post_comments": ({"video_id": "1_1"}, {"post_activity_log": 12}),
    "refresh_yt_profile_relationship": (CHANNEL, {"profile_relationship": 3}),
}


class Work:
    """Runs jobs of one flow; the channel's owner gave a token, or did not."""

    def __init__(self, name: str, tube: Tube, audit: Audit = unaudited) -> None:
        owned = Owned()

        def outside(request: Request) -> Reply:
            return owned(request) if request.source == "ytanalytics" else tube(request)

        self.bench = Bench(outside)
        self.objects = MemoryObjects()
        self.flow = FLOWS[name]
        self.clients: dict[str, Any] = {
            source: SOURCES[source].client(self.bench.outside, "http://x/v3") for source in ("ytapi", "ytanalytics")
        }
        rng = self.bench.clock.rng
        apis = Apis(self.clients, Breakers(Board(self.bench.clock.now), rng), self.bench.limiter)
        retries = Retries(Scraper().attempts_max, Backoff(Scraper().backoff_s, Scraper().backoff_s_max))
        self.work = FlowWork(self.flow, apis, self.objects, NobodyErased(), self.bench.clock, retries, rng, audit)

    async def run(self, params: Any, *, owned: bool = True) -> Crawl | Failure | Deferred:
        now = self.bench.clock.now()
        await self.bench.ready()
        if owned:
            facts = Facts(kind="google", account=channel_id(1))
            await self.bench.credentials.put("ytanalytics", "mine", {"token": "secret-oauth"}, facts)
        return await self.work(
            Job(uuid.UUID(int=1), self.flow.name, "YOUTUBE", params, 0, 1, 0, 1, JobStatus.PROCESSING, now, now, now)
        )

    async def lines(self, found: Mapping[str, Any]) -> list[str]:
        (key,) = found["objects"]
        return (await self.objects.read(key)).decode().splitlines()


def test_each_has_an_example() -> None:
    assert set(EXAMPLES) == set(FLOWS)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_what_it_yields(autojump_clock: trio.testing.MockClock, name: str) -> None:
    params, expected = EXAMPLES[name]
    work = Work(name, Tube())
    crawl = await work.run(params)
    assert isinstance(crawl, Crawl), crawl
    rows = {upsert.table.name: len(upsert.rows) for upsert in crawl.writes}
    assert {upsert.table.name for upsert in crawl.writes} - {"tracked_profile"} == {t.name for t in work.flow.tables}
    for upsert in crawl.writes:
        for row in upsert.rows:
            assert upsert.table.key_of(row)
    if work.flow.header:
        lines = await work.lines(crawl.data)
        rows["lines"] = len(lines)
        assert lines[0] == ",".join(work.flow.header)
    assert rows == expected
    assert {frame.route for frame in crawl.frames} <= {event.route for event in work.flow.events}
    assert crawl.source == ("ytanalytics" if work.flow.capability == "owner" else "ytapi")


@pytest.mark.parametrize(("name", "event_type"), [("refresh_yt_profiles", PROFILE_LOG), ("refresh_yt_posts", POST_LOG)])
async def test_an_audit_is_written_with_the_events(
    autojump_clock: trio.testing.MockClock, name: str, event_type: EventType
) -> None:
    crawl = await Work(name, Tube(), audited).run(EXAMPLES[name][0])
    assert isinstance(crawl, Crawl)
    lines = [line for f in crawl.frames if f.route == event_type.route for line in f.body.split(b"\n")]
    (rows,) = [upsert.rows for upsert in crawl.writes if upsert.table is TABLES[event_type]]
    assert [row["event_id"] for row in rows] == [msgspec.json.decode(line)["event_id"] for line in lines] != []
    assert all(str(row["event_timestamp"]).endswith("+00") for row in rows)


@pytest.mark.parametrize("name", [name for name, flow in FLOWS.items() if flow.capability == "owner"])
async def test_without_its_owners_token(autojump_clock: trio.testing.MockClock, name: str) -> None:
    work = Work(name, Tube())
    failure = await work.run(EXAMPLES[name][0], owned=False)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retry_after_s) == ("NEEDS_OWNER", None)
    if work.flow.header:
        assert await work.lines(failure.data) == [",".join(work.flow.header)]


async def test_subscriptions_that_are_private(autojump_clock: trio.testing.MockClock) -> None:
    tube = Tube()
    tube.odd["subscriptions"] = lambda _: refused("subscriptionForbidden")
    failure = await Work("refresh_yt_profile_relationship", tube).run(CHANNEL)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retry_after_s) == ("NOT_VISIBLE", None)


async def test_comments_that_are_off_are_told(autojump_clock: trio.testing.MockClock) -> None:
    tube = Tube()
    tube.odd["commentThreads"] = lambda _: refused("commentsDisabled")
    crawl = await Work("fetch_yt_post_comments", tube).run({"video_id": "1_1"})
    assert isinstance(crawl, Crawl)
    assert (crawl.data["activities"], crawl.data["partial"]) == (0, "ytapi: HTTP 403, commentsDisabled: no")


@pytest.mark.parametrize(
    ("name", "params", "named"),
    [
        ("refresh_yt_posts", {}, "video_ids"),
        ("refresh_yt_posts", {"video_ids": ["a,b"]}, "video_ids.0"),
        ("refresh_yt_posts", {"video_ids": ["a"] * 501}, "video_ids"),
        ("refresh_yt_posts_by_channel_id", {"channel_id": "@handle"}, "channel_id"),
        ("refresh_yt_posts_by_channel_id", {**CHANNEL, "pages_max": 0}, "pages_max"),
        ("refresh_yt_posts_by_search", {"query": " "}, "query"),
        ("refresh_yt_posts_by_search", {"query": "x", "pages_max": 11}, "pages_max"),
        ("refresh_yt_posts_by_genre", {"category": "Music", "region": "India"}, "region"),
        ("fetch_channel_daily_stats_csv", {**CHANNEL, "start": "soon"}, "start"),
        (
            "fetch_channel_daily_stats_csv",
            {**CHANNEL, "start": "2026-02-01", "end": "2026-01-01"},
            "start is after end",
        ),
        ("fetch_channels_csv", {"channels": []}, "channels"),
        ("fetch_channels_csv", {"channels": ["a"], "more": 1}, "more"),
    ],
)
async def test_a_wrong_param_is_named(
    autojump_clock: trio.testing.MockClock, name: str, params: Any, named: str
) -> None:
    failure = await Work(name, Tube()).run(params)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retry_after_s) == ("INVALID_PARAMS", None)
    assert named in failure.reason


async def test_who_stands_in_is_told_why_the_source_before_did_not_answer() -> None:
    passed: list[Transient] = []

    class Snapshots:
        async def report(self, *asked: Any) -> Found[Sheet]:
            passed.extend(asked[-1].passed)
            return Found(Sheet(["day"], [["2025-12-01"]]))

    work = Work("fetch_channel_daily_stats_csv", Tube())
    work.clients["snapshots"] = Snapshots()
    assert isinstance(await work.run(CHANNEL, owned=False), Crawl)
    assert [type(failure) for failure in passed] == [NeedsOwner]
