"""The scraper's and the consumer's promises, on fakes under a virtual clock."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.actors.claimer import Claimer
from gcc.actors.consumer import Consumer
from gcc.actors.gates import ALWAYS_OPEN, Gate, Level
from gcc.actors.leases import Leases
from gcc.actors.scraper import Deferred, Retries, Scraper, Work
from gcc.channels.batch import BatchLimits
from gcc.channels.jobs import Crawl, Failure, Job, JobStatus, NewJob
from gcc.channels.memory import Channels, Signal
from gcc.channels.message import Binding, Delivery, Frame, Route
from gcc.clock import VirtualClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.sources.breakers import Out
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from tests.fakes.database import Connection, Database
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.exchange import FakeExchange
from tests.fakes.jobs import FakeJobs

FLOW = "flow"
ROUTE = Route("beat.dx", "a")
RETRIES = Retries(attempts_max=3, backoff=Backoff(10.0, 60.0))


class Bench:
    """A board, a drain and the stores that the actors work on."""

    def __init__(self) -> None:
        self.clock = VirtualClock(seed=1)
        self.database = Database(self.clock)
        self.connection = Connection(self.database)
        self.written = Signal()
        self.jobs = FakeJobs(
            self.connection, StatusEvents(self.clock), lease_s=30, lost_max=9, outbox_written=self.written
        )
        self.exchange = FakeExchange(self.connection, self.written)
        self.letters = FakeDeadLetters(self.connection)
        self.board = Board(self.clock.now)
        self.drain = Drain(("intake", "scrapers", "sinkers"), 60)
        self.channels = Channels()
        self.metrics = Metrics()

    def statuses(self) -> list[JobStatus]:
        return [row.job.status for row in self.database.jobs.values()]

    @asynccontextmanager
    async def scraping(
        self, work: Work, *, concurrency: Level | int = 2, gate: Gate = ALWAYS_OPEN,
        out: Callable[[], Out | None] = lambda: None, changed: Callable[[], Awaitable[None]] = trio.sleep_forever,
        flows: Sequence[str] = (FLOW,),
    ) -> AsyncIterator[Claimer]:  # fmt: skip
        """Work off the jobs of these flows; the first one's scraper has the gate and may have its sources out."""
        leases = Leases(self.jobs, self.board.actor("leases"), lease_s=30)
        intake = self.drain.stage("intake")
        claimer = Claimer(
            self.jobs, leases, actor=self.board.actor("claimer"), intake=intake, rng=self.clock.rng, poll_s=5,
            sources_changed=changed,
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leases.run)
            nursery.start_soon(self.drain.run)
            for flow in flows:
                first = {"gate": gate, "out": out} if flow == flows[0] else {}
                scraper = Scraper(
                    flow, self.jobs, work, claimer, retries=RETRIES, concurrency=concurrency, leases=leases,
                    channels=self.channels, actor=self.board.actor("scraper" if flow == FLOW else f"scraper {flow}"),
                    intake=intake, finishing=self.drain.stage("scrapers"), metrics=self.metrics, rng=self.clock.rng,
                    **first,  # type: ignore[arg-type]
                )  # fmt: skip
                await nursery.start(scraper.run)
            await nursery.start(claimer.run)
            yield claimer
            nursery.cancel_scope.cancel()

    async def enqueue(self, count: int, flow: str = FLOW, **more: Any) -> None:
        await self.jobs.enqueue([NewJob(flow, "INSTAGRAM", {"n": number}, **more) for number in range(count)])

    async def drained(self) -> None:
        self.drain.request("test")
        with trio.fail_after(120):
            while len(self.drain.report) < 3:  # noqa: ASYNC110 - virtual time
                await trio.sleep(1)


def done() -> Crawl:
    return Crawl("source")


