"""Every flow, one job each, on the real tree against the world: its rows in PostgreSQL, its events in ClickHouse, its
object in the object store, and all of them as the world's truth has them."""

import csv
import datetime as dt
import io
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from gcc.channels.jobs import JobDetail, JobStatus, NewJob
from gcc.clock import SystemClock
from gcc.config import load
from gcc.pipelines.events.types import (
    ORDER_LOG,
    POST_ACTIVITY_LOG,
    POST_LOG,
    PROFILE_LOG,
    PROFILE_RELATIONSHIP_LOG,
    YT_ACTIVITY_LOG,
    EventType,
)
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.table import FLOWS
from gcc.sources.table import SOURCES
from gcc.statements import ROOT
from gcc.stores.clickhouse import ClickHouse
from gcc.tree import Tree
from gcc.world.shopify import DOMAIN, STORES
from tests.fakes.clickhouse_server import clickhouse_server
from tests.process import NO_RECEIVERS_HERE

OWN = {"refresh_credential", "probe_credential"}  # of credentials
ENOUGH_S = 60.0
IDS_OF_EVENTS: Mapping[EventType, str] = {
    PROFILE_LOG: "profile_id",
    POST_LOG: "post_id",
    PROFILE_RELATIONSHIP_LOG: "concat(source_profile_id, '>', target_profile_id)",
    POST_ACTIVITY_LOG: "JSONExtractString(dimensions, 'activity_id')",
    YT_ACTIVITY_LOG: "activity_id",
    ORDER_LOG: "platform_order_id",
}
IDS_OF_ROWS: Mapping[str, str] = {
    "instagram_account": "profile_id",
    "youtube_account": "channel_id",
    "instagram_post": "post_id",
    "youtube_post": "video_id",
    "profile_relationship": "source_profile_id || '>' || target_profile_id",
    "post_activity_log": "activity_id",
    "youtube_activity": "activity_id",
    "instagram_profile_insights": "profile_id",
    "youtube_profile_insights": "channel_id",
    "order": "platform_order_id",
}

TOLD_OF_ORDERS = ("order_id", "store", "placed_at", "total_price", "items", "line_items", "status", "currency")


@dataclass(frozen=True)
class Case:
    """A job's params, and the ids that it may find. `whole`: it must find all of them. `rows`: of its sheet."""

    params: Mapping[str, Any]
    true: frozenset[str] = frozenset()
    whole: bool = True
    rows: int | None = None


