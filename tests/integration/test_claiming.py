"""Claimers on PostgreSQL: what idle flows cost it, and several processes at once."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from psycopg import DataError

from gcc.actors.claimer import Claimer
from gcc.actors.leases import Leases
from gcc.actors.scraper import Retries, Scraper
from gcc.channels.jobs import Crawl, Job, JobFilter, JobStatus, NewJob, Room
from gcc.channels.memory import Channels, Signal
from gcc.clock import SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board

FLOWS = [f"flow {number}" for number in range(44)]
UNFINISHED = (JobStatus.PENDING, JobStatus.PROCESSING)


class CountingPool(Pool):
    """Counts how often a connection is taken; `taken` tells of each."""

    count = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.count += 1
        self.taken.set()
        async with super().connection() as connection:
            yield connection

    def __init__(self, database: str) -> None:
        super().__init__(database, 4, name="counting")
        self.taken = Signal()


def jobs_of(pool: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())


@asynccontextmanager
async def process(
    jobs: PostgresJobs, work: Callable[[Job], Awaitable[Crawl]], flows: Sequence[str], *, poll_s: float
) -> AsyncIterator[Drain]:
    """The scraping part of a process, drained at the end of the block."""
    clock, drain = SystemClock(), Drain(("intake", "scrapers"), 60)
    board, intake = Board(clock.now), drain.stage("intake")
    leases = Leases(jobs, board.actor("leases"), lease_s=60)
    claimer = Claimer(jobs, leases, actor=board.actor("claimer"), intake=intake, rng=clock.rng, poll_s=poll_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain.run)
        for flow in flows:
            scraper = Scraper(
                flow, jobs, work, claimer, retries=Retries(1, Backoff(1, 1)), concurrency=4, leases=leases,
                channels=Channels(), actor=board.actor(flow), intake=intake, finishing=drain.stage("scrapers"),
                metrics=Metrics(), rng=clock.rng,
            )  # fmt: skip
            await nursery.start(scraper.run)
        await nursery.start(claimer.run)
        yield drain
        drain.request("test")


async def test_44_idle_flows_take_one_connection_a_poll(database: str) -> None:
    pool, polls, poll_s = CountingPool(database), 4, 0.1

    async def work(job: Job) -> Crawl:
        raise AssertionError("nobody has enqueued anything")

    with trio.fail_after(30):
        async with process(jobs_of(pool), work, FLOWS, poll_s=poll_s):
            await pool.taken.wait()
            assert pool.count == 1, "the first claim"
            began = trio.current_time()
            while pool.count < 1 + polls:
                await pool.taken.wait()
            assert trio.current_time() - began > (polls - 1) * poll_s
    await pool.aclose()


async def test_processes_that_claim_at_once_share_the_work_and_repeat_none(database: str) -> None:
    pools = [Pool(database, 4, name=f"process {number}") for number in range(3)]
    done: Counter[str] = Counter()
    by: Counter[int] = Counter()

    def working(number: int) -> Callable[[Job], Awaitable[Crawl]]:
        async def work(job: Job) -> Crawl:
            await trio.lowlevel.checkpoint()
            done[str(job.id)] += 1
            by[number] += 1
            return Crawl("graphapi")

        return work

    everything = jobs_of(pools[0])
    for flow, count in (("flow 0", 200), ("flow 1", 3)):
        await everything.enqueue([NewJob(flow, "INSTAGRAM", {"handle": str(number)}) for number in range(count)])
    with trio.fail_after(60):
        async with (
            process(jobs_of(pools[0]), working(0), FLOWS, poll_s=0.05),
            process(jobs_of(pools[1]), working(1), FLOWS, poll_s=0.05),
            process(jobs_of(pools[2]), working(2), FLOWS[:1], poll_s=0.05),
        ):
            while await everything.count(JobFilter(), UNFINISHED):  # noqa: ASYNC110
                await trio.sleep(0.02)
    ended = await everything.find(JobFilter())
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.COMPLETE, 1)}
    assert (len(done), set(done.values()), len(by)) == (203, {1}, 3)
    for pool in pools:
        await pool.aclose()


async def test_attempts_that_end_at_once_share_transactions_but_no_error(database: str) -> None:
    pool, count = Pool(database, 4, name="ends"), 40
    jobs = jobs_of(pool)
    await jobs.enqueue([NewJob("flow 0", "INSTAGRAM", {"handle": str(number)}) for number in range(count)])
    refused: list[str] = []

    async def complete(job: Job) -> None:
        try:
            await jobs.complete(job, Crawl("graphapi", data={"no text": "\0" if job.params["handle"] == "7" else ""}))
        except DataError:
            refused.append(job.params["handle"])

    with trio.fail_after(30):
        held = await jobs.claim({"flow 0": Room(count)})
        async with trio.open_nursery() as nursery:
            for job in held:
                nursery.start_soon(complete, job)
    async with pool.connection() as conn:
        ((ended, transactions),) = await (
            await conn.execute(
                "select count(*), count(distinct xmin::text) from scrape_request_log where status = 'COMPLETE'"
            )
        ).fetchall()
    await pool.aclose()
    assert (refused, ended) == (["7"], count - 1)
    assert transactions < 10
