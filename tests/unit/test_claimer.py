"""One claimer for all flows: what it asks for, how often, and what it leaves alone, under a virtual clock."""

from collections import Counter
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gcc.actors.scraper import BEYOND, Deferred
from gcc.channels.jobs import URGENT, Crawl, Failure, Job, JobStatus, Room
from gcc.errors import Transient
from gcc.sources.breakers import Out
from gcc.supervisor.lifecycle import State
from tests.unit.test_actors import FLOW, Bench, done

IDLE = [FLOW, *(f"idle {number}" for number in range(43))]


class Source:
    """The first flow's only source, as its breaker tells of it."""

    def __init__(self) -> None:
        self.is_out: Out | None = None
        self.turned = trio.Event()

    def out(self) -> Out | None:
        return self.is_out if self.is_out and self.is_out.until > trio.current_time() else None

    async def changed(self) -> None:
        await self.turned.wait()

    def turn(self, out: Out | None) -> None:
        self.is_out = out
        self.turned.set()
        self.turned = trio.Event()

    def out_for(self, seconds: float) -> None:
        self.turn(Out("LIMITED", "used up", trio.current_time() + seconds))


def count_claims(bench: Bench) -> list[Mapping[str, Room]]:
    """What is asked for from now on, a claim each."""
    claims: list[Mapping[str, Room]] = []
    claim = bench.jobs.claim

    async def counted(rooms: Mapping[str, Room]) -> list[Job]:
        claims.append(rooms)
        return await claim(rooms)

    bench.jobs.claim = counted  # type: ignore[method-assign]
    return claims


async def finish(job: Job) -> Crawl:
    await trio.sleep(9)
    return done()


async def test_idle_flows_are_asked_for_together_once_a_poll(autojump_clock: MockClock) -> None:
    bench = Bench()
    claims = count_claims(bench)
    async with bench.scraping(finish, flows=IDLE):
        await trio.sleep(1)
        tasks = trio.lowlevel.current_statistics().tasks_living
        await trio.sleep(100)
        assert len(claims) == 1 + 100 // 5
        assert all(set(rooms) == set(IDLE) for rooms in claims)
        assert tasks < 3 * len(IDLE) + 20, "no task waits for a job: three a flow, whatever its concurrency"


