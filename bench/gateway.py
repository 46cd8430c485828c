"""What an answer of the gateway costs, beside a FastAPI that has the same to say: `python -m bench.gateway`.

A platform crawls and models its own world first, as a user starts it, and is stopped. On the PostgreSQL that it
leaves both are then served, each alone in its process: the gateway (nothing else of the platform runs), and the peer
(bench/fastapi_peer.py). Their answers are compared byte by byte, nobody is answered without a token, and then a
process of its own (bench/asking.py) asks each row of CASES over few and over many connections, both parties in turn,
round after round; then the rows of which both remember their answers for a second; last of all what it costs to know
whose the token of a session is that asked before (bench/warm_sessions.py), beside PyJWT. What counts is the CPU of
the server's process for an answer: on a machine that others use, milliseconds tell how busy it is. The last line:
{row: {us, peer_us, p50_ms, p99_ms}} over many connections, those of few beside.
"""

import argparse
import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
from psycopg.conninfo import conninfo_to_dict

from bench.api import first_crawl_served, requests
from bench.asking import ASKS
from bench.rounds import OURS, Figures, give_up, medians, party, rounded, table
from gcc.cli import logs
from gcc.clock import SystemClock
from gcc.config import Gateway, Settings
from gcc.config.sections import Limits
from gcc.metrics import Metrics
from gcc.pipelines.scraping.limiting import FULL_REFRESH
from gcc.sources.limits import InProcessLimiter
from gcc.sources.precedence import Precedence
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import INVALIDATE_CHANNEL, NewSession, PostgresIdentity
from gcc.web import serving
from gcc.web.gateway.app import gateway_app
from gcc.web.gateway.repeated import Repeated
from gcc.web.identity.bus import Bus
from gcc.web.identity.tokens import AccessTokens
from tests.fakes.days import FakeDays
from tests.integration.api_serving import KEY, REGISTERED, ScriptedRefresher
from tests.integration.identity_people import add_partner, add_person
from tests.process import Status, platform

PEER = "fastapi"
PEER_NEEDS = ("fastapi", "uvicorn", "uvloop", "asyncpg")
WRITE, LIST = "idempotent write", "list of one's own"
READ = ("heartbeat", "profile", "series", "leaderboard", WRITE, LIST)
UNCHANGED = "profile unchanged"
AGAIN = ("profile again", "leaderboard again", UNCHANGED)
"""Asked of servers that answer the same for a second from memory; unchanged: 304 to who has it."""
PAGES = "/partner-usage-service/api/profile-page"
CASES = (*READ, *AGAIN)
SAME_MAX = 50  # requests of each that are compared
AGAIN_MAX = 20  # profiles that are asked for again and again
FEW, MANY = 4, 64
OFTEN = 10_000_000  # calls a minute: no limit is reached
STARTS_S = 60.0
JSON = {"content-type": "application/json"}
EMAIL = "asha@brand.example"


@dataclass(frozen=True)
class Server:
    pid: int
    url: str

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]


async def log_in(pool: Pool) -> str:
    """The token of somebody's session, who pays."""
    await add_partner(pool, ASKS.partner_id, ASKS.plan)
    await add_person(pool, EMAIL, partner_id=ASKS.partner_id)
    identity = PostgresIdentity(pool, pool)
    user = await identity.user_by_email(EMAIL)
    assert user is not None
    session_id = uuid.uuid4()
    assert await identity.begin(user, NewSession(session_id, session_id.bytes))
    return AccessTokens([KEY]).signed(
        time.time(),
        user=user.id,
        session=session_id,
        partner_id=ASKS.partner_id,
        account=user.account_id,
        role=user.role,
    )