class World:
    """What the world knows, for the choice of params and for the truth."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, path: str) -> Any:
        answer = await self._client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def owner(self) -> dict[str, Any]:
        """A creator of Instagram who has given a token, with a story."""
        for row in (await self.ask("/tokens"))["graphapi"]:
            if "handle" in row:
                stories = await self.ask(f"/truth/INSTAGRAM/{row['handle']}/stories")
                if any(story["insights"] for story in stories["data"]):
                    return {**row, "profile_id": row["account"], "story": stories["data"]}
        raise AssertionError("no owner has a story with insights; take another seed")

    async def ids(self, path: str, name: Callable[[dict[str, Any]], str]) -> frozenset[str]:
        return frozenset(name(row) for row in (await self.ask(path))["data"])

    async def channel(self) -> str:
        """A YouTube channel whose owner has given a token."""
        return str((await self.ask("/tokens"))["ytanalytics"][0]["channel_id"])


Choice = Callable[[World], Awaitable[Case]]


def _relation(row: dict[str, Any]) -> str:
    return f"{row['source_profile_id']}>{row['target_profile_id']}"


async def _owners(world: World, what: str, **params: Any) -> Case:
    owner = await world.owner()
    true = await world.ids(f"/truth/INSTAGRAM/{owner['handle']}/{what}?limit=1000", lambda row: str(row["post_id"]))
    return Case({"profile_id": owner["profile_id"], **params}, true)


async def _profile(world: World, by: str, **params: Any) -> Case:
    owner = await world.owner()
    profile = await world.ask(f"/truth/INSTAGRAM/{owner['handle']}")
    posts = frozenset(post["post_id"] for post in profile["posts"])
    return Case({by: owner[by], **params}, posts | {owner["profile_id"]}, whole=not params)


async def _of_post(world: World, what: str) -> Case:
    """What was done under the post of an owner that has the least of it."""
    owner = await world.owner()
    posts = (await world.ask(f"/truth/INSTAGRAM/{owner['handle']}/posts?limit=100"))["data"]
    post = min(posts, key=lambda each: each["comments"])
    true = await world.ids(f"/truth/INSTAGRAM/{what}/{post['shortcode']}?limit=10000", lambda row: row["activity_id"])
    return Case({"shortcode": post["shortcode"], "post_id": post["post_id"], "pages_max": 2}, true, whole=False)


async def _followers(world: World, what: str) -> Case:
    owner = await world.owner()
    true = await world.ids(f"/truth/INSTAGRAM/{owner['handle']}/{what}?limit=10000", _relation)
    return Case({"handle": owner["handle"], "profile_id": owner["profile_id"], "pages_max": 2}, true, whole=False)


async def _post_by_shortcode(world: World) -> Case:
    owner = await world.owner()
    post = (await world.ask(f"/truth/INSTAGRAM/{owner['handle']}/posts?limit=3"))["data"][2]
    return Case({"shortcode": post["shortcode"], "handle": owner["handle"]}, frozenset({post["post_id"]}))


async def _post_insights(world: World, what: str) -> Case:
    owner = await world.owner()
    told = (await world.ask(f"/truth/INSTAGRAM/{owner['handle']}/{what}?limit=100"))["data"]
    post_id = next(post["post_id"] for post in told if post["insights"])
    return Case({"post_id": post_id, "profile_id": owner["profile_id"]}, frozenset({post_id}))


async def _hashtag(world: World) -> Case:
    post = (await world.ask(f"/truth/INSTAGRAM/{(await world.owner())['handle']}/posts?limit=1"))["data"][0]
    tag = post["caption"].rpartition("#")[2]
    true = await world.ids(f"/truth/INSTAGRAM/hashtags/{tag}?limit=1000", lambda row: str(row["post_id"]))
    return Case({"hashtag": tag, "pages_max": 1}, true, whole=False)


async def _insights(world: World) -> Case:
    profile_id = (await world.owner())["profile_id"]
    return Case({"profile_id": profile_id}, frozenset({profile_id}))


async def _channel(world: World, what: str, key: str, **params: Any) -> Case:
    channel_id = await world.channel()
    found = await world.ask(f"/truth/YOUTUBE/{channel_id}/{what}?limit=1000")
    true = frozenset(str(row[key]) for row in found["data"])
    return Case({"channel_id": channel_id, **params}, true, rows=len(true))


async def _yt_profile(world: World) -> Case:
    channel_id = await world.channel()
    videos = await world.ask(f"/truth/YOUTUBE/{channel_id}/videos?limit=15")
    return Case({"handle": channel_id}, frozenset({channel_id, *(video["post_id"] for video in videos["data"])}))


async def _videos(world: World) -> Case:
    videos = (await world.ask(f"/truth/YOUTUBE/{await world.channel()}/videos?limit=5"))["data"]
    ids = [video["post_id"] for video in videos]
    return Case({"video_ids": ids}, frozenset(ids), rows=len(ids))


async def _playlist(world: World) -> Case:
    channel_id = await world.channel()
    playlist_id = (await world.ask(f"/truth/YOUTUBE/{channel_id}/playlists"))["data"][0]["playlist_id"]
    true = await world.ids(f"/truth/YOUTUBE/playlist/{playlist_id}?limit=1000", lambda row: str(row["post_id"]))
    return Case({"playlist_id": playlist_id}, true, rows=len(true))


async def _chart(world: World) -> Case:
    for category, number in (("Music", 10), ("Gaming", 20)):
        if true := await world.ids(f"/truth/YOUTUBE/chart/{number}?limit=1000", lambda row: str(row["post_id"])):
            return Case({"category": category}, true, whole=False)
    raise AssertionError("no chart has videos; take another seed")


async def _search(world: World) -> Case:
    true = await world.ids("/truth/YOUTUBE/search/travel?limit=1000", lambda row: str(row.get("post_id")))
    return Case({"query": "travel"}, true, whole=False)


async def _post_type(world: World) -> Case:
    channel_id = await world.channel()
    short = (await world.ask(f"/truth/YOUTUBE/{channel_id}/shorts"))["data"][0]["post_id"]
    return Case({"video_id": short, "channel_id": channel_id}, frozenset({short}))


async def _yt_comments(world: World) -> Case:
    videos = (await world.ask(f"/truth/YOUTUBE/{await world.channel()}/videos?limit=1000"))["data"]
    video_id = min(videos, key=lambda video: video["comments"])["post_id"]
    threads = (await world.ask(f"/truth/YOUTUBE/comments/{video_id}?limit=10000"))["data"]
    true = frozenset(each["comment_id"] for thread in threads for each in (thread, *thread["replies"]))
    return Case({"video_id": video_id, "pages_max": 1}, true, whole=False)


async def _subscriptions(world: World) -> Case:
    for row in (await world.ask("/truth/YOUTUBE?limit=100"))["data"]:
        found = await world.ask(f"/truth/YOUTUBE/{row['profile_id']}/subscriptions?limit=1000")
        if found["data"]:
            true = frozenset(f"{row['profile_id']}>{each['channel_id']}" for each in found["data"])
            return Case({"channel_id": row["profile_id"]}, true)
    raise AssertionError("no channel tells its subscriptions; take another seed")


async def _yt_insights(world: World) -> Case:
    channel_id = await world.channel()
    return Case({"channel_id": channel_id}, frozenset({channel_id}))


async def _custom(world: World) -> Case:
    owner = await world.owner()
    true = await world.ids(f"/truth/INSTAGRAM/{owner['handle']}/posts?limit=1000", lambda row: str(row["post_id"]))
    return Case({"handle": owner["handle"]}, true | {owner["profile_id"]})


async def _report(world: World) -> Case:
    return Case({"channel_id": await world.channel()})


async def _orders(world: World) -> Case:
    store = "glow-and-co"
    true = await world.ids(f"/truth/SHOPIFY/{store}?limit=10000", lambda row: str(row["order_id"]))
    return Case({"store": store}, true)


async def _two_channels(world: World) -> Case:
    ids = [row["profile_id"] for row in (await world.ask("/truth/YOUTUBE?limit=2"))["data"]]
    return Case({"channels": ids}, rows=2)


CASES: Mapping[str, Choice] = {
    "refresh_profile_by_handle": lambda world: _profile(world, "handle"),
    "refresh_profile_basic": lambda world: _profile(world, "handle"),
    "refresh_profile_by_profile_id": lambda world: _profile(world, "profile_id"),
    "refresh_profile_custom": _custom,
    "refresh_post_by_shortcode": _post_by_shortcode,
    "refresh_tagged_posts": lambda world: _owners(world, "tagged"),
    "refresh_stories_posts": lambda world: _owners(world, "stories"),
    "refresh_post_insights": lambda world: _post_insights(world, "post_insights"),
    "refresh_story_insights": lambda world: _post_insights(world, "stories"),
    "refresh_profile_insights": _insights,
    "fetch_profile_followers": lambda world: _followers(world, "followers"),
    "fetch_profile_following": lambda world: _followers(world, "following"),
    "fetch_hashtag_posts": _hashtag,
    "fetch_post_comments": lambda world: _of_post(world, "comments"),
    "fetch_post_likes": lambda world: _of_post(world, "likes"),
    "refresh_yt_profiles": _yt_profile,
    "refresh_yt_posts": _videos,
    "refresh_yt_posts_by_channel_id": lambda world: _channel(world, "videos", "post_id"),
    "refresh_yt_posts_by_playlist_id": _playlist,
    "refresh_yt_posts_by_genre": _chart,
    "refresh_yt_posts_by_search": _search,
    "refresh_yt_post_type": _post_type,
    "fetch_channels_csv": _two_channels,
    "fetch_channel_videos_csv": lambda world: _channel(world, "videos", "post_id"),
    "fetch_playlist_videos_csv": _playlist,
    "fetch_video_details_csv": _videos,
    "fetch_genre_videos_csv": _chart,
    "fetch_channel_daily_stats_csv": _report,
    "fetch_channel_monthly_stats_csv": _report,
    "fetch_channel_demographic_csv": _report,
    "fetch_channel_audience_geography_csv": _report,
    "refresh_yt_profile_insights": _yt_insights,
    "refresh_yt_activities": lambda world: _channel(world, "activities", "activity_id"),
    "fetch_yt_post_comments": _yt_comments,
    "refresh_yt_profile_relationship": _subscriptions,
    "refresh_orders_by_store": _orders,
}
"""A job of each flow."""


@dataclass
class Running:
    """The tree, and what it has stored so far."""

    tree: Tree
    clickhouse: ClickHouse
    world: World
    told: dict[EventType, set[str]] = field(default_factory=dict)

    async def run(self, flow: Flow, case: Case) -> JobDetail:
        """The flow's job, when it has ended."""
        jobs = self.tree.context.parts.jobs
        (job,) = await jobs.enqueue([NewJob(flow.name, flow.platform, dict(case.params))])
        with trio.fail_after(ENOUGH_S):
            while True:
                found = await jobs.look(job.id)
                if found is not None and found.status in (JobStatus.COMPLETE, JobStatus.FAILED):
                    return found
                await trio.sleep(0.02)

    async def new_events(self, flow: Flow, count: int) -> list[str]:
        """The ids that its events tell of, as soon as all of them are stored."""
        new: list[tuple[EventType, str, str]] = []
        with trio.move_on_after(ENOUGH_S):
            while True:
                new.clear()
                for event_type in set(flow.events) & IDS_OF_EVENTS.keys():
                    rows = await self.clickhouse.rows(
                        f"select toString(event_id) as event, {IDS_OF_EVENTS[event_type]} as id"  # noqa: S608
                        f" from {event_type.table} final where origin = 'gcc'"
                    )
                    known = self.told.setdefault(event_type, set())
                    new += [(event_type, row["event"], row["id"]) for row in rows if row["event"] not in known]
                if len(new) >= count:
                    for event_type, event, _ in new:
                        self.told[event_type].add(event)
                    return [told for _, _, told in new]
                await trio.sleep(0.05)
        raise AssertionError(f"{flow.name}: {len(new)} of {count} events are stored")

    async def rows(self, flow: Flow, since: Any) -> list[str]:
        """The ids of the rows of current state that it wrote."""
        found: list[str] = []
        for table in flow.tables:
            if (name := IDS_OF_ROWS.get(table.name)) is not None:
                async with self.tree.real.pool.connection() as conn:
                    statement = f'select {name} from "{table.name}" where updated_at >= %s'  # noqa: S608
                    found += [row[0] for row in await (await conn.execute(statement, [since])).fetchall()]
        return found

    async def sheet(self, job_id: uuid.UUID) -> list[list[str]]:
        body = await self.tree.context.parts.objects.read(f"exports/{job_id}.csv")
        return list(csv.reader(io.StringIO(body.decode())))


