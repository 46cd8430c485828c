"""The main job on the real process: crawl, sink, model, sync, serve, against the world's truth; then kills.

Everything is as a user starts it, on a small world and any free ports.
"""

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.process import PlatformProcess, Status, platform, verb
from tests.recorded import FOLDER, needs_recorded

CREATORS = 40
DAYS = 20
SMALL = (f"world.creators={CREATORS}", f"world.history_days={DAYS}", "sinker.batch_age_s=0.5", "world.calls_per_s=400")
FAST = (*SMALL, "sources.graphapi.calls=30", "sources.ytapi.calls=30")
SLOW = (*SMALL, "sources.graphapi.calls=1", "sources.ytapi.calls=1")  # the crawl lasts long enough to interfere
NO_MORE_JOBS = "demo=false"  # a demo crawls followers, too, once the first page is served
PROFILES = "/discovery-service/api/profile"
BOARD = "/leaderboard-service/api/leaderboard/platform"


async def leaderboard(running: PlatformProcess, platform_name: str, **body: Any) -> list[dict[str, Any]]:
    """The whole latest leaderboard, by following its cursors."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await running.api("POST", f"{BOARD}/{platform_name}", json={"limit": 25, "cursor": cursor, **body})
        assert page.status_code == 200, page.text
        rows += page.json()["data"]
        cursor = page.json()["meta"]["cursor"]
        if cursor is None:
            return rows


async def served(running: PlatformProcess) -> None:
    """Wait until both tables of the first page are served: the series come after the leaderboard."""

    async def there(status: Status) -> bool:
        last = {line["name"]: line["last_run"] for line in status["schedules"]}["first_page"]
        if not last or last["status"] != "COMPLETE":
            return False
        return bool(await leaderboard(running, "YOUTUBE", limit=1) and await leaderboard(running, "INSTAGRAM"))

    await running.until(there, "the leaderboard")


def jobs_are(**counts: int) -> Callable[[Status], Awaitable[bool]]:
    """A condition: these jobs by state, and no others."""

    async def so(status: Status) -> bool:
        return bool(status["jobs"] == counts)

    return so


async def under_load(running: PlatformProcess) -> None:
    async def crawling(status: Status) -> bool:
        crawl = status["first_crawl"]
        return bool(crawl and 0 < crawl["done"] < crawl["total"])

    await running.until(crawling, "a crawl in the middle")


async def well(data: Path, *settings: str) -> dict[str, Any]:
    code, report, stderr = await verb("check", data, settings=settings)
    assert code == 0, (report, stderr)
    assert (report["missing"], report["doubled"], report["dead_lettered"]) == (0, 0, 0)
    return dict(report)


async def ranks_agree(running: PlatformProcess, platform_name: str) -> None:
    truth = (await running.world(f"/truth/{platform_name}?limit={CREATORS}"))["data"]
    board = await leaderboard(running, platform_name)
    assert [row["profile_id"] for row in board] == [row["profile_id"] for row in truth]
    for row, true in zip(board, truth, strict=True):
        assert row["followers"] == true["followers"]
        assert row["engagement_rate"] == pytest.approx(true["engagement_rate"], rel=1e-9)
        assert (row["category"], row["language"], row["country"]) == (
            true["category"], true["language"], true["country"],
        )  # fmt: skip
    by_rate = await leaderboard(running, platform_name, metric="engagement_rate")
    rates = [row["engagement_rate"] for row in by_rate]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == CREATORS


async def series_agree(running: PlatformProcess, platform_name: str) -> None:
    truth = (await running.world(f"/truth/{platform_name}?limit=5"))["data"]
    for creator in truth:
        true = await running.world(f"/truth/{platform_name}/{creator['handle']}")
        path = f"{PROFILES}/{platform_name}/{creator['handle']}/timeseries?metric=followers"
        first, last = true["history"][-DAYS]["date"], true["history"][-1]["date"]
        points = (await running.api("GET", f"{path}&from={first}&to={last}")).json()["data"]
        expected = {day["date"]: day["followers"] for day in true["history"][-DAYS:]}
        assert {point["date"]: point["value"] for point in points if point["date"] != last} == {
            day: value for day, value in expected.items() if day != last
        }


async def scheduled(running: PlatformProcess, data: Path) -> None:
    """What runs when is told, and one of it runs now."""

    async def all_is_built(status: Status) -> bool:
        last = {line["name"]: line["last_run"] for line in status["schedules"]}["after_first_page"]
        return bool(last and last["status"] == "COMPLETE")

    await running.until(all_is_built, "what comes after the first page")
    code, report, _ = await verb("schedules", data)
    lines = {line["name"]: line for line in report["schedules"]}
    assert (code, lines["first_page"]["last_run"]["status"]) == (0, "COMPLETE"), "the first start ran it"
    assert lines["dbt_core"]["cron"] == "*/15 * * * *"
    due = {line["name"]: line["next_run"] for line in (await running.status())["schedules"]}
    assert due["dbt_core"] and due["models_and_syncs"] is None, "that one runs by hand"
    code, ended, _ = await verb("schedules", data, "run", "sync_leaderboard", "--why", "a test")
    assert (code, ended["name"], ended["status"]) == (0, "sync_leaderboard", "COMPLETE")
    assert ended["detail"]["rows"] > 0
    _, log, _ = await verb("actions", data)
    newest = log["actions"][0]
    assert (newest["verb"], newest["target"], newest["why"]) == ("run", "schedule sync_leaderboard", "a test")
    code, _, told = await verb("schedules", data, "run", "dbt_cor", "--why", "a test")
    assert code == 2 and "like it, of " in told and "dbt_core" in told
    code, _, told = await verb("schedules", data, "run", "core_models")
    assert code == 2 and "--why" in told


async def modelled(data: Path) -> None:
    """How models stand is told, with their SQL and where their columns come from; and one is built now."""
    code, report, _ = await verb("models", data)
    rows = {row["name"]: row for row in report["models"]}
    assert code == 0 and {row["state"] for row in rows.values()} <= {"good", "building"}
    of_collections = {name: row for name, row in rows.items() if "collections" in row["tags"]}
    empty = [name for name, row in of_collections.items() if row["materialized"] != "view" and not row["rows"]]
    assert len(of_collections) > 20 and empty == [], "the demo's tenant has something to tell in each"
    board = rows["mart_leaderboard"]
    assert board["rows"] > 0 and board["seconds"] > 0 and board["fresh_at"].endswith("Z") and "core" in board["tags"]
    _, shown, _ = await verb("models", data, "show", "mart_leaderboard")
    assert "dbt.mart_leaderboard_rank" in shown["models"][0]["sql"]
    _, traced, _ = await verb("models", data, "lineage", "mart_leaderboard.followers")
    assert {"_e.profile_log_events.followers"} <= {
        f"{row['parent']}.{row['parent_column']}" for row in traced["lineage"]
    }
    code, ended, _ = await verb("models", data, "run", "mart_leaderboard", "--why", "a test")
    assert (code, ended["status"], [row["model"] for row in ended["models"]]) == (0, "COMPLETE", ["mart_leaderboard"])
    period = ("--from", "2026-01-01", "--to", "2026-01-31")
    code, ended, _ = await verb("models", data, "backfill", *period, "mart_leaderboard", "--why", "a test")
    assert (code, ended["status"]) == (0, "COMPLETE")
    code, _, told = await verb("models", data, "run", "nosuch")
    assert code == 2 and "'nosuch'" in told
    code, _, told = await verb("models", data, "lineage", "mart_leaderboard.nosuch")
    assert code == 2 and "there are " in told


async def models_tested_and_exported(data: Path, folder: Path) -> None:
    code, report, _ = await verb("models", data, "test", "mart_leaderboard")
    assert (code, report["models"]) == (0, [{"name": "mart_leaderboard", "ok": True}])
    assert {"unique", "not_null", "rank"} <= {each["test"] for each in report["tests"]}
    code, report, _ = await verb("models", data, "export-dbt", str(folder))
    assert code == 0 and report["models"] == 112


async def synced_by_hand(running: PlatformProcess, data: Path) -> None:
    """Tables are listed and synced; while schedules pause, what is asked for by hand runs; what waits says so."""
    why = ("--why", "a test")
    code, report, _ = await verb("sync", data)
    tables = {line["table"]: line for line in report["sync"]}
    assert code == 0 and tables["leaderboard"]["rows"] > 0 and tables["leaderboard"]["refused"] is None
    assert tables["collection_post_metrics_summary"]["rows"] > 0, "the demo's tenant"
    code, done, _ = await verb("schedules", data, "pause", *why)
    assert (code, done["paused"]) == (0, "analytics/scheduler")
    code, ended, _ = await verb("sync", data, "run", "leaderboard", *why)
    assert (code, ended["status"], ended["detail"]["table"]) == (0, "COMPLETE", "leaderboard")
    code, done, _ = await verb("schedules", data, "resume", *why)
    assert (code, done["resumed"]) == (0, "analytics/scheduler")
    code, _, told = await verb("sync", data, "accept", "leaderboard", *why)
    assert code == 2 and "nothing of leaderboard was refused" in told
    code, _, told = await verb("schedules", data, "run", "backup", *why)
    assert code == 2 and "it waits for backups" in told


async def replicas_follow(running: PlatformProcess) -> None:
    """ClickHouse has what PostgreSQL has, of the crawl and of the demo's tenant."""
    of_demo = (
        "profile_collection_item",
        "post_collection_item",
        "keyword_collection",
        "campaign_profiles",
        "social_link",
    )

    async def whole(status: Status) -> bool:
        found = {line["name"].partition(".")[2]: line for line in status["replicas"]}
        assert not any(line["refused"] for line in found.values()), found
        sent = found and found["instagram_account"]["rows"] >= CREATORS and all(found[name]["rows"] for name in of_demo)
        return bool(sent and all((line["lag_s"] or 99) < 30 and not line["error"] for line in found.values()))

    await running.until(whole, "all replicas")


