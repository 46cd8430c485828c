"""Generic tests of models on the real engine: each rule finds what is wrong, and what is wrong goes no further."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.errors import ConfigError, Permanent
from gcc.pipelines.analytics import freshness, models, volume
from gcc.pipelines.analytics.model_tests import Finding, ModelTests
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board

ZONE = "Asia/Kolkata"
Make = Callable[..., tuple[Transformer, ModelTests]]

HEADERS = {
    "table": "-- description: x\n-- materialized: table\n-- tags: core\n-- unique_key: {key}\n",
    "months": "-- description: x\n-- materialized: incremental\n-- strategy: partitions\n-- partition_by: month\n"
    "-- tags: core\n-- unique_key: {key}\n",
    "keys": "-- description: x\n-- materialized: incremental\n-- tags: core\n-- unique_key: {key}\n",
}


@pytest.fixture
def make(clickhouse: ClickHouse, tmp_path: Path) -> Make:
    def make(**texts: str) -> tuple[Transformer, ModelTests]:
        for name, text in texts.items():
            (tmp_path / f"{name}.sql").write_text(text)
        graph = models.read(tmp_path, variables={"timezone": ZONE, "now": ""})
        clock = SystemClock()
        tests = ModelTests(clickhouse.builders, graph, clock, zone=ZONE)
        actor = Board(clock.now).actor("transformer")
        return Transformer(clickhouse.builders, graph, actor, clock, zone=ZONE, tests=tests), tests

    return make


def table(select: str, key: str = "id", values: str = "") -> str:
    return HEADERS["table"].format(key=key) + (f"-- values: {values}\n" if values else "") + select


def found(findings: list[Finding]) -> dict[tuple[str, str], tuple[str, int]]:
    """What is wrong: (test, column) -> (severity, rows)."""
    return {(each.test, each.column): (each.severity, each.found) for each in findings if each.found}


@pytest.mark.parametrize(
    ("select", "wrong"),
    [
        ("select arrayJoin([1, 2, 2]) as profile_id", {("unique", "profile_id"): ("error", 1)}),
        ("select 1 as profile_id, 'TIKTOK' as platform", {("accepted_values", "platform"): ("error", 1)}),
        ("select 1 as profile_id, 'F' as grade", {("accepted_values", "grade"): ("error", 1)}),
        ("select 1 as profile_id, 'OLD' as kind", {("accepted_values", "kind"): ("error", 1)}),
        ("select 1 as profile_id, 'OLD' as status", {("values_declared", "status"): ("warn", 1)}),
        ("select 1 as profile_id, 1.01 as fake_share", {("share", "fake_share"): ("error", 1)}),
        ("select 1 as profile_id, -.01 as conversion_rate", {("share", "conversion_rate"): ("error", 1)}),
        ("select 1 as profile_id, nan as fake_share", {("share", "fake_share"): ("error", 1)}),
        ("select 1 as profile_id, 1.5 as engagement_rate", {("rate_above_1", "engagement_rate"): ("warn", 1)}),
        (
            "select 1 as profile_id, 5.5 as er_by_views",
            {("rate_above_1", "er_by_views"): ("warn", 1), ("rate", "er_by_views"): ("error", 1)},
        ),
        ("select 1 as profile_id, 7.5 as er, toInt64(9999) as followers", {("rate_above_1", "er"): ("warn", 1)}),
        ("select 1 as profile_id, 7.5 as er, toInt64(3) as subscribers", {("rate_above_1", "er"): ("warn", 1)}),
        (
            "select 1 as profile_id, 7.5 as er, toInt64(10000) as followers",
            {("rate_above_1", "er"): ("warn", 1), ("rate", "er"): ("error", 1)},
        ),
        ("select 1 as profile_id, toInt64(-1) as likes", {("count", "likes"): ("error", 1)}),
        ("select 1 as profile_id, -1.5 as avg_likes", {("count", "avg_likes"): ("error", 1)}),
        (
            "select 1 as profile_id, toDate('1970-01-01') as date",
            {("date_known", "date"): ("error", 1), ("date", "date"): ("warn", 1)},
        ),
        ("select 1 as profile_id, toDate('2009-12-31') as date", {("date", "date"): ("warn", 1)}),
        ("select 1 as profile_id, now() + interval 3 day as last_at", {("date", "last_at"): ("warn", 1)}),
        ("select 1 as profile_id, map('a', .5, 'b', .4) as gender", {("shares_sum_to_1", "gender"): ("error", 1)}),
        (
            "select t.1 as profile_id, t.2 as rank from (select arrayJoin([(1, 2), (2, 3)]) as t)",
            {("rank", "rank"): ("error", 2)},
        ),
        (  # after two firsts comes a third
            "select t.1 as profile_id, t.2 as x_rank from (select arrayJoin([(1, 1), (2, 1), (3, 2)]) as t)",
            {("rank", "x_rank"): ("error", 1)},
        ),
        # What is well: nulls, ties, bounds, empty maps, changes, dates to come that may.
        (
            "select t.1 as profile_id, t.2 as x_rank, null::Nullable(Float64) as fake_share, 1. as other_share,"
            " toInt64(-5) as followers_gain, -0.5 as growth_30d, map()::Map(String, Float64) as age,"
            " now() + interval 90 day as due_at, 'NEW' as kind, toDate('2005-04-23') as publish_date, .8 as confidence"
            " from (select arrayJoin([(1, 1::Nullable(UInt8)), (2, 1), (3, 3), (4, null)]) as t)",
            {},
        ),
    ],
)  # fmt: skip
async def test_each_rule_finds_what_is_wrong_and_nothing_else(
    make: Make, clickhouse: ClickHouse, select: str, wrong: dict[Any, Any]
) -> None:
    _, tests = make(mart_x=table(select, key="profile_id", values="kind = TOP, NEW"))
    transformer, _ = make()
    transformer._tests = None  # what stands is looked at below
    assert [run.error for run in await transformer.run_models()] == [None]
    assert found(await tests.run()) == wrong


async def test_groups_of_ranks_are_told_by_key_and_name(make: Make) -> None:
    rows = (
        "select arrayJoin([('IG', 'a', 1, 1, 'food'), ('IG', 'b', 2, 1, 'Art'), ('IG', 'c', 3, 2, 'Food'),"
        " ('YT', 'a', 1, 1, 'food')]) as t"
    )
    columns = (
        "t.1 as profile_kind, toDate('2026-10-01') as month, t.2 as profile_id, t.3 as views_rank,"
        " t.4 as views_rank_by_cat, t.5 as category, 4 as views_rank_prev, 4 as views_rank_by_cat_prev"
    )
    select = f"select {columns} from ({rows})"  # noqa: S608
    transformer, tests = make(mart_x=table(select, key="profile_kind, month, profile_id"))
    assert [run.error for run in await transformer.run_models()] == [None]
    assert found(await tests.run()) == {}


async def test_a_table_that_is_wrong_takes_nobody_s_place_and_stops_its_children(
    make: Make, clickhouse: ClickHouse
) -> None:
    texts = {
        "mart_x": table("select number as id, toInt64(number) as likes from numbers(3)"),
        "mart_y": table("select id, likes from {{ ref('mart_x') }}"),
        "mart_z": table("select 1 as id"),
    }
    await make(**texts)[0].run_models()
    texts["mart_x"] = table("select number as id, toInt64(number) - 1 as likes from numbers(3)")
    transformer, tests = make(**texts)
    runs = {run.model: run for run in await transformer.run_models()}
    assert runs["mart_x"].error == "mart_x: Permanent: its tests failed: count likes: 1 wrong (-1)"
    assert (runs["mart_y"].skipped, runs["mart_z"].ok) == (True, True)
    assert [row["likes"] for row in await clickhouse.rows("select likes from dbt.mart_x order by id")] == [0, 1, 2]
    with pytest.raises(Permanent, match=r"mart_x is wrong by its tests: count likes \(-1\)"):
        await tests.require_well("mart_x")
    await tests.require_well("mart_z")
    rows = await clickhouse.rows("select * from dbt.model_test where model = 'mart_x' and test = 'count' order by at")
    assert [(row["ok"], row["found"], row["severity"]) for row in rows] == [(True, 0, "error"), (False, 1, "error")]
    texts["mart_x"] = table("select number as id, toInt64(number) as likes from numbers(3)")
    transformer, tests = make(**texts)
    assert [run.error for run in await transformer.run_models()] == [None] * 3
    await tests.require_well("mart_x")


async def test_of_what_cannot_be_stored_the_last_of_each_test_is_kept(make: Make, clickhouse: ClickHouse) -> None:
    """Or a store that takes no findings for days would fill the memory."""
    await clickhouse.command("create table default.some engine = Memory as select 1 as id, toInt64(1) as likes")
    transformer, tests = make(mart_x=table("select id, likes from {{ source('default', 'some') }}"))
    await tests.make()
    await clickhouse.command("rename table dbt.model_test to dbt.away")
    for likes in (1, -1, -2):
        await clickhouse.command("truncate table default.some")
        await clickhouse.command("insert into default.some values (1, {likes:Int64})", {"likes": likes})
        await transformer.run_models()
    await clickhouse.command("rename table dbt.away to dbt.model_test")
    await tests.record()
    rows = await clickhouse.rows("select test, column, said from dbt.model_test")
    assert [row["said"] for row in rows if row["column"] == "likes"] == ["-2"]
    assert len(rows) == len({(row["test"], row["column"]) for row in rows}) > 1
    await tests.record()
    assert len(await clickhouse.rows("select test from dbt.model_test")) == len(rows), "and once"


async def test_half_of_a_table_does_not_vanish_unless_it_is_asked_for(make: Make, clickhouse: ClickHouse) -> None:
    await clickhouse.command("create table default.some engine = Memory as select number as id from numbers(10)")
    transformer, _ = make(mart_x=table("select id from {{ source('default', 'some') }}"))
    await transformer.run_models()
    await clickhouse.command("truncate table default.some")
    await clickhouse.command("insert into default.some select number from numbers(4)")
    [run] = await transformer.run_models()
    assert run.error == "mart_x: Permanent: its tests failed: rows_kept: 1 wrong (4 rows after 10)"
    assert len(await clickhouse.rows("select id from dbt.mart_x")) == 10
    [run] = await transformer.run_models(whole=True)
    assert (run.error, run.rows) == (None, 4)


async def test_of_keys_only_what_was_added_is_looked_at(make: Make, clickhouse: ClickHouse) -> None:
    await clickhouse.command(
        "create table default.some (id UInt64, likes Int64, at DateTime64(6, 'UTC')) engine = Memory"
    )
    await clickhouse.command("insert into default.some select number, 1, now64(6) from numbers(3)")
    text = (
        "select id, likes, now64(6, 'UTC') as built_at from {{ source('default', 'some') }}"
        "{% if is_incremental() %} where at >= {{ watermark() }}{% endif %}"
    )
    transformer, tests = make(mart_x=HEADERS["keys"].format(key="id") + text)
    assert [run.error for run in await transformer.run_models()] == [None]
    await clickhouse.command("insert into default.some values (7, -1, now64(6))")
    [run] = await transformer.run_models()
    assert run.error == "mart_x: Permanent: its tests failed: count likes: 1 wrong (-1)"
    await clickhouse.command("alter table default.some delete where id = 7 settings mutations_sync = 1")
    await clickhouse.command("insert into default.some values (7, 1, now64(6))")
    assert [run.error for run in await transformer.run_models()] == [None]
    assert found(await tests.run()) == {}


async def test_a_frozen_month_may_change_by_a_backfill_alone(make: Make, clickhouse: ClickHouse) -> None:
    await clickhouse.command(
        "create table default.some engine = Memory as"
        " select addMonths(toStartOfMonth(today()), -number) as month, number as id, null::Nullable(Int64) as likes"
        " from numbers(5)"
    )
    text = (
        "select month, id, likes from {{ source('default', 'some') }}"
        "{% if is_incremental() %} where month >= {{ period_from() }} and month < {{ period_to() }}{% endif %}"
    )
    transformer, tests = make(mart_x=HEADERS["months"].format(key="month, id") + text)
    await transformer.run_models()
    assert found(await tests.run()) == {}
    await clickhouse.command("alter table dbt.mart_x update likes = 1 where id = 3 settings mutations_sync = 1")
    [finding] = [each for each in await tests.run() if each.found]
    assert (finding.test, finding.severity, finding.found) == ("frozen_months", "error", 1)
    await clickhouse.command(
        "insert into dbt.model_run (run_id, model, started_at, error, backfilled)"
        " values (generateUUIDv4(), 'mart_x', now64(6), '', true)"
    )
    assert found(await tests.run()) == {}
    with pytest.raises(Permanent, match="no model is called mart_nobody"):
        await tests.run(["mart_nobody"])


async def test_a_profile_that_nobody_knows_is_told(make: Make) -> None:
    transformer, tests = make(
        mart_profile_attributes=table("select 'a' as profile_id", key="profile_id"),
        mart_x=table(
            "select arrayJoin(['a', 'b', '']) as profile_id from {{ ref('mart_profile_attributes') }}", key="profile_id"
        ),
    )
    await transformer.run_models()
    assert found(await tests.run()) == {("relationship", "profile_id"): ("warn", 1)}


async def test_values_are_words(make: Make) -> None:
    for values in ("kind", "kind = ", "kind = it's", "Kind = A"):
        with pytest.raises(ConfigError, match="values"):
            make(mart_x=table("select 1 as id", values=values))


async def test_all_of_today_s_models_are_well_and_fresh(clickhouse: ClickHouse) -> None:
    graph = models.read(variables={"timezone": ZONE})
    clock = SystemClock()
    tests = ModelTests(clickhouse.builders, graph, clock, zone=ZONE)
    transformer = Transformer(
        clickhouse.builders, graph, Board(clock.now).actor("transformer"), clock, zone=ZONE, tests=tests
    )
    assert [run.error for run in await transformer.run_models() if not run.ok] == []
    findings = await tests.run()
    assert [str(finding) for finding in findings if finding.failed] == []
    undeclared = {(each.model, each.column) for each in findings if each.test == "values_declared"}
    assert {column for _, column in undeclared} == {"status"}, "of orders and campaigns, whose words are others'"
    assert [age for age in await freshness.ages(clickhouse, graph) if not age.ok and "extra" not in age.tag] == []


async def test_volume_counts_what_arrived_in_the_hour_once(clickhouse: ClickHouse) -> None:
    [row] = await clickhouse.rows("select now64(6, 'UTC') as now")
    event = {
        "event_id": str(uuid.uuid4()), "v": 1, "origin": "job", "origin_id": "1", "source": "graphapi",
        "platform": "INSTAGRAM", "profile_id": "a", "handle": "a", "event_timestamp": "2026-01-01 00:00:00",
        "metrics": {}, "dimensions": {},
    }  # fmt: skip
    for token in ("1", "2"):
        await clickhouse.insert_ndjson("_e.profile_log_events", json.dumps(event).encode(), token=token)
    age = "update insert_timestamp = insert_timestamp - interval 1 hour where true settings mutations_sync = 1"
    await clickhouse.command(f"alter table _e.profile_log_events {age}")
    found = {each.table: each for each in await volume.volumes(clickhouse, row["now"])}
    assert found["profile_log_events"].events == 1
    assert found["post_log_events"].events == 0
    assert all(each.ok for each in found.values())