@pytest.fixture
def clickhouse_url(clickhouse_folder: Path) -> Iterator[str]:
    with clickhouse_server(clickhouse_folder) as url:
        yield url


async def check(running: Running, flow: Flow, case: Case) -> None:
    job = await running.run(flow, case)
    assert job.status is JobStatus.COMPLETE, (flow.name, case.params, job.data)
    told = await running.new_events(flow, job.events - job.seq)  # a change of status is an event, too
    assert len(told) == job.events - job.seq, flow.name
    if flow.header:
        header, *rows = await running.sheet(job.id)
        assert header == list(flow.header)
        assert len(rows) == case.rows if case.rows is not None else rows, (flow.name, len(rows))
        return
    assert told, f"{flow.name} found nothing"
    assert set(await running.rows(flow, job.picked_at)) == set(told), flow.name
    found = set(told)
    assert found == case.true if case.whole else found <= case.true, (flow.name, len(found), len(case.true))


async def check_orders(running: Running, flow: Flow, store: str) -> None:
    """Of this shop all orders are rows, with the figures that the world knows."""
    job = await running.run(flow, Case({"store": store}))
    assert job.status is JobStatus.COMPLETE, (store, job.data)
    async with running.tree.real.pool.connection() as conn:
        rows = await (
            await conn.execute(
                "select platform_order_id, store, placed_at, total_price, (metrics ->> 'items')::int,"
                " (metrics ->> 'line_items')::int, status, currency from \"order\" where store = %s"
                " order by placed_at",
                [f"{store}{DOMAIN}"],
            )
        ).fetchall()
    stored = [dict(zip(TOLD_OF_ORDERS, row, strict=True)) for row in rows]
    true = (await running.world.ask(f"/truth/SHOPIFY/{store}?limit=10000"))["data"]
    assert stored == [{**each, "placed_at": dt.datetime.fromisoformat(each["placed_at"])} for each in true], store
    assert stored