async def test_the_whole_way_agrees_with_the_truth_and_drains_under_load(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with platform(data, *FAST) as running:
        await served(running)
        for platform_name in ("INSTAGRAM", "YOUTUBE"):
            await ranks_agree(running, platform_name)
            await series_agree(running, platform_name)
        views = await leaderboard(running, "INSTAGRAM", metric="views")
        assert views == [], "Instagram shows no views: no rank"
        await scheduled(running, data)
        await modelled(data)
        await models_tested_and_exported(data, tmp_path / "dbt")
        await synced_by_hand(running, data)
        await replicas_follow(running)
        report = await well(data, *FAST)
        assert report["jobs_complete"] == 2 * CREATORS
        assert report["events_emitted"] >= 2 * CREATORS * (DAYS + 3)

        # forced refreshes is crawled within the request; then load, and the signal
        await running.world("/faults", json={"source": "graphapi", "kind": "500", "rate": 0.3, "seconds": 60})
        handles = [row["handle"] for row in await leaderboard(running, "INSTAGRAM")]
        async with trio.open_nursery() as nursery:
            for handle in handles[:20]:
                nursery.start_soon(running.api, "GET", f"{PROFILES}/INSTAGRAM/{handle}?force_refresh=true")
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(30):
                assert await running.stop() == 0
            nursery.cancel_scope.cancel()
    assert not (data / "supervisor.json").exists()
    await well(data, *FAST)


async def test_sigterm_in_the_middle_of_the_first_crawl_and_the_next_start_goes_on(
    tmp_path: Path,
) -> None:
    slow = (*SMALL, "sources.graphapi.calls=1", "sources.ytapi.calls=2", "world.history_days=5")
    data = tmp_path / "data"
    async with platform(data, *slow) as running:
        await under_load(running)
        assert await running.stop() == 0
    before = await well(data, *slow)
    assert before["jobs_complete"] < 2 * CREATORS
    assert (before["outbox_pending"], before["in_flight"]) == (0, 0), "nothing in hand that it could have finished"
    async with platform(data, *FAST, NO_MORE_JOBS, "world.history_days=5") as running:
        await served(running)
        await running.until(jobs_are(COMPLETE=2 * CREATORS), "every job complete")
        assert await running.stop() == 0
    await well(data, *FAST)


async def test_kill_9_in_the_middle_and_a_restart_lose_and_double_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    slow = (*SMALL, "sources.graphapi.calls=1", "sources.ytapi.calls=2")
    for _ in range(2):
        async with platform(data, *slow) as running:
            await under_load(running)
            assert await running.stop(signal.SIGKILL) == -signal.SIGKILL
    async with platform(data, *FAST, NO_MORE_JOBS) as running:
        await served(running)
        await ranks_agree(running, "INSTAGRAM")

        async def stored(status: Status) -> bool:
            return status["jobs"] == {"COMPLETE": 2 * CREATORS} and status["stored_lag_s"] == 0

        await running.until(stored, "every job complete and every event stored")
        assert await running.stop() == 0
    report = await well(data, *FAST)
    assert report["jobs_complete"] == 2 * CREATORS


async def a_role_drains_and_comes_back(running: PlatformProcess, data: Path) -> None:
    """While the first crawl goes on: the scrapers finish what they hold, the rest works on; resumed, all is done."""
    await under_load(running)
    code, report, _ = await verb("drain", data, "--role", "scraper", "--wait", settings=SLOW)
    assert code == 0
    assert [stage["name"] for stage in report["stages"]] == ["intake", "scrapers"]

    async def scrapers_rest(status: Status) -> bool:
        roles = {role["name"]: role["state"] for role in status["roles"]}
        return roles["scraper"] == "drained" and status["jobs"].get("PROCESSING", 0) == 0  # counted once a second

    await running.until(scrapers_rest, "a drained role")
    status = await running.status()
    assert status["state"] == "ready"
    assert status["jobs"]["PENDING"] > 0
    code, _, stderr = await verb("resume", data, "scraper", "--why", "the test goes on", settings=SLOW)
    assert code == 0, stderr

    async def crawled(status: Status) -> bool:
        return "PENDING" not in status["jobs"] and "PROCESSING" not in status["jobs"]

    await running.until(crawled, "the rest of the crawl")
    _, log, _ = await verb("actions", data, settings=SLOW)
    assert [(action["verb"], action["target"]) for action in log["actions"][:2]] == [
        ("resume", "role scraper"),
        ("drain", "role scraper"),
    ]


async def test_a_second_supervisor_is_refused_and_the_first_drains_on_request(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with platform(data, *SLOW) as running:
        await a_role_drains_and_comes_back(running, data)  # first: its crawl lasts for some seconds only
        code, _, stderr = await verb("run", data, settings=SLOW)
        assert code == 2
        assert str(data) in stderr
        assert "in use" in stderr
        assert (await running.status())["state"] == "ready"
        code, report, _ = await verb("drain", data, "--wait", settings=SLOW)
        assert code == 0
        assert [stage["name"] for stage in report["stages"]] == ["intake", "scrapers", "relay", "sinkers", "ports"]
        assert await running.process.wait() == 0


async def test_a_busy_port_refuses_to_start_and_leaves_nothing_running(tmp_path: Path) -> None:
    data = tmp_path / "data"
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    code, _, stderr = await verb("run", data, settings=(*FAST, f"gateway.port={port}"))
    await listener[0].aclose()
    assert code == 2
    assert f"port {port} (gateway.port) is in use" in stderr
    assert not (data / "supervisor.json").exists()
    async with platform(data, *FAST) as running:  # nothing was left half-started
        assert await running.stop() == 0


async def test_import_history_reports_bad_rows_and_never_imports_twice(tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = tmp_path / "past.csv"
    file.write_text(
        "platform,profile_id,handle,timestamp,followers,dimensions.category\n"
        "INSTAGRAM,1,virat,2026-01-01,100,Cricket\n"
        "INSTAGRAM,1,virat,2026-01-02T00:00:00+05:30,101,Cricket\n"
        "MYSPACE,1,tom,2026-01-01,5,Friends\n"
        "INSTAGRAM,2,dhoni,yesterday,5,\n"
        "INSTAGRAM,2,dhoni,2026-01-01,many,\n"
    )
    async with platform(data, *FAST, "world.history_days=0") as running:
        _, dry, _ = await verb("import-history", data, str(file), "--dry-run")
        code, report, _ = await verb("import-history", data, str(file), "--why", "a list")
        assert dry == report
        assert (code, report["rows"], report["imported"], report["duplicates"]) == (1, 5, 2, 0)
        assert [(entry["line"], entry["field"]) for entry in report["rejected"]] == [
            (4, "platform"), (5, "timestamp"), (6, "followers"),
        ]  # fmt: skip
        code, again, _ = await verb("import-history", data, str(file))
        assert (again["imported"], again["duplicates"]) == (0, 2)
        _, done, _ = await verb("actions", data)
        noted = [(each["verb"], each["target"], each["why"], each["things"]) for each in done["actions"]]
        assert noted == [("import", "history past.csv", "", 0), ("import", "history past.csv", "a list", 2)]

        async def failed(status: Status) -> bool:
            return bool(status["jobs"].get("FAILED") == 1 and status["stored_lag_s"] == 0)

        await running.until(failed, "the first crawl of a handle that the world does not know, FAILED")
        assert await running.stop() == 0
    await well(data)


async def test_a_scraper_stands_in_where_the_official_api_does_not_answer(tmp_path: Path) -> None:
    data = tmp_path / "data"
    scraper = "sources.insta-best-performance.enabled=true"
    async with platform(data, *FAST, "world.history_days=0", scraper) as running:
        (creator,) = (await running.world("/truth/INSTAGRAM?limit=1"))["data"]
        await running.world("/faults", json={"source": "graphapi", "kind": "token", "rate": 1, "seconds": 600})
        shown = await running.api("GET", f"{PROFILES}/INSTAGRAM/{creator['handle']}")
        assert shown.status_code == 200, shown.text
        found = shown.json()["data"]
        assert (found["source"], found["followers"]) == ("insta-best-performance", creator["followers"])
        assert len(found["recent_posts"]) == 12
        absent = await running.api("GET", f"{PROFILES}/INSTAGRAM/nobody.is.called.so")
        assert absent.status_code == 404, absent.text  # it sees what there is: that is final
        assert await running.stop() == 0
    await well(data)


async def test_dead_tokens_retire_and_their_jobs_wait(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = (*FAST, "world.history_days=0", "web.scrape_wait_s=3")
    async with platform(data, *settings) as running:
        (creator,) = (await running.world("/truth/INSTAGRAM?limit=1"))["data"]
        path = f"{PROFILES}/INSTAGRAM/{creator['handle']}"
        await running.world("/faults", json={"source": "graphapi", "kind": "token", "rate": 1, "seconds": 600})
        refused = await running.api("GET", path)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "SOURCE_UNAVAILABLE"
        assert int(refused.headers["Retry-After"]) >= 1
        await running.until(jobs_are(PENDING=1), "the job, waiting")
        (source,) = [each for each in (await running.status())["actors"] if each["name"] == "sources/graphapi"]
        assert " wait for new tokens (graphapi: HTTP 400, error 190/463: Error" in source["last_error"]
        assert "graphapi-1" in source["last_error"]
        assert "world-ig" not in source["last_error"]
        other = (await running.world("/truth/YOUTUBE?limit=1"))["data"][0]
        assert (await running.api("GET", f"{PROFILES}/YOUTUBE/{other['handle']}")).status_code == 200
        assert await running.stop() == 0
    await well(data, *settings)


async def test_unknown_and_impossible_handles_have_codes_of_their_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = (*FAST, "world.history_days=0")
    async with platform(data, *settings) as running:
        unknown = await running.api("GET", f"{PROFILES}/INSTAGRAM/nobody.has.this.handle")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "PROFILE_NOT_FOUND")
        again = await running.api("GET", f"{PROFILES}/INSTAGRAM/@Nobody.has.this.handle")
        assert (again.status_code, again.json()["error"]["code"]) == (404, "PROFILE_NOT_FOUND")
        impossible = await running.api("GET", f"{PROFILES}/INSTAGRAM/no%20such%20handle")
        assert (impossible.status_code, impossible.json()["error"]["code"]) == (422, "INVALID_HANDLE")
        await running.until(jobs_are(FAILED=1), "one failed job: only of the handle that could exist, and only once")
        assert await running.stop() == 0
    await well(data, *settings)


@needs_recorded
async def test_the_recorded_world_is_crawled_and_ranked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = (
        f"world.recorded={FOLDER}",
        "world.recorded_max=100",
        "world.calls_per_s=2000", "world.history_days=3650", "sinker.batch_age_s=0.5",
        "sources.graphapi.calls=150", "sources.ytapi.calls=150",
    )  # fmt: skip
    async with platform(data, *settings) as running:
        await served(running)
        truth = (await running.world("/truth/INSTAGRAM?limit=20"))["data"]
        board = await leaderboard(running, "INSTAGRAM")
        assert [row["followers"] for row in board[:20]] == [row["followers"] for row in truth]
        assert await running.stop() == 0
    await well(data, *settings)
