"""What holds while everything is asked at once: `python -m bench.soak --minutes 10`.

The whole platform in one process, with 630 jobs of all flows in flight and more waiting, against a world of its own
whose answers take 200 ms and go wrong in every way in turn. The world measures at its door, over every window: the most
that each limit ever held, and what came outside faults. Beside that people look profiles up, which are scraped within
their request. Figures are the world's, the platform's processor time, and what those people waited.

JSON: `limits` (peak, calls, rate: the share of what was allowed outside faults, waiting: the share of looks at which
somebody waited), over (limits that were exceeded), in_flight, loop_busy, lookup_p50_ms and lookup_p99_ms (beyond the
source's own latency), rss_mb (after the first tenth, and at the end).
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import trio

from bench.proc import cpu_s, loop_cpu_s, rss_mb
from bench.scrape import CREATORS, names, world
from gcc.channels.jobs import NewJob
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.table import FLOWS
from gcc.sources.limits import NEAR, AnyLimit, Limit
from gcc.sources.table import SOURCES
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from tests.integration.test_every_flow import CASES, World
from tests.process import UNRATED, PlatformProcess, platform

IN_FLIGHT = 630
LATENCY_S = 0.2
LOOKUP_EVERY_S = 1.1  # a full refresh may be asked for 60 times a minute
FAULT_S, CALM_S = 4.0, 16.0
LOOK_S = 0.5
UNLIMITED = 10**8
FAULTS: Sequence[dict[str, Any]] = (
    {"source": "graphapi", "kind": "429", "scope": "token"},
    {"source": "ytapi", "kind": "500", "rate": 0.3},
    {"source": "graphapi", "kind": "slow", "latency_s": 2.0},
    {"source": "ytapi", "kind": "garbage", "rate": 0.2},
    {"source": "graphapi", "kind": "error", "code": 4},
    {"source": "ytapi", "kind": "error", "code": "rateLimitExceeded", "rate": 0.1},
    {"source": "graphapi", "kind": "timeout", "rate": 0.1},
    {"source": "ytapi", "kind": "empty"},
    {"source": "graphapi", "kind": "usage", "share": 0.95},
    {"source": "youtube138", "kind": "error", "code": "tooMany"},
    {"source": "graphapi", "kind": "error", "code": 190, "subcode": 463, "rate": 0.02},
    {"source": "ytapi", "kind": "token", "rate": 0.3},
    {"source": "ytanalytics", "kind": "expire", "rate": 0.3},
)
"""Every kind, in turn."""


@dataclass
class Soak:
    url: str
    world_pid: int
    running: PlatformProcess
    client: httpx.AsyncClient
    pool: Pool
    calls_per_s: float
    looks: int = 0
    in_flight: list[int] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)
    lookups_s: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    calm: bool = True

    async def declare(self) -> None:
        """Measured from now on. Declared so wide that our whole limit is not near it: the headers tell how near."""
        for name, row in SOURCES.items():
            for rule in row.limits:
                if rule.name(name) == name and row.world_path and not row.shares:
                    limit = slowed(row.rules[name], self.calls_per_s)
                    wide = {"calls": round(limit.calls / NEAR) + 1, "per_s": limit.per_s}
                    asked = {"source": name, "each": "source", **wide}
                    (await self.client.post("/limits", json=asked)).raise_for_status()

    async def feed(self) -> None:
        """More of each flow than it has slots for, always."""
        jobs = PostgresJobs(
            self.pool, SystemClock(), StatusEvents(SystemClock()), lease_s=60, lost_max=3, outbox_written=Signal()
        )
        known = World(self.client)
        cases = {flow: (await choice(known)).params for flow, choice in CASES.items()}
        handles = {platform: cycle(await names(self.url, platform)) for platform in ("instagram", "youtube")}
        while True:
            async with self.pool.connection() as connection:
                found = await connection.execute(
                    "select flow, count(*) from scrape_request_log where status = 'PENDING' group by flow"
                )
                pending: dict[str, int] = dict(await found.fetchall())
            for flow in (FLOWS[name] for name in cases):
                wanted = 2 * slots(flow.name)
                if pending.get(flow.name, 0) < wanted:
                    turns = handles[str(flow.platform).lower()] if set(flow.params.model_fields) == {"handle"} else None
                    asked = [{"handle": next(turns)} if turns else dict(cases[flow.name]) for _ in range(wanted)]
                    await jobs.enqueue([NewJob(flow.name, flow.platform, params) for params in asked])
            await trio.sleep(LOOK_S)

    async def look(self) -> None:
        """How many are in flight, and for which limits somebody waits."""
        while True:
            await trio.sleep(LOOK_S)
            if not self.calm:
                continue
            status = await self.running.status()
            rows = (await self._ops("GET", "/api/limits")).json()
            self.looks += 1
            self.in_flight.append(sum(each["in_flight"] for each in status["actors"] if "/scraper " in each["name"]))
            self.waiting.update(row["name"] for row in rows["data"] if row["waiting"])

    async def go_wrong(self) -> None:
        for fault in cycle(FAULTS):
            await trio.sleep(CALM_S)
            self.calm = False
            (await self.client.post("/faults", json={**fault, "seconds": FAULT_S})).raise_for_status()
            await trio.sleep(FAULT_S)
            for row in (await self._ops("GET", "/api/credentials")).json()["data"]:
                if row["state"] != "ready":
                    place = {"source": row["source"], "handle": row["handle"], "why": "the fault is over"}
                    await self._ops("POST", "/api/credentials/enable", json=place)
            await self._ops("POST", "/api/credentials/enable", json={"source": fault["source"], "why": "over"})
            self.calm = True

    async def look_up(self) -> None:
        """As a person who wants a profile as it is now."""
        async with trio.open_nursery() as nursery:
            for handle in cycle(await names(self.url, "instagram")):
                nursery.start_soon(self._look_up, handle)
                await trio.sleep(LOOKUP_EVERY_S)

    async def _look_up(self, handle: str) -> None:
        calm, began = self.calm, time.perf_counter()
        path = f"/discovery-service/api/profile/INSTAGRAM/{handle}?force_refresh=true"
        answer = await self.running.api("GET", path)
        if calm and self.calm:
            self.answers[answer.status_code] += 1
            self.lookups_s.append(time.perf_counter() - began - LATENCY_S)

    async def _ops(self, method: str, path: str, **more: Any) -> httpx.Response:
        running = self.running.running
        return await self.running.client.request(method, running.url + path, headers=running.headers, **more)

    async def limits(self) -> dict[str, dict[str, Any]]:
        """What the world measured, by source, beside what is ours."""
        found = {}
        for row in (await self.client.get("/stats")).json()["limits"]:
            limit = slowed(SOURCES[row["source"]].rules[row["source"]], self.calls_per_s)
            found[row["source"]] = {
                "peak": row["peak"],
                "calls": limit.calls,
                "per_s": limit.per_s,
                "rate": (row["achieved_per_s"] or 0.0) * limit.per_s / limit.calls,
                "waiting": self.waiting[row["source"]] / max(self.looks, 1),
            }
        return found


def slowed(limit: AnyLimit, calls_per_s: float) -> Limit:
    """No more than so many calls a second, in the same window."""
    return Limit(max(1, min(limit.calls, int(calls_per_s * limit.per_s))), limit.per_s)


def slots(flow: str) -> int:
    """So many that all flows together have IN_FLIGHT."""
    declared = {name: row.workers * row.concurrency for name, row in FLOWS.items() if name in CASES}
    return -(-declared[flow] * IN_FLIGHT // sum(declared.values()))


@asynccontextmanager
async def soak(latency_s: float, calls_per_s: float) -> AsyncIterator[Soak]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        async with world(latency_s, owners=20) as (url, pid):
            given = [
                f"world.creators={CREATORS}",
                "world.owners=20",
                "world.history_days=0",
                "web.unknown_handles=1000",
                *UNRATED,
            ]
            for name, row in SOURCES.items():
                if row.world_path:
                    given += [f"sources.{name}.base_url={url}{row.world_path}", f"sources.{name}.enabled=true"]
                    limit = slowed(row.rules[name], calls_per_s)
                    given += [f"sources.{name}.calls={limit.calls}", f"sources.{name}.per_s={limit.per_s}"]
            given += [f"sources.ytapi.limits.{bucket}={UNLIMITED}" for bucket in ("search", "stats", "units")]
            given += [f"scraper.concurrency.{flow}={slots(flow)}" for flow in CASES]
            async with (
                platform(data, *given) as running,
                httpx.AsyncClient(base_url=url, timeout=30) as client,
            ):
                pool = Pool(EmbeddedPostgres(data, fsync=False).conninfo, 3, name="soak")
                try:
                    yield Soak(url, pid, running, client, pool, calls_per_s)
                finally:
                    await pool.aclose()


async def bench(seconds: float, calls_per_s: float, faults: bool) -> dict[str, Any]:
    async with soak(LATENCY_S, calls_per_s) as soaked, trio.open_nursery() as nursery:
        nursery.start_soon(soaked.feed)
        await trio.sleep(min(20.0, seconds / 3))  # connections, plans, and what the sources' answers take
        await soaked.declare()
        nursery.start_soon(soaked.look)
        nursery.start_soon(soaked.look_up)
        if faults:
            nursery.start_soon(soaked.go_wrong)
        pid = soaked.running.process.pid
        await trio.sleep(seconds / 10)
        began, loop, cpu, held = time.perf_counter(), loop_cpu_s(pid), cpu_s(pid), rss_mb(pid)
        world_s = loop_cpu_s(soaked.world_pid)
        await trio.sleep(seconds * 0.9)
        took_s = time.perf_counter() - began
        limits, lookups = await soaked.limits(), sorted(soaked.lookups_s)
        nursery.cancel_scope.cancel()
        return {
            "limits": limits,
            "over": [name for name, each in limits.items() if each["peak"] > each["calls"]],
            "in_flight": statistics.fmean(soaked.in_flight),
            "loop_busy": (loop_cpu_s(pid) - loop) / took_s,
            "cpu": (cpu_s(pid) - cpu) / took_s,
            **{f"lookup_p{share}_ms": 1e3 * lookups[len(lookups) * share // 100] for share in (50, 99) if lookups},
            "lookups": dict(soaked.answers),
            "rss_mb": [held, rss_mb(pid)],
            "world_busy": (loop_cpu_s(soaked.world_pid) - world_s) / took_s,
            "load": os.getloadavg()[0],
        }
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--calls-per-s", type=float, default=40.0, help="of each source at most: what the machine can do"
    )
    parser.add_argument("--calm", action="store_true", help="without faults")
    arguments = parser.parse_args()
    result = trio.run(bench, arguments.minutes * 60, arguments.calls_per_s, not arguments.calm)
    for name, each in result["limits"].items():
        told = f"{each['peak']:>6} of {each['calls']:>6} per {each['per_s']:g} s"
        print(f"{name:<32}{told}   rate {each['rate']:.2f}   waited for {each['waiting']:.0%}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
