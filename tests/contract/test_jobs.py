"""The unit-of-work port: one suite for PostgreSQL and for the fake that simulations use."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import pytest
import trio
from psycopg.conninfo import make_conninfo

from gcc.channels.jobs import (
    CANCELLABLE,
    CLAIM_MAX,
    RETRYABLE,
    URGENT,
    Failure,
    Job,
    JobFilter,
    Jobs,
    JobStatus,
    NewJob,
    Room,
)
from gcc.channels.memory import Signal
from gcc.channels.message import Frame, Route
from gcc.clock import Clock, SystemClock
from gcc.errors import LeaseLost, Transient
from gcc.pipelines.events.emit import StatusEvents
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.stores import postgres_jobs
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import DONE_CHANNEL, PostgresJobs
from tests.contract.test_notifications import kept
from tests.crawls import crawl_of
from tests.fakes import jobs as fake_jobs
from tests.fakes.database import Connection, Database
from tests.fakes.jobs import FakeJobs

FLOW = "refresh_profile_by_handle"


class TickingClock(SystemClock):
    """The system's clock, a millisecond further at every look: ids sort in the order of their minting."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        self.ahead += dt.timedelta(milliseconds=1)
        return super().now() + self.ahead


@dataclass
class Store:
    """One implementation, with the eyes a test needs: what the outbox holds, and leases that end when told."""

    jobs: Jobs
    outbox: Callable[[], Awaitable[list[Frame]]]
    end_leases: Callable[[], Awaitable[None]]
    events: Callable[[], Awaitable[int]]
    handle_of: Callable[[str], Awaitable[str | None]]


def fake(clock: Clock, connection: Connection | None = None) -> Store:
    connection = connection or Connection(Database(clock))
    database = connection.database
    jobs = FakeJobs(connection, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())

    async def outbox() -> list[Frame]:
        return [row.frame for row in database.outbox]

    async def events() -> int:
        assert database.events == sum(row.events for row in database.jobs.values())
        return database.events

    async def handle_of(profile_id: str) -> str | None:
        found = database.tables["instagram_account"].get((profile_id,))
        return found["handle"] if found else None

    return Store(jobs, outbox, jobs.end_leases, events, handle_of)


def real(pool: Pool, clock: Clock) -> Store:
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())

    async def outbox() -> list[Frame]:
        async with pool.connection() as conn:
            rows = await (
                await conn.execute("select frame_id, exchange, routing_key, events, body from outbox order by id")
            ).fetchall()
        return [Frame(row[0], Route(row[1], row[2]), row[3], bytes(row[4])) for row in rows]

    async def events() -> int:
        async with pool.connection() as conn:
            ((total,),) = await (
                await conn.execute("select coalesce(sum(events), 0) from scrape_request_log")
            ).fetchall()
        return int(total)

    async def handle_of(profile_id: str) -> str | None:
        async with pool.connection() as conn:
            rows = await (
                await conn.execute("select handle from instagram_account where profile_id = %s", (profile_id,))
            ).fetchall()
        return rows[0][0] if rows else None

    return Store(jobs, outbox, jobs.end_leases, events, handle_of)


@pytest.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest, pool: Pool) -> Store:
    return fake(TickingClock()) if request.param == "fake" else real(pool, TickingClock())


def new(handle: str, **changes: object) -> NewJob:
    return NewJob(FLOW, "INSTAGRAM", {"handle": handle}, **{"key": f"k:{handle}", **changes})  # type: ignore[arg-type]


def snapshot(handle: str, *, profile_id: str = "17841", at: dt.datetime | None = None) -> ProfileSnapshot:
    at = at or SystemClock().now()
    post = PostSnapshot(
        "INSTAGRAM", "graphapi", at, "p1", "Cabc", profile_id, handle, at, {"likes": 5, "comments": None},
        {"caption": 'tabs\tand "quotes" \\', "hashtags": ["a", 'b"c\\']},
    )  # fmt: skip
    return ProfileSnapshot(
        "INSTAGRAM", "graphapi", at, profile_id, handle, {"followers": 10}, {"full_name": "N\u0938"}, [post]
    )


async def statuses(store: Store) -> list[str]:
    """The statuses told of in status events, in order."""
    lines = [line for frame in await store.outbox() for line in frame.body.split(b"\n")]
    decoded = [msgspec.json.decode(line) for line in lines]
    return [event["status"] for event in decoded if "scl_id" in event]


LOCKING: list[tuple[str, Callable[[Jobs, list[Job]], Awaitable[object]]]] = [
    ("extend", lambda jobs, held: jobs.extend(held)),
    ("release", lambda jobs, held: jobs.release(held)),
    ("cancel", lambda jobs, held: jobs.cancel(JobFilter())),
    ("enqueue", lambda jobs, held: jobs.enqueue([new("b"), new("a")])),
]