async def serve_ours(conninfo: str, folder: str, repeated_s: float) -> None:
    """The gateway alone, until killed: says where on its first line. Logged is what the platform logs."""
    limits = Limits(classes={"open": OFTEN, "read": OFTEN, "write": OFTEN})
    settings = Settings(roles=("web",), gateway=Gateway(port=0), limits=limits)
    logs.configure(settings)
    clock = SystemClock()
    clickhouse = ClickHouse(Path(folder), writers=1, readers=1, query_s_max=10, fsync=False)
    pool = Pool(conninfo, settings.postgres.web_pool, name="bench")
    bus = Bus(pool)
    notifications = Notifications(conninfo, [INVALIDATE_CHANNEL])
    notifications.on(INVALIDATE_CHANNEL, bus.heard)
    app = gateway_app(
        settings, pool=pool, platform=pool, clickhouse=clickhouse, keys=[KEY], bus=bus,
        connecting=REGISTERED, repeated=Repeated(repeated_s),
        refresher=ScriptedRefresher(), limiter=InProcessLimiter(FULL_REFRESH, FakeDays(clock)), clock=clock,
        metrics=Metrics(), precedence=Precedence(), state=lambda: "ready", objects=FolderObjects(Path(folder)),
    )  # fmt: skip

    gc.freeze()  # as `run` does
    gc.set_threshold(5_000, 20, 20)

    class Told(trio.TaskStatus[str]):
        def started(self, value: str | None = None) -> None:
            print(f"running on {value}", file=sys.stderr, flush=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifications.connected, lambda: None)
        nursery.start_soon(bus.run)
        await serving.serve(
            app, settings.gateway, key="gateway.port", draining=trio.Event(), grace_s=1.0, task_status=Told()
        )  # fmt: skip


@asynccontextmanager
async def started(command: list[str], environ: dict[str, str]) -> AsyncIterator[Server]:
    """A server that says "running on URL" on stderr, killed after the block."""
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE, env={**os.environ, **environ})
    assert process.stderr is not None
    try:
        said = b""
        with trio.fail_after(STARTS_S):
            while not (found := re.search(rb"running on (\S+)", said)):
                more = await process.stderr.receive_some()
                said += more
                assert more, said.decode()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drop, process.stderr)
            yield Server(process.pid, found[1].decode())
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def drop(said: trio.abc.ReceiveStream) -> None:
    """What a server says would stop it once a pipe is full."""
    async for _ in said:
        pass


@asynccontextmanager
async def both(conninfo: str, folder: Path, repeated_s: float) -> AsyncIterator[dict[str, Server]]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    database = {names[key]: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    environ = {**database, "SECRET": KEY.raw.hex(), "REPEATED_S": str(repeated_s)}
    uvicorn = [sys.executable, "-m", "uvicorn", "bench.fastapi_peer:app", "--port", "0", "--no-access-log"]
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(
            started([sys.executable, "-m", "bench.gateway", "--serve", conninfo, str(folder), str(repeated_s)], {})
        )
        peer = await stack.enter_async_context(started([*uvicorn, "--loop", "uvloop", "--http", "httptools"], environ))
        yield {OURS: ours, PEER: peer}


async def assert_same(servers: dict[str, Server], asked: dict[str, list[Any]], token: str) -> None:
    """All answer the same bytes, but for the heartbeat, which tells the time, and what is written, which counts on; and
    nobody without a token."""
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False) as client:
        for case in [case for case in asked if case != "heartbeat"]:
            for method, path, body, *_ in asked[case][:SAME_MAX]:
                urls = [server.url + path for server in servers.values()]
                answers = [
                    await client.request(
                        method, url, content=body, headers=JSON | {"idempotency-key": uuid.uuid4().hex}
                    )
                    for url in urls
                ]
                assert {answer.status_code for answer in answers} == {200}, [answer.text[:500] for answer in answers]
                if case == WRITE:
                    first, second = [answer.json()["data"] for answer in answers]
                    assert second == first | {"access_count": first["access_count"] + 1}
                    continue
                assert len({answer.content for answer in answers}) == 1, [answer.text[-300:] for answer in answers]
                assert answers[0].json()["data"], f"nothing to compare: {path}"
        for server in servers.values():
            ((method, path, *_), *_) = next(asked[case] for case in asked if case.startswith("profile"))
            assert (await client.request(method, server.url + path, headers={"authorization": ""})).status_code == 401


async def tagged(server: Server, asked: list[Any], token: str) -> list[Any]:
    """The same requests of who has the answers already."""
    found = []
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, trust_env=False) as client:
        for method, path, body in asked:
            etag = (await client.request(method, server.url + path)).headers["etag"]
            again = await client.request(method, server.url + path, headers={"if-none-match": etag})
            assert again.status_code == 304, again.text
            found.append((method, path, body, f"if-none-match: {etag}\r\n"))
    return found


