"""Marts of profiles against plain Python, and partial ones against the full ones that follow."""

import datetime as dt
import json
import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board

ZONE = "Asia/Kolkata"


@pytest.fixture
def transformer(clickhouse: ClickHouse) -> Transformer:
    clock = SystemClock()
    graph = models.read(variables={"timezone": ZONE})
    return Transformer(clickhouse.builders, graph, Board(clock.now).actor("x"), clock, zone=ZONE)


def event(platform: str, profile_id: str, at: dt.datetime, metrics: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "platform": platform,
        "profile_id": profile_id,
        "event_timestamp": f"{at:%Y-%m-%d %H:%M:%S.%f}",
        "metrics": metrics,
        "dimensions": {},
        **more,
    }


async def store(clickhouse: ClickHouse, table: str, events: Sequence[Mapping[str, Any]]) -> None:
    await clickhouse.insert_ndjson(f"_e.{table}", "\n".join(map(json.dumps, events)).encode(), token=str(uuid.uuid4()))


async def build(transformer: Transformer, *select: str) -> None:
    assert [run for run in await transformer.run_models(select) if not run.ok] == []


def growth(series: Mapping[dt.date, int], today: dt.date, span: int, age: int, *, youtube: bool) -> float | None:
    """Rule 2.3, day by day."""
    known = {day: value for day, value in series.items() if today - dt.timedelta(days=104) <= day <= today}
    days = sorted(known)
    for day in [day for day in days if known[day] == 0]:
        before = [other for other in days if other < day and known.get(other)]
        after = [other for other in days if other > day and series[other]]
        if not before or series[before[-1]] < 100:
            continue
        if series[after[0]] >= 100 if after else (days[-1] - before[-1]).days < 3:
            del known[day]
    start = today - dt.timedelta(days=span)
    before, after = [d for d in sorted(known) if d <= start], [d for d in sorted(known) if d >= start]
    if not before or (today - max(known)).days > age:
        return None
    b: float
    if before[-1] == start:
        b = known[start]
    elif after and (after[0] - before[-1]).days <= 14:
        first, last = known[before[-1]], known[after[0]]
        b = first + (last - first) * (start - before[-1]).days / (after[0] - before[-1]).days
    elif (start - before[-1]).days <= age:
        b = known[before[-1]]
    else:
        return None
    v = known[max(known)]
    if b == 0:
        return None
    step = 10 ** (len(str(int(b))) - 3) if b >= 1000 else 1
    return 0.0 if youtube and abs(v - b) < step else (v - b) / b


@pytest.mark.parametrize("seed", [1, 2])
async def test_growth_is_that_of_plain_python(clickhouse: ClickHouse, transformer: Transformer, seed: int) -> None:
    rng = random.Random(seed)
    now = SystemClock().now()
    today = now.astimezone(ZoneInfo(ZONE)).date()
    midnight = dt.datetime.combine(today, dt.time(), ZoneInfo(ZONE)).astimezone(dt.UTC)
    series: dict[tuple[str, str], dict[dt.date, int]] = {}
    for number in range(60):
        platform = "YOUTUBE" if number % 3 == 0 else "INSTAGRAM"
        size, seen = rng.choice([40, 5000, 1_234_567]), rng.choice([0.1, 0.4, 0.95])
        days = [ago for ago in range(120) if rng.random() < seen]
        series[platform, f"p{number}"] = {
            today - dt.timedelta(days=ago): 0
            if rng.random() < 0.05
            else round(size * (1 - ago / 500) * rng.uniform(0.99, 1.01))
            for ago in days
        }
    events = [
        event(*key, midnight - dt.timedelta(days=(today - day).days), {"followers": value})
        for key, days in series.items()
        for day, value in days.items()
    ]
    rng.shuffle(events)
    await store(clickhouse, "profile_log_events", [*events, *events[::7]])
    await build(transformer, "tag:core", "mart_profile_growth")
    rows = {
        (row["platform"], row["profile_id"]): row
        for row in await clickhouse.rows("select * from dbt.mart_profile_growth")
    }
    told = 0
    for key, days in series.items():
        for span, age in ((7, 3), (30, 7), (90, 14)):
            expected = growth(days, today, span, age, youtube=key[0] == "YOUTUBE")
            said = rows.get(key, {}).get(f"growth_{span}d")
            assert said == (None if expected is None else pytest.approx(expected)), (key, span)
            told += expected is not None
    assert told > 60


async def test_a_partial_row_is_what_the_full_mart_says_next(clickhouse: ClickHouse, transformer: Transformer) -> None:
    now = SystemClock().now()

    def posts(who: str, numbers: range, likes: int) -> list[dict[str, Any]]:
        return [
            event("INSTAGRAM", who, SystemClock().now(), {"likes": likes, "comments": 1}, shortcode=f"{who}{number}",
                  post_id=f"{who}{number}", publish_time=f"{now - dt.timedelta(days=number + 2):%Y-%m-%d %H:%M:%S}")
            for number in numbers
        ]  # fmt: skip

    async def stats(mart: str) -> dict[str, tuple[Any, ...]]:
        rows = await clickhouse.rows(f"select profile_id, posts_used, avg_likes, engagement_rate from dbt.{mart}")  # noqa: S608
        return {row["profile_id"]: tuple(row.values())[1:] for row in rows}

    profiles = [event("INSTAGRAM", who, now, {"followers": 1000}) for who in "ab"]
    await store(clickhouse, "profile_log_events", profiles)
    await store(clickhouse, "post_log_events", posts("a", range(1, 5), 10) + posts("b", range(1, 5), 20))
    await build(transformer)
    announced = await clickhouse.rows(
        "select profile_id, avg_likes, built_at from dbt.mart_instagram_account_partial final"
    )
    assert {row["profile_id"]: row["avg_likes"] for row in announced} == {"a": 10, "b": 20}
    await store(clickhouse, "post_log_events", posts("a", range(3), 100))
    await build(transformer, "tag:core", "tag:recent")
    partial = await stats("mart_insta_recent_stats_partial")
    assert partial["a"] == (5, pytest.approx(64.0), pytest.approx(0.065))  # three of 100, two of 10
    assert (await stats("mart_insta_recent_stats"))["a"][0] == 4
    newest = max(row["built_at"] for row in announced)
    rows = await clickhouse.rows("select profile_id, avg_likes, built_at from dbt.mart_instagram_account_partial")
    changed = [row for row in rows if row["built_at"] > newest]
    assert [(row["profile_id"], row["avg_likes"]) for row in changed] == [("a", pytest.approx(64.0))]
    await build(transformer)
    assert (await stats("mart_insta_recent_stats"))["a"] == partial["a"]
    again = await clickhouse.rows("select count() as rows from dbt.mart_instagram_account_partial")
    await build(transformer, "tag:recent")
    assert await clickhouse.rows("select count() as rows from dbt.mart_instagram_account_partial") == again