@pytest.mark.parametrize("change", [change for _, change in LOCKING], ids=[name for name, _ in LOCKING])
async def test_who_waits_for_the_locks_of_jobs_takes_them_in_one_order(
    pool: Pool, change: Callable[[Jobs, list[Job]], Awaitable[object]]
) -> None:
    """That of their keys: with the first of them locked, the second is free. So no two wait for each other."""
    jobs = real(pool, TickingClock()).jobs
    for handle in "ba":
        await jobs.enqueue([new(handle)])
    held = await jobs.claim({FLOW: Room(2)})
    lock = "select from scrape_request_log where idempotency_key = %s for update nowait"
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with trio.open_nursery() as nursery, pool.connection() as one, pool.connection() as other:
        async with one.transaction():
            await one.execute(lock, ("k:a",))
            nursery.start_soon(change, jobs, held)
            with trio.fail_after(20):
                while True:
                    if await (await other.execute(waits)).fetchone() != (0,):
                        break
                    await trio.sleep(0.005)
            await other.execute(lock, ("k:b",))


async def test_numbers_of_any_kind_are_times_to_live(store: Store) -> None:
    await store.jobs.enqueue([new("a", ttl_s=60), new("b")])
    assert len(await store.jobs.claim({FLOW: Room(2)})) == 2


@pytest.mark.parametrize(("first_s", "again_s"), [(-1.0, 3600.0), (3600.0, -1.0)])
async def test_a_job_that_is_wanted_again_waits_as_long_as_either_would(
    store: Store, first_s: float, again_s: float
) -> None:
    """One that was overdue, and that nobody has moved yet, is none any more."""
    for ttl_s in (first_s, again_s):
        await store.jobs.enqueue([new("a", ttl_s=ttl_s)])
    assert await store.jobs.expire() == 0
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    assert dt.timedelta(minutes=59) < job.expires_at - job.created_at < dt.timedelta(minutes=61)


async def test_all_that_is_overdue_expires_and_all_that_lapsed_is_rescued_however_many(store: Store) -> None:
    await store.jobs.enqueue([new(f"old {number}", ttl_s=-1) for number in range(1100)])
    await store.jobs.enqueue([new(f"lost {number}") for number in range(CLAIM_MAX * 12)])
    for _ in range(12):
        await store.jobs.claim({FLOW: Room(CLAIM_MAX)})
    await store.end_leases()
    assert (await store.jobs.expire(), await store.jobs.rescue()) == (1100, CLAIM_MAX * 12)
    assert (await store.jobs.expire(), await store.jobs.rescue()) == (0, 0)


async def test_a_job_runs_from_pending_to_complete_and_every_change_is_an_event(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(10)})
    assert (job.attempt, job.params, job.retry_count) == (1, {"handle": "a"}, 0)
    await store.jobs.complete(job, crawl_of(snapshot("a")))
    assert await statuses(store) == ["PENDING", "PROCESSING", "COMPLETE"]
    emitted = sum(frame.events for frame in await store.outbox())
    assert await store.events() == emitted == 5  # three changes, a profile, a post
    assert await store.handle_of("17841") == "a"
    assert await store.jobs.claim({FLOW: Room(10)}) == []


async def test_what_goes_on_where_a_job_stopped_is_enqueued_with_its_end_or_not_at_all(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(10)})
    crawl = replace(crawl_of(snapshot("a")), then=[replace(new("b"), key=None, priority=7)])
    await store.jobs.complete(job, crawl)
    with pytest.raises(LeaseLost):
        await store.jobs.complete(job, crawl)
    (next_job,) = await store.jobs.claim({FLOW: Room(10)})
    assert (next_job.params, next_job.priority, next_job.attempt) == ({"handle": "b"}, 7, 1)
    assert await statuses(store) == ["PENDING", "PROCESSING", "COMPLETE", "PENDING", "PROCESSING"]
    assert await store.events() == sum(frame.events for frame in await store.outbox())


async def test_which_keys_an_unfinished_job_has(store: Store) -> None:
    await store.jobs.enqueue([new("a"), new("b"), new("c")])
    await store.jobs.claim({FLOW: Room(1)})
    await store.jobs.cancel(JobFilter(key="k:c"))
    assert await store.jobs.unfinished(["k:a", "k:b", "k:c", "k:d"]) == {"k:a", "k:b"}
    assert await store.jobs.unfinished([]) == set()


async def test_a_claim_takes_the_most_urgent_first_then_the_oldest(store: Store) -> None:
    for handle, priority in (("a", 0), ("b", 0), ("c", 9), ("d", 5)):
        await store.jobs.enqueue([new(handle, priority=priority)])
    first = await store.jobs.claim({FLOW: Room(3)})
    rest = await store.jobs.claim({FLOW: Room(3)})
    assert [job.params["handle"] for job in [*first, *rest]] == ["c", "d", "a", "b"]


