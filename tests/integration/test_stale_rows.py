"""The producers on real stores: stale rows become jobs with keys and priorities, once a period, while there is room."""

import datetime as dt
import json
from typing import Any

import pytest

from gcc.channels.jobs import JobFilter, JobStatus
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import load
from gcc.errors import Permanent
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping import stale
from gcc.pipelines.scraping.stale import PRODUCERS, StaleRows
from gcc.pipelines.scraping.table import Catalogue
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs

DUE = """
create table if not exists dbt.mart_staging_collection_due (
    platform String, kind String, id String, every_h UInt8, due_at DateTime64(6, 'UTC'), priority Int16
) engine = MergeTree order by (platform, kind, id)
"""
OLD = "2026-01-01 00:00:00.000000"
UUID = "019a0000-0000-7000-8000-00000000000{}"


class Bench:
    def __init__(self, clickhouse: ClickHouse, pool: Pool) -> None:
        self.clickhouse, self.pool = clickhouse, pool
        clock = SystemClock()
        self.jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())
        settings = load(None, environ={}, overrides=[])
        self.stale = StaleRows(clickhouse, pool, self.jobs, clock, settings, Catalogue())

    async def rows(self, table: str, *rows: dict[str, Any]) -> None:
        common = {"_version": 1, "updated_at": OLD, "scraped_at" if table.startswith("beat") else "created_at": OLD}
        body = "\n".join(json.dumps(common | row) for row in rows).encode()
        await self.clickhouse.command(f"truncate table {table}")
        await self.clickhouse.insert_ndjson(table, body, token=f"{table} {len(rows)} {rows}"[:200])

    async def jobs_of(self, flow: str) -> list[tuple[str, int, Any]]:
        found = await self.jobs.find(JobFilter(flow=flow, limit=100))
        return sorted((str(job.key), job.priority, job.params) for job in found)


@pytest.fixture
async def bench(clickhouse: ClickHouse, pool: Pool) -> Bench:
    await clickhouse.command("drop table if exists dbt.mart_staging_collection_due sync")
    return Bench(clickhouse, pool)


async def accounts(bench: Bench, *handles: str, **columns: Any) -> None:
    await bench.rows(
        "beat_replica.instagram_account",
        *(
            {"profile_id": f"10{number}", "id": UUID.format(number), "handle": handle, "state": "active", "source": "x"}
            | columns
            for number, handle in enumerate(handles)
        ),
    )


@pytest.mark.parametrize("producer", PRODUCERS, ids=lambda producer: producer.name)
async def test_every_statement_runs_where_there_is_nothing(bench: Bench, producer: Any) -> None:
    await bench.clickhouse.command(DUE)
    found = await bench.clickhouse.rows(stale._statement(producer.name), {"limit": 5})
    assert isinstance(found, list)


async def test_stale_accounts_are_asked_for_once_a_period_the_viewed_first(bench: Bench) -> None:
    await accounts(bench, "tail", "collected", "viewed")
    await bench.rows(
        "coffee_replica.profile_collection_item",
        {
            "id": UUID.format(1),
            "partner_id": 1,
            "collection_id": UUID.format(2),
            "platform": "INSTAGRAM",
            "platform_profile_id": "101",
        },
    )
    await bench.rows(
        "coffee_replica.partner_contract",
        {
            "id": UUID.format(3),
            "partner_id": 1,
            "type": "SAAS",
            "plan": "PRO",
            "starts_at": OLD,
            "ends_at": "2100-01-01 00:00:00",
        },
    )
    today = f"{SystemClock().now():%Y-%m-%d}"
    await bench.rows(
        "coffee_replica.partner_profile_page_track",
        {
            "id": UUID.format(4),
            "partner_id": 1,
            "platform": "INSTAGRAM",
            "profile_id": "102",
            "day": today,
            "access_count": 3,
        },
    )
    assert await bench.stale.produce("insta_profiles_basic") == {"stale": 3, "enqueued": 3}
    period = f"{SystemClock().now():%Y%m%d}T00"
    assert await bench.jobs_of("refresh_profile_basic") == [
        (f"refresh_profile_basic:100:{period}", 0, {"handle": "tail"}),
        (f"refresh_profile_basic:101:{period}", 5, {"handle": "collected"}),
        (f"refresh_profile_basic:102:{period}", 8, {"handle": "viewed"}),
    ]
    assert (await bench.stale.produce("insta_profiles_basic"))["enqueued"] == 0
    await bench.jobs.cancel(JobFilter(flow="refresh_profile_basic"))
    assert (await bench.stale.produce("insta_profiles_basic"))["enqueued"] == 0, "however that ended"
    await accounts(bench, "tail", "collected", "viewed", "new")
    assert await bench.stale.produce("insta_profiles_basic") == {"stale": 4, "enqueued": 1}


