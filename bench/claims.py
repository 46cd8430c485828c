"""What claiming costs: `python -m bench.claims`, on an embedded PostgreSQL of its own.

`idle`: 44 flows without a job, for `--seconds`: transactions a second, and processor time of this process and of the
database's. `claim`: the median of `--claims` for all 44 flows, of which the first has the backlog: of 1 job, of 50, and
of none (as long as the first has no room); at first with nothing else in the table, then beside `--finished` jobs that
have ended, a backlog of `--pending`, and `--deferred` jobs of the second flow that wait for their time.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from gcc.actors.claimer import Claimer
from gcc.actors.leases import Leases
from gcc.actors.scraper import Retries, Scraper
from gcc.channels.jobs import Crawl, Job, Room
from gcc.channels.memory import Channels, Signal
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.statements import SQL
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.migrations import migrate_postgres
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board

FLOWS = [f"flow_{number}" for number in range(44)]
CONCURRENCY = 50
FEW = 1000  # jobs of the first flow, where the table has nothing else
FILLED_AT_ONCE = 250_000
FILL = """
insert into scrape_request_log
    (id, platform, flow, params, status, attempt, created_at, due_at, expires_at, scraped_at, seq, events, data)
select gen_random_uuid(), 'INSTAGRAM', 'flow_' || case when %(flow)s < 0 then n %% 44 else %(flow)s end,
       '{"handle": "somebody"}', %(status)s, 1, now() - interval '1 day', now() + %(due_s)s * interval '1 second'
       + n * interval '1 ms', 'infinity', case when %(status)s = 'COMPLETE' then now() end, 3, 20,
       case when %(status)s = 'COMPLETE' then '{"profile_id": "17841400000000000", "posts": 12}'::jsonb end
from generate_series(1, %(rows)s) as n
"""


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[Pool]:
    server = EmbeddedPostgres(folder, fsync=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await migrate_postgres(server.conninfo, SQL / "postgres")
        pool = Pool(server.conninfo, 6, name="bench")
        yield pool
        await pool.aclose()
        nursery.cancel_scope.cancel()


async def fill(pool: Pool, rows: int, flow: int, status: str, due_s: float) -> None:
    async with pool.connection() as conn:
        for done in range(0, rows, FILLED_AT_ONCE):
            at_once = min(FILLED_AT_ONCE, rows - done)
            await conn.execute(FILL, {"rows": at_once, "flow": flow, "status": status, "due_s": due_s})


def cpu_s_of_children() -> float:
    """Of all processes below this one: the database's."""
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdecimal() else []
        except OSError:  # it has just ended
            continue
        if fields:
            parents[int(entry.name)], times[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(times[pid] for pid in below - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


async def transactions(pool: Pool) -> int:
    async with pool.connection() as conn:
        await conn.execute("select pg_stat_force_next_flush()")
        ((count,),) = await (
            await conn.execute("select xact_commit from pg_stat_database where datname = current_database()")
        ).fetchall()
    return int(count)


async def idle(pool: Pool, jobs: PostgresJobs, seconds: float) -> dict[str, float]:
    clock, drain = SystemClock(), Drain(("intake", "scrapers"), 60)
    board, retries = Board(clock.now), Retries(1, Backoff(1, 1))
    leases = Leases(jobs, board.actor("leases"), lease_s=60)
    intake, poll_s = drain.stage("intake"), Settings().scraper.poll_s
    claimer = Claimer(jobs, leases, actor=board.actor("claimer"), intake=intake, rng=clock.rng, poll_s=poll_s)

    async def work(job: Job) -> Crawl:
        raise AssertionError("nobody has enqueued anything")

    async with trio.open_nursery() as nursery:
        for flow in FLOWS:
            scraper = Scraper(
                flow, jobs, work, claimer, retries=retries, concurrency=CONCURRENCY, leases=leases, channels=Channels(),
                actor=board.actor(flow), intake=intake, finishing=drain.stage("scrapers"), metrics=Metrics(),
                rng=clock.rng,
            )  # fmt: skip
            await nursery.start(scraper.run)
        await nursery.start(claimer.run)
        await trio.sleep(2 * poll_s)
        tasks = trio.lowlevel.current_statistics().tasks_living
        before, ours, servers = await transactions(pool), time.process_time(), cpu_s_of_children()
        await trio.sleep(seconds)
        ours, servers = time.process_time() - ours, cpu_s_of_children() - servers
        after = await transactions(pool)
        nursery.cancel_scope.cancel()
    return {
        "transactions_per_s": round((after - before) / seconds, 2),
        "cpu_percent": round(ours / seconds * 100, 2),
        "database_cpu_percent": round(servers / seconds * 100, 2),
        "tasks": tasks,
    }


async def claim(pool: Pool, jobs: PostgresJobs, claims: int) -> dict[str, float]:
    """Medians in milliseconds. What was claimed is taken away: its end is not what is measured."""
    medians = {}
    for name, room in (("one", Room(1)), ("fifty", Room(50)), ("none", Room(0))):
        times_s = []
        for _ in range(claims):
            began = time.perf_counter()
            claimed = await jobs.claim({flow: room if flow == FLOWS[0] else Room(CONCURRENCY) for flow in FLOWS})
            times_s.append(time.perf_counter() - began)
            assert len(claimed) == room.jobs
            async with pool.connection() as conn:
                await conn.execute("delete from scrape_request_log where id = any(%s)", ([job.id for job in claimed],))
        medians[f"{name}_ms"] = round(statistics.median(times_s) * 1000, 2)
    return medians


async def bench(seconds: float, claims: int, finished: int, pending: int, deferred: int) -> dict[str, Any]:
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        async with database(Path(folder)) as pool:
            jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())
            result: dict[str, Any] = {"idle": await idle(pool, jobs, seconds)}
            await fill(pool, FEW + 60 * claims, 0, "PENDING", -86_400)
            result["claim"] = await claim(pool, jobs, claims)
            await fill(pool, finished, -1, "COMPLETE", -86_400)
            await fill(pool, pending, 0, "PENDING", -86_400)
            await fill(pool, deferred, 1, "PENDING", 3600)
            result["claim_beside_many"] = await claim(pool, jobs, claims)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of the idle flows")
    parser.add_argument("--claims", type=int, default=100)
    parser.add_argument("--finished", type=int, default=5_000_000)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--deferred", type=int, default=500_000)
    arguments = parser.parse_args()
    result = trio.run(
        bench, arguments.seconds, arguments.claims, arguments.finished, arguments.pending, arguments.deferred
    )
    for case, figures in result.items():
        print(f"{case:<20}" + "".join(f"{name} {figure:<12,}" for name, figure in figures.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
