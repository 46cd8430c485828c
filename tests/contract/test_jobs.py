"""The unit-of-work port: one suite for PostgreSQL and for the fake that simulations use."""

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import pytest
import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Frame, Route
from gcc.clock import Clock, SystemClock
from gcc.errors import LeaseLost
from gcc.pipelines.events.emit import StatusEvents, crawl_frames
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.stores.jobs import Crawl, Failure, Jobs, NewJob
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from tests.fakes.database import Database
from tests.fakes.jobs import FakeJobs

FLOW = "refresh_profile_by_handle"


class MovedClock(SystemClock):
    """The system's clock, which a test may set forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        return super().now() + self.ahead


@dataclass
class Store:
    """One implementation, with the eyes a test needs: what the outbox holds, and leases that end when told."""

    jobs: Jobs
    outbox: Callable[[], Awaitable[list[Frame]]]
    end_leases: Callable[[], Awaitable[None]]
    events: Callable[[], Awaitable[int]]
    handle_of: Callable[[str], Awaitable[str | None]]


def fake(clock: Clock) -> Store:
    database = Database(clock)
    jobs = FakeJobs(database, StatusEvents(clock), lease_s=60, attempts_max=3, outbox_written=Signal())

    async def outbox() -> list[Frame]:
        return list(database.outbox)

    async def end_leases() -> None:
        for row in database.jobs.values():
            if row.lease_until:
                row.lease_until = clock.now() - dt.timedelta(seconds=1)

    async def events() -> int:
        return sum(row.events for row in database.jobs.values())

    async def handle_of(profile_id: str) -> str | None:
        found = database.profiles.get(("INSTAGRAM", profile_id))
        return found.handle if found else None

    return Store(jobs, outbox, end_leases, events, handle_of)


def real(pool: Pool, clock: Clock) -> Store:
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, attempts_max=3, outbox_written=Signal())

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
    return fake(SystemClock()) if request.param == "fake" else real(pool, SystemClock())


def new(handle: str, **changes: object) -> NewJob:
    return NewJob(FLOW, "INSTAGRAM", {"handle": handle}, **{"key": f"k:{handle}", **changes})  # type: ignore[arg-type]


def snapshot(handle: str, *, profile_id: str = "17841", at: dt.datetime | None = None) -> ProfileSnapshot:
    at = at or SystemClock().now()
    post = PostSnapshot(
        "INSTAGRAM", "p1", "Cabc", profile_id, handle, "graphapi", at, at, {"likes": 5, "comments": None},
        {"caption": 'tabs\tand "quotes" \\', "hashtags": ["a", 'b"c\\']},
    )  # fmt: skip
    return ProfileSnapshot(
        "INSTAGRAM", profile_id, handle, "graphapi", at, {"followers": 10}, {"full_name": "N\u0938"}, [post]
    )


def crawl(profile: ProfileSnapshot) -> Crawl:
    packed, events = crawl_frames(profile, SystemClock().new_id)
    return Crawl("graphapi", profile, packed, events)


async def statuses(store: Store) -> list[str]:
    """The statuses told of in status events, in order."""
    lines = [line for frame in await store.outbox() for line in frame.body.split(b"\n")]
    decoded = [msgspec.json.decode(line) for line in lines]
    return [event["status"] for event in decoded if "scl_id" in event]


async def test_a_job_runs_from_pending_to_complete_and_every_change_is_an_event(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim(FLOW, 10)
    assert (job.attempt, job.params, job.retry_count) == (1, {"handle": "a"}, 0)
    await store.jobs.complete(job, crawl(snapshot("a")))
    assert await statuses(store) == ["PENDING", "PROCESSING", "COMPLETE"]
    emitted = sum(frame.events for frame in await store.outbox())
    assert await store.events() == emitted == 5  # three changes, a profile, a post
    assert await store.handle_of("17841") == "a"
    assert await store.jobs.claim(FLOW, 10) == []


async def test_a_claim_takes_the_most_urgent_first_then_the_oldest(store: Store) -> None:
    for handle, priority in (("a", 0), ("b", 0), ("c", 9), ("d", 5)):
        await store.jobs.enqueue([new(handle, priority=priority)])
    first = await store.jobs.claim(FLOW, 3)
    rest = await store.jobs.claim(FLOW, 3)
    assert [job.params["handle"] for job in [*first, *rest]] == ["c", "d", "a", "b"]


async def test_an_unfinished_key_is_not_enqueued_again_but_gets_more_urgent(store: Store) -> None:
    (before,) = await store.jobs.enqueue([new("a", priority=1)])
    (again,) = await store.jobs.enqueue([new("a", priority=7)])
    assert (again.id, before.inserted, again.inserted) == (before.id, True, False)
    (job,) = await store.jobs.claim(FLOW, 10)
    assert job.priority == 7
    await store.jobs.complete(job, crawl(snapshot("a")))
    (later,) = await store.jobs.enqueue([new("a")])
    assert later.inserted, "a finished job's key is free again"


async def test_no_job_is_claimed_twice_by_concurrent_claims(store: Store) -> None:
    await store.jobs.enqueue([new(f"h{number}") for number in range(60)])
    claimed: Counter[str] = Counter()

    async def claim() -> None:
        for job in await store.jobs.claim(FLOW, 7):
            claimed[job.params["handle"]] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(claim)
    assert set(claimed.values()) == {1}
    assert len(claimed) >= 50


async def test_an_attempt_that_is_over_writes_nothing(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (old,) = await store.jobs.claim(FLOW, 1)
    await store.end_leases()
    assert await store.jobs.rescue() == 1
    (current,) = await store.jobs.claim(FLOW, 1)
    before = (await store.events(), len(await store.outbox()))
    for write in (
        lambda: store.jobs.complete(old, crawl(snapshot("stale"))),
        lambda: store.jobs.fail(old, Failure("X", "x", None)),
    ):
        with pytest.raises(LeaseLost):
            await write()
    await store.jobs.release([old])
    assert await store.jobs.extend([old]) == set()
    assert (await store.events(), len(await store.outbox())) == before
    assert await store.handle_of("17841") is None
    await store.jobs.complete(current, crawl(snapshot("fresh")))
    assert await store.handle_of("17841") == "fresh"


async def test_a_failure_is_retried_later_and_the_last_one_is_final(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim(FLOW, 1)
    await store.jobs.fail(job, Failure("SOURCE_FAILED", "500", 0.0))
    (job,) = await store.jobs.claim(FLOW, 1)
    assert (job.attempt, job.retry_count) == (2, 1)
    await store.jobs.fail(job, Failure("SOURCE_FAILED", "500", 3600.0))
    assert await store.jobs.claim(FLOW, 1) == []
    assert await statuses(store) == ["PENDING", "PROCESSING", "PENDING", "PROCESSING", "PENDING"]


async def test_a_final_failure_ends_the_job(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    (job,) = await store.jobs.claim(FLOW, 1)
    await store.jobs.fail(job, Failure("PROFILE_NOT_FOUND", "no such handle", None))
    assert await statuses(store) == ["PENDING", "PROCESSING", "FAILED"]
    assert (await store.jobs.enqueue([new("a")]))[0].inserted


async def test_giving_back_costs_no_retry(store: Store) -> None:
    await store.jobs.enqueue([new("a"), new("b")])
    jobs = await store.jobs.claim(FLOW, 2)
    await store.jobs.release(jobs)
    again = await store.jobs.claim(FLOW, 2)
    assert [(job.attempt, job.retry_count) for job in again] == [(2, 0), (2, 0)]
    await store.jobs.release(again, after_s=3600)
    assert await store.jobs.claim(FLOW, 2) == []


async def test_a_heartbeat_keeps_only_leases_that_are_ours(store: Store) -> None:
    await store.jobs.enqueue([new("a"), new("b")])
    a, b = await store.jobs.claim(FLOW, 2)
    await store.jobs.complete(a, crawl(snapshot("a")))
    assert await store.jobs.extend([a, b]) == {b.id}
    assert await store.jobs.rescue() == 0


async def test_a_job_that_keeps_losing_its_worker_ends_failed(store: Store) -> None:
    await store.jobs.enqueue([new("a")])
    for _ in range(3):
        assert len(await store.jobs.claim(FLOW, 1)) == 1
        await store.end_leases()
        assert await store.jobs.rescue() == 1
    assert await store.jobs.claim(FLOW, 1) == []
    assert (await statuses(store))[-1] == "FAILED"


async def test_a_job_past_its_expiry_is_not_claimed_but_expired(store: Store) -> None:
    await store.jobs.enqueue([new("a", ttl_s=-1.0), new("b")])
    assert [job.params["handle"] for job in await store.jobs.claim(FLOW, 5)] == ["b"]
    assert await store.jobs.expire() == 1
    assert (await statuses(store))[-1] == "EXPIRED"


async def test_state_is_never_overwritten_by_an_older_snapshot(store: Store) -> None:
    now = SystemClock().now()
    for handle, at in (("newer", now), ("older", now - dt.timedelta(hours=1))):
        await store.jobs.enqueue([new(handle)])
        (job,) = await store.jobs.claim(FLOW, 1)
        await store.jobs.complete(job, crawl(snapshot(handle, at=at)))
    assert await store.handle_of("17841") == "newer"


async def test_an_enqueue_wakes_whoever_waits_for_work(store: Store) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.jobs.wait, FLOW, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            await store.jobs.enqueue([new("a")])