async def test_every_flow_finds_what_is_true(database: str, clickhouse_url: str, tmp_path: Path) -> None:
    overrides: Sequence[str] = (
        f"postgres.url={database}", f"clickhouse.url={clickhouse_url}", f"data_dir={tmp_path}", "gateway.port=0",
        NO_RECEIVERS_HERE, "ops.port=0", "world.port=0", "world.creators=60", "world.owners=20", "world.history_days=0",
        "sinker.batch_age_s=0.1", "scraper.poll_s=0.2", "demo=false",  # whose followers would come among others'
        *(f"sources.{name}.enabled=true" for name, row in SOURCES.items() if row.unofficial),
    )  # fmt: skip
    tree = Tree(load(ROOT / "config" / "embedded.toml", overrides=overrides, environ={}), SystemClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        with trio.fail_after(ENOUGH_S):
            await tree.ready.wait()
        async with httpx.AsyncClient(base_url=tree.context.urls["world"], timeout=30) as client:
            running = Running(tree, tree.real.clickhouse, World(client))
            orders = FLOWS["refresh_orders_by_store"]
            await check(running, orders, await CASES[orders.name](running.world))
            async with trio.open_nursery() as shops:  # they wait for points, each for its own; nobody else has orders
                for store in STORES:
                    shops.start_soon(check_orders, running, orders, store)
                for flow in FLOWS.values():
                    if flow.name not in {orders.name, *OWN}:
                        await check(running, flow, await CASES[flow.name](running.world))
        tree.drain.request("test")
    for pool in (tree.real.pool, tree.real.web_pool, tree.real.terms_pool):
        await pool.aclose()


def test_every_flow_has_a_case() -> None:
    assert CASES.keys() == FLOWS.keys() - OWN
