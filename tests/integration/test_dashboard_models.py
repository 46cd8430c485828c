"""The pages of models and of their quality in a real browser: all 112 as a graph and a list, one with all that is known
of it, what is promised and kept. What is shown is text, whatever it holds.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import pytest

from gcc.actors.modelled import Model
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.freshness import AGE_S_MAX
from tests.chromium import Page
from tests.integration.ops_platform import Modelled, World, ops_port
from tests.integration.test_dashboard import ACTIVE, text
from tests.integration.test_dashboard_analytics import ROWS, shoot_all
from tests.integration.test_dashboard_pages import NASTY, choose, fill, opened

NOW = SystemClock().now()
NODES = (
    "[...document.querySelectorAll('.node')].filter((node) => !node.matches('.dim'))"
    ".map((node) => node.title.split('\\n')[0])"
)
"""Those that stand out, or all."""
GROUPS = "[...document.querySelectorAll('.groups h3')].map((h3) => h3.innerText.trim())"
LOOKED = {"looked": 9, "failed": 0, "warned": 0}


def node(name: str) -> str:
    """JavaScript for the node of a model."""
    return f"[...document.querySelectorAll('.node')].find((node) => node.title.split('\\n')[0] === {name!r})"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


@cache
def graph() -> list[Model]:
    return list(models.read(variables={"timezone": "Asia/Kolkata"}))


def row(name: str, *parents: str, tag: str = "core", **changes: Any) -> dict[str, Any]:
    """A line of `Modelling.listed`: of a mart that was built well four hours ago."""
    return {
        "name": name,
        "layer": "staging" if name.startswith("stg_") else "marts",
        "materialized": "table",
        "strategy": None,
        "tags": [tag],
        "parents": list(parents),
        "state": "good",
        "seconds": 1.4,
        "rows": 72_800,
        "peak_bytes": 48 << 20,
        "overhead_s": 0.012,
        "fresh_at": (NOW - dt.timedelta(hours=4.5)).isoformat(),
        "error": None,
        "age_s_max": AGE_S_MAX[tag],
        "late": False,
        "tests": LOOKED,
        **changes,
    }


def all_models(changes: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    view = {"seconds": 0.0, "rows": 0, "age_s_max": None, "fresh_at": None}
    return [
        row(model.name, *model.parents, tag=next(iter(model.tags)), materialized=model.materialized)
        | (view if model.materialized == "view" else {})
        | changes.get(model.name, {})
        for model in graph()
    ]


CHANGES = {
    "mart_leaderboard": {"state": "failed", "error": f"its tests failed: {NASTY}", "tests": {**LOOKED, "failed": 2}},
    "mart_profile_growth": {"late": True},
    "mart_post_latest": {"state": "building"},
    "mart_gcc_orders": {
        "state": "unbuilt",
        "late": True,
        "fresh_at": None,
        "seconds": None,
        "rows": None,
        "tests": None,
    },
}


async def test_all_models_are_a_graph_by_layer_and_tag_that_is_filtered(page: Page, world: World) -> None:
    world.models = [Modelled(all_models(CHANGES))]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/models")
        await page.until(f"{NODES}.length === 112")
        groups = await page.js(GROUPS)
        assert groups[0] == "staging 29 models: names and casts of events and replicas"
        assert groups[1:3] == ["collections 21 models", "core 16 models"] and groups[-1] == "orders 1 model"
        assert await page.js(text("#found")) == (
            "112 models; of all: 109 good, 1 being built, 1 failed, 1 wrong by a test, 2 late, 1 never built."
        )
        assert await page.js(text(".node.bad")) == "leaderboard 2 tests failed · 4 h · 72.8K rows · 1.4 s"
        assert (
            await page.js(f"{node('mart_post_latest')}.innerText") == "post_latest\nbuilding · 4 h · 72.8K rows · 1.4 s"
        )
        places = (
            "[...document.querySelectorAll('.graph')].every((graph) => [...graph.querySelectorAll('.node')]"
            ".map((node) => node.getBoundingClientRect()).every((a, n, all) => all.every((b, m) => m === n ||"
            " a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top)))"
        )
        for width in (1440, 900):
            await page.look(width=width, height=900)
            await page.until(f"innerWidth === {width}")
            assert await page.js(places), "no model lies on another"
        await shoot_all(page, "page-models")
        await page.until(f"{NODES}.length === 112")
        await page.js(f"{node('mart_leaderboard')}.focus()")
        await page.until(f"{NODES}.length === 8")
        (leaderboard,) = [model for model in graph() if model.name == "mart_leaderboard"]
        children = [model.name for model in graph() if leaderboard.name in model.parents]
        assert {*await page.js(NODES)} == {leaderboard.name, *leaderboard.parents, *children}
        lines = "document.querySelectorAll('.graph > svg path.strong').length"
        assert await page.js(lines) == 1 + sum("core" in model.tags for model in graph() if model.name in children)
        await page.js(f"{ACTIVE}.blur()")
        await choose(page, "#m-tag", "hourly")
        await page.until(f"{NODES}.length === 10 && location.search === '?tag=hourly'")
        await choose(page, "#m-show", "late")
        await page.until(f"{NODES}.join() === 'mart_profile_growth'")
        await choose(page, "#m-tag", "")
        await choose(page, "#m-show", "")
        await fill(page, "#m-text", "LEADERBOARD")
        await choose(page, "#m-view", "list")
        await page.until(f"{ROWS}.length === 7 && location.search === '?text=LEADERBOARD&view=list'")
        shown = (await page.js(ROWS))[0]  # what is wrong comes first
        assert shown.startswith("mart_leaderboard failed core incremental 4 h 20 min 1.4 s 72,800 9 2 tests failed")
        assert shown.endswith(f"its tests failed: {NASTY}"), "text, whatever it holds"
        await shoot_all(page, "page-models-list")
        assert page.complaints == []


async def test_a_phone_gets_the_list_and_may_have_the_graph(page: Page, world: World) -> None:
    world.models = [Modelled(all_models({}))]
    async with ops_port(world, past_s=60) as port:
        await page.look(width=390, height=844)
        await opened(page, port.url, "/models")
        await page.until(f"{ROWS}.length === 112")
        await choose(page, "#m-view", "graph")
        await page.until(f"{NODES}.length === 112")
        assert await page.js("document.documentElement.scrollWidth") == 390


def finding(test: str, column: str, severity: str, found: int, **changes: Any) -> dict[str, Any]:
    told = {"model": "mart_x", "test": test, "column": column, "severity": severity, "found": found, "said": ""}
    return {**told, "ok": not found, "looked_at": (NOW - dt.timedelta(hours=4.5)).isoformat(), **changes}


def one_model() -> Modelled:
    """Eight in a row, and one whose name is odd beside the fifth."""
    chain = [row(f"mart_{n}", *([f"mart_{n - 1}"] if n else [])) for n in range(8)]
    chain[4] |= {"state": "failed", "error": f"Code 241 {NASTY}", "strategy": "partitions"}
    told = Modelled([*chain, row(NASTY, "mart_4")])
    told.more = {
        "description": f"One row a thing (2.4) {NASTY}",
        "unique_key": ["platform", "profile_id"],
        "partition_by": "month",
        "synced": ["leaderboard"],
        "findings": [
            finding("count", "likes", "error", 3, said=f"-1 {NASTY}"),
            finding("unique", "", "error", 0),
        ],
        "sql": f"select 1 as id\n\n   \n\nfrom dbt.mart_3 -- {NASTY}",
    }
    told.origins = [
        {"model": "mart_4", "column": "likes", "parent": "dbt.mart_3", "parent_column": "likes", "depth": 1},
        {"model": "mart_4", "column": NASTY, "parent": "", "parent_column": "", "depth": 1},
        {"model": "mart_3", "column": "likes", "parent": "_e.post_log_events", "parent_column": NASTY, "depth": 2},
    ]
    return told


async def test_one_model_has_its_neighbourhood_tests_columns_and_sql(page: Page, world: World) -> None:
    world.models = [one_model()]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/models/mart_4")
        await page.until(f"{NODES}.length === 4 && document.querySelectorAll('.lineage tbody tr').length === 2")
        assert await page.js(NODES) == ["mart_3", "mart_4", "mart_5", NASTY], "text, whatever it holds"
        assert await page.js("document.querySelectorAll('.graph > svg path.strong').length") == 3
        shown = await page.js(text(".one"))
        assert f"One row a thing (2.4) {NASTY} Code 241 {NASTY} Kind table, by partitions of month" in shown
        assert "A row a platform, profile_id Age 4 h of at most 20 min Last good build took 1.4 s" in shown
        assert "Synced as leaderboard Reads mart_3 Is read by mart_5" in shown
        assert await page.js(text("#h-tests + .muted")) == "2 rules looked at last, 1 with something to tell"
        assert (await page.js(text(".findings tbody tr"))).startswith(f"count likes failed 3 -1 {NASTY}")
        assert (
            await page.js("document.querySelector('.block pre').innerText")
            == f"select 1 as id\nfrom dbt.mart_3 -- {NASTY}"
        )
        await page.js("document.querySelector('#all-tests').click()")
        await page.until("document.querySelectorAll('.findings tbody tr').length === 2")
        await page.js("document.querySelector('.lineage button').click()")
        await page.until(f"{text('#origins')} === 'mart_3.likes _e.post_log_events.{NASTY}'")
        assert await page.js("location.search") == "?column=likes"
        assert f"{NASTY} made here" in await page.js(text(".lineage"))
        await shoot_all(page, "page-model")
        await choose(page, "#m-steps", "2")
        await page.until(f"{NODES}.length === 6 && location.search === '?column=likes&steps=2'")
        await choose(page, "#m-steps", "all")
        await page.until(f"{NODES}.length === 9")
        await page.js(f"{node(NASTY)}.click()")
        await page.until(f"{text('#h-model')} === {NASTY!r}")
        await page.go(f"{port.url}/models/mart_z")
        await page.until(f"{text('.refusal')}.startsWith('This model cannot be told now: there is no model')")
        assert [said for said in page.complaints if "409" not in said] == []


async def test_models_are_run_with_a_why_and_tested_without(page: Page, world: World) -> None:
    told = one_model()
    world.models = [told]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/models/mart_4")
        await page.until("!!document.querySelector('#test')")
        await page.js("document.querySelector('#test').click()")
        await page.until(f"{text('#test')} === 'Test now'")
        await page.js("document.querySelector('#run').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        await page.js("document.querySelector('#full').click()")
        await page.until(f"{text('dialog code')} === \"python -m gcc.supervisor models run mart_4 --full --why '…'\"")
        await fill(page, "#why", "a new rule")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('mart_4: the run is over, COMPLETE.')")
        await page.go(f"{port.url}/models?tag=core")
        await page.until(f"{text('#run')} === 'Run tag core…'")
        await page.js("document.querySelector('#run').click()")
        await fill(page, "#why", "after an import")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('tag:core: the run is over')")
        assert told.asked == [
            ("test", ["mart_4"], False),
            ("run", ["mart_4"], True),
            ("run", ["tag:core"], False),
        ]
        assert [(done.verb, done.target, done.why) for done in world.controls.log.values()] == [
            ("run", "models mart_4", "a new rule"),
            ("run", "models tag:core", "after an import"),
        ]


def promise(tag: str, **changes: Any) -> dict[str, Any]:
    kept = {"tag": tag, "age_s_max": AGE_S_MAX[tag], "models": 3, "promised": 3, "oldest_s": 61.4, "late": []}
    return {**kept, "unbuilt": [], **LOOKED, **changes}


async def test_quality_tells_of_promises_by_tag_tests_and_volumes(page: Page, world: World) -> None:
    told = Modelled([])
    late = [f"mart_{n}" for n in range(8)]
    told.told = {
        "promises": [
            promise("recent", failed=1, warned=2),
            promise("core", oldest_s=1260.0, late=late, unbuilt=late[:1]),
            promise("genre", models=0, oldest_s=None, looked=0),
            promise("daily", unbuilt=["mart_0", "mart_1"]),
        ],
        "tests": {"looked": 1146, "failed": 1, "warned": 3},
        "tested_at": NOW.isoformat(),
        "wrong": [finding("count", "likes", "error", 3, said=NASTY), finding("values_declared", "kind", "warn", 9)],
    }
    hour = {"hour": NOW.replace(minute=0).isoformat(), "low": None, "high": None, "ok": True}
    told.volumes_told = [
        {"table": "post_log_events", "events": 1200, **hour, "low": 900.0, "high": 1500.0},
        {"table": "profile_log_events", "events": 12, **hour, "low": 900.4, "high": 1500.0, "ok": False},
        {"table": "new_events", "events": 5, **hour},
        {"table": "click_event", "events": 0, **hour},
    ]
    world.models = [told]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/quality")
        await page.until(f"{ROWS}.length === 9")
        recent, core, genre, daily, wrong, warned, *volumes = await page.js(ROWS)
        assert recent == "recent wrong 10 min 1 min 01 s 3 9, 1 failed, 2 warnings –"
        assert core == (
            "core late 20 min 21 min 00 s 3 9 mart_0 mart_1 mart_2 mart_3 mart_4 mart_5 and 2 more 1 never built"
        )
        assert (genre, daily) == (
            "genre no models 1 d 6 h – 0 – –",
            "daily kept 1 d 2 h 1 min 01 s 3 9 2 never built yet",
        )
        assert await page.js(text("#tests")) == "1,146 looked at last: 1 failed, 3 warnings"
        assert wrong.startswith(f"mart_x count likes failed 3 {NASTY}"), "text, whatever it holds"
        assert warned.startswith("mart_x values declared kind warning 9 –")
        assert "and 2 more, which are no worse" in await page.js(text("main"))
        assert volumes == [
            "profile_log_events too few 12 900 to 1,500",
            "post_log_events usual 1,200 900 to 1,500",
            "new_events not known for a week yet 5 –",
        ]
        assert (await page.js(text("#silent"))).endswith("nothing is usual of them yet: click_event.")
        await shoot_all(page, "page-quality")
        await page.js("document.querySelector('#test').click()")
        await page.until(f"{text('#test')} === 'Test all now'")
        assert told.asked == [("test", [], False)]
        assert page.complaints == []