async def compared(folder: Path, asked: dict[str, list[Any]], seconds: float, rounds: int) -> dict[str, Figures]:
    """The medians of each party."""
    measured: dict[str, list[Figures]] = defaultdict(list)
    postgres = EmbeddedPostgres(folder, fsync=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(postgres.run)
        pool = Pool(postgres.conninfo, 1, name="bench")
        token = await log_in(pool)
        await pool.aclose()
        for group, repeated_s in ((READ, 0.0), (AGAIN, 1.0)):
            async with both(postgres.conninfo, folder.with_name("clickhouse"), repeated_s) as servers:
                await assert_same(servers, {case: asked[case] for case in group if case in asked}, token)
                files = {name: folder.with_name(f"{name}.json") for name in servers}
                for name, server in servers.items():
                    unchanged = {UNCHANGED: await tagged(server, asked["profile again"], token)} if repeated_s else {}
                    files[name].write_text(json.dumps(asked | unchanged))
                for number in range(rounds):
                    print(f"round {number + 1} of {rounds}", file=sys.stderr)
                    for case in group:
                        for name, server in servers.items():
                            for connections in (FEW, MANY):
                                how = (
                                    str(files[name]),
                                    token,
                                    str(server.pid),
                                    server.port,
                                    str(connections),
                                    str(seconds),
                                )
                                figures = await party("bench.asking", case, *how, within_s=seconds)
                                told = {f"{case}_{connections}_{figure}": value for figure, value in figures.items()}
                                measured[name].append(told)
        nursery.cancel_scope.cancel()
    who = [await party("bench.warm_sessions", name, within_s=seconds) for name in (OURS, PEER) for _ in range(rounds)]
    measured[OURS] += who[:rounds]
    measured[PEER] += who[rounds:]
    return {name: medians(figures) for name, figures in measured.items()}


async def bench(creators: int, seconds: float, rounds: int) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        async with platform(data, f"world.creators={creators}") as running:
            await first_crawl_served(running)
            profiles = (await running.world(f"/truth/INSTAGRAM?limit={creators}"))["data"]
            handles = [row["handle"] for row in profiles]
            looked = [json.dumps({"platform": "INSTAGRAM", "profile_id": row["profile_id"]}) for row in profiles]
            asked: dict[str, list[Any]] = {"heartbeat": [("GET", "/heartbeat", "")], **requests(handles)}
            asked[WRITE] = [("POST", PAGES, body, "idempotency-key: {n}\r\n") for body in looked]
            asked[LIST] = [("GET", PAGES, "")]
            asked |= {f"{case} again": asked[case][:AGAIN_MAX] for case in ("profile", "leaderboard")}

            async def has_series(status: Status) -> bool:
                return bool((await running.api(*asked["series"][0][:2])).json().get("data"))

            await running.until(has_series, "the series")
            await running.stop()
        return await compared(data, asked, seconds, rounds)


def told(parties: dict[str, Figures]) -> dict[str, Figures]:
    """Of each row, ours and the peer's CPU, and how long ours took, over MANY connections and over FEW."""
    ours, peer = parties[OURS], parties[PEER]
    return {
        case: {
            "us": ours[f"{case}_{MANY}_cpu_us"],
            "peer_us": peer[f"{case}_{MANY}_cpu_us"],
            "p50_ms": ours[f"{case}_{MANY}_p50_ms"],
            "p99_ms": ours[f"{case}_{MANY}_p99_ms"],
            "us_few": ours[f"{case}_{FEW}_cpu_us"],
            "peer_us_few": peer[f"{case}_{FEW}_cpu_us"],
            "p50_ms_few": ours[f"{case}_{FEW}_p50_ms"],
            "p99_ms_few": ours[f"{case}_{FEW}_p99_ms"],
        }
        for case in CASES
    } | {
        "auth": {
            "us": ours["auth_cpu_us"],
            "peer_us": peer["auth_cpu_us"],
            "p50_ms": ours["auth_p50_ms"],
            "p99_ms": ours["auth_p99_ms"],
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--creators", type=int, default=1000, help="creators per platform")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of measurements")
    parser.add_argument("--serve", nargs=3, metavar=("CONNINFO", "FOLDER", "REPEATED_S"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        conninfo, folder, repeated_s = given.serve
        trio.run(serve_ours, conninfo, folder, float(repeated_s))
        return
    for needed in PEER_NEEDS:
        if importlib.util.find_spec(needed) is None:
            give_up(f"{needed} is not installed; pip install -c constraints.txt -e '.[bench]'")
    parties = trio.run(bench, given.creators, given.seconds, given.rounds)
    print(table(parties, parties[OURS]))
    print(json.dumps(rounded(told(parties))))


if __name__ == "__main__":
    main()
