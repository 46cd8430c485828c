"""Two processes that share PostgreSQL and Redis, before one world: its door tells that no limit is exceeded."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import trio

from gcc.clock import SystemClock
from gcc.config import World as Settings
from gcc.pipelines.scraping.table import FLOWS
from gcc.sources.days import BLOCK_SHARE
from gcc.sources.limits import DAY_S
from gcc.world.server import people, serve_world, tokens
from tests.fakes.credentials import KEY
from tests.integration.test_lost_dependencies import INSTAGRAM, YOUTUBE, line, until
from tests.process import PlatformProcess, Status, launched
from tests.services.redis import RedisNode

WORLD = Settings(enabled=True, port=0, creators=30, calls_per_s=1e5)
SOURCES = ("graphapi", "ytapi")
CALLS, PER_S = 4, 0.5
SEARCH, QUOTA = "refresh_yt_posts_by_search", 200
SEARCHES = {"source": "ytapi", "calls": 10_000, "per_s": DAY_S, "bucket": "search"}
RESERVED = "select reserved from limit_day where name = 'ytapi.search@ytapi-1'"
LOST_MAX = 3 * (QUOTA // BLOCK_SHARE - 1) + FLOWS[SEARCH].workers * FLOWS[SEARCH].concurrency
"""Of the block of each process that ever was, and the jobs that the killed one had in hand."""


@dataclass
class Both:
    """Two scrapers, and the door of the world that they ask."""

    one: PlatformProcess
    two: PlatformProcess
    door: httpx.AsyncClient
    settings: tuple[str, ...]

    async def stats(self) -> Any:
        return (await self.door.get("/stats")).raise_for_status().json()


def scrapers(status: Status, what: str) -> int:
    return sum(actor[what] for actor in status["actors"] if actor["name"].startswith("scraping/scraper"))


@asynccontextmanager
async def both(folder: Path, database: str, monkeypatch: pytest.MonkeyPatch, *settings: str) -> AsyncIterator[Both]:
    """Two processes that scrape, each on a folder of its own."""
    monkeypatch.setenv("GCC_POSTGRES__URL", database)  # of the child processes
    monkeypatch.setenv("GCC_CREDENTIALS__KEYS", json.dumps([KEY]))
    for source in SOURCES:
        monkeypatch.setenv(f"GCC_SOURCES__{source.upper()}__TOKENS", json.dumps(tokens(WORLD)[source][:1]))
    draining = trio.Event()
    async with trio.open_nursery() as nursery, AsyncExitStack() as opened:
        url = await nursery.start(partial(serve_world, WORLD, SystemClock(), draining=draining, grace_s=2.0))
        door = await opened.enter_async_context(httpx.AsyncClient(base_url=url))
        for source in SOURCES:  # many calls: as few are left of a limit of its own, a source tells us to slow down
            limit = {"source": source, "calls": 100 * CALLS, "per_s": PER_S}
            (await door.post("/limits", json=limit)).raise_for_status()
        given = (
            'roles=["scraper"]', "world.enabled=false", f"sources.graphapi.base_url={url}/graph",
            f"sources.ytapi.base_url={url}/youtube", *settings,
        )  # fmt: skip
        launches = [await opened.enter_async_context(launched(folder / name, *given)) for name in ("one", "two")]
        yield Both(await launches[0].ready(), await launches[1].ready(), door, given)
        draining.set()


async def add(to: PlatformProcess, flow: str, column: str, values: Sequence[str]) -> None:
    answer = await to.client.post(
        to.running.url + "/api/jobs/add", params={"flow": flow, "why": "a test"}, headers=to.running.headers,
        content="\n".join([column, *values]).encode(),
    )  # fmt: skip
    assert answer.json()["data"]["added"] == len(values), answer.text


async def test_no_limit_is_exceeded_by_two_processes_not_even_while_redis_dies_and_comes_back(
    tmp_path: Path, database: str, old_redis: str, redis_node: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    casts = people(WORLD, SystemClock().now().date())
    given = [f"sources.{source}.{what}" for source in SOURCES for what in (f"calls={CALLS}", f"per_s={PER_S}")]
    async with both(tmp_path, database, monkeypatch, *given, f"redis.url={old_redis}") as they:
        for flow, platform in ((INSTAGRAM, "INSTAGRAM"), (YOUTUBE, "YOUTUBE")):
            await add(they.one, flow, "handle", [creator.handle for creator, _ in casts[platform].ranked])
        for each in (they.one, they.two):
            await until(each, lambda s: scrapers(s, "done") > 2, "both at work")
        redis_node.kill()
        for each in (they.one, they.two):
            await until(each, lambda s: s["degraded"] == ["stores/redis"], "the loss in view")
        calls = (await they.stats())["calls"]
        for each in (they.one, they.two):
            failed = line(await each.status(), "stores/redis")["failed"]
            await until(each, lambda s, failed=failed: line(s, "stores/redis")["failed"] > failed, "another look")
        assert (await they.stats())["calls"] == calls, "nobody may call"
        assert sum(calls.values()) < 2 * WORLD.creators, "and there was work left"
        await redis_node.start()
        for each in (they.one, they.two):
            await until(each, lambda s: s["jobs"] == {"COMPLETE": 2 * WORLD.creators}, "all")
        measured = (await they.stats())["limits"]
        assert [await each.stop() for each in (they.one, they.two)] == [0, 0]
    assert [row["source"] for row in measured if 0 < row["peak"] <= CALLS] == list(SOURCES), measured
    assert min(row["total"] for row in measured) >= WORLD.creators, "every job asked"


async def test_no_day_is_exceeded_where_a_process_is_killed_and_started_again(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had left of its block is lost, and what it was about to ask; the others spend all the rest."""
    given = (f"sources.ytapi.limits.search={QUOTA}", "sources.ytapi.calls=4")
    async with both(tmp_path, database, monkeypatch, *given) as they:
        (await they.door.post("/limits", json=SEARCHES)).raise_for_status()
        await add(they.one, SEARCH, "query", [f"travel {number}" for number in range(QUOTA + 40)])

        async def asked() -> int:
            (total,) = [row["total"] for row in (await they.stats())["limits"] if row["bucket"] == "search"]
            return int(total)

        async def at_work(status: Status) -> bool:
            return scrapers(status, "done") > 2 and await asked() > QUOTA / 10

        for each in (they.one, they.two):
            await each.until(at_work, "both at work")
        they.one.process.kill()
        await they.one.process.wait()
        assert await asked() < QUOTA, "it was in the middle of the day's searches"
        async with launched(tmp_path / "one", *they.settings) as launch:
            again = await launch.ready()

            async def reserved(status: Status) -> bool:
                with psycopg.connect(database) as connection:
                    return connection.execute(RESERVED).fetchall() == [(QUOTA,)]

            await again.until(reserved, "the end of the day's searches")
            for each in (again, they.two):
                await until(each, lambda s: not scrapers(s, "in_flight"), "all answered")
            total = await asked()
    assert QUOTA - LOST_MAX <= total <= QUOTA
