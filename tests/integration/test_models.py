"""The models on a real ClickHouse: values by hand, values by an oracle, and how the transformer builds them."""

import datetime as dt
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio

from gcc.actors.modelled import ModelRun, Slice
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Actor, Board, State
from tests.integration.snapshots_oracle import Key, Row, Snapshot, leaderboard, ndjson, time_series

ZONE = "Asia/Kolkata"
IG, YT = "INSTAGRAM", "YOUTUBE"
Make = Callable[..., tuple[Transformer, Actor]]


@pytest.fixture
def make(clickhouse: ClickHouse) -> Make:
    def make(folder: Path = models.MODELS, *, threads: int = 2, zone: str = ZONE) -> tuple[Transformer, Actor]:
        clock = SystemClock()
        actor = Board(clock.now).actor("transformer")
        graph = models.read(folder, variables={"timezone": zone})
        return Transformer(clickhouse.builders, graph, actor, clock, zone=zone, threads=threads), actor

    return make


class Marts:
    """Stores events, builds everything, reads marts."""

    def __init__(self, clickhouse: ClickHouse, transformer: Transformer) -> None:
        self._clickhouse = clickhouse
        self._transformer = transformer
        self._batches = 0

    async def store(self, *snapshots: Snapshot) -> None:
        self._batches += 1
        await self._clickhouse.insert_ndjson("_e.profile_log_events", ndjson(snapshots), token=f"batch {self._batches}")

    async def store_posts(self, *posts: Row) -> None:
        self._batches += 1
        body = "\n".join(json.dumps(post) for post in posts).encode()
        await self._clickhouse.insert_ndjson("_e.post_log_events", body, token=f"batch {self._batches}")

    async def build(self) -> None:
        """What changed; and whole, as an import has it, what freezes: these snapshots are of months long over."""
        runs = await self._transformer.run_models(["tag:core"])
        runs += await self._transformer.run_models(["mart_leaderboard_rank", "mart_leaderboard"], whole=True)
        assert [run for run in runs if not run.ok] == []

    async def rows(self, mart: str, *key: str) -> dict[Key, Row]:
        found = await self._clickhouse.rows(f"select * from dbt.{mart}")  # noqa: S608
        rows = {tuple(row[name] for name in key): row for row in found}
        assert len(rows) == len(found), "keys are unique"
        return rows

    async def leaderboard(self) -> dict[Key, Row]:
        return await self.rows("mart_leaderboard", "platform", "profile_id", "month")

    async def time_series(self) -> dict[Key, Row]:
        """Without built_at, which differs each time."""
        rows = await self.rows("mart_time_series", "platform", "profile_id", "date")
        return {key: {name: value for name, value in row.items() if name != "built_at"} for key, row in rows.items()}


@pytest.fixture
def marts(clickhouse: ClickHouse, make: Make) -> Marts:
    return Marts(clickhouse, make()[0])


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


async def test_days_and_months_end_at_local_midnight(marts: Marts) -> None:
    await marts.store(
        Snapshot(IG, "a", "2026-01-31 18:29:59.999999", {"followers": 10}),  # 23:59:59 in Kolkata
        Snapshot(IG, "a", "2026-01-31 18:30:00.000000", {"followers": 20}),  # 00:00:00, February
        Snapshot(IG, "a", "2026-02-01 18:29:00.000000", {"followers": 30}),  # 23:59 on February 1st
    )
    await marts.build()
    series = await marts.time_series()
    assert {key[2]: row["followers"] for key, row in series.items()} == {day("2026-01-31"): 10, day("2026-02-01"): 30}
    board = await marts.leaderboard()
    assert {key[2]: row["followers"] for key, row in board.items()} == {day("2026-01-01"): 10, day("2026-02-01"): 30}


async def test_a_snapshot_of_a_time_to_come_outranks_nobody(marts: Marts) -> None:
    await marts.store(
        Snapshot(IG, "a", "2026-03-01 00:00:00.000000", {"followers": 10}, {"category": "Food"}),
        Snapshot(IG, "a", "2150-03-01 00:00:00.000000", {"followers": 5}, {"category": "Typo"}),
        Snapshot(IG, "b", "2150-03-01 00:00:00.000000", {"followers": 5}),
    )
    await marts.store_posts(
        *[
            {
                "event_id": f"00000000-0000-7000-8000-00000000{year}",
                "platform": IG,
                "profile_id": "a",
                "shortcode": "p1",
                "post_id": "p1",
                "event_timestamp": f"{year}-03-01 00:00:00",
                "metrics": {"likes": year},
                "dimensions": {},
            }
            for year in (2026, 2150)
        ]
    )
    await marts.build()
    assert list(await marts.time_series()) == [(IG, "a", day("2026-03-01"))]
    ((key, ranked),) = (await marts.leaderboard()).items()
    assert (key[1:], ranked["followers"], ranked["category"]) == (("a", day("2026-03-01")), 10, "food")
    assert {row["likes"] for row in (await marts.rows("mart_post_latest", "shortcode")).values()} == {2026}