async def test_what_is_fresh_or_gone_is_left_alone(bench: Bench) -> None:
    now = f"{SystemClock().now():%Y-%m-%d %H:%M:%S}"
    await accounts(bench, "fresh", scraped_at=now)
    assert (await bench.stale.produce("insta_profiles_basic"))["stale"] == 0
    await accounts(bench, "gone", state="gone")
    assert (await bench.stale.produce("insta_profiles_basic"))["stale"] == 0
    assert (await bench.stale.produce("insta_profiles_by_id"))["enqueued"] == 1


async def test_the_queues_room_is_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "WAITING_MAX", 2)
    await accounts(bench, "a", "b", "c")
    assert (await bench.stale.produce("insta_profiles_basic"))["enqueued"] == 2
    full = await bench.stale.produce("insta_profiles_basic")
    assert full == {"enqueued": 0, "why": "2 jobs of refresh_profile_basic wait"}
    await bench.jobs.cancel(JobFilter(flow="refresh_profile_basic", status=JobStatus.PENDING))
    assert (await bench.stale.produce("insta_profiles_basic"))["enqueued"] == 1, "what was asked for takes no room"


async def test_a_row_that_makes_no_job_is_counted(bench: Bench) -> None:
    await accounts(bench, "good", "  ", "x" * 200)
    assert await bench.stale.produce("insta_profiles_basic") == {"stale": 3, "enqueued": 1, "refused": 2}


async def test_flows_without_sources_and_models_not_built_are_told(bench: Bench) -> None:
    off = {"enqueued": 0, "why": "none of the sources of fetch_post_likes is switched on"}
    assert await bench.stale.produce("insta_likes") == off
    unbuilt = {"enqueued": 0, "why": "dbt.mart_staging_collection_due is not built yet"}
    assert await bench.stale.produce("yt_posts_collections") == unbuilt
    with pytest.raises(Permanent, match="there is no producer 'nobody'; there are insta_profiles_tracked"):
        await bench.stale.produce("nobody")


async def test_due_videos_share_jobs(bench: Bench) -> None:
    await bench.clickhouse.command(DUE)
    due = (SystemClock().now() - dt.timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    rows = [
        {"platform": "YOUTUBE", "kind": "POST", "id": f"video{number:03}", "every_h": 1, "due_at": due, "priority": 5}
        for number in range(60)
    ]
    body = "\n".join(map(json.dumps, rows)).encode()
    await bench.clickhouse.insert_ndjson("dbt.mart_staging_collection_due", body, token="due")
    assert await bench.stale.produce("yt_posts_collections") == {"stale": 60, "enqueued": 2}
    jobs = await bench.jobs_of("refresh_yt_posts")
    assert [len(params["video_ids"]) for _, _, params in jobs] == [50, 10]
    assert (await bench.stale.produce("yt_posts_collections"))["enqueued"] == 0


async def test_rows_that_make_no_job_are_in_nobodys_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, and however urgent: a tenant may have mistyped them."""
    monkeypatch.setattr(stale, "WAITING_MAX", 2)
    await accounts(bench, *["  "] * 5, "good")
    assert await bench.stale.produce("insta_profiles_basic") == {"stale": 6, "enqueued": 1, "refused": 5}
    assert await bench.stale.produce("insta_profiles_basic") == {"stale": 6, "enqueued": 0}
    await bench.clickhouse.command(DUE)
    due = (SystemClock().now() - dt.timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    rows = [
        {"platform": "YOUTUBE", "kind": "POST", "id": name, "every_h": 1, "due_at": due, "priority": 5}
        for name in ("", "a b", "video1", "video2", "x" * 300)
    ]
    body = "\n".join(map(json.dumps, rows)).encode()
    await bench.clickhouse.insert_ndjson("dbt.mart_staging_collection_due", body, token="odd")
    assert await bench.stale.produce("yt_posts_collections") == {"stale": 5, "enqueued": 1, "refused": 3}
    assert [params["video_ids"] for *_, params in await bench.jobs_of("refresh_yt_posts")] == [["video1", "video2"]]


async def test_who_is_followed_is_asked_for_by_platform(bench: Bench) -> None:
    async with bench.pool.connection() as conn:
        await conn.execute(
            "insert into tracked_profile (platform, profile_id, handle) values"
            " ('INSTAGRAM', '1', 'asha'), ('YOUTUBE', 'UC0123456789012345678901', 'asha')"
        )
    assert await bench.stale.produce("insta_profiles_tracked") == {"stale": 1, "enqueued": 1}
    assert await bench.stale.produce("yt_profiles_tracked") == {"stale": 1, "enqueued": 1}
