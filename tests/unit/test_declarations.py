"""What the rows of the timetable do, on stand-ins for what they run."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from gcc.actors.modelled import ModelRun
from gcc.actors.sync import SyncResult
from gcc.errors import LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.declarations import FIRST_TABLES, Runs
from gcc.pipelines.analytics.pipeline import open_from
from gcc.pipelines.analytics.synced import SYNCED
from gcc.pipelines.timetable import NAMED, NOT_YET, ROWS

TABLES = [declared.table for declared in SYNCED]
MARTS = [declared.mart for declared in SYNCED]


def model(name: str, *tags: str, strategy: str = "", parents: Sequence[str] = ()) -> Any:
    return SimpleNamespace(name=name, tags=frozenset(tags), strategy=strategy, parents=parents)


class Stage:
    """Transformer, sync, producers and the warehouse: each table ends as `ends` says, each model as `runs`."""

    def __init__(self, ends: Mapping[str, Exception] = {}, runs: Sequence[ModelRun] = ()) -> None:
        self.ends = ends
        self.runs = runs
        self.tables = TABLES
        self.models = MODELS
        self.asked: list[str] = []
        self.built: list[Any] = []

    async def run_models(self, select: Sequence[str] = (), *, whole: bool = False) -> Sequence[ModelRun]:
        self.built.append([*select, *(["whole"] if whole else [])])
        return self.runs

    async def catch_up(self) -> None:
        """Nothing is behind."""

    async def build(self) -> Sequence[ModelRun]:
        self.built.append("imports")
        return ()

    def mart(self, table: str) -> str:
        return dict(zip(TABLES, MARTS, strict=True))[table]

    async def sync(self, table: str) -> SyncResult:
        self.asked.append(table)
        if table in self.ends:
            raise self.ends[table]
        return SyncResult(table, 1, 0.1, uuid.UUID(int=1))

    async def sync_months(self, table: str, open_from: dt.date) -> SyncResult:
        self.asked.append(f"{table} {open_from}")
        return SyncResult(table, 1, 0.1, None, "replaced")

    async def produce(self, name: str) -> Mapping[str, Any]:
        return {"produced": name}

    async def rows(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        return [{"name": name} for name in params["names"]]

    async def command(self, sql: str) -> None:
        self.asked.append(sql.split()[2])


MODELS = [model("a", "core"), model("b", "recent", strategy="keys"), model("c", "core", strategy="partitions")]


def runs(stage: Stage, **calls: Any) -> Runs:
    whole = cast(Any, stage)
    return Runs(whole, whole, whole, whole, whole, whole, lambda: dt.date(2026, 10, 1), calls)


async def run(stage: Stage, name: str) -> Mapping[str, Any]:
    return await next(schedule.run for schedule in runs(stage).schedules() if schedule.name == name)()


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (Transient("away"), None),
        (Permanent("would shrink"), None),
        (ValueError("a bug"), None),
        (Transient("away"), ValueError("a bug")),
        (Transient("away"), Permanent("would shrink")),
    ],
    ids=repr,
)
async def test_a_table_that_is_not_synced_leaves_the_others_their_turns(
    first: Exception, last: Exception | None
) -> None:
    stage = Stage({TABLES[0]: first} | ({TABLES[-1]: last} if last else {}))
    with pytest.raises(type(last or first), match=str(last or first)):
        await run(stage, "models_and_syncs")
    assert stage.asked == TABLES


async def test_all_are_told_and_a_lost_term_ends_it() -> None:
    assert [done["table"] for done in (await run(Stage(), "models_and_syncs"))["syncs"]] == TABLES
    stage = Stage({TABLES[0]: LeaseLost("the term is over")})
    with pytest.raises(LeaseLost):
        await run(stage, "models_and_syncs")
    assert stage.asked == TABLES[:1]


async def test_a_mart_that_could_not_be_built_is_not_synced_and_the_others_are() -> None:
    stage = Stage(runs=[ModelRun(mart, 0.1, 1) for mart in MARTS[1:]] + [ModelRun(MARTS[0], 0.1, 1, f"{MARTS[0]}: no")])
    with pytest.raises(Permanent, match=f"{MARTS[0]}: no"):
        await run(stage, "models_and_syncs")
    assert stage.asked == TABLES[1:]


async def test_models_run_by_tag_and_a_tag_without_models_is_no_failure() -> None:
    stage = Stage(runs=[ModelRun("a", 0.1, 5)])
    assert await run(stage, "dbt_core") == {"models": [{"model": "a", "seconds": 0.1, "rows": 5}]}
    assert await run(stage, "dbt_audience") == {"models": []}
    assert stage.built == ["imports", ["tag:core"]]


async def test_weekly_and_monthly_runs_take_their_models() -> None:
    stage = Stage()
    assert (await run(stage, "dbt_weekly"))["merged"] == ["b"]
    await run(stage, "dbt_monthly")
    assert stage.built == [["tag:recent", "whole"], ["c"]]
    assert stage.asked == ["dbt.b"]


async def test_months_of_the_time_series_are_those_that_are_open() -> None:
    stage = Stage()
    assert (await run(stage, "sync_time_series_month"))["outcome"] == "replaced"
    assert stage.asked == ["social_profile_time_series 2026-10-01"]


@pytest.mark.parametrize(
    ("now", "first"),
    [("2026-12-02T18:29Z", "2026-11-01"), ("2026-12-02T18:30Z", "2026-12-01"), ("2026-12-31T18:29Z", "2026-12-01")],
)
def test_a_month_is_open_until_the_third_day_of_the_next_there(now: str, first: str) -> None:
    at = dt.datetime.fromisoformat(now)
    clock = cast(Any, SimpleNamespace(now=lambda: at))
    assert open_from(clock, ZoneInfo("Asia/Kolkata")) == dt.date.fromisoformat(first)


async def test_a_model_that_failed_fails_the_run() -> None:
    failed = ModelRun("a", 0.1, 0, "a: away", transient=True)
    skipped = replace(failed, model="c", error="c: not built: a failed", skipped=True)
    with pytest.raises(Transient, match="a: away; not built because of that: c"):
        await run(Stage(runs=[failed, skipped]), "dbt_core")
    with pytest.raises(Permanent, match="a: wrong"):
        await run(Stage(runs=[replace(failed, error="a: wrong", transient=False)]), "dbt_core")


async def test_the_first_page_is_what_its_tables_are_made_of() -> None:
    stage = Stage()
    stage.models = [
        model("daily", "core"),
        model("gpt", "audience"),
        model("ranks", "core", parents=["daily", "gpt"]),
        model("account", "core", parents=["daily"]),
        model("mart_leaderboard", "core", parents=["ranks"]),
        model("mart_time_series", "core", parents=["daily"]),
    ]
    await run(stage, "first_page")
    first = ["daily", "ranks", "mart_leaderboard", "mart_time_series"]
    assert (stage.built, tuple(stage.asked)) == (["imports", first], FIRST_TABLES)
    await run(rest := Stage(), "after_first_page")
    assert (rest.built, sorted([*rest.asked, *FIRST_TABLES])) == ([[]], sorted(TABLES))
    assert await run(stage, "insta_comments") == {"produced": "insta_comments"}


async def test_where_columns_come_from_is_read_after_the_first_page() -> None:
    async def lineage() -> dict[str, Any]:
        return {"lineage": True}

    rows = {schedule.name: schedule for schedule in runs(Stage(), lineage=lineage).schedules()}
    assert "lineage" not in (await rows["first_page"].run() or {})
    assert (await rows["after_first_page"].run() or {})["lineage"] is True


async def test_a_call_whose_function_is_not_there_waits_for_it() -> None:
    async def erasure() -> dict[str, Any]:
        return {"erased": 0}

    rows = {schedule.name: schedule for schedule in runs(Stage(), erasure=erasure).schedules(
        [row for row in ROWS if row.name in {*NOT_YET, "erasure"}]
    )}  # fmt: skip
    assert {name: schedule.waits_for for name, schedule in rows.items()} == {**NOT_YET, "erasure": ""}
    assert await rows["erasure"].run() == {"erased": 0}
    waiting = {row.name for row in NAMED if row.waits_for}
    assert waiting == {row.name for row in NAMED if row.name.startswith("upload_")} | {"insta_gpt_enrichment"}