async def test_a_snapshot_whose_time_has_come_since_the_last_build_is_seen_by_the_next(
    marts: Marts, clickhouse: ClickHouse
) -> None:
    await marts.store(Snapshot(IG, "a", "2026-03-01 00:00:00.000000", {"followers": 1}))
    await marts.build()
    [tomorrow] = await clickhouse.rows("select toString(now64(6, 'UTC') + interval 1 day) as at")
    await marts.store(Snapshot(IG, "b", tomorrow["at"], {"followers": 2}))
    age = "update insert_timestamp = insert_timestamp - interval 1 day where true settings mutations_sync = 1"
    await clickhouse.command(f"alter table _e.profile_log_events {age}")
    await marts.build()
    assert {key[1] for key in await marts.time_series()} == {"a", "b"}


async def test_the_day_s_last_known_value_counts_metric_by_metric(marts: Marts) -> None:
    await marts.store(
        Snapshot(YT, "a", "2026-03-01 08:00:00.000000", {"followers": 1, "views": 100, "engagement_rate": 2.5}),
        Snapshot(YT, "a", "2026-03-01 09:00:00.000000", {"followers": 2, "views": None}),
        Snapshot(YT, "a", "2026-03-01 07:00:00.000000", {"followers": 3, "views": 300, "media_count": 9}),  # came late
        Snapshot(YT, "a", "2026-03-02 07:00:00.000000", {"following": 5}),
    )
    await marts.build()
    series = await marts.time_series()
    assert series[YT, "a", day("2026-03-01")] == {
        "platform": YT,
        "profile_id": "a",
        "date": day("2026-03-01"),
        "followers": 2,
        "following": None,
        "media_count": 9,
        "views": 100,
        "engagement": 2.5,
    }
    assert series[YT, "a", day("2026-03-02")]["followers"] is None


async def test_ranks_ties_nulls_and_groups(marts: Marts) -> None:
    def snapshot(profile_id: str, followers: int | None, rate: float | None, **dimensions: str) -> Snapshot:
        metrics = {"followers": followers, "engagement_rate": rate}
        return Snapshot(IG, profile_id, "2026-03-05 00:00:00.000000", metrics, dimensions)

    await marts.store(
        snapshot("a", 3000, 1.0, category="Food", language="hi"),
        snapshot("b", 5000, 3.0, category="food", language="ta", country="IN"),
        snapshot("c", 3000, None, category="Art", language="Hindi", country="India"),
        snapshot("d", 1000, 2.0, language="hi-IN"),
        snapshot("e", None, 9.0, category="Food & Drink"),
        snapshot("f", 999, 9.0, category="Digital creator"),
        Snapshot(YT, "a", "2026-03-05 00:00:00.000000", {"followers": 1000, "views": 8}, {"category": "Food"}),
        Snapshot(YT, "z", "2026-03-05 00:00:00.000000", {"followers": 2000, "views": 4}, {"category": "Food"}),
    )
    await marts.build()
    board = await marts.leaderboard()

    def column(name: str, platform: str = IG) -> list[Any]:
        return [row[name] for key, row in sorted(board.items()) if key[0] == platform]

    assert column("followers_rank") == [2, 1, 2, 4, None, 5]
    assert column("followers_rank_by_cat") == [2, 1, 1, None, None, None]  # Food and food are one category
    assert column("followers_rank_by_lang") == [1, 1, 1, 3, None, None]
    assert column("followers_rank_by_country") == [None, 1, 2, None, None, None]
    assert column("followers_rank_by_cat_lang") == [1, 1, 1, None, None, None]
    assert column("engagement_rate_rank") == [3, 1, None, 2, None, None]  # of who has 1,000 followers
    assert column("engagement_rate_rank_by_cat") == [2, 1, None, None, None, None]
    assert column("views_rank") == [None] * 6
    assert column("views_rank_by_cat") == [None] * 6
    assert column("views_rank", YT) == [1, 2]
    assert column("followers_rank", YT) == [2, 1]
    assert column("category") == ["food", "food", "art", None, "food", None]


async def test_the_month_before_is_the_calendar_s(marts: Marts) -> None:
    def snapshot(profile_id: str, month: str, followers: int) -> Snapshot:
        return Snapshot(IG, profile_id, f"{month}-10 00:00:00.000000", {"followers": followers})

    await marts.store(
        *[snapshot("a", "2025-12", 10), snapshot("b", "2025-12", 20), snapshot("b", "2025-11", 5)],
        *[snapshot("a", "2026-01", 40), snapshot("c", "2026-01", 30), snapshot("b", "2026-02", 1)],
    )
    await marts.build()
    board = await marts.leaderboard()
    ranks = {(key[1], str(key[2])): (row["followers_rank"], row["followers_rank_prev"]) for key, row in board.items()}
    assert ranks == {
        ("b", "2025-11-01"): (1, None),
        ("a", "2025-12-01"): (2, None),
        ("b", "2025-12-01"): (1, 1),
        ("a", "2026-01-01"): (1, 2),
        ("c", "2026-01-01"): (2, None),
        ("b", "2026-02-01"): (1, None),  # not known in January: December does not count
    }


