"""The peers of the jobs' bench: `python bench/jobs_peers.py PARTY CONNINFO JOBS`; the last line is its figures.

Needs nothing of ours, so that it may run in an environment of its own. `jobs_per_s` is each one's worker, as its users
run it, with a task that does nothing: pgqueuer's claims 50 at a time and ends them together, procrastinate's claims and
ends each alone. The other two are pgqueuer's own statements without the worker: 50 claimed and then ended one by one
(`jobs_per_s_single`), or together (`statements_per_s`).
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

CLAIMED_AT_ONCE, LOOPS, CONNECTIONS = 50, 4, 10
Rate = float
"""Jobs a second."""


async def drained(step: Callable[[], Awaitable[int]], jobs: int, loops: int) -> Rate:
    """`step` moves some jobs and answers how many; by `loops` of them at once, until none is left."""
    moved = 0

    async def loop() -> None:
        nonlocal moved
        while some := await step():
            moved += some

    began = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(loops)))
    took = time.perf_counter() - began
    assert moved == jobs, (moved, jobs)
    return jobs / took


async def pgqueuer(conninfo: str, jobs: int) -> dict[str, Rate]:
    import asyncpg
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
    from pgqueuer.qm import QueueManager
    from pgqueuer.queries import EntrypointExecutionParameter, Queries
    from pgqueuer.types import QueueExecutionMode
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(conninfo)
    place = {name: given[name] for name in ("host", "port", "user", "password") if name in given}
    async with asyncpg.create_pool(**place, database=given["dbname"], max_size=CONNECTIONS) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()

        async def claim() -> Any:
            entrypoints = {"flow": EntrypointExecutionParameter(0)}
            return await queries.dequeue(CLAIMED_AT_ONCE, entrypoints, uuid4(), None, timedelta(seconds=60))

        async def together() -> int:
            claimed = await claim()
            await queries.log_jobs([(job, "successful", None) for job in claimed])
            return len(claimed)

        async def each() -> int:
            claimed = await claim()
            await asyncio.gather(*(queries.log_jobs([(job, "successful", None)]) for job in claimed))
            return len(claimed)

        async def enqueue() -> None:
            await queries.enqueue(["flow"] * jobs, [b'{"handle": "somebody"}'] * jobs, [0] * jobs)

        rates = {}
        for shape, step in (("statements_per_s", together), ("jobs_per_s_single", each)):
            await enqueue()
            rates[shape] = await drained(step, jobs, LOOPS)
        worker, done = QueueManager(queries), 0

        @worker.entrypoint("flow")  # type: ignore[untyped-decorator]
        async def flow(job: Any) -> None:
            nonlocal done
            done += 1

        await enqueue()
        began = time.perf_counter()
        await worker.run(batch_size=CLAIMED_AT_ONCE, mode=QueueExecutionMode.drain)
        assert done == jobs
        return {"jobs_per_s": jobs / (time.perf_counter() - began), **rates}


async def procrastinate(conninfo: str, jobs: int) -> dict[str, Rate]:
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=CONNECTIONS, max_size=CONNECTIONS))

    done = 0

    @app.task(queue="flow", name="flow")  # type: ignore[untyped-decorator]
    async def flow(handle: str) -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await flow.batch_defer_async(*({"handle": "somebody"} for _ in range(jobs)))
        began = time.perf_counter()
        await app.run_worker_async(concurrency=CONNECTIONS, wait=False, install_signal_handlers=False)
        assert done == jobs
        rate = jobs / (time.perf_counter() - began)
        return {"jobs_per_s": rate, "jobs_per_s_single": rate}


PEERS = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}

if __name__ == "__main__":
    party, conninfo, jobs = sys.argv[1:]
    print(json.dumps(asyncio.run(PEERS[party](conninfo, int(jobs)))))
