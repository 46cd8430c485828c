"""What the platform stands on goes away while it is loaded: it waits, in view, and goes on when that is back."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from gcc.pipelines.scraping.table import FLOWS
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Connection
from tests.clusters import started_before
from tests.process import PlatformProcess, Status, launched, platform
from tests.services.redis import RedisNode

CREATORS = 40
ALL = {"COMPLETE": 2 * CREATORS}
# A first crawl of some seconds: long enough for something to go wrong in the middle of it.
SETTINGS = (
    f"world.creators={CREATORS}", "world.history_days=2", "world.calls_per_s=400", "sinker.batch_age_s=0.5",
    "sources.graphapi.calls=1", "sources.ytapi.calls=2", 'roles=["scraper","relay","sinker"]',
)  # fmt: skip
FED = FLOWS["refresh_yt_profiles"].events
INSTAGRAM, YOUTUBE = "refresh_profile_by_handle", "refresh_yt_profiles"


def line(status: Status, name: str) -> dict[str, Any]:
    return next((actor for actor in status["actors"] if actor["name"] == name), {})


def worked(status: Status, name: str) -> int:
    """What the actor has done; one that waits for what it needs is not there yet."""
    return int(line(status, name).get("done", 0))


def sinkers(status: Status) -> list[dict[str, Any]]:
    """Those that a crawl feeds; the others have nothing to find out by."""
    return [line(status, f"events/sinker {event_type.name}") for event_type in FED]


def done(status: Status, flow: str | None = None) -> int:
    return int((status["jobs_by_flow"].get(flow, {}) if flow else status["jobs"]).get("COMPLETE", 0))


async def until(running: PlatformProcess, condition: Callable[[Status], Any], what: str) -> Status:
    """The first status of which `condition` is true. Fails when a job has FAILED meanwhile."""

    async def so(status: Status) -> Status | None:
        assert "FAILED" not in status["jobs"], status["jobs"]
        return status if condition(status) else None

    return dict(await running.until(so, what))


async def all_done(running: PlatformProcess, *, restarted: set[str], creators: int = CREATORS) -> None:
    """Every job complete, every event stored once, only these actors were restarted, and never the process.

    Then it is drained.
    """
    status = await until(running, lambda s: s["jobs"] == {"COMPLETE": 2 * creators} and s["stored_lag_s"] == 0, "all")
    assert (running.process.returncode, status["state"], status["failures_per_hour"]) == (None, "ready", 0)
    assert {actor["name"] for actor in status["actors"] if actor["restarts"]} == restarted
    assert [actor["name"] for actor in status["actors"] if actor["state"] in ("failed", "backoff")] == []
    assert [actor["name"] for actor in status["actors"] if actor["breaker"] not in (None, "closed")] == []
    answer = await running.client.post(running.running.url + "/api/check", headers=running.running.headers)
    report = answer.json()["data"]
    assert (report["jobs_complete"], report["missing"], report["doubled"], report["dead_lettered"]) == (
        2 * creators, 0, 0, 0,
    )  # fmt: skip
    assert await running.stop() == 0


async def test_postgres_is_killed_in_the_middle_of_a_crawl(tmp_path: Path) -> None:
    data = await started_before(tmp_path / "data")
    async with platform(data, *SETTINGS) as running:
        for kills, share in enumerate((0.1, 0.5)):

            def due(status: Status, kills: int = kills, share: float = share) -> bool:
                back = line(status, "stores/postgres").get("restarts") == kills  # else the pid is of the one before
                return back and done(status) > share * ALL["COMPLETE"]

            await until(running, due, f"{share} of the crawl")
            postmaster = int((data / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
            os.kill(postmaster, signal.SIGKILL)
        await all_done(running, restarted={"stores/postgres"})


async def test_the_socket_of_postgres_is_removed(tmp_path: Path) -> None:
    async with platform(await started_before(tmp_path), "world.enabled=false", 'roles=["relay"]') as running:

        async def ready(status: Status) -> bool:
            return (await running.client.get(running.running.url + "/ready")).status_code == 200

        async def not_ready(status: Status) -> bool:
            return not await ready(status)

        await running.until(ready, "that it is ready")
        async with await Connection.connect(EmbeddedPostgres(tmp_path, fsync=False).superuser_conninfo) as admin:
            (tmp_path / "postgres" / ".s.PGSQL.5432").unlink()
            await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gcc'")
        await running.until(not_ready, "that it is not ready")
        await running.until(ready, "that it is ready again")
        assert line(await running.status(), "stores/postgres")["restarts"] == 1
        assert await running.stop() == 0


async def server_settings(data: Path, **values: str | None) -> None:
    """Change how the server treats every session, those that live included; None is its default again."""
    async with await Connection.connect(EmbeddedPostgres(data, fsync=False).superuser_conninfo) as admin:
        await admin.execute("set default_transaction_read_only = off")
        for name, value in values.items():
            change = f"set {name} = '{value}'" if value else f"reset {name}"
            await admin.execute(f"alter system {change}".encode())
        await admin.execute("select pg_reload_conf()")


def refused(status: Status) -> list[str]:
    return [actor["name"] for actor in status["actors"] if "read-only" in (actor["last_error"] or "")]


async def test_the_database_turns_read_only_in_the_middle_of_a_crawl(tmp_path: Path) -> None:
    """As at a failover, before the standby has taken over: sessions live on, and no write is taken."""
    data = await started_before(tmp_path / "data")
    async with platform(data, *SETTINGS) as running:
        await until(running, lambda s: done(s) > 0.2 * ALL["COMPLETE"], "a part of the crawl")
        await server_settings(data, default_transaction_read_only="on")
        at_rest = done(await until(running, lambda s: len(refused(s)) > 4, "who met it"))
        assert at_rest < ALL["COMPLETE"]
        assert done(await until(running, lambda s: s["state"] == "ready", "the same")) == at_rest
        await server_settings(data, default_transaction_read_only=None)
        await all_done(running, restarted=set())


async def test_the_database_closes_sessions_that_are_idle(tmp_path: Path) -> None:
    data = await started_before(tmp_path / "data")
    async with platform(data, *SETTINGS) as running:
        await until(running, lambda s: done(s) > 0, "the crawl")
        await server_settings(data, idle_session_timeout="100ms", idle_in_transaction_session_timeout="1s")
        await all_done(running, restarted=set())


async def test_an_outside_api_answers_500_or_nothing_at_all(tmp_path: Path) -> None:
    data = await started_before(tmp_path / "data")
    async with platform(data, *SETTINGS, "sources.graphapi.timeout_s=0.5") as running:
        await until(running, lambda s: done(s, INSTAGRAM) > 5, "the crawl")
        for kind, rate in (("500", 0.5), ("timeout", 1)):  # what is spared the one meets the other
            fault = {"source": "graphapi", "kind": kind, "rate": rate, "seconds": 4}
            await running.world("/faults", json=fault)
        gone = await until(running, lambda s: line(s, "sources/graphapi")["breaker"] == "open", "an open breaker")
        assert line(gone, "sources/graphapi")["state"] == "backoff"
        later = await until(running, lambda s: done(s, YOUTUBE) >= done(gone, YOUTUBE) + 5, "the other platform")
        assert line(later, "sources/ytapi")["breaker"] == "closed"
        assert done(later, INSTAGRAM) <= done(gone, INSTAGRAM) + 8, "no more than was in hand"
        await until(running, lambda s: done(s, INSTAGRAM) > done(later, INSTAGRAM) + 8, "both platforms")
        await all_done(running, restarted=set())


async def test_clickhouse_is_killed_in_the_middle_of_a_crawl(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    port = await free_port()
    # The crawl begins before ClickHouse has its tables, which takes seconds: until that is lost, it goes on slowly.
    slowly = ("sources.graphapi.per_s=1", "sources.ytapi.per_s=2")

    def kept(status: Status) -> int:
        """Events in the queues, if nobody holds any of them back."""
        queues = [channel for channel in status["channels"] if channel["kind"] == "queue"]
        return 0 if any(queue["in_flight"] for queue in queues) else sum(queue["used"] for queue in queues)

    def breakers(status: Status) -> set[str | None]:
        return {actor.get("breaker") for actor in sinkers(status)}

    async with clickhouse(folder, port) as server:
        settings = (*SETTINGS, *slowly, f"clickhouse.url=http://127.0.0.1:{port}")
        async with platform(await started_before(tmp_path / "data"), *settings) as running:
            await until(running, lambda s: done(s) > 5 and worked(s, "events/sinker profile_log"), "the crawl")
            server.kill()
            gone = await until(running, lambda s: breakers(s) == {"open"}, "all breakers open")
            assert {actor["state"] for actor in sinkers(gone)} == {"backoff"}
            for source in ("graphapi", "ytapi"):
                quickly = {"name": source, "calls": 1, "per_s": 0.1, "why": "the loss was in view"}
                await trio.to_thread.run_sync(running.running.act, "/api/limits", quickly)
            await until(running, lambda s: done(s) > done(gone) + 10 and kept(s) >= 10, "scraping, and events kept")
            async with clickhouse(folder, port):
                await until(running, lambda s: breakers(s) == {"closed"}, "all closed again")
                await all_done(running, restarted=set())


async def test_redis_is_away_at_the_start_and_killed_in_the_middle_of_a_crawl(
    tmp_path: Path, redis: str, redis_node: RedisNode
) -> None:
    def lost(status: Status) -> bool:
        return line(status, "stores/redis")["state"] == "backoff"

    redis_node.kill()
    async with launched(await started_before(tmp_path / "data"), *SETTINGS, f"redis.url={redis}") as launch:
        running = await launch.reachable()
        gone = await until(running, lambda s: lost(s) and line(s, "scraping")["state"] == "running", "the loss in view")
        assert (done(gone), gone["state"]) == (0, "starting")
        assert "redis at 127.0.0.1" in line(gone, "stores/redis")["last_error"]
        await redis_node.start()
        await launch.ready()
        await until(running, lambda s: done(s) > 0.3 * ALL["COMPLETE"], "the crawl")
        redis_node.kill()
        await until(running, lost, "the loss in view again")
        calls = (await running.world("/stats"))["calls"]
        again = line(await running.status(), "stores/redis")["failed"] + 2
        await until(running, lambda s: line(s, "stores/redis")["failed"] >= again, "looks that find nothing")
        assert (await running.world("/stats"))["calls"] == calls, "nobody may call"
        await redis_node.start()
        await all_done(running, restarted=set())


async def free_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return int(listener.socket.getsockname()[1])


SERVER = """
import sys, signal, pathlib, chdb
from tests.fakes.clickhouse_server import clickhouse_server
folder = pathlib.Path(sys.argv[1])
engine = chdb.connect(str(folder))  # stays open as long as this process lives
with clickhouse_server(folder, int(sys.argv[2])):
    print("ready", flush=True)
    signal.pause()
"""


@asynccontextmanager
async def clickhouse(folder: Path, port: int) -> AsyncIterator[trio.Process]:
    """A ClickHouse server in a process of its own; killed at the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", SERVER, str(folder), str(port)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(30):
            assert await process.stdout.receive_some(), "the server ended"
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True), trio.move_on_after(30):
            await process.wait()
        await process.stdout.aclose()
