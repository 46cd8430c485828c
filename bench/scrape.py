"""What scraping costs: `python -m bench.scrape`, against a world of its own over real HTTP on loopback.

`instagram`, `youtube`: jobs of a flow worked off by the scraping pipeline (claim, fetch, parse, upserts, events into
the outbox, completion) on an embedded PostgreSQL: profiles a second, and processor time for each, of this process and
of the database, with answers that take 0 and 200 ms. `fetch`: the same GET and parse alone, beside Scrapy doing both
(bench/scrapy_peer.py). Parties take turns, each in a process of its own; no figure holds the world's processor time.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import trio

from bench.claims import cpu_s_of_children, database
from bench.proc import cpu_s
from bench.rounds import OURS, Figures, give_up, medians, party, rounded, table
from gcc.channels.jobs import NewJob
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import World, load
from gcc.errors import Transient
from gcc.pipelines.declared import Parts
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.outside import seed_credentials
from gcc.pipelines.scraping.pipeline import ScrapingPipeline
from gcc.pipelines.scraping.table import FLOWS
from gcc.sources.chain import Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.http import Answer, Fetcher, HttpFetcher, Request
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.table import SOURCES
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.stores.vault import Vault
from gcc.supervisor.drain import Drain
from gcc.world.server import tokens
from tests.contexts import context, partly
from tests.fakes.credentials import KEYS
from tests.fakes.erasures import NobodyErased
from tests.fakes.objects import MemoryObjects

FLOW = {"instagram": "refresh_profile_by_handle", "youtube": "refresh_yt_profiles"}
LATENCIES_S = (0.0, 0.2)
AT_ONCE = 50
CREATORS = 300
ENQUEUED_AT_ONCE = 500
PEER = "scrapy"
NO_LIMIT = Limit(10**6, 1.0)


@asynccontextmanager
async def world(latency_s: float, owners: int = 0) -> AsyncIterator[tuple[str, int]]:
    """The URL and the process of a world that refuses nobody."""
    given = {"port": 0, "creators": CREATORS, "calls-per-s": 10**6, "quota-times": 10**6, "latency-s": latency_s}
    given["owners"] = owners
    command = [sys.executable, "-m", "gcc.world", *(f"--{name}={value}" for name, value in given.items())]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(trio.run_process, command, stdout=PIPE, check=False))
        yield (await process.stdout.receive_some()).decode().strip(), process.pid
        nursery.cancel_scope.cancel()


async def names(url: str, platform: str) -> list[str]:
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"{url}/truth/{platform.upper()}", params={"limit": CREATORS})).json()["data"]
    return [row["handle"] if platform == "instagram" else row["profile_id"] for row in page]


async def profiles(platform: str, latency_s: float, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)  # the database's user looks into it
        async with world(latency_s) as (url, pid), database(Path(folder) / "data") as pool:
            return await _profiles(platform, url, pid, pool, seconds)


async def _profiles(platform: str, url: str, world_pid: int, pool: Pool, seconds: float) -> Figures:
    flow, clock = FLOWS[FLOW[platform]], SystemClock()
    settings = load(None, overrides=["world.enabled=true", f"scraper.concurrency.{flow.name}={AT_ONCE}"])
    credentials = PostgresCredentials(pool, clock, KEYS)
    await seed_credentials(settings, SOURCES, credentials, Vault(pool, KEYS), tokens(settings.world))
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
    limiter = InProcessLimiter(dict.fromkeys((name for row in SOURCES.values() for name in row.rules), NO_LIMIT))
    parts = partly(
        Parts,
        jobs=jobs,
        credentials=credentials,
        limiter=limiter,
        objects=MemoryObjects(),
        erasures=NobodyErased(),
        fetcher=HttpFetcher,
    )
    running = context(settings, Drain(("intake", "scrapers"), 60), parts)
    running.urls["world"] = url
    turns = cycle(await names(url, platform))

    async def enqueue_ahead() -> None:
        while True:
            new = [NewJob(flow.name, flow.platform, {"handle": name}) for name in islice(turns, ENQUEUED_AT_ONCE)]
            await jobs.enqueue(new)
            while await _count(pool, "PENDING") > ENQUEUED_AT_ONCE:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        await nursery.start(ScrapingPipeline(running).run)
        nursery.start_soon(enqueue_ahead)
        while await _count(pool, "COMPLETE") < AT_ONCE:  # noqa: ASYNC110 (warm: connections, plans)
            await trio.sleep(0.1)
        before, began = await _count(pool, "COMPLETE"), time.perf_counter()
        ours, servers = time.process_time(), cpu_s_of_children() - cpu_s(world_pid)
        await trio.sleep(seconds)
        done, took_s = await _count(pool, "COMPLETE") - before, time.perf_counter() - began
        ours, servers = time.process_time() - ours, cpu_s_of_children() - cpu_s(world_pid) - servers
        failed = await _count(pool, "FAILED")
        nursery.cancel_scope.cancel()
    if failed or not done:
        give_up(f"{failed} jobs failed, {done} are complete")
    return {
        "profiles_per_s": done / took_s,
        "cpu_ms_per_profile": ours / done * 1e3,
        "database_cpu_ms_per_profile": servers / done * 1e3,
    }


async def _count(pool: Pool, status: str) -> int:
    async with pool.connection() as conn:
        ((count,),) = await (
            await conn.execute("select count(*) from scrape_request_log where status = %s", [status])
        ).fetchall()
    return int(count)


class Bare:
    """What a client asks by, with nothing between it and the fetcher: no limit, credential, breaker or trace."""

    clock = SystemClock()

    def __init__(self, fetcher: Fetcher) -> None:
        user, _, token = tokens(World(enabled=True))["graphapi"][0].rpartition(":")
        self._fetcher = fetcher
        self._credential = Credential(uuid.UUID(int=0), "graphapi", "bench", {"token": token, "ig_user_id": user})

    def timeout_s(self, source: str) -> float:
        return 15.0

    async def ask(self, source: SourceApi, question: Question, visit: Visit) -> Any:
        return source.judge(await self._fetcher.fetch(question.build(self._credential)), self.clock.now())


async def fetch(seconds: float) -> Figures:
    """The GET and the parse alone: AT_ONCE callers, as many profiles as they can."""
    async with world(0.0) as (url, _), HttpFetcher() as fetcher:
        bare: Any = Bare(fetcher)
        api, done, turns = GraphApi(bare, f"{url}/graph/v25.0"), 0, cycle(await names(url, "instagram"))

        async def caller() -> None:
            nonlocal done
            while True:
                await api.profile(next(turns), Visit())
                done += 1

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(caller)
            await trio.sleep(1.0)
            before, began, cpu = done, time.perf_counter(), time.process_time()
            await trio.sleep(seconds)
            done_in, took_s, cpu = done - before, time.perf_counter() - began, time.process_time() - cpu
            nursery.cancel_scope.cancel()
    return _fetched(done_in, took_s, cpu)


def _fetched(done: int, took_s: float, cpu_s_used: float) -> Figures:
    return {"fetch_parse_per_s": done / took_s, "cpu_us_per_fetch_parse": cpu_s_used / done * 1e6}


async def scrapy(seconds: float) -> Figures:
    """The same of Scrapy, which has the same addresses to ask."""
    async with world(0.0) as (url, _):
        addresses: list[str] = []

        class Noting:
            async def fetch(self, request: Request) -> Answer:
                addresses.append(str(httpx.URL(request.url, params=dict(request.params))))
                raise Transient("its address was all that is wanted")

        bare: Any = Bare(Noting())
        for name in await names(url, "instagram"):
            with suppress(Transient):
                await GraphApi(bare, f"{url}/graph/v25.0").profile(name, Visit())
        command = [sys.executable, "-m", "bench.scrapy_peer", "--seconds", str(seconds), "--at-once", str(AT_ONCE)]
        asked = json.dumps(addresses).encode()
        done = await trio.run_process(command, stdin=asked, capture_stdout=True)
    count, took_s, cpu = json.loads(done.stdout.splitlines()[-1])
    return _fetched(count, took_s, cpu)


async def bench(seconds: float, rounds: int) -> dict[str, Any]:
    crawls = [(platform, latency_s) for platform in FLOW for latency_s in LATENCIES_S]
    peers = [PEER] if importlib.util.find_spec("scrapy") else []
    if not peers:
        print("scrapy is not installed: pip install -c constraints.txt -e '.[bench]'", file=sys.stderr)
    found: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        for name in (*(f"{platform} {latency_s:g}" for platform, latency_s in crawls), OURS, *peers):
            figures = await party("bench.scrape", name, "--seconds", str(seconds), within_s=seconds + 60)
            found.setdefault(name, []).append(figures)
    of = {name: medians(figures) for name, figures in found.items()}
    columns = {name: of[name] for name in of if " " in name}
    print(table(columns, ("profiles_per_s", "cpu_ms_per_profile", "database_cpu_ms_per_profile")))
    print(table({name: of[name] for name in (OURS, *peers)}, ("fetch_parse_per_s", "cpu_us_per_fetch_parse")))
    return {
        "profiles_per_s": {name: figures["profiles_per_s"] for name, figures in columns.items()},
        "cpu_ms_per_profile": {name: figures["cpu_ms_per_profile"] for name, figures in columns.items()},
        "database_cpu_ms_per_profile": {name: each["database_cpu_ms_per_profile"] for name, each in columns.items()},
        "fetch_parse_per_s": of[OURS]["fetch_parse_per_s"],
        "cpu_us_per_fetch_parse": of[OURS]["cpu_us_per_fetch_parse"],
        "peers": {name: of[name] for name in peers},
    }


async def _party(name: str, seconds: float) -> Figures:
    if name == OURS:
        return await fetch(seconds)
    if name == PEER:
        return await scrapy(seconds)
    platform, _, latency_s = name.partition(" ")
    return await profiles(platform, float(latency_s), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each party")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--party", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.party:
        print(json.dumps(trio.run(_party, arguments.party, arguments.seconds)))
    else:
        print(json.dumps(rounded(trio.run(bench, arguments.seconds, arguments.rounds))))


if __name__ == "__main__":
    main()