def names(jobs: Sequence[Job]) -> list[str]:
    return sorted(job.params["handle"] for job in jobs)


async def test_one_claim_takes_of_each_flow_what_it_has_room_for(store: Store) -> None:
    for flow in "abc":
        jobs = [new(f"{flow}{number}", priority=number) for number in range(4)]
        await store.jobs.enqueue([replace(job, flow=flow) for job in jobs])
    assert names(await store.jobs.claim({"a": Room(1), "b": Room(3), "nobody's": Room(9)})) == ["a3", "b1", "b2", "b3"]
    assert names(await store.jobs.claim({"a": Room(9), "b": Room(9)})) == ["a0", "a1", "a2", "b0"]
    assert names(await store.jobs.claim({"a": Room(9), "c": Room(9, priority_min=2)})) == ["c2", "c3"]
    assert await store.jobs.claim({"c": Room(9, priority_min=2)}) == []
    assert await store.jobs.claim({}) == []
    assert names(await store.jobs.claim({"c": Room(9)})) == ["c0", "c1"]


async def test_a_claim_takes_no_more_of_a_flow_than_its_most_whatever_their_priorities(store: Store) -> None:
    for priority in (0, 5):
        await store.jobs.enqueue([new(f"{priority} {number}", priority=priority) for number in range(CLAIM_MAX)])
    claimed = [await store.jobs.claim({FLOW: Room(1000)}) for _ in range(3)]
    assert [len(jobs) for jobs in claimed] == [CLAIM_MAX, CLAIM_MAX, 0]
    assert Counter(job.priority for job in claimed[0]) == {5: 45, 0: 5}, "the oldest have their share"


async def test_one_claim_in_ten_is_of_who_is_due_the_longest_whatever_its_priority(store: Store) -> None:
    for handle, priority in (("low", -5), ("middle", 3), ("low too", -5)):
        await store.jobs.enqueue([new(handle, priority=priority)])
    await store.jobs.enqueue([new(f"{number}", priority=9) for number in range(100)])
    claimed = [names(await store.jobs.claim({FLOW: Room(1)}))[0] for _ in range(31)]
    rare = [(turn, handle) for turn, handle in enumerate(claimed, start=1) if not handle.isdecimal()]
    assert rare == [(10, "low"), (20, "middle"), (30, "low too")]


async def test_a_claim_of_many_gives_the_oldest_their_share_once(store: Store) -> None:
    for handle in "ab":
        await store.jobs.enqueue([new(handle, priority=-1)])
        await store.jobs.enqueue([new(f"{handle}{number}", priority=9) for number in range(20)])
    ((_, oldest), *_) = sorted((job.priority, job.params["handle"]) for job in await store.jobs.claim({FLOW: Room(10)}))
    assert oldest == "a"
    rest = await store.jobs.claim({FLOW: Room(40)})
    assert len(rest) == len({job.id for job in rest}) == 32
    assert [job.priority for job in rest][-1] == -1


async def test_the_oldest_have_no_share_while_somebody_waits_nor_where_only_urgent_ones_are_asked_for(
    store: Store,
) -> None:
    await store.jobs.enqueue([new("old")])
    await store.jobs.enqueue([new(f"{number}", priority=URGENT) for number in range(20)])
    assert "old" not in names(await store.jobs.claim({FLOW: Room(10)}))
    assert "old" not in names(await store.jobs.claim({FLOW: Room(50, priority_min=URGENT)}))
    assert names(await store.jobs.claim({FLOW: Room(10)})) == ["old"]


async def test_what_is_given_back_unbegun_keeps_its_place_and_what_waits_tells_why(store: Store) -> None:
    for handle in "abc":
        await store.jobs.enqueue([new(handle)])
    first, second = await store.jobs.claim({FLOW: Room(2)})
    why = {"code": "LIMITED", "reason": "used up"}
    await store.jobs.release([second], after_s=0.001, why=why)
    await store.jobs.release([first])
    await trio.sleep(0.01)
    assert [(found.code, found.reason) for found in await store.jobs.find(JobFilter())] == [
        (None, None), ("LIMITED", "used up"), (None, None),
    ]  # fmt: skip
    claimed = [names(await store.jobs.claim({FLOW: Room(1)})) for _ in range(3)]
    assert claimed == [["a"], ["c"], ["b"]], "b is due later than c"


