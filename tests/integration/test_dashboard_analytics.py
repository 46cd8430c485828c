"""The pages of schedules, syncs and models in a real browser: what is shown, found, run, paused and accepted.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gcc.clock import SystemClock
from tests.chromium import Page
from tests.integration.ops_platform import Swapped, World, ops_port, process
from tests.integration.test_dashboard import ACTIVE, shoot, text
from tests.integration.test_dashboard_pages import NASTY, choose, fill, opened

CLOCK = SystemClock()
ROWS = (
    "[...document.querySelectorAll('main tbody tr:not(.group)')].map((tr) => tr.innerText.replace(/\\s+/g, ' ').trim())"
)
GROUPS = "[...document.querySelectorAll('main tbody tr.group')].map((tr) => tr.innerText.trim())"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


def ago(**of: float) -> str:
    return (CLOCK.now() - dt.timedelta(**of)).isoformat()


def schedule(name: str, cron: str | None, status: str | None = None, **changes: Any) -> dict[str, Any]:
    """A line of `Scheduler.overview`; `status`: how it went last, more than an hour ago."""
    last = (
        {"status": status, "started_at": ago(minutes=90), "ended_at": ago(minutes=89), "detail": {}} if status else None
    )
    if last and "detail" in changes:
        last["detail"] = changes.pop("detail")
    line = {"name": name, "cron": cron, "running": False, "next_run": None, "last_run": last}
    return {**line, "skipped": 0, "waits_for": None, **changes}


def synced(table: str, mart: str, **changes: Any) -> dict[str, Any]:
    """A line of `Sync.overview`."""
    line = {"table": table, "mart": mart, "rows": None, "as_of": None, "built_at": None, "refused": None}
    return {**line, "refused_at": None, "accepted_by": None, "rows_kept_min": 0.95, "nulls_max": {}, **changes}


async def shoot_all(page: Page, name: str) -> None:
    """Wide and narrow, dark and light; nothing lies beside the page."""
    for width, scheme in ((1440, "dark"), (1440, "light"), (390, "dark"), (390, "light")):
        await page.look(width=width, height=900, scheme=scheme)
        await page.until(f"innerWidth === {width}")
        assert await page.js("document.documentElement.scrollWidth") == width, (name, width)
        await shoot(page, f"{name}-{width}-{scheme}", whole_page=True)
    await page.look(width=1280, height=800)


def some_schedules() -> list[dict[str, Any]]:
    later = (CLOCK.now() + dt.timedelta(hours=3.5)).isoformat()
    return [
        schedule("dbt_core", "*/15 * * * *", "COMPLETE", next_run=later, detail={"models": [{"model": "a"}, {}]}),
        schedule("dbt_daily", "35 19 * * *", "FAILED", detail={"error": f"mart_x: {NASTY}"}),
        schedule("dbt_hourly", "22 * * * *", "RUNNING", running=True, skipped=2),
        schedule("insta_gpt_enrichment", "50 */2 * * *", waits_for="the flows that ask a language model"),
        schedule("sync_trending_content", "50 * * * *", "COMPLETE", detail={"outcome": "swapped", "rows": 12_004}),
        schedule("models_and_syncs", None),
    ]


async def test_a_process_without_analytics_says_who_has_it(page: Page, world: World) -> None:
    del world.roles.here["analytics"]
    world.processes.append(process("beta", 7))
    async with ops_port(world, past_s=60) as port:
        for path in ("/models", "/models/mart_x", "/quality", "/schedules", "/syncs"):
            await opened(page, port.url, path)
            await page.until(f"{text('main')}.includes('This process has no role analytics')")
            assert "in alpha:4211, beta:7: ask there" in await page.js(text("main")), path
        assert page.complaints == []


async def test_schedules_tell_what_runs_fails_is_skipped_and_waits(page: Page, world: World) -> None:
    world.schedules = some_schedules()
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/schedules")
        await page.until(f"{GROUPS}.length === 4")
        assert await page.js(GROUPS) == ["Models", "Producers of Instagram", "Syncs", "Beside them"]
        core, daily, hourly, gpt, trending, all_ = await page.js(ROWS)
        assert (
            core.startswith("dbt_core builds the models of tag core */15 * * * * in 3 h")
            and "1 h ago complete 2 models 1 min 00 s" in core
        )
        assert f"failed mart_x: {NASTY}" in daily, "text, whatever it holds"
        assert hourly.startswith(
            "dbt_hourly builds the models of tag hourly 22 * * * * now 1 h ago running skipped 2 times"
        )
        assert gpt.startswith("insta_gpt_enrichment asks a language model about accounts")
        assert gpt.endswith(" 50 */2 * * * waits for the flows that ask a language model – – –")
        assert "complete swapped, rows 12,004" in trending
        assert all_ == "models_and_syncs models and syncs everything by hand – – never – Run now…"
        assert await page.js(text("#found")) == (
            "6 schedules: 1 running, 1 failed last, 1 skipped, 1 waiting for something. Cron lines are UTC."
        )
        await shoot_all(page, "page-schedules")
        await choose(page, "#s-show", "failed")
        await page.until(f"{ROWS}.length === 1 && location.search === '?show=failed'")
        await choose(page, "#s-show", "")
        await fill(page, "#s-text", "DBT")
        await page.until(f"{ROWS}.length === 3 && location.search === '?text=DBT'")
        assert page.complaints == []


async def test_one_schedule_tells_what_its_last_runs_did(page: Page, world: World) -> None:
    world.schedules = [*some_schedules(), schedule(NASTY, "1 1 * * *")]
    built = [{"model": "mart_a", "seconds": 0.5, "rows": 7}, {"model": NASTY, "seconds": 2.25, "rows": 1}]
    world.past_runs = [
        {"status": "RUNNING", "started_at": ago(hours=1), "ended_at": None, "detail": None},
        {"status": "COMPLETE", "started_at": ago(hours=2), "ended_at": ago(minutes=119), "detail": {"models": built}},
        {"status": "FAILED", "started_at": ago(hours=3), "ended_at": ago(minutes=179), "detail": {"error": NASTY}},
    ]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/schedules?text=dbt_core")
        await page.until(f"{ROWS}.length === 1")
        await page.js("document.querySelector('main tbody th a').click()")
        await page.until(f"location.pathname === '/schedules/dbt_core' && {ROWS}.length === 3")
        running, complete, failed = await page.js(ROWS)
        assert " running 1 h 0" in running and running.endswith("so far")
        assert complete.endswith("complete 2 models 1 min 00 s") and failed.endswith(f"failed {NASTY} 1 min 00 s")
        await page.js("document.querySelectorAll('main tbody button')[0].click()")
        await page.until("document.querySelectorAll('.built li').length === 2")
        assert await page.js(text("#does")) == "It builds the models of tag core."
        assert await page.js(text(".built")) == f"{NASTY} 2.3 s · 1 row mart_a 0.5 s · 7 rows", "the longest first"
        await shoot_all(page, "page-schedule")
        await page.js("document.querySelector('#run').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        assert await page.js(text("dialog h2")) == "Run dbt_core now?"
        await page.press("Escape")
        await page.js("document.querySelector('.crumbs a').click()")
        await page.until(f"{ROWS}.length === 7")
        await page.js("[...document.querySelectorAll('main tbody th a')].at(-1).click()")
        await page.until(f"{text('#h-schedule')} === {NASTY!r}")
        assert page.complaints == []


async def test_a_schedule_is_run_now_and_all_are_paused_and_resumed_with_a_why(page: Page, world: World) -> None:
    world.schedules = some_schedules()
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/schedules?text=models_and")
        await page.until(f"{ROWS}.length === 1")
        await page.js("document.querySelector('main tbody button').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        await page.write("after an import")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('models_and_syncs has run: COMPLETE.')")
        await page.until(f"{ROWS}[0].includes('complete')")
        for verb, is_paused in (("pause", True), ("resume", False)):
            await page.js("document.querySelector('#pause-schedules').click()")
            await page.until(f"{ACTIVE}.id === 'why'")
            said = await page.js(text("dialog code"))
            assert said == f"python -m gcc.supervisor {verb} analytics/scheduler --why '…'"
            await page.write("the store is moved")
            await page.press("Enter")
            await page.until(f"!!document.querySelector('#paused') === {str(is_paused).lower()}")
        assert [(done.verb, done.target, done.why) for done in world.controls.log.values()] == [
            ("run", "schedule models_and_syncs", "after an import"),
            ("pause", "analytics/scheduler", "the store is moved"),
            ("resume", "analytics/scheduler", "the store is moved"),
        ]


def some_syncs() -> Swapped:
    why = f"leaderboard would shrink from 1,200 to 3 rows {NASTY}"
    return Swapped(
        [
            synced("leaderboard", "mart_leaderboard", rows=1200, as_of=ago(hours=2.5), built_at=ago(hours=2.5),
                   refused=why, refused_at=ago(minutes=5), nulls_max={"followers": 0.01}),
            synced("trending_content", "mart_trending_content", rows=90_000, as_of=ago(hours=9.5), rows_kept_min=0.3,
                   nulls_max={"score": 0.0}),
            synced("dictionary", "mart_search_facet"),
        ]
    )  # fmt: skip


async def test_syncs_tell_their_last_swap_and_guards_and_one_that_was_refused_is_accepted(
    page: Page, world: World
) -> None:
    syncs = some_syncs()
    world.syncs = [syncs]
    world.schedules = [*some_schedules(), schedule("sync_leaderboard_prod", "15 20 * * *", "FAILED")]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/syncs")
        await page.until(f"{ROWS}.length === 3 && {ROWS}[1].includes('swapped')")
        leaderboard, trending, dictionary = await page.js(ROWS)
        assert leaderboard.startswith("leaderboard from mart_leaderboard refused 1,200 2 h ago")
        assert f"would shrink from 1,200 to 3 rows {NASTY}" in leaderboard, "text, whatever it holds"
        assert "at least 95 % of the rows, followers unknown in at most 1 %" in leaderboard
        assert "good 90,000 9 h ago" in trending and "complete swapped, rows 12,004" in trending
        assert "at least 30 % of the rows, score always known" in trending
        assert "never swapped –" in dictionary
        assert (await page.js(text("#waiting"))).startswith("1 table waits for a person")
        await shoot_all(page, "page-syncs")
        await page.js("document.querySelector('main tbody button').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        assert await page.js(text("dialog code")) == "python -m gcc.supervisor sync accept leaderboard --why '…'"
        assert await page.js(text("dialog .error-text")) == syncs.lines[0]["refused"]
        await page.write("a month was removed")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('leaderboard was accepted and synced: COMPLETE.')")
        await page.until(f"{ROWS}[0].includes('Accepted by dashboard.')")
        assert not await page.js("!!document.querySelector('#waiting')")
        await page.js("document.querySelectorAll('main tbody button')[1].click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        await page.write("a look")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('trending_content was synced')")
        assert [(done.verb, done.target, done.why) for done in world.controls.log.values()] == [
            ("accept", "sync leaderboard", "a month was removed"),
            ("run", "schedule sync_leaderboard_prod", "a month was removed"),
            ("run", "schedule sync_trending_content", "a look"),
        ]
        assert page.complaints == []
