"""How fast the API answers on the running system, beside a FastAPI that has the same to say: `python -m bench.api`.

Starts the platform as a user does, on a folder of its own, and waits until the first crawl is served. Then both are
asked in turn, round after round, by a process of its own (bench/asking.py): one request after the other over one
connection (p50, p99), and over CONNECTIONS at once (requests a second, the CPU of the server's process for each). Ours
is the whole platform in one process: what it uses when nobody asks, a share of a core, stands beside it. The peer
(bench/fastapi_peer.py) reads the same PostgreSQL.

After that ours alone is asked from one connection: idle, while PACED_PER_S profiles a second are crawled again, and
while eight callers force refreshes as fast as they are answered (saturated: the process has no idle time left). Prints
p50 and p99 in milliseconds, the CPU of the platform per request while idle, and the process's resident memory.
"""

import argparse
import datetime as dt
import importlib.util
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
from psycopg.conninfo import conninfo_to_dict

from bench.proc import cpu_s, rss_mb
from bench.rounds import OURS, Figures, give_up, medians, party, rounded, table
from gcc.stores.embedded_postgres import EmbeddedPostgres
from tests.process import TOKEN, PlatformProcess, Status, platform

PROFILES = "/discovery-service/api/profile"
LEADERBOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
PEER = "fastapi"
PEER_NEEDS = ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg")
PEER_STARTS_S = 30.0
COMPARED = ("profile", "series", "leaderboard")
CONNECTIONS = 32
SAME = 50  # answers of each case that are compared, byte by byte
PACED_PER_S = 10
JSON = {"content-type": "application/json"}
Request = tuple[str, str, str]
"""Method, path, body."""


def requests(handles: list[str]) -> dict[str, list[Request]]:
    """Of each case, for `handles` of Instagram."""
    today = dt.datetime.now(dt.UTC).date()
    span = f"from={today - dt.timedelta(days=90)}&to={today}"
    profiles = [f"{PROFILES}/INSTAGRAM/{handle}" for handle in handles]
    return {
        "profile": [("GET", path, "") for path in profiles],
        "series": [("GET", f"{path}/timeseries?metric=followers&{span}", "") for path in profiles],
        "series_clickhouse": [("GET", f"{path}/timeseries?metric=avg_likes&{span}", "") for path in profiles],
        "leaderboard": [("POST", LEADERBOARD, '{"metric": "followers", "limit": 50}')],
    }


@dataclass(frozen=True)
class Server:
    pid: int
    url: str

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]