async def test_of_attempts_that_end_at_once_each_is_told_of_its_own(store: Store) -> None:
    await store.jobs.enqueue([new(handle) for handle in "abcd"])
    held = await store.jobs.claim({FLOW: Room(4)})
    await store.jobs.cancel(JobFilter(key="k:b"))
    over: list[str] = []

    async def complete(job: Job) -> None:
        handle = job.params["handle"]
        try:
            await store.jobs.complete(job, crawl_of(snapshot(handle, profile_id=handle)))
        except LeaseLost:
            over.append(handle)

    async with trio.open_nursery() as nursery:
        for job in held:
            nursery.start_soon(complete, job)
    assert over == ["b"]
    assert [await store.handle_of(profile_id) for profile_id in "abcd"] == ["a", None, "c", "d"]
    found = {job.key: job.status for job in await store.jobs.find(JobFilter())}
    assert found == {**dict.fromkeys(["k:a", "k:c", "k:d"], JobStatus.COMPLETE), "k:b": JobStatus.CANCELLED}
    assert (await statuses(store)).count("COMPLETE") == 3
    assert await store.events() == sum(frame.events for frame in await store.outbox())


async def test_an_unfinished_key_is_not_enqueued_again_but_gets_more_urgent(store: Store) -> None:
    (before,) = await store.jobs.enqueue([new("a", priority=1)])
    (again,) = await store.jobs.enqueue([new("a", priority=7)])
    assert (again.id, before.inserted, again.inserted) == (before.id, True, False)
    (job,) = await store.jobs.claim({FLOW: Room(10)})
    assert job.priority == 7
    await store.jobs.complete(job, crawl_of(snapshot("a")))
    (later,) = await store.jobs.enqueue([new("a")])
    assert later.inserted, "a finished job's key is free again"


async def test_a_job_that_waits_for_its_retry_is_due_at_once_when_it_gets_more_urgent(store: Store) -> None:
    await store.jobs.enqueue([new("a", priority=1)])
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    await store.jobs.fail(job, Failure("SOURCE_FAILED", "500", 3600.0))
    await store.jobs.enqueue([new("a", priority=1)])
    assert await store.jobs.claim({FLOW: Room(1)}) == []
    await store.jobs.enqueue([new("a", priority=2)])
    assert [job.priority for job in await store.jobs.claim({FLOW: Room(1)})] == [2]


async def test_two_jobs_of_one_call_must_not_share_a_key(store: Store) -> None:
    with pytest.raises(ValueError, match="share a key"):
        await store.jobs.enqueue([new("a"), new("a")])
    assert await store.jobs.enqueue([]) == []
    assert await store.outbox() == []


async def test_no_job_is_claimed_twice_by_concurrent_claims(store: Store) -> None:
    await store.jobs.enqueue([new(f"h{number}") for number in range(60)])
    claimed: Counter[str] = Counter()

    async def claim() -> None:
        for job in await store.jobs.claim({FLOW: Room(7)}):
            claimed[job.params["handle"]] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(claim)
    assert set(claimed.values()) == {1}
    assert len(claimed) >= 50


@pytest.fixture(params=["fake", "postgres"])
async def standby(request: pytest.FixtureRequest, database: str) -> AsyncIterator[tuple[Store, Store]]:
    """A store, and the same one as it is after a failover to a server that only reads."""
    clock = TickingClock()
    if request.param == "fake":
        rows = Database(clock)
        yield fake(clock, Connection(rows)), fake(clock, Connection(rows, read_only=lambda: True))
        return
    pools = [
        Pool(make_conninfo(database, options=f"-c default_transaction_read_only={value}"), 1, name=value)
        for value in ("off", "on")
    ]
    yield real(pools[0], clock), real(pools[1], clock)
    for pool in pools:
        await pool.aclose()


async def test_a_standby_answers_and_takes_no_change(standby: tuple[Store, Store]) -> None:
    primary, store = standby
    await primary.jobs.enqueue([new("a")])
    jobs = store.jobs
    for change in (jobs.enqueue([new("b")]), jobs.claim({FLOW: Room(1)}), jobs.rescue(), jobs.expire()):
        with pytest.raises(Transient, match="read-only"):
            await change
    assert [job.params["handle"] for job in await store.jobs.find(JobFilter())] == ["a"]
    assert len(await primary.jobs.claim({FLOW: Room(1)})) == 1, "nobody has it"


