"""Jobs claimed and completed a second, beside procrastinate and pgqueuer: `python -m bench.jobs`.

`jobs_per_s`: claimed 50 at a time and completed 50 at a time. `jobs_per_s_single`: claimed 50 at a time, each completed
by a call of its own, as scrapes do; what ends at the same moment shares a transaction of ours then, with pgqueuer each
has its own. Ours are the calls of the store, and write with every claim and every end the status event into the outbox,
too; what the peers do is told in jobs_peers.py. `cpu_us`: processor time a job, of our process and of the database.
Each party has an embedded PostgreSQL of its own with the platform's settings, 10 connections, 4 claimers and an
unfinished backlog of `--jobs` at the start; they take turns, and the figures are medians over `--rounds`. Peers come
from the environment of `--peers-python`: this one, or one of their own.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import trio

from bench.claims import cpu_s_of_children
from bench.jobs_peers import CLAIMED_AT_ONCE, CONNECTIONS, LOOPS, PEERS
from bench.rounds import OURS, Figures, medians, rounded, table
from gcc.channels.jobs import Crawl, Job, NewJob, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.statements import SQL
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.migrations import migrate_postgres
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs

FLOW = "refresh_profile_by_handle"
ENQUEUED_AT_ONCE = 500


@asynccontextmanager
async def database(*, fsync: bool) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        server = EmbeddedPostgres(Path(folder), fsync=fsync)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server.conninfo
            nursery.cancel_scope.cancel()


async def ours(conninfo: str, count: int) -> Figures:
    await migrate_postgres(conninfo, SQL / "postgres")
    clock = SystemClock()
    pool = Pool(conninfo, CONNECTIONS, name="bench")
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=600, lost_max=9, outbox_written=Signal())

    async def together(claimed: list[Job]) -> None:
        await jobs.complete_all([(job, Crawl("graphapi")) for job in claimed])

    async def each(claimed: list[Job]) -> None:
        async with trio.open_nursery() as nursery:
            for job in claimed:
                nursery.start_soon(jobs.complete, job, Crawl("graphapi"))

    figures = {}
    for shape, complete in (("", together), ("_single", each)):
        for begin in range(0, count, ENQUEUED_AT_ONCE):
            new = range(begin, min(begin + ENQUEUED_AT_ONCE, count))
            await jobs.enqueue([NewJob(FLOW, "INSTAGRAM", {"handle": f"h{number}"}, f"{number}") for number in new])
        cpu = process_time(), cpu_s_of_children()
        figures[f"jobs_per_s{shape}"] = await drained(jobs, complete, count)
        figures[f"cpu_us{shape}"] = (process_time() - cpu[0]) / count * 1e6
        figures[f"database_cpu_us{shape}"] = (cpu_s_of_children() - cpu[1]) / count * 1e6
    await pool.aclose()
    return figures


async def drained(jobs: PostgresJobs, complete: Callable[[list[Job]], Awaitable[None]], count: int) -> float:
    done = 0

    async def loop() -> None:
        nonlocal done
        while claimed := await jobs.claim({FLOW: Room(CLAIMED_AT_ONCE)}):
            await complete(claimed)
            done += len(claimed)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(LOOPS):
            nursery.start_soon(loop)
    took = perf_counter() - began
    assert done == count
    return count / took


async def peer(python: str, name: str, conninfo: str, count: int) -> Figures:
    """Its figures; none where it is not installed."""
    command = [python, str(Path(__file__).with_name("jobs_peers.py")), name, conninfo, str(count)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        told = done.stderr.decode().strip().rpartition("\n")[2]
        print(f"{name} is left out: {told}; pip install -c constraints.txt -e '.[bench]'", file=sys.stderr)
        return {}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


async def bench(count: int, rounds: int, python: str, fsync: bool) -> dict[str, Figures]:
    parties: dict[str, Callable[[str, int], Awaitable[Figures]]] = {
        OURS: ours,
        **{name: partial(peer, python, name) for name in PEERS},
    }
    measured: dict[str, list[Figures]] = {name: [] for name in parties}
    for _ in range(rounds):
        for name, run in parties.items():
            async with database(fsync=fsync) as conninfo:
                measured[name].append(await run(conninfo, count))
    return {name: medians(figures) for name, figures in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers-python", default=sys.executable, metavar="FILE", help="of the peers' environment")
    parser.add_argument("--fsync", action="store_true", help="commits wait for the disk (the disk is measured then)")
    arguments = parser.parse_args()
    parties = trio.run(bench, arguments.jobs, arguments.rounds, arguments.peers_python, arguments.fsync)
    print(table(parties, dict.fromkeys(row for figures in parties.values() for row in figures)))
    figures = rounded({**parties.pop(OURS), "peers": parties})
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
