"""The looks that schedules take, by the pipeline whole: what they find is told once, stored, and sent signed."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from gcc.channels.deadletters import Burial
from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.config import load
from gcc.errors import Permanent, Transient
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.alerts import Webhook, signature
from gcc.pipelines.analytics.freshness import AGE_S_MAX
from gcc.pipelines.analytics.pipeline import AnalyticsPipeline
from gcc.pipelines.declared import Context, Parts, Real
from gcc.pipelines.events.routes import ALERT
from gcc.pipelines.timetable import ROWS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import Drain
from tests.contexts import context, partly
from tests.fakes.fetcher import FakeFetcher, Reply

SECRET, URL = "hush-hush", "https://hooks.example.org/gcc"
SELDOM = [f"analytics.schedules.{row.name}=0 0 29 2 *" for row in ROWS if row.cron]


class Bench:
    def __init__(self, clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> None:
        self.clickhouse, self.pool = clickhouse, pool
        real = partly(Real, clickhouse=clickhouse, pool=pool, terms_pool=pool)
        parts = partly(Parts, real=real, objects=FolderObjects(tmp_path))
        environ = {"GCC_ALERTS__SECRET": SECRET, "GCC_ALERTS__URL": URL}
        self.context: Context = context(load(None, environ=environ, overrides=SELDOM), Drain(["intake"], 10.0), parts)
        self.pipeline = AnalyticsPipeline(self.context)

    async def run(self, name: str) -> dict[str, Any]:
        ended = await self.pipeline.scheduler.trigger(name)
        assert ended.status == "COMPLETE", ended.detail
        return dict(ended.detail or {})

    async def alerts(self) -> list[bytes]:
        """What waits to be posted, in its order."""
        async with self.pool.connection() as connection:
            rows = await connection.execute(
                "select body from outbox where exchange = %s and routing_key = %s order by id",
                [ALERT.exchange, ALERT.key],
            )
            return [bytes(body) for (body,) in await rows.fetchall()]

    async def kinds(self) -> list[tuple[str, str, str]]:
        alerts = [json.loads(body) for body in await self.alerts()]
        return [(alert["kind"], alert["subject"], alert["reason"]) for alert in alerts]

    async def built(self, name: str, age_s: int) -> None:
        await self.clickhouse.command(
            "insert into dbt.model_run (run_id, model, started_at, seconds, rows)"
            f" select generateUUIDv4(), '{name}', now64(6) - {age_s}, 1, 1"
        )

    async def stored(self, test: str) -> dict[str, tuple[bool, str, str]]:
        rows = await self.clickhouse.rows(
            "select model, argMax(ok, at) as ok, argMax(severity, at) as severity, argMax(said, at) as said"
            " from dbt.model_test where test = {test:String} group by model",
            {"test": test},
        )
        return {row["model"]: (row["ok"], row["severity"], row["said"]) for row in rows}


@pytest.fixture
async def bench(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(clickhouse, pool, tmp_path)
    for table in ("model_run", "model_test"):
        await clickhouse.command(f"drop table if exists dbt.{table} sync")
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.pipeline.run)
        yield bench
        nursery.cancel_scope.cancel()


async def test_what_is_late_is_told_once_until_it_is_built(bench: Bench) -> None:
    assert (await bench.run("freshness_check"))["late"] == 0, "nothing was ever built: the platform has just begun"
    promised = {
        model.name: min(AGE_S_MAX[tag] for tag in model.tags & AGE_S_MAX.keys())
        for model in models.read(variables={"timezone": "UTC"})
        if model.materialized != "view" and model.tags & AGE_S_MAX.keys()
    }
    for name in promised:
        await bench.built(name, 1300 if name == "mart_leaderboard" else 1)
    detail = await bench.run("freshness_check")
    assert (detail["looked_at"], detail["late"]) == (len(promised), 1)
    assert [(row["model"], row["tag"]) for row in detail["models"]] == [("mart_leaderboard", "core")]
    await bench.run("freshness_check")
    (alert,) = await bench.kinds()
    assert alert == ("STALE", "freshness_check", "core: 1 older than 20 min (mart_leaderboard)")
    stored = await bench.stored("freshness")
    assert stored.keys() == promised.keys()
    assert {name for name, (ok, _, _) in stored.items() if not ok} == {"mart_leaderboard"}
    assert {severity for _, severity, _ in stored.values()} == {"warn"}, "it holds up no sync"
    await bench.built("mart_leaderboard", 0)
    assert (await bench.run("freshness_check"))["late"] == 0
    assert (await bench.stored("freshness"))["mart_leaderboard"][0]


async def test_an_alert_is_posted_signed_and_again_until_it_is_taken(bench: Bench) -> None:
    await bench.run("freshness_check")
    await bench.built("mart_leaderboard", 30 * 3600 + 1)
    await bench.run("freshness_check")
    (body,) = await bench.alerts()
    statuses = [503, 204]
    fetcher = FakeFetcher(lambda request: Reply(statuses.pop(0)))

    class Buried:
        async def bury(self, burials: Sequence[Burial]) -> None:
            assert not burials

    clock = SystemClock()
    webhook = Webhook(fetcher, Buried(), clock, bench.context.settings.alerts)
    delivery = Delivery("alert_q", 1, Frame(clock.new_id(), ALERT, 1, body), 1)
    with pytest.raises(Transient, match="answers 503"):
        await webhook.handle([delivery])
    assert await webhook.handle([delivery]) == 1
    request = fetcher.requests[-1]
    at = int(request.headers["x-gcc-timestamp"])
    assert request.headers["x-gcc-signature"] == f"v1={signature(SECRET, at, request.body)}"
    assert (request.url, json.loads(request.body)["kind"]) == (URL, "STALE")


async def test_an_hour_without_the_usual_events_is_told(bench: Bench) -> None:
    [now] = await bench.clickhouse.rows("select toStartOfHour(now64(6, 'UTC')) as hour")
    hour = now["hour"] - dt.timedelta(hours=1)
    at = f"toDateTime64('{hour:%Y-%m-%d %H:%M:%S}', 6, 'UTC') - toIntervalDay(1 + number % 10) + interval 5 minute"
    await bench.clickhouse.command(
        "insert into _e.profile_log_events (event_id, event_timestamp, platform, profile_id, insert_timestamp)"  # noqa: S608
        f" select generateUUIDv4(), at, 'INSTAGRAM', 'a', at from (select {at} as at from numbers(1000))"
    )
    for _ in range(2):
        detail = await bench.run("volume_check")
    said = f"0 events in the hour from {hour:%H:%M}Z, usually 80 to 120"
    assert detail["tables"] == {"_e.profile_log_events": said}
    assert await bench.kinds() == [("UNUSUAL", "volume_check", f"_e.profile_log_events: {said}")]
    assert await bench.stored("volume") == {"_e.profile_log_events": (False, "warn", said)}


async def test_what_stands_is_tested_and_what_is_wrong_is_not_synced(bench: Bench) -> None:
    facet = "select 'grade' as kind, 'INSTAGRAM' as platform, 'A' as value, 'A' as label, toInt64(1) as count"
    made = "create or replace table dbt.mart_search_facet engine = MergeTree order by tuple() as"
    await bench.clickhouse.command(f"{made} {facet} union all {facet}")
    for _ in range(2):
        detail = await bench.run("model_tests")
    assert (detail["failed"], detail["warnings"]) == (1, 0)
    (said,) = detail["models"]
    assert said.startswith("mart_search_facet: unique kind, platform, value: 1 wrong")
    assert await bench.kinds() == [("WRONG", "model_tests", said)]
    assert (await bench.stored("unique"))["mart_search_facet"][:2] == (False, "error")
    (sync,) = bench.context.syncs
    with pytest.raises(Permanent, match="mart_search_facet is wrong by its tests"):
        await sync.sync("dictionary")
    await bench.clickhouse.command(f"{made} {facet}")
    assert (await bench.run("model_tests"))["failed"] == 0
    assert (await sync.sync("dictionary")).outcome == "swapped"
