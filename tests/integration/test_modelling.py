"""What people are told of models, on the real engine: how each stands, what is promised and kept, what tests found."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gcc.actors.scheduler import Scheduler
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.lineage import Lineage
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.pipelines.analytics.modelling import Modelling
from gcc.pipelines.analytics.quality import Quality
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board

ZONE = "Asia/Kolkata"
TEXTS = {
    "stg_numbers": "-- description: x\n-- tags: core\nselect number as id, -1 as likes from system.numbers limit 3",
    "mart_good": "-- description: one row a number (9.9)\n-- materialized: table\n-- tags: core\n-- unique_key: id\n"
    "select id, 'later' as status from {{ ref('stg_numbers') }}",
    "mart_leaderboard": "-- description: a bad one\n-- materialized: table\n-- tags: daily\n-- unique_key: id\n"
    "select id, likes from {{ ref('stg_numbers') }}",
    "mart_after": "-- description: after it\n-- materialized: table\n-- tags: daily\n-- unique_key: id\n"
    "select id from {{ ref('mart_leaderboard') }}",
}


@pytest.fixture
async def modelling(clickhouse: ClickHouse, tmp_path: Path) -> Modelling:
    await clickhouse.command("drop database if exists dbt sync")
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.sql").write_text(text)
    graph, clock = models.read(tmp_path, variables={"timezone": ZONE, "now": ""}), SystemClock()
    tests = ModelTests(clickhouse.builders, graph, clock, zone=ZONE)
    actor = Board(clock.now).actor("t")
    transformer = Transformer(clickhouse.builders, graph, actor, clock, zone=ZONE, tests=tests)
    lineage, quality = Lineage(clickhouse.builders, graph), Quality(clickhouse, graph, tests, clock)
    return Modelling(transformer, tests, lineage, quality, cast(Scheduler, None))


async def build(modelling: Modelling) -> None:
    await modelling._transformer.run_models()


async def begun_before(clickhouse: ClickHouse, hours: int) -> None:
    """As if some model had been tried first so long ago: what was not built since is late by as much."""
    began = f"now64(6, 'UTC') - interval {hours} hour"
    await clickhouse.command(f"insert into dbt.model_run (model, started_at, error) select 'old', {began}, 'no'")


def by_name(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


async def test_the_graph_tells_of_each_model_where_it_stands_and_how(
    modelling: Modelling, clickhouse: ClickHouse
) -> None:
    before = by_name(await modelling.listed())
    assert {row["state"] for row in before.values()} == {"unbuilt"}
    assert {(row["late"], row["tests"]) for row in before.values()} == {(False, None)}, "nobody has begun yet"
    await build(modelling)
    await begun_before(clickhouse, 27)
    rows = await modelling.listed()
    assert [set(row) for row in rows] == [
        {
            "name", "layer", "materialized", "strategy", "tags", "parents", "state", "seconds", "rows", "peak_bytes",
            "overhead_s", "fresh_at", "error", "age_s_max", "late", "tests",
        }
    ] * 4  # fmt: skip
    place = {row["name"]: number for number, row in enumerate(rows)}
    assert all(place[parent] < place[row["name"]] for row in rows for parent in row["parents"]), "parents first"
    good, bad, after, view = (
        by_name(rows)[name] for name in ("mart_good", "mart_leaderboard", "mart_after", "stg_numbers")
    )
    assert (good["layer"], good["tags"], good["parents"]) == ("marts", ["core"], ["stg_numbers"])
    assert (good["state"], good["rows"], good["age_s_max"], good["late"]) == ("good", 3, 1200, False)
    assert good["tests"]["failed"] == 0 and good["tests"]["warned"] == 1 and good["tests"]["looked"] >= 3
    assert bad["state"] == "failed" and bad["tests"]["failed"] == 1 and bad["late"], "it was never built well"
    assert (after["state"], after["tests"]) == ("unbuilt", None), "it was not even tried"
    assert (view["layer"], view["age_s_max"], view["late"]) == ("staging", None, False), "views have no age"


async def test_one_model_tells_its_tests_and_what_is_synced_from_it(modelling: Modelling) -> None:
    await build(modelling)
    shown = await modelling.shown("mart_leaderboard")
    assert (shown["description"], shown["unique_key"], shown["children"]) == ("a bad one", ["id"], ["mart_after"])
    assert shown["synced"] == ["leaderboard"]
    assert shown["sql"] == "select id, likes from dbt.stg_numbers"
    first, *others = shown["findings"]
    at = first.pop("looked_at")
    assert dt.datetime.fromisoformat(at).tzinfo
    said = {"severity": "error", "found": 3, "said": "-1", "ok": False}
    assert first == {"model": "mart_leaderboard", "test": "count", "column": "likes", **said}
    assert others and all(other["ok"] for other in others)
    with pytest.raises(Permanent, match="there is no model 'mart_x'"):
        await modelling.shown("mart_x")


async def test_promises_are_told_by_tag_with_who_is_late_and_what_tests_found(
    modelling: Modelling, clickhouse: ClickHouse
) -> None:
    before = await modelling.quality()
    assert [promise["models"] for promise in before["promises"]] == [0, 2, 0, 0, 0, 0, 0, 2, 0]
    assert (before["tests"]["looked"], before["tested_at"], before["wrong"]) == (0, None, [])
    await build(modelling)
    await begun_before(clickhouse, 27)
    told = await modelling.quality()
    promises = {promise["tag"]: promise for promise in told["promises"]}
    assert list(promises)[:2] == ["recent", "core"], "the shortest first"
    core, daily = promises["core"], promises["daily"]
    assert core.pop("oldest_s") < 60 and core.pop("looked") >= 3
    assert core == {
        "tag": "core", "age_s_max": 1200, "models": 2, "promised": 1, "late": [], "unbuilt": [],
        "failed": 0, "warned": 1,
    }  # fmt: skip
    assert (daily["late"], daily["unbuilt"]) == (["mart_leaderboard", "mart_after"],) * 2
    assert (daily["oldest_s"], daily["failed"]) == (None, 1)
    assert promises["genre"]["models"] == 0
    assert [(wrong["model"], wrong["severity"]) for wrong in told["wrong"]] == [
        ("mart_leaderboard", "error"), ("mart_good", "warn"),
    ]  # fmt: skip
    assert told["tests"]["failed"] == 1 and told["tested_at"] <= min(wrong["looked_at"] for wrong in told["wrong"])


async def test_what_is_mended_is_no_longer_told(modelling: Modelling, clickhouse: ClickHouse) -> None:
    await build(modelling)
    await clickhouse.command(
        "create table dbt.mart_leaderboard engine = MergeTree order by id as select 1 as id, 1 as likes"
    )
    assert [each["model"] for each in (await modelling.quality())["wrong"]] == ["mart_leaderboard", "mart_good"]
    await modelling.test(["mart_leaderboard"])
    assert [each["model"] for each in (await modelling.quality())["wrong"]] == ["mart_good"]


async def test_what_is_not_asked_any_more_is_no_longer_told(modelling: Modelling, clickhouse: ClickHouse) -> None:
    await build(modelling)
    for column, days in (("of_old", 4), ("of_late", 2)):
        await clickhouse.command(
            "insert into dbt.model_test (model, test, column, at, ok, severity, found, said)"
            f" select 'mart_good', 'count', '{column}', now64(6, 'UTC') - interval {days} day, false, 'error', 1, ''"
        )
    wrong = (await modelling.quality())["wrong"]
    assert [each["column"] for each in wrong if each["model"] == "mart_good"] == ["of_late", "status"]
    findings = (await modelling.shown("mart_good"))["findings"]
    assert [finding["column"] for finding in findings if not finding["ok"]] == ["of_late", "status"]
    assert by_name(await modelling.listed())["mart_good"]["tests"]["failed"] == 1


class At(SystemClock):
    """A clock that stands."""

    at = dt.datetime(2026, 11, 28, 10, 30, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.at


async def test_volumes_are_counted_once_an_hour(clickhouse: ClickHouse) -> None:
    clock, one = At(), "insert into _e.post_log_events (event_id, insert_timestamp) select generateUUIDv4(), '{}:10:00'"
    quality = Quality(clickhouse, [], ModelTests(clickhouse, [], clock, zone=ZONE), clock)

    async def counted() -> dict[str, Any]:
        (told,) = [row for row in await quality.volumes() if row["table"] == "post_log_events"]
        return told

    for _ in range(2):
        await clickhouse.command(one.format("2026-11-28 09"))
        usual = {"low": None, "high": None, "ok": True}
        assert await counted() == {"table": "post_log_events", "hour": "2026-11-28T09:00:00Z", "events": 1, **usual}
    clock.at += dt.timedelta(hours=1)
    told = await counted()
    assert (told["hour"], told["events"]) == ("2026-11-28T10:00:00Z", 0)