@asynccontextmanager
async def fastapi(data: Path) -> AsyncIterator[Server]:
    """The peer on the PostgreSQL of a platform that runs in `data`."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    database = conninfo_to_dict(EmbeddedPostgres(data, fsync=True).conninfo)
    environ = {**os.environ, **{names[key]: str(value) for key, value in database.items()}}
    uvicorn = [sys.executable, "-m", "uvicorn", "bench.fastapi_peer:app", "--port", "0", "--no-access-log"]
    process = await trio.lowlevel.open_process(
        [*uvicorn, "--loop", "uvloop", "--http", "httptools"],
        stderr=subprocess.PIPE,
        env={**environ, "TOKEN": TOKEN["Authorization"].removeprefix("Bearer ")},
    )
    assert process.stderr is not None
    try:
        said = b""
        with trio.fail_after(PEER_STARTS_S):
            while not (found := re.search(rb"running on (\S+)", said)):
                more = await process.stderr.receive_some()
                said += more
                assert more, said.decode()
        yield Server(process.pid, found[1].decode())
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        await process.stderr.aclose()


async def assert_same(running: PlatformProcess, servers: dict[str, Server], asked: dict[str, list[Request]]) -> None:
    """All answer the same bytes, and nobody without a token."""
    for case in COMPARED:
        for method, path, body in asked[case][:SAME]:
            urls = [server.url + path for server in servers.values()]
            answers = [await running.client.request(method, url, content=body, headers=JSON) for url in urls]
            assert {answer.status_code for answer in answers} == {200}, answers
            assert len({answer.content for answer in answers}) == 1, [answer.text for answer in answers]
            assert answers[0].json()["data"], f"nothing to compare: {path}"
    for server in servers.values():
        method, path, _ = asked["profile"][0]
        async with httpx.AsyncClient(trust_env=False) as stranger:
            assert (await stranger.request(method, server.url + path)).status_code == 401


async def compared(
    running: PlatformProcess, data: Path, asked: dict[str, list[Request]], seconds: float, rounds: int
) -> dict[str, Figures]:
    """The medians of each party."""
    measured: dict[str, list[Figures]] = defaultdict(list)
    cases = data.with_name("cases.json")
    cases.write_text(json.dumps({case: asked[case] for case in COMPARED}))
    token = TOKEN["Authorization"].removeprefix("Bearer ")

    async def measure(case: str, server: Server, connections: int) -> Figures:
        how = (str(cases), token, str(server.pid), server.port, str(connections), str(seconds))
        return await party("bench.asking", case, *how, within_s=seconds)

    async with fastapi(data) as peer:
        servers = {OURS: Server(running.process.pid, (await running.status())["urls"]["gateway"]), PEER: peer}
        await assert_same(running, servers, asked)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for case in COMPARED:
                for name, server in servers.items():
                    alone, crowd = await measure(case, server, 1), await measure(case, server, CONNECTIONS)
                    measured[name].append(
                        {
                            f"{case}_requests_per_s": crowd["requests_per_s"],
                            f"{case}_p50_ms": alone["p50_ms"],
                            f"{case}_p99_ms": alone["p99_ms"],
                            f"{case}_cpu_us": crowd["cpu_us"],
                            f"{case}_asking_cpu_us": crowd["asking_cpu_us"],
                        }
                    )
            for name, server in servers.items():
                measured[name].append({"background_percent": await idle_percent(server.pid, seconds)})
    return {name: medians(figures) for name, figures in measured.items()}


async def idle_percent(pid: int, seconds: float) -> float:
    """Of a core, while nobody asks."""
    before = cpu_s(pid)
    await trio.sleep(seconds)
    return (cpu_s(pid) - before) / seconds * 100


async def timed(ask: Callable[[int], Awaitable[Any]], count: int) -> dict[str, float]:
    """Milliseconds: p50 and p99 of `count` requests, one after the other."""
    took = []
    for number in range(count):
        began = time.perf_counter()
        answer = await ask(number)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    took.sort()
    return {"p50_ms": round(statistics.median(took), 2), "p99_ms": round(took[int(len(took) * 0.99) - 1], 2)}


async def first_crawl_served(running: PlatformProcess) -> None:
    async def there(status: Status) -> bool:
        page = await running.api("POST", "/leaderboard-service/api/leaderboard/platform/YOUTUBE", json={"limit": 1})
        return bool(page.json().get("data"))

    await running.until(there, "the leaderboard")


async def bench(count: int, creators: int, seconds: float, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        async with platform(data, f"world.creators={creators}") as running:
            await first_crawl_served(running)
            rows = (await running.world(f"/truth/INSTAGRAM?limit={creators}"))["data"]
            handles = [row["handle"] for row in rows]
            asked = requests(handles)
            parties = await compared(running, data, asked, seconds, rounds)
            return {**parties, **await ours(running, handles, asked, count)}


async def ours(
    running: PlatformProcess, handles: list[str], asked: dict[str, list[Request]], count: int
) -> dict[str, dict[str, float] | float]:
    """Idle, crawling, saturated; stops the platform."""

    def asking(case: str) -> Callable[[int], Awaitable[httpx.Response]]:
        async def ask(number: int) -> httpx.Response:
            method, path, body = asked[case][number % len(asked[case])]
            return await running.api(method, path, content=body, headers=JSON)

        return ask

    cases = {case: asking(case) for case in asked}
    result: dict[str, dict[str, float] | float] = {}
    pid = running.process.pid
    for name, ask in cases.items():
        await timed(ask, 50)
        before = cpu_s(pid)
        figures = await timed(ask, count)
        result[f"{name} idle"] = {**figures, "cpu_ms": round((cpu_s(pid) - before) * 1000 / count, 2)}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crawl_paced, running, handles)
        for name, ask in cases.items():
            result[f"{name} crawling"] = await timed(ask, count // 2)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        for worker in range(8):
            nursery.start_soon(crawl_again, running, handles[worker::8])
        for name, ask in cases.items():
            result[f"{name} saturated"] = await timed(ask, count // 4)
        nursery.cancel_scope.cancel()
    result["rss_mb"] = round(rss_mb(pid))
    await running.stop()
    return result


async def crawl_again(running: PlatformProcess, handles: list[str]) -> None:
    """Force refreshes, one after the other, until cancelled or the platform is gone."""
    with suppress(httpx.TransportError):
        while True:
            for handle in handles:
                await running.api("GET", f"{PROFILES}/INSTAGRAM/{handle}?force_refresh=true")


async def crawl_paced(running: PlatformProcess, handles: list[str]) -> None:
    """Force PACED_PER_S refreshes a second until cancelled."""
    async with trio.open_nursery() as nursery:
        for handle in itertools.cycle(handles):
            nursery.start_soon(running.api, "GET", f"{PROFILES}/INSTAGRAM/{handle}?force_refresh=true")
            await trio.sleep(1 / PACED_PER_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="requests of each case that ours alone is asked")
    parser.add_argument("--creators", type=int, default=1000, help="creators per platform")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement beside the peer")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurements beside the peer")
    arguments = parser.parse_args()
    for needed in PEER_NEEDS:
        if importlib.util.find_spec(needed) is None:
            give_up(f"{needed} is not installed; pip install -c constraints.txt -e '.[bench]'")
    result = trio.run(bench, arguments.count, arguments.creators, arguments.seconds, arguments.rounds)
    parties = {name: result.pop(name) for name in (OURS, PEER)}
    print(table(parties, parties[OURS]))
    for name, figures in result.items():
        if isinstance(figures, dict):
            print(f"{name:<28}" + "  ".join(f"{key} {value:>8.2f}" for key, value in figures.items()))
    print(json.dumps({**rounded(parties[OURS]), "peers": {PEER: rounded(parties[PEER])}, **result}))


if __name__ == "__main__":
    main()