async def test_attributes_are_the_latest_known_of_any_snapshot(marts: Marts) -> None:
    await marts.store(
        Snapshot(YT, "UC1", "2024-05-01 00:00:00.000000", {}, {"category": "Music", "language": "hi"}),  # an import
        Snapshot(YT, "UC1", "2026-03-01 00:00:00.000000", {"followers": 1}, {"category": "", "full_name": "Old"}),
        Snapshot(YT, "UC1", "2026-03-02 00:00:00.000000", {"followers": 2}, {"handle": "@new", "full_name": "New"}),
    )
    await marts.store_posts(
        *[
            {
                "event_id": f"00000000-0000-7000-8000-00000000000{number}",
                "platform": YT,
                "profile_id": "UC1",
                "shortcode": shortcode,
                "post_id": shortcode,
                "publish_time": "2026-02-01 00:00:00",
                "event_timestamp": at,
                "metrics": metrics,
                "dimensions": {},
            }
            for number, (shortcode, at, metrics) in enumerate(
                [
                    ("p1", "2026-03-01 00:00:00", {"likes": 1, "views": 7}),
                    ("p1", "2026-03-02 00:00:00", {"likes": 2}),
                    ("p2", "2026-03-02 00:00:00", {"likes": 3}),
                ]
            )
        ]
    )
    await marts.build()
    expected = {"category": "Music", "language": "hi", "country": None, "full_name": "New", "handle": "@new"}
    board = await marts.leaderboard()
    assert len(board) == 2
    ranked = {**expected, "category": "music"}
    assert all(row.items() >= ranked.items() for row in board.values())  # of every month
    account = (await marts.rows("mart_youtube_account", "channel_id"))["UC1",]
    del expected["full_name"]
    told = {**expected, "category": "music", "title": "New", "subscribers": 2, "posts_known": 2}
    assert account.items() >= told.items()
    posts = await marts.rows("mart_post_latest", "shortcode")
    assert {key[0]: (row["likes"], row["views"]) for key, row in posts.items()} == {"p1": (2, 7), "p2": (3, None)}
    assert await marts.rows("mart_instagram_account", "profile_id") == {}


@pytest.mark.parametrize("seed", range(4))
async def test_all_ranks_and_series_are_the_oracle_s(
    marts: Marts, make: Make, clickhouse: ClickHouse, seed: int
) -> None:
    rng = random.Random(seed)
    snapshots = [_random_snapshot(rng) for _ in range(400)]
    stored: list[Snapshot] = []
    for part in (snapshots[:250], snapshots[250:330], snapshots[330:]):
        again = rng.sample(stored, min(20, len(stored)))  # delivered twice, in another batch
        await marts.store(*part, *again)
        stored += part
        await marts.build()  # the first whole, the others incremental
        assert await marts.time_series() == time_series(stored, ZONE)
        assert await marts.leaderboard() == leaderboard(stored, ZONE)
    other = Marts(clickhouse, make(zone="America/Los_Angeles")[0])  # another text: everything is built anew
    await other.build()
    assert await other.leaderboard() == leaderboard(stored, "America/Los_Angeles")


def _random_snapshot(rng: random.Random) -> Snapshot:
    platform = rng.choice([IG, YT])
    at = dt.datetime(2025, 11, 25) + dt.timedelta(microseconds=rng.randrange(100 * 86_400 * 10**6))  # noqa: DTZ001
    metrics: Row = {
        "followers": 990 + rng.randrange(30),
        "following": rng.randrange(5),
        "engagement_rate": rng.randrange(9) / 7,
    }
    if platform == YT:
        metrics["views"] = rng.randrange(20)
    metrics = {name: value if rng.random() < 0.8 else None for name, value in metrics.items() if rng.random() < 0.9}
    choices = {"category": ["Food", "food", "Art", ""], "language": ["hi", "ta", "Tamil", None]}
    choices |= {"country": ["IN", "India", "US"]}
    choices |= {"full_name": ["Asha", "आशा 🙂"], "handle": ["one", "two"]}
    dimensions = {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.3}
    return Snapshot(platform, f"p{rng.randrange(12)}", f"{at:%Y-%m-%d %H:%M:%S.%f}", metrics, dimensions)


# How the transformer builds. Its models here are small files of the test.


