"""Where jobs come from, on a real database: the first crawl, stale profiles, and requests that wait."""

import datetime as dt
import random
import string
from collections.abc import Sequence
from functools import partial

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.channels.jobs import Enqueued, Failure, Job, NewJob, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.producers import OnDemand, StaleProfiles, enqueue_first_crawl
from gcc.pipelines.scraping.refresh import Refreshed
from gcc.pipelines.scraping.yields import TRACKED_PROFILE
from gcc.sources.snapshot import ProfileSnapshot
from gcc.stores import upserts
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.drain import Stage
from gcc.tables import Upsert
from tests.crawls import crawl_of

FLOW = "refresh_profile_by_handle"
NOW = SystemClock().now()


@pytest.fixture
async def jobs(pool: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())


def snapshot(handle: str, profile_id: str, at: dt.datetime = NOW) -> ProfileSnapshot:
    return ProfileSnapshot("INSTAGRAM", "graphapi", at, profile_id, handle, {"followers": 1}, {}, [])


def tracked(platform: str, profile_id: str, handle: str) -> Upsert:
    return Upsert(TRACKED_PROFILE, [{"platform": platform, "profile_id": profile_id, "handle": handle}])


async def follow(pool: Pool, *handles: str) -> None:
    async with pool.transaction() as conn:
        await upserts.write(conn, [tracked("INSTAGRAM", f"id-{handle}", handle) for handle in handles])


async def crawled(pool: Pool, handle: str, at: dt.datetime) -> None:
    async with pool.transaction() as conn:
        await upserts.write(conn, crawl_of(snapshot(handle, f"id-{handle}", at)).writes)


def handles(claimed: list[Job]) -> list[str]:
    return sorted(str(job.params["handle"]) for job in claimed)


async def test_the_first_crawl_asks_for_everybody_once(pool: Pool, jobs: PostgresJobs) -> None:
    await follow(pool, "a", "b")
    assert await enqueue_first_crawl(pool, jobs) == 2
    assert await enqueue_first_crawl(pool, jobs) == 0
    await follow(pool, "c")
    assert await enqueue_first_crawl(pool, jobs) == 1
    assert handles(await jobs.claim({FLOW: Room(10)})) == ["a", "b", "c"]
    assert await enqueue_first_crawl(pool, jobs) == 0, "also while they run"


async def test_the_daily_producer_asks_for_what_is_old_or_missing(pool: Pool, jobs: PostgresJobs) -> None:
    await follow(pool, "missing")
    await crawled(pool, "old", NOW - dt.timedelta(days=2))
    await crawled(pool, "fresh", NOW)
    produce = StaleProfiles(pool, jobs, stale_s=86_400)
    assert await produce() == {"stale": 2, "enqueued": 2}
    assert await produce() == {"stale": 2, "enqueued": 0}, "a waiting refresh is not doubled"
    assert handles(await jobs.claim({FLOW: Room(10)})) == ["missing", "old"]


async def test_channels_are_asked_for_by_their_ids(pool: Pool, jobs: PostgresJobs) -> None:
    """A list's name of a channel may be somebody else's handle."""
    channel = "UCq-Fj5jknLsUf-MWSy4_brA"
    async with pool.transaction() as conn:
        await upserts.write(conn, [tracked("YOUTUBE", channel, "tseries"), tracked("YOUTUBE", "odd", "named")])
    assert await enqueue_first_crawl(pool, jobs) == 2
    assert handles(await jobs.claim({"refresh_yt_profiles": Room(10)})) == [channel, "named"]
    assert await StaleProfiles(pool, jobs, stale_s=86_400)() == {"stale": 2, "enqueued": 2}
    assert handles(await jobs.claim({"refresh_yt_profiles": Room(10)})) == [channel, "named"]


ODD = {
    "another platform": ("TIKTOK", "id", "a"),
    "a platform in small letters": ("instagram", "id", "a"),
    "no platform": ("", "id", "a"),
    "a long id": ("INSTAGRAM", "".join(random.Random(0).choices(string.ascii_letters, k=2600)), "a"),
    "a long handle": ("INSTAGRAM", "id", "a" * 20_000),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_who_cannot_be_asked_for_is_passed_over_and_told(
    pool: Pool, jobs: PostgresJobs, odd: tuple[str, str, str]
) -> None:
    async with pool.connection() as conn:
        await conn.execute("insert into tracked_profile (platform, profile_id, handle) values (%s, %s, %s)", odd)
    await follow(pool, "b")
    with structlog.testing.capture_logs() as told:
        assert await enqueue_first_crawl(pool, jobs) == 1
    assert [(line["platform"], line["profiles"]) for line in told] == [(odd[0], 1)]
    assert handles(await jobs.claim({FLOW: Room(10)})) == ["b"]
    with structlog.testing.capture_logs() as told:
        assert await StaleProfiles(pool, jobs, stale_s=86_400)() == {"stale": 1, "enqueued": 1}
    assert len(told) == 1


class Request:
    """A request for a profile in a task of its own, and the job that it made."""

    def __init__(self, pool: Pool, jobs: PostgresJobs) -> None:
        self.closing = Stage("ports")
        self.scraped = True
        self.on_demand = OnDemand(pool, jobs, self.closing, scraped=lambda: self.scraped)
        self.jobs = jobs
        self.answer: Refreshed | None = None

    async def ask(self, wait_s: float = 30.0) -> None:
        self.answer = await self.on_demand.refresh("INSTAGRAM", "a", wait_s=wait_s)

    async def job(self) -> Job:
        while not (claimed := await self.jobs.claim({FLOW: Room(1)})):
            await self.jobs.wait(5)
        return claimed[0]


async def test_a_request_is_answered_when_its_job_ends(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.ask)
            job = await request.job()
            assert (job.priority, job.awaited) == (100, True)
            await jobs.complete(job, crawl_of(snapshot("a", "1")))
    assert request.answer is not None
    assert request.answer.outcome == "COMPLETE"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("PROFILE_NOT_FOUND", "NOT_FOUND"),
        ("NOT_VISIBLE", "NOT_VISIBLE"),
        ("INVALID_HANDLE", "INVALID"),
        ("SOURCE_FAILED", "FAILED"),
    ],
)
async def test_a_failed_job_says_why(pool: Pool, jobs: PostgresJobs, code: str, outcome: str) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.ask)
            await jobs.fail(await request.job(), Failure(code, "because", None))
    assert request.answer is not None
    assert (request.answer.outcome, request.answer.reason) == (outcome, "because")