async def test_the_last_errors_name_the_job_and_whom_it_is_about(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()

    async def work(job: Job) -> Failure:
        return Failure("NOT_FOUND", "there is no such profile", None)

    new = [NewJob(FLOW, "INSTAGRAM", {"handle": "somebody"}), NewJob(FLOW, "INSTAGRAM", {"n": 1})]
    known, unnamed = (enqueued.id for enqueued in await bench.jobs.enqueue(new))
    async with bench.scraping(work, concurrency=1):
        await trio.sleep(10)
    told = {error["job"]: error["error"] for error in bench.board.errors}
    assert told == {
        str(known): "somebody: NOT_FOUND: there is no such profile",
        str(unnamed): f"{unnamed}: NOT_FOUND: there is no such profile",
    }


async def test_drain_finishes_what_has_begun_and_claims_no_more(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()

    async def work(job: Job) -> Crawl:
        await trio.sleep(10)
        return done()

    await bench.enqueue(20)
    async with bench.scraping(work):
        await trio.sleep(1)
        await bench.drained()
    assert bench.statuses().count(JobStatus.COMPLETE) == 2, "those that had begun"
    assert bench.statuses().count(JobStatus.PENDING) == 18
    assert all(row.job.retry_count == 0 for row in bench.database.jobs.values())


async def test_an_attempt_whose_lease_is_lost_is_cancelled_and_writes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    begun: list[int] = []
    finished: list[int] = []

    async def work(job: Job) -> Crawl:
        begun.append(job.attempt)
        await trio.sleep(100 if job.attempt == 1 else 1)
        finished.append(job.attempt)
        return done()

    await bench.enqueue(1)
    async with bench.scraping(work):
        await trio.sleep(1)
        await bench.jobs.end_leases()  # the database's clock has leapt
        await bench.jobs.rescue()
        await trio.sleep(60)
    assert (begun, finished) == ([1, 2], [2])
    assert bench.statuses() == [JobStatus.COMPLETE]


async def test_a_claim_that_is_on_its_way_when_the_drain_begins_is_not_left_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its answer comes after the stage began: found by the simulation, which saw the lease stay behind."""
    bench = Bench()

    async def slow() -> None:
        await trio.sleep(2)

    async def work(job: Job) -> Crawl:
        return done()

    await bench.enqueue(1)
    bench.connection.after = slow
    async with bench.scraping(work):
        await trio.sleep(1)  # committed, and not yet told
        await bench.drained()
    assert not bench.database.leased, "finished or given back"


async def test_leases_are_kept_while_long_work_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()

    async def work(job: Job) -> Crawl:
        await trio.sleep(300)
        return done()

    await bench.enqueue(1)
    async with bench.scraping(work):
        for _ in range(31):
            await trio.sleep(10)
            assert await bench.jobs.rescue() == 0
    assert bench.statuses() == [JobStatus.COMPLETE]


@pytest.mark.parametrize("fault", ["silent", "away"])
async def test_a_heartbeat_without_an_answer_is_given_up_and_comes_again_before_the_leases_end(
    autojump_clock: trio.testing.MockClock, fault: str
) -> None:
    """As of a server that vanished: TCP would wait for a minute, as long as a lease lasts."""
    bench = Bench()
    extend, asked = bench.jobs.extend, 0

    async def every_third(jobs: Sequence[Job]) -> set[uuid.UUID]:
        nonlocal asked
        asked += 1
        if asked % 3:
            return await extend(jobs)
        if fault == "silent":
            await trio.sleep_forever()
        raise Transient("the store is away")

    async def work(job: Job) -> Crawl:
        await trio.sleep(300)
        return done()

    bench.jobs.extend = every_third  # type: ignore[method-assign]
    await bench.enqueue(3)
    async with bench.scraping(work, concurrency=3):
        for _ in range(305):
            await trio.sleep(1)
            assert await bench.jobs.rescue() == 0
    assert bench.statuses() == [JobStatus.COMPLETE] * 3
    assert bench.board.actor("leases").failed == asked // 3 > 8


async def test_a_limit_costs_no_retry_and_a_failure_one(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    answers: list[Crawl | Failure | Deferred] = [Deferred(5.0, "LIMITED", "used up"), Failure("X", "x", 5.0), done()]

    async def work(job: Job) -> Crawl | Failure | Deferred:
        return answers.pop(0)

    await bench.enqueue(1)
    async with bench.scraping(work):
        await trio.sleep(60)
    (row,) = bench.database.jobs.values()
    assert (row.job.status, row.job.attempt, row.job.retry_count) == (JobStatus.COMPLETE, 3, 1)


async def test_a_store_that_is_away_is_waited_for_with_the_answer_in_hand(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    calls = 0

    async def work(job: Job) -> Crawl:
        nonlocal calls
        calls += 1
        bench.connection.before = away
        return done()

    async def away() -> None:
        raise Transient("away")

    async def there() -> None:
        await trio.lowlevel.checkpoint()

    await bench.enqueue(1)
    async with bench.scraping(work):
        await trio.sleep(10)
        assert bench.board.actor("scraper").last_error == "Transient: away"
        bench.connection.before = there
        await trio.sleep(60)
    assert (calls, bench.statuses()) == (1, [JobStatus.COMPLETE])


class Unforeseen(Exception):
    """What no contract names."""


async def test_a_job_that_always_raises_fails_alone_and_all_others_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()

    async def work(job: Job) -> Crawl:
        await trio.sleep(1)
        if job.params["n"] == 0:
            raise Unforeseen("of job\x00 0 \ud83d")
        return done()

    await bench.enqueue(50)
    with structlog.testing.capture_logs() as logs:
        async with bench.scraping(work):
            await trio.sleep(3600)
    failed, *others = bench.database.jobs.values()
    assert (failed.job.status, failed.job.retry_count) == (JobStatus.FAILED, RETRIES.attempts_max)
    where = (failed.data or {}).pop("traceback")
    assert failed.data == {"code": "BUG", "reason": "Unforeseen: of job\ufffd 0 ?"}, "a text that any store takes"
    assert "in work" in where and where.endswith("Unforeseen: of job\ufffd 0 ?\n")
    assert {row.job.status for row in others} == {JobStatus.COMPLETE}
    assert all(row.lost == 0 for row in bench.database.jobs.values())
    told = [log for log in logs if log["event"] == "bug"]
    assert [type(log["exc_info"]) for log in told] == [Unforeseen] * RETRIES.attempts_max, "once for each attempt"
    scraper = bench.board.actor("scraper")
    assert (scraper.bugs, scraper.restarts) == (RETRIES.attempts_max, 0)
    assert "Unforeseen" in (scraper.last_error or "") and "in work" in (scraper.last_stack or "")


UNSTORABLE = (ValueError("a NUL"), UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates"), OverflowError("1e400"))


@pytest.mark.parametrize("verb", ["complete", "release"])
@pytest.mark.parametrize("error", UNSTORABLE, ids=repr)
async def test_an_answer_that_cannot_be_stored_is_its_job_s_failure(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception
) -> None:
    bench = Bench()
    store = getattr(bench.jobs, verb)

    async def refuses(job: Job | list[Job], *args: object, **more: object) -> None:
        (one,) = [job] if isinstance(job, Job) else job
        if one.params["n"] == 0:
            raise error
        await store(job, *args, **more)

    async def work(job: Job) -> Crawl | Deferred:
        return (
            done() if verb == "complete" or job.retry_count or job.params["n"] else Deferred(1.0, "LIMITED", "used up")
        )

    monkeypatch.setattr(bench.jobs, verb, refuses)
    await bench.enqueue(10)
    async with bench.scraping(work):
        await trio.sleep(600)
    first, *others = bench.database.jobs.values()
    assert {row.job.status for row in others} == {JobStatus.COMPLETE}
    assert first.job.status is (JobStatus.FAILED if verb == "complete" else JobStatus.COMPLETE)
    assert first.job.retry_count == (RETRIES.attempts_max if verb == "complete" else 1)


async def test_where_not_even_the_failure_can_be_written_the_lease_ends_by_itself(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()

    async def refuses(job: Job, failure: Failure) -> None:
        raise Unforeseen("the failure, too")

    async def work(job: Job) -> Crawl:
        if job.params["n"] == 0 and job.attempt == 1:
            raise Unforeseen("the work")
        return done()

    monkeypatch.setattr(bench.jobs, "fail", refuses)
    await bench.enqueue(5)
    async with bench.scraping(work):
        await trio.sleep(31)
        assert bench.statuses().count(JobStatus.COMPLETE) == 4
        assert await bench.jobs.rescue() == 1
        await trio.sleep(10)
    assert bench.statuses() == [JobStatus.COMPLETE] * 5


async def test_a_bug_while_the_lease_is_lost_ends_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    """Both leave the attempt in one group: the cancellation is the lease's, the bug must not pass in its shadow."""
    bench = Bench()

    async def raise_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Unforeseen("while cancelled")

    async def work(job: Job) -> Crawl:
        if job.attempt == 1 and job.params["n"] == 0:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(raise_when_cancelled)
                nursery.start_soon(trio.sleep_forever)
        await trio.sleep(5)
        return done()

    await bench.enqueue(4)
    async with bench.scraping(work):
        await trio.sleep(6)
        await bench.jobs.end_leases()
        await bench.jobs.rescue()
        await trio.sleep(60)
    assert bench.statuses() == [JobStatus.COMPLETE] * 4
    assert bench.board.actor("scraper").bugs == 1


class Handler:
    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[uuid.UUID]] = []
        self.failures = failures

    async def handle(self, batch: Sequence[Delivery]) -> int:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise Transient("the store is away")
        self.batches.append([delivery.frame.id for delivery in batch])
        return sum(delivery.frame.events for delivery in batch)


@asynccontextmanager
async def consuming(bench: Bench, handler: Handler) -> AsyncIterator[None]:
    await bench.exchange.declare([Binding(ROUTE, "q")])
    consumer = Consumer(
        "q", bench.exchange, handler, bench.letters, limits=BatchLimits(rows=100, age_s=5.0, rows_max=500),
        channels=bench.channels, actor=bench.board.actor("sinker"), stage=bench.drain.stage("sinkers"),
        metrics=bench.metrics, rng=bench.clock.rng,
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.drain.run)
        await nursery.start(consumer.run)
        yield
        nursery.cancel_scope.cancel()


async def publish(bench: Bench, count: int, *, events: int = 10, body: bytes = b"{}") -> None:
    bench.database.emit(Frame(bench.clock.new_id(), ROUTE, events, body) for _ in range(count))
    await bench.exchange.relay()


async def test_a_batch_is_due_by_age_or_size_and_grows_with_the_backlog(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench, handler = Bench(), Handler()
    async with consuming(bench, handler):
        await publish(bench, 3)
        await trio.sleep(4.9)
        assert handler.batches == []
        await trio.sleep(0.2)
        assert [len(batch) for batch in handler.batches] == [3]
        await publish(bench, 60)
        await trio.sleep(6)
    sizes = [len(batch) for batch in handler.batches[1:]]
    assert sum(sizes) == 60
    assert 10 <= max(sizes) <= 50
    assert not bench.database.queues, "all acknowledged"


async def test_drain_flushes_what_is_held_at_once(autojump_clock: trio.testing.MockClock) -> None:
    bench, handler = Bench(), Handler()
    async with consuming(bench, handler):
        await publish(bench, 2)
        await trio.sleep(0.5)
        began = trio.current_time()
        bench.drain.request("test")
        await trio.sleep(1)
        assert [len(batch) for batch in handler.batches] == [2]
        assert [report.name for report in bench.drain.report] == ["intake", "scrapers", "sinkers"]
        assert trio.current_time() - began < 2
    assert not bench.database.queues


async def test_a_lost_store_gets_the_same_frozen_batch_again_and_acknowledges_nothing_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench, handler = Bench(), Handler(failures=3)
    async with consuming(bench, handler):
        await publish(bench, 2)
        await trio.sleep(5.05)
        assert len(bench.database.queues) == 2
        await trio.sleep(30)
    assert [len(batch) for batch in handler.batches] == [2]
    assert not bench.database.queues


async def test_a_store_that_stays_away_gets_its_frames_given_back_and_later_all_of_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench, handler = Bench(), Handler(failures=40)
    async with consuming(bench, handler):
        await publish(bench, 5)
        await trio.sleep(3600)
    assert len({frame for batch in handler.batches for frame in batch}) == 5
    assert not bench.database.queues
