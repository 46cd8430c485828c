"""The exported project under the real dbt, against the embedded engine behind HTTP: its graph and its rows are ours.

Needs .venv-dbt, which `make dbt` makes: dbt has dependencies of its own, that are none of ours.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import dbt_project, models, unit_tests
from gcc.statements import ROOT
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.fakes.clickhouse_server import clickhouse_server
from tests.integration.snapshots_oracle import Snapshot, ndjson

DBT = ROOT / ".venv-dbt" / "bin" / "dbt"
ZONE = "Asia/Kolkata"
GRAPH = models.read(variables={"timezone": ZONE})
DAYS = ("2026-09-10 10:00:00.000000", "2026-09-11 10:00:00.000000")
TIMES = {"built_at", "inserted_at", "stored_at"}  # of a build and of an insert: theirs are other ones

pytestmark = pytest.mark.skipif(not DBT.exists(), reason="needs dbt: make dbt")


class Dbt:
    def __init__(self, project: Path, url: str) -> None:
        self.project = project
        self._environment = {**os.environ, "CLICKHOUSE_PORT": url.rpartition(":")[2], "DBT_PROFILES_DIR": str(project)}

    async def __call__(self, *words: str, well: bool = True) -> list[dict[str, Any]]:
        """Run it, which goes `well`; the results that it leaves. Fails with what it says."""
        with trio.fail_after(600):
            done = await trio.run_process(
                [str(DBT), "--no-use-colors", *words],
                cwd=self.project,
                env=self._environment,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
        assert (done.returncode == 0) == well, done.stdout.decode()
        results = self.project / "target" / "run_results.json"
        return list(json.loads(results.read_text())["results"]) if results.exists() else []

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.project / "target" / "manifest.json").read_text()))


@pytest.fixture(scope="module")
def dbt(clickhouse_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    """Of one project at one address: what a test has parsed, the next need not."""
    project = tmp_path_factory.mktemp("dbt") / "project"
    assert dbt_project.export(project, variables={"timezone": ZONE}) == len(GRAPH)
    with clickhouse_server(clickhouse_folder) as url:
        yield Dbt(project, url)


async def test_the_graph_is_ours(dbt: Dbt, clickhouse: ClickHouse) -> None:
    await dbt("parse")
    manifest = dbt.manifest()
    nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    assert nodes.keys() == {model.name for model in GRAPH}
    for model in GRAPH:
        node, config = nodes[model.name], nodes[model.name]["config"]
        parents = {name.rpartition(".")[2] for name in node["depends_on"]["nodes"] if name.startswith("model.")}
        assert parents == set(model.parents), model.name
        assert (config["materialized"], set(config["tags"])) == (model.materialized, model.tags), model.name
        assert tuple(config.get("order_by", ())) == model.unique_key, model.name
        assert config.get("partition_by", []) == ([model.partition_by] if model.partition_by else []), model.name
        assert node["description"] == model.description
    assert len(manifest["unit_tests"]) == len([test for test in unit_tests.read() if not test.not_in_dbt])
    assert {kind for kind in manifest["nodes"] if kind.split(".")[0] in ("seed", "snapshot", "operation")} == set()


async def test_rows_are_ours_whole_and_after_an_incremental_run(dbt: Dbt, clickhouse: ClickHouse) -> None:
    clock = SystemClock()
    transformer = Transformer(clickhouse.builders, GRAPH, Board(clock.now).actor("transformer"), clock, zone=ZONE)
    for day in DAYS:
        await store_some(clickhouse, day, token=f"ours {day}")
        assert [run for run in await transformer.run_models() if not run.ok] == []
    # dbt knows no run that holds all: it looks five minutes back where ours finds nothing newer than what it built.
    by_themselves = await transformer.run_models([model.name for model in GRAPH if model.newer_than])
    assert by_themselves and all(run.ok for run in by_themselves)
    ours = await rows(clickhouse)
    for model in GRAPH:
        await clickhouse.command(f"drop table dbt.{model.name}")
    for table in ("profile_log_events", "post_log_events"):
        await clickhouse.command(f"truncate table _e.{table}")
    for day, how in zip(DAYS, ("build", "run"), strict=True):
        await store_some(clickhouse, day, token=f"theirs {day}")
        results = await dbt(how)
        assert {result["status"] for result in results} <= {"success", "pass"}
        assert how == "run" or len(results) >= len(GRAPH) + len(unit_tests.read())
    assert await rows(clickhouse) == ours
    assert all(ours[name] for name in ("mart_leaderboard", "mart_instagram_account", "mart_post_latest"))


PARTITIONS = """-- description: one row an id
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- unique_key: month, id
select month, id, {{ now_at() }} as seen_at from {{ source('default', 'some') }}
{% if is_incremental() %}where {{ in_period('month') }}{% endif %}
"""


async def test_an_empty_month_is_emptied_a_frozen_one_kept_and_a_wrong_row_fails(
    clickhouse: ClickHouse, clickhouse_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(models.MODELS / "macros", tmp_path / "models" / "macros")
    (tmp_path / "models" / "mart_p.sql").write_text(PARTITIONS)
    shutil.copy(models.MODELS / "vars.toml", tmp_path / "models")
    dbt_project.export(tmp_path / "project", variables={"timezone": ZONE}, folder=tmp_path / "models")
    months = "select addMonths(toStartOfMonth(today()), -number) as month, toInt64(number) as id from numbers(4)"
    await clickhouse.command(f"create table default.some engine = MergeTree order by id as {months}")
    await clickhouse.command("insert into default.some values ('2009-12-01', 4)")  # a warning's worth
    with clickhouse_server(clickhouse_folder) as url:
        dbt = Dbt(tmp_path / "project", url)
        assert [result["status"] for result in await dbt("build")] == ["success", "warn"]
        assert await ids(clickhouse) == [0, 1, 2, 3, 4]
        await clickhouse.command("alter table default.some delete where id in (0, 3) settings mutations_sync = 1")
        await dbt("run")
        assert await ids(clickhouse) == [1, 2, 3, 4]
        await clickhouse.command("insert into default.some select toStartOfMonth(today()), -1")
        assert [result["status"] for result in await dbt("build", well=False)] == ["success", "fail"]


async def ids(clickhouse: ClickHouse) -> list[int]:
    return [row["id"] for row in await clickhouse.rows("select id from dbt.mart_p order by id")]


async def store_some(clickhouse: ClickHouse, at: str, *, token: str) -> None:
    """Snapshots of some profiles and posts, so that every mart has rows."""
    profiles = [
        Snapshot(platform, f"{platform[0]}{number}", at, {"followers": 1000 * number, "engagement_rate": 0.01 * number})
        for platform in ("INSTAGRAM", "YOUTUBE")
        for number in range(1, 8)
    ]
    await clickhouse.insert_ndjson("_e.profile_log_events", ndjson(profiles), token=token)
    posts = [
        {
            "event_id": f"00000000-0000-7000-8000-00000000000{number}",
            "platform": "INSTAGRAM",
            "profile_id": f"I{number}",
            "shortcode": f"s{number}",
            "post_id": f"p{number}",
            "event_timestamp": at.partition(".")[0],
            "metrics": {"likes": number, "comments": 2},
            "dimensions": {},
        }
        for number in range(1, 8)
    ]
    body = "\n".join(json.dumps(post) for post in posts).encode()
    await clickhouse.insert_ndjson("_e.post_log_events", body, token=token)


async def rows(clickhouse: ClickHouse) -> dict[str, list[str]]:
    """What stands in every model, in one order, without the times of builds and inserts."""
    found: dict[str, list[str]] = {}
    for model in GRAPH:
        final = "final" if model.strategy == "keys" else ""
        selected = await clickhouse.rows(f"select * from dbt.{model.name} {final}")  # noqa: S608
        found[model.name] = sorted(str({k: v for k, v in row.items() if k not in TIMES}) for row in selected)
    return found