def write(folder: Path, **bodies: str) -> Path:
    for name, body in bodies.items():
        how = "view" if name.startswith("stg_") else "incremental" if "is_incremental" in body else "table"
        (folder / f"{name}.sql").write_text(f"-- description: x\n-- materialized: {how}\n-- unique_key: id\n{body}\n")
    return folder


def by_name(runs: Sequence[ModelRun]) -> dict[str, ModelRun]:
    return {run.model: run for run in runs}


async def test_a_failing_model_stops_its_descendants_only_and_is_seen(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    folder = write(
        tmp_path,
        stg_one="select 1 as id",
        mart_good="select id from {{ ref('stg_one') }}",
        mart_bad="select id from {{ ref('stg_one') }}",
        mart_child="select id from {{ ref('mart_bad') }}",
        mart_grandchild="select id from {{ ref('mart_child') }}",
    )
    assert all(run.ok for run in await make(folder)[0].run_models())
    write(folder, mart_bad="select id, throwIf(id = 1, 'it is one') as x from {{ ref('stg_one') }}")
    transformer, actor = make(folder)
    runs = by_name(await transformer.run_models())
    assert {name for name, run in runs.items() if run.ok} == {"stg_one", "mart_good"}
    assert "it is one" in str(runs["mart_bad"].error)
    assert runs["mart_grandchild"].error == "not built: mart_child failed"
    assert {name for name, run in runs.items() if run.skipped} == {"mart_child", "mart_grandchild"}
    assert not runs["mart_bad"].transient
    assert "mart_bad" in str(actor.last_error)
    assert actor.state is State.WAITING
    assert actor.in_flight == 0
    assert await clickhouse.rows("select id from dbt.mart_bad") == [{"id": 1}]  # as the last good run left it
    recorded = await clickhouse.rows(
        "select error from dbt.model_run where model = 'mart_bad' order by started_at desc limit 1"
    )
    assert "it is one" in recorded[0]["error"]
    write(folder, mart_bad="select id from {{ ref('stg_one') }}")
    assert all(run.ok for run in await make(folder)[0].run_models())


@pytest.mark.parametrize("error", [KeyError("watermark"), ValueError("a NUL \0, half \ud83d")], ids=repr)
async def test_a_bug_in_a_model_is_its_own(tmp_path: Path, make: Make, error: Exception) -> None:
    folder = write(
        tmp_path, mart_a="select 1 as id", mart_bad="select 1 as id", mart_child="select id from {{ ref('mart_bad') }}",
        mart_z="select 1 as id",
    )  # fmt: skip
    transformer, actor = make(folder)

    def broken(scope: Slice) -> str:
        raise error

    transformer._models = [
        replace(model, select=broken) if model.name == "mart_bad" else model for model in transformer._models
    ]
    with structlog.testing.capture_logs() as logs:
        runs = by_name(await transformer.run_models())
    assert {name for name, run in runs.items() if run.ok} == {"mart_a", "mart_z"}
    assert {name for name, run in runs.items() if run.skipped} == {"mart_child"}
    assert [(log["event"], log["model"], log["exc_info"]) for log in logs] == [("bug", "mart_bad", error)]
    assert (actor.bugs, actor.state, actor.in_flight) == (1, State.WAITING, 0)


async def test_what_is_skipped_is_worth_another_try_as_what_it_reads_is(tmp_path: Path, make: Make) -> None:
    folder = write(tmp_path, mart_a="select 1 as id", mart_child="select id from {{ ref('mart_a') }}")
    transformer, _ = make(folder)

    def away(scope: Slice) -> str:
        raise Transient("the store is away")

    transformer._models = [
        replace(model, select=away) if model.name == "mart_a" else model for model in transformer._models
    ]
    runs = by_name(await transformer.run_models())
    assert [(name, run.skipped, run.transient) for name, run in runs.items()] == [
        ("mart_a", False, True),
        ("mart_child", True, True),
    ]
    assert runs["mart_child"].overhead_s == 0.0


async def test_selection_by_name_and_tag(tmp_path: Path, make: Make) -> None:
    transformer, _ = make()
    runs = by_name(await transformer.run_models(["stg_beat_post_log", "stg_beat_profile_log"]))
    assert runs.keys() == {"stg_beat_post_log", "stg_beat_profile_log"}
    assert len(await transformer.run_models(["tag:core"])) >= 10
    with pytest.raises(Permanent, match="tag:nothing"):
        await transformer.run_models(["tag:nothing"])


async def test_independent_models_are_built_side_by_side(tmp_path: Path, make: Make) -> None:
    folder = write(tmp_path, **{f"mart_{name}": "select 1 as id, sleep(0.2) as s" for name in "abcd"})
    transformer, actor = make(folder, threads=2)
    seen: set[int] = set()
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while True:
                seen.add(actor.in_flight)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        await transformer.run_models()
        nursery.cancel_scope.cancel()
    assert max(seen) == 2


async def test_a_model_may_change_how_it_is_materialized(tmp_path: Path, make: Make, clickhouse: ClickHouse) -> None:
    incremental = "select 3 as id, now64(6, 'UTC') as built_at {% if is_incremental() %}where false{% endif %}"
    for materialized, body, expected in (
        ("view", "select 1 as id", 1),
        ("table", "select 2 as id", 2),
        ("incremental", incremental, 3),
        ("table", "select 4 as id", 4),
        ("view", "select 5 as id", 5),
    ):
        header = f"-- description: x\n-- materialized: {materialized}\n-- unique_key: id\n"
        (tmp_path / "mart_a.sql").write_text(header + body)
        runs = await make(tmp_path)[0].run_models()
        assert [run.error for run in runs] == [None]
        assert await clickhouse.rows("select id from dbt.mart_a") == [{"id": expected}]


async def test_what_builds_have_replaced_may_be_dropped_before_the_next_one(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    transformer, _ = make(write(tmp_path, mart_a="select 1 as id", mart_b="select id from {{ ref('mart_a') }}"))
    for _ in range(2):
        await transformer.run_models()
    spares = "select name from system.tables where database = 'dbt' and name like '%\\_\\_new'"
    assert len(await clickhouse.rows(spares)) == 2
    await transformer.drop_spares()
    assert await clickhouse.rows(spares) == []
    assert [run.ok for run in await transformer.run_models()] == [True, True]


async def test_readers_never_fail_while_tables_are_replaced(tmp_path: Path, make: Make, clickhouse: ClickHouse) -> None:
    folder = write(tmp_path, mart_a="select number as id from numbers(200000)")
    transformer, _ = make(folder)
    await transformer.run_models()
    counts: list[int] = []
    has_read = trio.Event()
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            while True:
                [row] = await clickhouse.rows("select count() as n, sum(cityHash64(id)) from dbt.mart_a")
                counts.append(row["n"])
                has_read.set()

        nursery.start_soon(read)
        for _ in range(10):
            await transformer.run_models()
            has_read = trio.Event()
            await has_read.wait()
        nursery.cancel_scope.cancel()
    assert len(counts) >= 10
    assert set(counts) == {200_000}


async def test_cancelling_kills_the_queries_and_leaves_the_live_table(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    await make(write(tmp_path, mart_a="select 1 as id"))[0].run_models()
    write(tmp_path, mart_a="select number as id, sleepEachRow(0.05) as s from numbers(60)")
    transformer, actor = make(tmp_path)
    running = (
        "select count() as n from system.processes where query like '%mart_a__new%' and query not like '%processes%'"
    )
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transformer.run_models)
            while (await clickhouse.rows(running))[0]["n"] == 0:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert (await clickhouse.rows(running))[0]["n"] == 0
    assert (actor.state, actor.in_flight) == (State.WAITING, 0)
    assert await clickhouse.rows("select id from dbt.mart_a") == [{"id": 1}]
    write(tmp_path, mart_a="select 2 as id")
    assert [run.ok for run in await make(tmp_path)[0].run_models()] == [True]
    assert await clickhouse.rows("select id from dbt.mart_a") == [{"id": 2}]


async def test_an_incremental_build_that_was_not_recorded_is_done_again(marts: Marts, clickhouse: ClickHouse) -> None:
    """As after a kill in the middle: keys that the dead build had not reached are not passed over."""
    await marts.store(Snapshot(IG, "a", "2026-03-01 00:00:00.000000", {"followers": 1}))
    await marts.build()
    await marts.store(Snapshot(IG, "b", "2026-03-01 00:00:00.000000", {"followers": 2}))
    age = "update insert_timestamp = insert_timestamp - interval 1 day where true settings mutations_sync = 1"
    await clickhouse.command(f"alter table _e.profile_log_events {age}")
    await marts.build()
    assert {key[1] for key in await marts.time_series()} == {"a"}  # a build that succeeded has seen that time
    await clickhouse.command("alter table dbt.model_run delete where true settings mutations_sync = 1")
    await marts.build()
    assert {key[1] for key in await marts.time_series()} == {"a", "b"}


async def test_builds_of_a_time_to_come_are_forgotten(tmp_path: Path, make: Make, clickhouse: ClickHouse) -> None:
    """As when the clock was a year ahead for an hour: nothing was new until then, and what was built outlasted it."""
    write(
        tmp_path,
        mart_keys="select profile_id as id, max(followers) as n, now64(6, 'UTC') as built_at"
        " from {{ source('_e', 'profile_log_events') }}"
        " {% if is_incremental() %}where insert_timestamp >= {{ watermark() }}{% endif %} group by id",
    )
    transformer, _ = make(tmp_path)
    at = "2026-03-01 00:00:00.000000"
    for n in (1, 2, 3):
        stored = ndjson([Snapshot(IG, "a", at, {"followers": n})])
        await clickhouse.insert_ndjson("_e.profile_log_events", stored, token=str(n))
        assert [run.error for run in await transformer.run_models()] == [None]
        assert await clickhouse.rows("select id, n from dbt.mart_keys final") == [{"id": "a", "n": n}]
        for table, column in (("model_run", "started_at"), ("mart_keys", "built_at")):
            later = f"select * replace ({column} + interval 1 year as {column}) from dbt.{table}"  # noqa: S608
            await clickhouse.command(f"insert into dbt.{table} {later}")


async def cut_short_while_it_waits(
    turn: trio.Lock, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    async with turn:
        task_status.started()
        while not turn.statistics().tasks_waiting:
            await trio.lowlevel.checkpoint()
        scope.cancel()


async def test_what_was_to_be_built_whole_and_was_not_is_whole_at_its_next_build(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    """A creator was erased, and the build that should have forgotten them failed, or was cut short."""
    folder = write(
        tmp_path,
        mart_keys="select profile_id as id, now64(6, 'UTC') as built_at from {{ source('_e', 'profile_log_events') }}"
        " {% if is_incremental() %}where insert_timestamp >= {{ watermark() }}{% endif %}",
    )
    at = "2026-03-01 00:00:00.000000"
    kept, gone = (Snapshot(IG, who, at, {"followers": 1}) for who in ("kept", "gone"))
    await clickhouse.insert_ndjson("_e.profile_log_events", ndjson([kept, gone]), token="1")
    for how in ("fails", "is cut short", "is cut short while it waits"):
        transformer, _ = make(folder)
        assert all(run.ok for run in await transformer.run_models())
        await clickhouse.command(
            "alter table _e.profile_log_events delete where profile_id = 'gone' settings mutations_sync = 2"
        )
        scope = trio.CancelScope()

        def fails(_: Slice, scope: trio.CancelScope = scope, how: str = how) -> str:
            if how == "fails":
                raise Permanent("it is wrong")
            scope.cancel()
            return "select sleep(1)"

        (model,) = transformer.models
        transformer._models = [replace(model, select=fails)]
        async with trio.open_nursery() as nursery:
            if how == "is cut short while it waits":
                await nursery.start(cut_short_while_it_waits, transformer._one_run, scope)
            with scope:
                await transformer.run_models(whole=True)
        assert all(run.ok for run in await make(folder)[0].run_models())
        assert await clickhouse.rows("select id from dbt.mart_keys final") == [{"id": "kept"}]
        await clickhouse.insert_ndjson("_e.profile_log_events", ndjson([gone]), token=f"before it {how}")


async def test_nothing_is_newer_than_a_table_that_the_same_run_builds(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    log = "select profile_id as id from {{ source('_e', 'profile_log_events') }}"
    is_read = "id not in (select '' from {{ ref('mart_full') }})"
    newer = f"{log} where insert_timestamp >= {{{{ watermark('mart_full') }}}} and {is_read}"
    transformer, _ = make(write(tmp_path, mart_a_part=newer, mart_full=log))
    told = ndjson([Snapshot(IG, "a", "2026-03-01 00:00:00.000000", {"followers": 1})])
    await clickhouse.insert_ndjson("_e.profile_log_events", told, token="1")
    # First an empty one stands for the full one; the last time it looks at five minutes more.
    for select, rows in (["mart_a_part"], 1), ([], 0), (["mart_a_part"], 1):
        runs = by_name(await transformer.run_models(select))
        assert (runs["mart_a_part"].error, runs["mart_a_part"].rows) == (None, rows), select


async def test_what_a_join_does_not_find_is_null(tmp_path: Path, make: Make, clickhouse: ClickHouse) -> None:
    join = "select a.id as id, b.x as x from {{ ref('mart_a') }} as a left join {{ ref('mart_b') }} as b on b.id = a.id"
    folder = write(
        tmp_path,
        mart_a="select toUInt8(1) as id",
        mart_b="select toUInt8(2) as id, toUInt8(3) as x",
        mart_joined=join,
        stg_joined=f"{join} settings join_use_nulls = 1",
    )
    assert all(run.ok for run in await make(folder)[0].run_models())
    for name in ("mart_joined", "stg_joined"):
        assert await clickhouse.rows(f"select id, x from dbt.{name}") == [{"id": 1, "x": None}]  # noqa: S608


async def test_what_no_model_has_any_more_is_dropped_and_nothing_of_others(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    folder = write(tmp_path, stg_old="select 1 as id", mart_old="select 1 as id", mart_kept="select 1 as id")
    await make(folder)[0].run_models()
    await clickhouse.command("create view dbt.theirs as select 1 as id comment 'of a person'")
    await clickhouse.command("create table dbt.also_theirs (id UInt8) engine = MergeTree order by id")
    for name in ("stg_old", "mart_old"):
        (folder / f"{name}.sql").unlink()
    write(folder, mart_bad="select throwIf(1, 'no') as id")
    await make(folder)[0].run_models()
    assert "mart_old" in await standing(clickhouse)  # something failed: another day
    (folder / "mart_bad.sql").unlink()
    await make(folder)[0].run_models()
    assert await standing(clickhouse) == {"mart_kept", "mart_kept__new", "theirs", "also_theirs", "model_run"}


async def standing(clickhouse: ClickHouse) -> set[str]:
    return {row["name"] for row in await clickhouse.rows("select name from system.tables where database = 'dbt'")}


async def test_what_was_made_of_a_stand_in_is_made_anew_once_that_is_built(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    """Its old months would be frozen without their rows."""
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    header = "-- description: x\n-- tags: {}\n-- materialized: {}\n"
    slow = header.format("daily", "table") + "-- unique_key: month\nselect toDate('2024-01-01') as month, 1 as n"
    (tmp_path / "mart_slow.sql").write_text(slow)
    seen = header.format("core", "view") + "select * from {{ ref('mart_slow') }}"  # noqa: S608
    (tmp_path / "mart_seen.sql").write_text(seen)
    kept = PARTITIONED.replace("description: x", "description: x\n-- tags: core").replace("day", "month")
    (tmp_path / "mart_kept.sql").write_text(kept.replace("{{ source('_e', 'test_log') }}", "{{ ref('mart_seen') }}"))

    async def build(*select: str) -> list[Row]:
        for _ in range(2):
            assert [run.error for run in await make(tmp_path)[0].run_models(select) if not run.ok] == []
        return await clickhouse.rows("select n from dbt.mart_kept")

    assert await build("tag:core") == []
    await make(tmp_path)[0].run_models(["tag:daily"])
    assert await build("tag:core") == [{"n": 1}]


PARTITIONED = """-- description: x
-- materialized: incremental
-- strategy: partitions
-- unique_key: month
-- partition_by: month
select toStartOfMonth(day) as month, sum(n) as n from {{ source('_e', 'test_log') }}
{% if is_incremental() %} where {{ in_period('toStartOfMonth(day)') }} {% endif %}
group by month having n > 0
"""


async def test_open_months_are_replaced_and_frozen_ones_stand(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    """Whose month is January when the last good build was on February 2nd: it is not frozen until the 3rd."""
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    (tmp_path / "mart_m.sql").write_text(PARTITIONED)
    await clickhouse.command("create table _e.test_log (day Date, n Int64) engine = MergeTree order by day")

    async def add(*rows: tuple[str, int]) -> None:
        values = ", ".join(f"('{day}', {n})" for day, n in rows)
        await clickhouse.command(f"insert into _e.test_log values {values}")  # noqa: S608

    async def built(*, last: str) -> dict[str, int]:
        """What stands after a build whose forerunner began at `last`."""
        then = f"select * replace('{last}' as started_at) from dbt.model_run limit 1"  # noqa: S608
        await clickhouse.command(f"insert into dbt.model_run {then}")
        others = f"delete where started_at != '{last}' settings mutations_sync = 1"
        await clickhouse.command(f"alter table dbt.model_run {others}")
        runs = await make(tmp_path)[0].run_models()
        assert [run.error for run in runs] == [None]
        rows = await clickhouse.rows("select month, n from dbt.mart_m order by month")
        return {str(row["month"]): row["n"] for row in rows}

    await add(("2024-01-05", 1), ("2024-02-01", 2), ("2023-12-31", 4))
    await make(tmp_path)[0].run_models()
    await clickhouse.command("alter table dbt.model_run remove ttl")  # 2024 is over
    await add(("2024-01-31", 10), ("2024-02-28", 20), ("2023-12-01", 40), ("2024-03-01", 100))
    whole = {"2023-12-01": 4, "2024-01-01": 11, "2024-02-01": 22, "2024-03-01": 100}
    assert await built(last="2024-02-02 18:29:59") == whole  # Kolkata's 2nd of February
    await add(("2024-01-31", 1000), ("2024-02-28", -22))
    del whole["2024-02-01"]  # came out empty
    assert await built(last="2024-02-02 18:30:00") == whole


async def test_a_great_whole_build_goes_in_steps_of_months(tmp_path: Path, clickhouse: ClickHouse) -> None:
    """Of months that have events: a mistyped year is no reason for hundreds."""
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    (tmp_path / "mart_m.sql").write_text(PARTITIONED)
    await clickhouse.command("create table _e.test_log (day Date, n Int64) engine = MergeTree order by day")
    await clickhouse.command("insert into _e.test_log select toDate('2026-05-31') - number * 10, 1 from numbers(500)")
    days = ["1971-03-01", "2026-01-01", "2026-02-01", "2026-02-02", "2026-03-01", "2026-04-01"]
    events = [Snapshot(IG, "a", f"{day} 00:00:00.000000", {"followers": 1}) for day in days]
    await clickhouse.insert_ndjson("_e.profile_log_events", ndjson(events), token="t")
    queries, clock = Counted(clickhouse.builders), SystemClock()
    graph = models.read(tmp_path, variables={})
    transformer = Transformer(queries, graph, Board(clock.now).actor("t"), clock, zone="UTC", events_at_once=2)
    assert [run.error for run in await transformer.run_models()] == [None]
    steps = [text for text in queries.asked if "/* model mart_m */" in text]
    assert [re.findall(r"toDate\('(.*?)'\)", step) for step in steps] == [
        ["1970-01-01", "2026-03-01"],
        ["2026-03-01", "2149-01-01"],
    ]
    assert await clickhouse.rows("select sum(n) as n from dbt.mart_m") == [{"n": 500}]


async def test_parts_of_a_whole_build_are_merged_when_the_run_is_over(
    tmp_path: Path, make: Make, clickhouse: ClickHouse
) -> None:
    """Of what grows, also where the process was killed within the run; the next build replaces the others."""
    grows = "-- materialized: incremental\n-- unique_key: id\nselect 1 as id, now64(6) as built_at"
    (tmp_path / "mart_grows.sql").write_text(
        f"-- description: x\n{grows}{{% if is_incremental() %}} where true{{% endif %}}"
    )
    (tmp_path / "mart_new.sql").write_text(
        "-- description: x\n-- materialized: table\n-- unique_key: id\nselect 1 as id"
    )

    async def held() -> set[str]:
        rows = await clickhouse.rows("select name, engine_full from system.tables where database = 'dbt'")
        return {row["name"] for row in rows if "max_bytes_to_merge" in row["engine_full"]}

    transformer, _ = make(tmp_path)
    assert [run.error for run in await transformer.run_models()] == [None, None]
    assert await held() == {"mart_new"}
    await clickhouse.command("alter table dbt.mart_grows modify setting max_bytes_to_merge_at_max_space_in_pool = 0")
    await transformer.run_models()
    assert await held() >= {"mart_new"}
    assert "mart_grows" not in await held()


class Counted:
    """The store, with what it is asked."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self.asked: list[str] = []

    async def rows(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        self.asked.append(sql)
        return await self._queries.rows(sql, params)

    async def command(self, sql: str, params: Any = None) -> None:
        self.asked.append(sql)
        await self._queries.command(sql, params)


@pytest.mark.parametrize(
    ("header", "body", "statements_max"),
    [
        ("materialized: view", "select 1 as id", 0),
        ("materialized: table", "select 1 as id", 2),
        ("materialized: incremental", "select 1 as id, now64(6) as built_at", 1),
        ("materialized: incremental\n-- strategy: partitions\n-- partition_by: m", "select 1 as id, today() as m", 4),
    ],
    ids=["view", "table", "keys", "partitions"],
)  # fmt: skip
async def test_a_further_model_costs_few_statements(
    tmp_path: Path, clickhouse: ClickHouse, header: str, body: str, statements_max: int
) -> None:
    """Beside its own: what is asked of all is asked once. Milliseconds each, they would be more than small models."""
    asked: list[int] = []
    for number in range(2):
        part = "{% if is_incremental() %} where true{% endif %}" if "incremental" in header else ""
        text = f"-- description: x\n-- {header}\n-- unique_key: id\n{body}{part}"
        (tmp_path / f"mart_{number}.sql").write_text(text)
        queries, clock = Counted(clickhouse.builders), SystemClock()
        graph = models.read(tmp_path, variables={})
        transformer = Transformer(queries, graph, Board(clock.now).actor("t"), clock, zone=ZONE)
        for _ in range(3):  # from the third on there is a spare to drop
            queries.asked.clear()
            assert all(run.ok for run in await transformer.run_models())
        asked.append(len(queries.asked))
    assert asked[1] - asked[0] <= statements_max


async def test_a_build_is_noted_with_what_it_took(tmp_path: Path, make: Make, clickhouse: ClickHouse) -> None:
    slow = "select number as id, sleepEachRow(0.05) as s from numbers(20)"
    folder = write(tmp_path, mart_slow=slow, mart_bad="select throwIf(1, 'no') as id", stg_view="select 1 as id")
    transformer, _ = make(folder)
    await transformer.run_models()
    builds = await transformer.last_builds()
    noted = builds["mart_slow"]
    assert (noted.rows, noted.error) == (20, "")
    assert noted.seconds is not None and noted.overhead_s is not None and noted.seconds > 1 > noted.overhead_s
    assert noted.peak_bytes is not None and noted.peak_bytes > 0
    assert noted.fresh_at is not None and noted.fingerprint in {model.fingerprint for model in transformer.models}
    bad = builds["mart_bad"]
    assert "no" in bad.error and (bad.seconds, bad.fresh_at, bad.fingerprint) == (None, None, None)
