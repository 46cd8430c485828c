"""The peers of the jobs' bench: `python bench/jobs_peers.py PARTY CONNINFO JOBS`; the last line is its figures.

Needs nothing of ours, so that it may run in an environment of its own. Each is given what costs it least: its own
statements for a claim and an end, without its worker around them. pgqueuer claims and ends many at once; procrastinate
can only claim and end one by one, so its figure is the same for both shapes.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
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
    from pgqueuer.queries import EntrypointExecutionParameter, Queries
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(conninfo)
    place = {name: given[name] for name in ("host", "port", "user", "password") if name in given}
    async with asyncpg.create_pool(**place, database=given["dbname"], max_size=CONNECTIONS) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()

        async def claim() -> list[object]:
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

        rates = {}
        for shape, step in (("jobs_per_s", together), ("jobs_per_s_single", each)):
            await queries.enqueue(["flow"] * jobs, [b'{"handle": "somebody"}'] * jobs, [0] * jobs)
            rates[shape] = await drained(step, jobs, LOOPS)
        return rates


async def procrastinate(conninfo: str, jobs: int) -> dict[str, Rate]:
    from procrastinate import App, PsycopgConnector
    from procrastinate.jobs import Status

    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=CONNECTIONS, max_size=CONNECTIONS))

    @app.task(queue="flow", name="flow")
    async def flow(handle: str) -> None: ...

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        (worker,) = await app.connector.execute_query_all_async(
            "insert into procrastinate_workers default values returning id"
        )
        await flow.batch_defer_async(*({"handle": "somebody"} for _ in range(jobs)))

        async def step() -> int:
            job = await app.job_manager.fetch_job(["flow"], worker["id"])
            if job is None:
                return 0
            await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
            return 1

        rate = await drained(step, jobs, CONNECTIONS)
        return {"jobs_per_s": rate, "jobs_per_s_single": rate}


PEERS = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}

if __name__ == "__main__":
    party, conninfo, jobs = sys.argv[1:]
    print(json.dumps(asyncio.run(PEERS[party](conninfo, int(jobs)))))