async def test_requests_for_one_profile_share_one_job(
    pool: Pool, jobs: PostgresJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(pool, jobs)
    asked = trio.Semaphore(0)
    enqueue = jobs.enqueue

    async def told(new: Sequence[NewJob]) -> list[Enqueued]:
        enqueued = await enqueue(new)
        asked.release()
        return enqueued

    monkeypatch.setattr(jobs, "enqueue", told)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(request.ask)
            for _ in range(3):  # who asks after the job has ended gets another one, rightly
                await asked.acquire()
            (job,) = await jobs.claim({FLOW: Room(10)})
            await jobs.fail(job, Failure("PROFILE_NOT_FOUND", "", None))
    assert request.answer is not None
    assert request.answer.outcome == "NOT_FOUND"


async def test_a_request_whose_time_is_up_says_whether_the_job_waits_or_runs(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    await request.ask(wait_s=0.2)
    assert request.answer == Refreshed("TIMEOUT", "nobody has begun it: all scrapers are busy or paused")
    await request.job()
    await request.ask(wait_s=0.2)
    assert request.answer == Refreshed("TIMEOUT", "it did not answer in time; it may do so later")


async def test_where_nobody_scrapes_a_request_is_told_so_soon(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    request.scraped = False
    with trio.fail_after(10):
        await request.ask()
    assert request.answer is not None
    assert (request.answer.outcome, request.answer.reason) == ("FAILED", "no process with the role scraper runs")
    await request.job()
    await request.ask(wait_s=1.5)
    assert request.answer.outcome == "TIMEOUT", "somebody has it in hand"


@pytest.mark.parametrize(
    ("code", "after_s", "outcome"),
    [
        ("SOURCE_CLOSED", 5, "FAILED"),
        ("NO_CREDENTIAL", 5, "FAILED"),
        ("LIMITS_AWAY", 1, "FAILED"),
        ("LIMITED", 300, "LIMITED"),
        ("LIMITED", 0.2, None),
    ],
)
async def test_a_request_is_told_at_once_why_nobody_can_be_asked(
    pool: Pool, jobs: PostgresJobs, code: str, after_s: float, outcome: str | None
) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.ask)
            await jobs.fail(await request.job(), Failure(code, "because", after_s))
            if outcome is None:  # it is worth waiting for
                await jobs.fail(await request.job(), Failure("PROFILE_NOT_FOUND", "", None))
    assert request.answer is not None
    if outcome is None:
        assert request.answer.outcome == "NOT_FOUND"
        return
    reason = "the store of our limits does not answer" if code == "LIMITS_AWAY" else "because"
    assert (request.answer.outcome, request.answer.reason) == (outcome, reason)
    assert abs((request.answer.retry_after_s or 0) - after_s) < 3
    with trio.fail_after(5):
        await request.ask()
    assert request.answer.outcome == outcome, "who joins the waiting job is told the same"


async def test_a_failure_that_is_tried_again_is_told_when_the_time_is_up(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(request.ask, wait_s=5))
            await jobs.fail(await request.job(), Failure("SOURCE_FAILED", "HTTP 500", 60.0))
    assert request.answer is not None
    assert (request.answer.outcome, request.answer.reason) == ("FAILED", "HTTP 500")


async def test_a_second_failure_is_told_at_once(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.ask)
            await jobs.fail(await request.job(), Failure("SOURCE_FAILED", "HTTP 500", 0.1))
            while not (claimed := await jobs.claim({FLOW: Room(1)})):  # noqa: ASYNC110
                await trio.sleep(0.05)  # the time of its retry comes, and nobody tells
            await jobs.fail(claimed[0], Failure("SOURCE_FAILED", "HTTP 500", 0.5))
    assert request.answer is not None
    assert (request.answer.outcome, request.answer.reason) == ("FAILED", "HTTP 500")


async def test_a_request_is_answered_when_the_ports_close(pool: Pool, jobs: PostgresJobs) -> None:
    request = Request(pool, jobs)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.ask)
            await request.job()
            request.closing.begin()
    assert request.answer is not None
    assert request.answer.outcome == "TIMEOUT"