async def test_an_attempt_that_is_over_writes_nothing(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (old,) = await store.jobs.claim({FLOW: Room(1)})
    await store.end_leases()
    assert await store.jobs.rescue() == 1
    (current,) = await store.jobs.claim({FLOW: Room(1)})
    before = (await store.events(), len(await store.outbox()))
    for write in (
        lambda: store.jobs.complete(old, crawl_of(snapshot("stale"))),
        lambda: store.jobs.fail(old, Failure("X", "x", None)),
    ):
        with pytest.raises(LeaseLost):
            await write()
    await store.jobs.release([old])
    assert await store.jobs.extend([old]) == set()
    assert (await store.events(), len(await store.outbox())) == before
    assert await store.handle_of("17841") is None
    await store.jobs.complete(current, crawl_of(snapshot("fresh")))
    assert await store.handle_of("17841") == "fresh"


async def test_a_failure_is_retried_later_and_the_last_one_is_final(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    await store.jobs.fail(job, Failure("SOURCE_FAILED", "500", 0.0))
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    assert (job.attempt, job.retry_count) == (2, 1)
    await store.jobs.fail(job, Failure("SOURCE_FAILED", "500", 3600.0))
    assert await store.jobs.claim({FLOW: Room(1)}) == []
    assert await statuses(store) == ["PENDING", "PROCESSING", "PENDING", "PROCESSING", "PENDING"]


async def test_a_final_failure_ends_the_job(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    await store.jobs.fail(job, Failure("PROFILE_NOT_FOUND", "no such handle", None))
    assert await statuses(store) == ["PENDING", "PROCESSING", "FAILED"]
    assert (await store.jobs.enqueue([new("a")]))[0].inserted


async def test_giving_back_costs_no_retry(store: Store) -> None:
    await store.jobs.enqueue([new("a"), new("b")])
    jobs = await store.jobs.claim({FLOW: Room(2)})
    await store.jobs.release(jobs)
    again = await store.jobs.claim({FLOW: Room(2)})
    assert [(job.attempt, job.retry_count) for job in again] == [(2, 0), (2, 0)]
    await store.jobs.release(again, after_s=3600)
    assert await store.jobs.claim({FLOW: Room(2)}) == []


async def test_giving_back_again_emits_nothing_more(store: Store) -> None:
    """The answer to a commit was lost, so it is made again: its traces must not be told of twice."""
    await store.jobs.enqueue([new("a"), new("b")])
    jobs = await store.jobs.claim({FLOW: Room(2)})
    await store.jobs.complete(jobs[0], crawl_of(snapshot("a")))
    before = len(await store.outbox())
    traces = [Frame(SystemClock().new_id(), Route("log", "trace"), 1, b"{}")]
    await store.jobs.release(jobs, frames=traces)  # one of the two is still ours
    emitted = await store.outbox()
    assert emitted[before:-1] == traces, "the last one tells of the job that moved"
    await store.jobs.release(jobs, frames=traces)
    assert await store.outbox() == emitted


async def test_a_heartbeat_keeps_only_leases_that_are_ours(store: Store) -> None:
    await store.jobs.enqueue([new("a"), new("b")])
    a, b = await store.jobs.claim({FLOW: Room(2)})
    await store.jobs.complete(a, crawl_of(snapshot("a")))
    assert await store.jobs.extend([a, b]) == {b.id}
    assert await store.jobs.rescue() == 0


async def test_deferrals_do_not_count_as_lost_workers(store: Store) -> None:
    """An outage defers a job again and again; one killed worker after it must not end it."""
    await store.jobs.enqueue([new("a")])
    for _ in range(5):
        await store.jobs.release(await store.jobs.claim({FLOW: Room(1)}))
    await store.jobs.claim({FLOW: Room(1)})
    await store.end_leases()
    await store.jobs.rescue()
    assert (await statuses(store))[-1] == "PENDING"


async def test_a_job_that_keeps_losing_its_worker_ends_failed(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    for _ in range(3):
        assert len(await store.jobs.claim({FLOW: Room(1)})) == 1
        await store.end_leases()
        assert await store.jobs.rescue() == 1
    assert await store.jobs.claim({FLOW: Room(1)}) == []
    assert (await statuses(store))[-1] == "FAILED"


async def test_a_job_past_its_expiry_is_not_claimed_but_expired(store: Store) -> None:
    await store.jobs.enqueue([new("a", ttl_s=-1.0), new("b")])
    assert [job.params["handle"] for job in await store.jobs.claim({FLOW: Room(5)})] == ["b"]
    assert await store.jobs.expire() == 1
    assert (await statuses(store))[-1] == "EXPIRED"


async def test_state_is_never_overwritten_by_an_older_snapshot(store: Store) -> None:
    now = SystemClock().now()
    for handle, at in (("newer", now), ("older", now - dt.timedelta(hours=1))):
        await store.jobs.enqueue([new(handle)])
        (job,) = await store.jobs.claim({FLOW: Room(1)})
        await store.jobs.complete(job, crawl_of(snapshot(handle, at=at)))
    assert await store.handle_of("17841") == "newer"


async def test_an_enqueue_wakes_whoever_waits_for_work(store: Store) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.jobs.wait, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            await store.jobs.enqueue([new("a")])


# What people ask for


async def failed(store: Store, *handles: str, code: str = "SOURCE_FAILED", **changes: object) -> None:
    """Jobs that have ended FAILED."""
    for handle in handles:
        await store.jobs.enqueue([new(handle, priority=99, **changes)])
        (job,) = await store.jobs.claim({FLOW: Room(1)})
        await store.jobs.fail(job, Failure(code, f"{code} of {handle}", None))


async def handles(store: Store, wanted: JobFilter) -> list[str]:
    return [str(job.params["handle"]) for job in await store.jobs.find(wanted)]


async def test_jobs_are_found_by_all_that_is_asked(store: Store) -> None:
    await failed(store, "a", "b")
    await failed(store, "c", code="PROFILE_NOT_FOUND")
    (waiting,) = await store.jobs.enqueue([new("d")])
    await store.jobs.enqueue([NewJob("other", "YOUTUBE", {"handle": "e"})])
    everything = JobFilter()
    assert await handles(store, everything) == ["e", "d", "c", "b", "a"], "newest first"
    assert await handles(store, JobFilter(limit=2)) == ["e", "d"]
    assert await handles(store, JobFilter(flow=FLOW, status=JobStatus.FAILED)) == ["c", "b", "a"]
    assert await handles(store, JobFilter(code="PROFILE_NOT_FOUND")) == ["c"]
    assert await handles(store, JobFilter(key="k:b")) == ["b"]
    assert await handles(store, JobFilter(ids=[waiting.id])) == ["d"]
    assert await handles(store, JobFilter(ids=[])) == []
    assert await handles(store, JobFilter(code="PROFILE_NOT_FOUND", key="k:b")) == []
    assert [await store.jobs.count(everything, among) for among in (RETRYABLE, CANCELLABLE)] == [3, 2]
    assert await store.jobs.count(everything) == 5
    assert await store.jobs.count(JobFilter(limit=4)) == 4
    assert await store.jobs.count(JobFilter(status=JobStatus.FAILED), CANCELLABLE) == 0
    (found,) = await store.jobs.find(JobFilter(key="k:c"))
    assert (found.status, found.flow, found.platform, found.key) == (JobStatus.FAILED, FLOW, "INSTAGRAM", "k:c")
    assert (found.code, found.reason) == ("PROFILE_NOT_FOUND", "PROFILE_NOT_FOUND of c")
    assert (found.attempt, found.retry_count, found.priority) == (1, 1, 99)


async def test_what_is_found_is_read_on_from_where_it_ended(store: Store) -> None:
    await store.jobs.enqueue([new(handle) for handle in "abcde"])
    first = await store.jobs.find(JobFilter(limit=2))
    then = await store.jobs.find(JobFilter(limit=2), before=first[-1].id)
    rest = await store.jobs.find(JobFilter(limit=2), before=then[-1].id)
    assert ["".join(str(job.params["handle"]) for job in page) for page in (first, then, rest)] == ["ed", "cb", "a"]


async def test_a_text_is_looked_for_in_params_and_keys_of_so_many_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (postgres_jobs, fake_jobs):
        monkeypatch.setattr(module, "LOOKED_MAX", 3)
    names = ["Asha 100%", "asha_b", "Bina", "ravi", "ASHA", "zoya"]
    await store.jobs.enqueue([new(name, key=f"K:{number}") for number, name in enumerate(names)])

    async def search(text: str, limit: int, before: object = None, **wanted: object) -> tuple[list[str], object]:
        found, older = await store.jobs.search(JobFilter(limit=limit, **wanted), text, before=before)  # type: ignore[arg-type]
        return [str(job.params["handle"]) for job in found], older

    found, older = await search("asha", 9)
    assert found == ["ASHA"], "of the newest three"
    found, oldest = await search("asha", 9, older)
    assert found == ["asha_b", "Asha 100%"]
    assert await search("asha", 9, oldest) == ([], None), "there is nothing below"
    found, after_it = await search("asha", 1)
    assert (found, (await search("asha", 1, after_it))[0]) == (["ASHA"], ["asha_b"])
    assert [(await search("0%", 9, before))[0] for before in (None, older)] == [[], ["Asha 100%"]], "no pattern"
    assert (await search("k:5", 9))[0] == ["zoya"], "in the key"
    assert await search("asha", 9, flow="other") == ([], None)


async def test_one_job_is_looked_at_whole(store: Store) -> None:
    assert await store.jobs.look(uuid.uuid4()) is None
    (enqueued,) = await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    held = await store.jobs.look(enqueued.id)
    assert held is not None and held.lease_until is not None and held.picked_at is not None
    assert (held.status, held.attempt, held.seq, held.events, held.data) == (JobStatus.PROCESSING, 1, 2, 2, None)
    await store.jobs.fail(job, Failure("BUG", "KeyError: 'x'", None, traceback="in work\nKeyError: 'x'"))
    ended = await store.jobs.look(enqueued.id)
    assert ended is not None and (ended.code, ended.reason, ended.lease_until) == ("BUG", "KeyError: 'x'", None)
    assert ended.data == {"code": "BUG", "reason": "KeyError: 'x'", "traceback": "in work\nKeyError: 'x'"}


async def test_since_means_when_a_job_ended_or_since_when_it_waits(pool: Pool) -> None:
    store = real(pool, TickingClock())
    await failed(store, "a")
    await store.jobs.enqueue([new("b")])
    async with pool.connection() as conn:
        await conn.execute("update scrape_request_log set created_at = now() - interval '1 day'")
        ((now,),) = await (await conn.execute("select now()")).fetchall()
    recent = JobFilter(since=now - dt.timedelta(hours=1))
    assert await handles(store, recent) == ["a"], "it failed just now, although it came yesterday"
    assert await handles(store, JobFilter(since=now - dt.timedelta(hours=25))) == ["b", "a"]
    assert (await store.jobs.cancel(recent), await store.jobs.retry(recent)) == (0, 1)


async def test_a_retried_job_begins_anew(store: Store) -> None:
    await failed(store, "a", ttl_s=3600.0)
    await failed(store, "b", code="PROFILE_NOT_FOUND")
    before = (await store.events(), len(await store.outbox()))
    assert await store.jobs.retry(JobFilter(code="SOURCE_FAILED")) == 1
    assert await store.events() == before[0] + 1
    assert (await statuses(store))[-1] == "PENDING"
    (waiting,) = await store.jobs.find(JobFilter(status=JobStatus.PENDING))
    assert (waiting.code, waiting.ended_at) == (None, None)
    (job,) = await store.jobs.claim({FLOW: Room(5)})
    assert (job.params["handle"], job.attempt, job.retry_count, job.seq) == ("a", 2, 0, 5)
    assert job.expires_at - job.created_at == dt.timedelta(hours=1)
    assert job.picked_at is not None and job.created_at <= job.picked_at
    await store.jobs.complete(job, crawl_of(snapshot("a")))
    assert await store.jobs.retry(JobFilter()) == 1, "COMPLETE is not for retrying; only b is left"


async def test_an_expired_and_a_cancelled_job_can_be_retried_and_live_as_long_as_at_first(store: Store) -> None:
    await store.jobs.enqueue([new("a", ttl_s=-1.0), new("b")])
    await store.jobs.expire()
    assert await store.jobs.cancel(JobFilter(key="k:b")) == 1
    assert await store.jobs.retry(JobFilter()) == 2
    assert [job.params["handle"] for job in await store.jobs.claim({FLOW: Room(5)})] == ["b"]
    assert await store.jobs.expire() == 1, "a's life was over from the start, and is again"


async def test_of_one_key_one_job_is_retried_and_none_while_one_is_unfinished(store: Store) -> None:
    await failed(store, "a", "b", "a", "a")
    await store.jobs.enqueue([new("b")])
    assert await store.jobs.count(JobFilter(), RETRYABLE) == 4
    assert await store.jobs.retry(JobFilter()) == 1
    claimed = await store.jobs.claim({FLOW: Room(9)})
    assert sorted(str(job.params["handle"]) for job in claimed) == ["a", "b"]


async def test_cancelled_jobs_are_not_claimed_and_their_keys_are_free(store: Store) -> None:
    await store.jobs.enqueue([new(handle) for handle in "abcde"])
    assert await store.jobs.cancel(JobFilter(limit=2)) == 2
    assert await handles(store, JobFilter(status=JobStatus.CANCELLED)) == ["b", "a"], "the oldest"
    assert await store.jobs.cancel(JobFilter(key="k:c")) == 1
    assert (await statuses(store))[-1] == "CANCELLED"
    assert sorted(str(job.params["handle"]) for job in await store.jobs.claim({FLOW: Room(9)})) == ["d", "e"]
    assert (await store.jobs.enqueue([new("a")]))[0].inserted
    (found,) = await store.jobs.find(JobFilter(key="k:c"))
    assert (found.code, found.reason) == ("CANCELLED", "cancelled by hand")


async def test_an_attempt_under_way_loses_its_lease_to_a_cancellation(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim({FLOW: Room(1)})
    assert await store.jobs.cancel(JobFilter(flow=FLOW)) == 1
    events = await store.events()
    assert await store.jobs.extend([job]) == set()
    with pytest.raises(LeaseLost):
        await store.jobs.complete(job, crawl_of(snapshot("a")))
    await store.jobs.release([job])
    assert (await store.events(), await store.jobs.rescue(), await store.handle_of("17841")) == (events, 0, None)


async def test_a_change_of_many_jobs_is_made_in_batches(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = real(pool, TickingClock())
    monkeypatch.setattr(postgres_jobs, "BATCH", 3)
    await store.jobs.enqueue([new(f"h{number}") for number in range(10)])
    frames_before = len(await store.outbox())
    assert await store.jobs.cancel(JobFilter(limit=8)) == 8
    changes = (await store.outbox())[frames_before:]
    assert [frame.events for frame in changes] == [3, 3, 2], "one frame of status events a transaction"
    assert await store.jobs.cancel(JobFilter()) == 2
    assert await store.jobs.retry(JobFilter(limit=4)) == 4
    assert await store.jobs.retry(JobFilter()) == 6
    assert await store.events() == sum(frame.events for frame in await store.outbox()) == 30


async def test_a_batch_that_moves_nothing_is_not_the_last(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = real(pool, TickingClock())
    monkeypatch.setattr(postgres_jobs, "BATCH", 2)
    await failed(store, "a", "a", "b")
    await store.jobs.enqueue([new("a")])
    assert await store.jobs.retry(JobFilter(limit=1)) == 1


async def test_what_somebody_waits_for_ends_beside_a_transaction_of_others(pool: Pool) -> None:
    jobs = real(pool, TickingClock()).jobs
    await jobs.enqueue([new("a"), new("b", priority=URGENT)])
    held = {str(job.params["handle"]): job for job in await jobs.claim({FLOW: Room(2)})}
    lock = "select from scrape_request_log where idempotency_key = %s for update nowait"
    async with trio.open_nursery() as nursery, pool.transaction() as others:
        await others.execute(lock, ("k:a",))
        nursery.start_soon(jobs.complete, held["a"], crawl_of(snapshot("a", profile_id="a")))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(20):
            await jobs.complete(held["b"], crawl_of(snapshot("b", profile_id="b")))
    assert [job.status for job in await jobs.find(JobFilter())] == [JobStatus.COMPLETE] * 2
    with pytest.raises(LeaseLost):
        await jobs.complete(held["b"], crawl_of(snapshot("b", profile_id="b")))


async def test_of_two_attempts_of_a_job_that_end_together_one_writes(pool: Pool) -> None:
    """The first has lost its lease while its end waited for the database; the second came meanwhile."""
    store = real(pool, TickingClock())
    assert isinstance(store.jobs, PostgresJobs)
    await store.jobs.enqueue([new("a"), new("b")])
    first, other = await store.jobs.claim({FLOW: Room(2)})
    await store.end_leases()
    await store.jobs.rescue()
    second, other = await store.jobs.claim({FLOW: Room(2)})
    assert first.id == second.id and first.attempt < second.attempt
    before = await store.events()
    ended = [(second, "fresh"), (first, "stale"), (other, "b")]
    crawls = [(job, replace(crawl_of(snapshot(handle)), data={"n": job.attempt})) for job, handle in ended]
    told = await store.jobs.complete_all(crawls)
    assert [type(error) for error in told] == [type(None), LeaseLost, type(None)]
    assert await store.events() == sum(frame.events for frame in await store.outbox()) == before + 2 * 3
    detail = await store.jobs.look(second.id)
    assert detail is not None and detail.data == {"n": second.attempt}


async def test_a_retry_meets_an_enqueue_of_the_same_key(pool: Pool) -> None:
    """The enqueue is not committed when the retry looks: only the unique index sees it."""
    store = real(pool, TickingClock())
    await failed(store, "a", "b")
    retried: list[int] = []

    async def retry() -> None:
        retried.append(await store.jobs.retry(JobFilter()))

    async with trio.open_nursery() as nursery:
        async with pool.transaction() as conn:
            await conn.execute(
                "insert into scrape_request_log (id, idempotency_key, platform, flow, params, expires_at)"
                " values (gen_random_uuid(), 'k:a', 'INSTAGRAM', 'f', '{}', now())"
            )
            nursery.start_soon(retry)
            async with pool.connection() as eyes:
                waits = "select count(*) from pg_locks where not granted"
                while not (await (await eyes.execute(waits)).fetchall())[0][0]:  # noqa: ASYNC110
                    await trio.sleep(0.01)
    assert retried == [1]


async def test_a_cancelled_job_tells_who_waits_for_it(pool: Pool, database: str) -> None:
    jobs = real(pool, TickingClock()).jobs
    (enqueued,) = await jobs.enqueue([new("a", awaited=True)])
    notifications, told = Notifications(database, [DONE_CHANNEL]), trio.Event()
    notifications.on(DONE_CHANNEL, lambda payload: told.set() if payload == str(enqueued.id) else None)
    async with trio.open_nursery() as nursery:
        await nursery.start(kept(notifications))
        await jobs.cancel(JobFilter(ids=[enqueued.id]))
        with trio.fail_after(10):
            await told.wait()
        nursery.cancel_scope.cancel()