async def test_a_flow_that_had_nothing_is_asked_for_again_when_somebody_enqueues(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with bench.scraping(finish, flows=IDLE):
        await trio.sleep(1)
        claims = count_claims(bench)
        await bench.enqueue(1, "idle 7")
        await wait_all_tasks_blocked()
        assert (len(claims), bench.statuses()) == (1, [JobStatus.PROCESSING])
        await trio.sleep(3)
        assert len(claims) == 1


async def test_an_enqueue_that_a_claim_under_way_does_not_see_is_looked_for_at_once(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with bench.scraping(finish):
        await trio.sleep(1)

        async def slow() -> None:
            bench.connection.after = trio.lowlevel.checkpoint
            await trio.sleep(1)

        bench.connection.after = slow
        bench.jobs._woken.set()
        await trio.sleep(0.5)  # it has found nothing, and is not told yet
        await bench.enqueue(1)
        await trio.sleep(0.6)
        assert bench.statuses() == [JobStatus.PROCESSING]


async def test_attempts_are_begun_when_jobs_come_and_leave_no_task(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with bench.scraping(finish, concurrency=50):
        await trio.sleep(1)
        idle = trio.lowlevel.current_statistics().tasks_living
        await bench.enqueue(20)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == idle + 20
        await trio.sleep(11)
        assert trio.lowlevel.current_statistics().tasks_living == idle
    assert bench.statuses() == [JobStatus.COMPLETE] * 20


async def test_a_flow_with_very_many_jobs_keeps_nothing_from_one_with_three(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.enqueue(5000, "many")
    running: Counter[str] = Counter()
    peak: Counter[str] = Counter()

    async def work(job: Job) -> Crawl:
        running[job.flow] += 1
        peak[job.flow] = max(peak[job.flow], running[job.flow])
        await trio.sleep(10)
        running[job.flow] -= 1
        return done()

    async with bench.scraping(work, flows=[FLOW, "many"], concurrency=4):
        await trio.sleep(100)
        await bench.enqueue(3)
        await trio.sleep(10.1)
        few = [row.job.status for row in bench.database.jobs.values() if row.job.flow == FLOW]
        assert few == [JobStatus.COMPLETE] * 3
        assert peak == {"many": 4, FLOW: 3}
        assert bench.statuses().count(JobStatus.COMPLETE) >= 3 + 11 * 4 - 4


async def test_a_flow_without_sources_is_not_claimed_and_its_jobs_are_not_touched(autojump_clock: MockClock) -> None:
    bench, source = Bench(), Source()
    actor = bench.board.actor("scraper")
    await bench.enqueue(100)
    source.out_for(1000)
    claims = count_claims(bench)
    async with bench.scraping(finish, out=source.out, changed=source.changed, flows=[FLOW, "other"]):
        await bench.enqueue(3, "other")
        await trio.sleep(990)
        assert (actor.state, bench.board.actor("scraper other").state) == (State.WAITING, State.RUNNING)
        assert {rooms[FLOW] for rooms in claims if FLOW in rooms} == {Room(2 + BEYOND, URGENT)}, "for who waits"
        rows = [row.job for row in bench.database.jobs.values() if row.job.flow == FLOW]
        assert {(job.status, job.attempt, job.seq) for job in rows} == {(JobStatus.PENDING, 0, 1)}, "no change at all"
        assert bench.statuses().count(JobStatus.COMPLETE) == 3
        await trio.sleep(10.1)
        assert (actor.state, actor.in_flight) == (State.RUNNING, 1), "at the very moment, and one goes ahead"
        await trio.sleep(9)
        assert actor.in_flight == 2


async def test_a_source_that_is_back_earlier_is_told_of_at_once(autojump_clock: MockClock) -> None:
    bench, source = Bench(), Source()
    await bench.enqueue(10)
    async with bench.scraping(finish, out=source.out, changed=source.changed):
        source.out_for(1e6)
        await trio.sleep(30)
        source.turn(None)
        await wait_all_tasks_blocked()
        assert bench.board.actor("scraper").in_flight == 1


async def test_a_source_that_is_back_while_it_is_looked_at_is_waited_for_no_longer(autojump_clock: MockClock) -> None:
    bench = Bench()

    def out() -> Out | None:
        if trio.current_time() > 20:
            return None
        told = Out("LIMITED", "used up", trio.current_time() + 0.001)
        autojump_clock.jump(0.002)  # a moment goes by before anybody reads it
        return told

    await bench.enqueue(1)
    async with bench.scraping(finish, out=out):
        await trio.sleep(60)
    assert bench.statuses() == [JobStatus.COMPLETE]


async def test_who_waits_for_a_job_of_a_flow_without_sources_is_told_why(autojump_clock: MockClock) -> None:
    bench, source = Bench(), Source()
    await bench.enqueue(10)
    source.out_for(1000)

    async def work(job: Job) -> Deferred:
        await trio.lowlevel.checkpoint()
        return Deferred(1000.0, "LIMITED", "used up")

    async with bench.scraping(work, out=source.out, changed=source.changed):
        await trio.sleep(1)
        await bench.enqueue(1, priority=URGENT, awaited=True)
        await wait_all_tasks_blocked()
        *others, asked = bench.database.jobs.values()
        assert (asked.job.status, asked.job.retry_count) == (JobStatus.PENDING, 0)
        assert asked.data == {"code": "LIMITED", "reason": "used up"}
        assert asked.due_at > bench.clock.now()
        assert {row.job.attempt for row in others} == {0}
        await trio.sleep(900)
        assert asked.job.attempt == 1, "once is enough"


async def test_what_is_found_out_of_a_source_costs_a_few_jobs_and_not_all(autojump_clock: MockClock) -> None:
    """The quota of a day: at each free moment a single call."""
    bench, source = Bench(), Source()
    calls, tried = 1, 0

    async def work(job: Job) -> Crawl | Deferred:
        nonlocal calls, tried
        tried += 1
        await trio.sleep(0.1)
        if calls:
            calls -= 1
            return done()
        source.out_for(100)
        return Deferred(100.0, "LIMITED", "used up")

    await bench.enqueue(1000)
    async with bench.scraping(work, out=source.out, changed=source.changed, concurrency=50):
        await trio.sleep(1)
        assert tried == 50, "nobody knew"
        for _ in range(10):
            calls += 1
            await trio.sleep(100.5)
        assert bench.statuses().count(JobStatus.COMPLETE) >= 10
        assert tried <= 50 + 3 * 10


async def test_after_a_source_is_back_all_slots_are_used_again(autojump_clock: MockClock) -> None:
    bench, source = Bench(), Source()
    await bench.enqueue(1000)
    source.out_for(50)
    in_flight = []
    async with bench.scraping(finish, out=source.out, changed=source.changed, concurrency=16):
        await trio.sleep(51)
        for _ in range(6):
            in_flight.append(bench.board.actor("scraper").in_flight)
            await trio.sleep(9)
    assert in_flight == [1, 2, 4, 8, 16, 16]


async def test_a_store_that_is_away_is_waited_for_and_shown(autojump_clock: MockClock) -> None:
    bench = Bench()

    async def away() -> None:
        raise Transient("away")

    await bench.enqueue(3)
    bench.connection.before = away
    async with bench.scraping(finish):
        await trio.sleep(60)
        claimer = bench.board.actor("claimer")
        assert (claimer.state, claimer.last_error) == (State.BACKOFF, "Transient: away")
        bench.connection.before = trio.lowlevel.checkpoint
        await trio.sleep(60)
        assert claimer.state is State.RUNNING
    assert bench.statuses() == [JobStatus.COMPLETE] * 3


@pytest.mark.parametrize("waiting", ["for jobs", "for a source", "for a store"])
async def test_a_drain_ends_whatever_it_waits_for(autojump_clock: MockClock, waiting: str) -> None:
    bench, source = Bench(), Source()
    source.out_for(1e6 if waiting == "for a source" else 0)

    async def away() -> None:
        raise Transient("away", retry_after_s=1e6)

    bench.connection.before = away if waiting == "for a store" else trio.lowlevel.checkpoint
    async with bench.scraping(finish, out=source.out):
        await trio.sleep(10)
        began = trio.current_time()
        await bench.drained()
        assert trio.current_time() - began <= 1
        assert bench.board.actor("claimer").state is State.FINISHED


async def test_cancelled_anywhere_it_loses_no_job(autojump_clock: MockClock) -> None:
    """Whatever had been claimed comes back when its lease ends."""
    bench = Bench()

    async def slow() -> None:
        await trio.sleep(0.7)

    async def work(job: Job) -> Crawl | Failure:
        await trio.sleep(0.5)
        return done()

    await bench.enqueue(60)
    bench.connection.before = bench.connection.after = slow
    for life in range(1, 8):
        async with bench.scraping(work, concurrency=3):
            await trio.sleep(life * 0.45)
    bench.connection.before = bench.connection.after = trio.lowlevel.checkpoint
    await bench.jobs.end_leases()
    await bench.jobs.rescue()
    async with bench.scraping(work, concurrency=3):
        await trio.sleep(60)
    assert bench.statuses() == [JobStatus.COMPLETE] * 60


async def test_630_tasks_are_in_flight_in_one_process_and_an_urgent_one_is_next(autojump_clock: MockClock) -> None:
    bench, flows = Bench(), [FLOW, *(f"busy {number}" for number in range(41))]
    async with bench.scraping(finish, flows=flows, concurrency=15):
        await trio.sleep(1)
        for flow in flows:
            await bench.enqueue(20, flow)
        await wait_all_tasks_blocked()
        assert Counter(bench.statuses()) == {JobStatus.PROCESSING: 630, JobStatus.PENDING: 42 * 5}
        for number in range(BEYOND + 1):
            await bench.enqueue(1, "busy 40", priority=URGENT, key=f"urgent {number}")
        await wait_all_tasks_blocked()
        urgent = Counter(row.job.status for row in bench.database.jobs.values() if row.key.startswith("urgent"))
        assert urgent == {JobStatus.PROCESSING: BEYOND, JobStatus.PENDING: 1}, "though all slots are taken"
        await trio.sleep(20)
        assert set(bench.statuses()) == {JobStatus.COMPLETE}
