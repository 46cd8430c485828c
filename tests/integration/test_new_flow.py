"""A further kind of crawl, declared here and not in the package: one table, one row of a flow, how its source is asked,
and what becomes of the answer."""

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pydantic
import pytest
from psycopg.rows import dict_row

from gcc.actors.scraper import Retries
from gcc.channels.jobs import Crawl, NewJob, Room
from gcc.channels.memory import Signal
from gcc.channels.message import NewId, Route, frames
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.flow import Flow, Params
from gcc.pipelines.scraping.table import Apis
from gcc.pipelines.scraping.work import FlowWork
from gcc.pipelines.scraping.yields import Yield
from gcc.platforms import INSTAGRAM
from gcc.sources.chain import Visit
from gcc.sources.verdicts import SourceFailed
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.tables import Table, Upsert
from tests.fakes.erasures import NobodyErased
from tests.fakes.objects import MemoryObjects

AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
FOLLOWER = Table(
    "follower",
    key={"profile_id": "text", "follower_id": "text"},
    first={"first_seen_at": "timestamptz"},
    latest={"seen_at": "timestamptz"},
    known={"handle": "text", "labels": "text[]"},
    newer="seen_at",
)
FOLLOWED = Route("followers.dx", "follower_rk")


class FollowersParams(Params):
    profile_id: str


class Followers(pydantic.BaseModel):
    profile_id: str
    at: dt.datetime
    found: Sequence[dict[str, Any]]


def of_followers(followers: Followers, new_id: NewId) -> Yield:
    rows = [
        {"profile_id": followers.profile_id, "first_seen_at": followers.at, "seen_at": followers.at, **follower}
        for follower in followers.found
    ]
    lines = [msgspec.json.encode({"event_id": str(new_id()), "id": row["follower_id"]}) for row in rows]
    return Yield([Upsert(FOLLOWER, rows)], list(frames(FOLLOWED, lines, new_id)), {"followers": len(rows)})


async def down(api: object, params: FollowersParams, visit: Visit) -> Followers:
    raise SourceFailed("down")


async def of_profile(api: Iterator[Followers], params: FollowersParams, visit: Visit) -> Followers:
    return next(api)


@pytest.fixture
async def followers(pool: Pool) -> Pool:
    async with pool.connection() as conn:
        await conn.execute(
            "create table follower (profile_id text, follower_id text, first_seen_at timestamptz not null,"
            " seen_at timestamptz not null, handle text, labels text[], primary key (profile_id, follower_id))"
        )
    return pool


async def test_a_flow_of_another_kind_is_a_row_its_retrieve_and_its_yield(followers: Pool) -> None:
    later = AT + dt.timedelta(days=1)
    api = iter((
        Followers(profile_id="1", at=AT, found=[{"follower_id": "b", "handle": "bo"}, {"follower_id": "a"}]),
        Followers(
            profile_id="1", at=later, found=[{"follower_id": "b"}, {"follower_id": "c", "labels": ['x "y"', "z"]}]
        ),
    ))  # fmt: skip
    flow = Flow(
        "followers_of_profile",
        INSTAGRAM.name,
        FollowersParams,
        {"first": down, "second": of_profile},
        of_followers,
        workers=1,
        events=(),
        tables=(FOLLOWER,),
    )
    clock = SystemClock()
    jobs = PostgresJobs(followers, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
    unused: Any = None
    apis = Apis({"first": unused, "second": api}, unused, unused)
    work = FlowWork(flow, apis, MemoryObjects(), NobodyErased(), clock, Retries(3, Backoff(1, 2)), random.Random(0))
    for _ in range(2):
        await jobs.enqueue([NewJob(flow.name, flow.platform, {"profile_id": "1"})])
        (job,) = await jobs.claim({flow.name: Room(1)})
        crawl = await work(job)
        assert isinstance(crawl, Crawl)
        assert (crawl.source, crawl.events, crawl.data) == ("second", 2, {"followers": 2})
        await jobs.complete(job, crawl)
    async with followers.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("select * from follower order by follower_id")
        assert await cursor.fetchall() == [
            {"profile_id": "1", "follower_id": follower, "first_seen_at": first, "seen_at": seen, "handle": handle,
             "labels": labels}
            for follower, first, seen, handle, labels in (
                ("a", AT, AT, None, None), ("b", AT, later, "bo", None), ("c", later, later, None, ['x "y"', "z"]),
            )
        ]  # fmt: skip
        await cursor.execute("select sum(events) as told from outbox where exchange = 'followers.dx'")
        assert await cursor.fetchall() == [{"told": 4}]
