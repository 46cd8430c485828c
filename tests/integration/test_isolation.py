"""What one job, message or run brings stays its own, on the real stores: they refuse values in their own ways."""

import datetime as dt
import math
import random
import uuid
from typing import Any

import pytest
import structlog.testing
import trio

from gcc.actors.claimer import Claimer
from gcc.actors.gates import Gates
from gcc.actors.leases import Leases
from gcc.actors.scraper import Retries, Scraper
from gcc.channels.jobs import Crawl, Failure, Job, JobFilter, JobStatus, NewJob
from gcc.channels.memory import Channels, Signal
from gcc.clock import SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.producers import OnDemand
from gcc.platforms import INSTAGRAM
from gcc.stores.controls import PostgresControls
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain, Stage
from gcc.supervisor.lifecycle import Board
from gcc.tables import Upsert

FLOW = "flow"
LONG = random.Random(1).randbytes(5000).hex()


def account(**columns: Any) -> Crawl:
    row = {"profile_id": "1", "handle": "asha", "scraped_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), **columns}
    return Crawl("graphapi", [Upsert(INSTAGRAM.account, [{"id": uuid.UUID(int=1), "source": "graphapi", **row}])])


UNSTORABLE: list[Crawl | Failure] = [
    account(handle="as\0ha"),
    account(handle="as\ud83dha"),
    account(handle=LONG),  # more than an index takes
    account(followers=2**200),
    account(followers=math.nan),
    account(source=None),
    Crawl("graphapi", (), [], 0, {"handle": "a\0"}),
    Crawl("graphapi", (), [], 2**70),
    Failure("X", "a\0b", None),
    Failure("X", "half \ud83d", 1.0),
    Failure("X", "late", math.inf),
]


async def test_what_postgresql_refuses_is_its_job_s_failure_and_all_others_complete(pool: Pool) -> None:
    clock, drain = SystemClock(), Drain(("intake", "scrapers"), 60)
    board = Board(clock.now)
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
    leases = Leases(jobs, board.actor("leases"), lease_s=60)

    async def work(job: Job) -> Crawl | Failure:
        bad: Any = job.params.get("bad")
        return Crawl("graphapi", (), [], 0) if bad is None else UNSTORABLE[bad]

    bad = [NewJob(FLOW, "INSTAGRAM", {"bad": number}) for number in range(len(UNSTORABLE))]
    await jobs.enqueue([*bad, *(NewJob(FLOW, "INSTAGRAM", {}) for _ in range(10))])
    claimer = Claimer(
        jobs, leases, actor=board.actor("claimer"), intake=drain.stage("intake"), rng=clock.rng, poll_s=0.05
    )  # fmt: skip
    scraper = Scraper(
        FLOW, jobs, work, claimer, retries=Retries(2, Backoff(0.01, 0.01)), concurrency=5, leases=leases,
        channels=Channels(), actor=board.actor("scraper"), intake=drain.stage("intake"),
        finishing=drain.stage("scrapers"), metrics=Metrics(), rng=clock.rng,
    )  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain.run)
            await nursery.start(scraper.run)
            await nursery.start(claimer.run)
            with trio.fail_after(30):
                while await jobs.count(JobFilter(), (JobStatus.PENDING, JobStatus.PROCESSING)):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            drain.request("test")
    ended = await jobs.find(JobFilter())
    assert {job.status for job in ended if not job.params} == {JobStatus.COMPLETE}
    failed = [job for job in ended if job.params]
    assert {(job.status, job.code, job.retry_count) for job in failed} == {(JobStatus.FAILED, "BUG", 2)}
    assert all(job.reason for job in failed)
    (nul,) = [job.reason for job in failed if job.params == {"bad": 0}]
    assert nul == r"ValueError: table instagram_account: handle cannot be 'as\x00ha': PostgreSQL keeps no NUL character"
    assert board.actor("scraper").bugs == 2 * len(UNSTORABLE)
    assert len([log for log in logs if log["event"] == "bug"]) == 2 * len(UNSTORABLE)


BY_HAND = {
    "a number of 5,000 digits": "repeat('9', 5000)::jsonb",
    "a number beyond floats": "'1e400'::jsonb",
    "nested 5,000 deep": "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "an object": """'{"a": [null]}'::jsonb""",
    "null": "'null'::jsonb",
    "text": """'"5"'::jsonb""",
}


@pytest.mark.parametrize("value", BY_HAND.values(), ids=BY_HAND)
async def test_an_override_that_somebody_wrote_by_hand_harms_no_other(pool: Pool, value: str) -> None:
    clock = SystemClock()
    board = Board(clock.now)
    gates = Gates(PostgresControls(pool), board.actor("controls"), clock)
    paused, odd, level = gates.gate("paused"), gates.gate("odd"), gates.concurrency(FLOW, 7)
    async with pool.connection() as conn:
        await conn.execute(
            "insert into override (name, value, who, why, at)"  # type: ignore[arg-type]  # noqa: S608
            " select name, coalesce(value, true::text::jsonb), 'me', 'test', now() from (values ('pause:paused', null),"
            f" ('pause:odd', {value}), ('concurrency:{FLOW}', {value})) as by_hand (name, value)"
        )
        await conn.execute(
            "insert into action (id, at, who, why, verb, target) values (gen_random_uuid(), 'infinity', '', '', '', '')"
        )
    with structlog.testing.capture_logs():
        async with trio.open_nursery() as nursery:
            await nursery.start(gates.run)
            nursery.cancel_scope.cancel()
    assert (paused.is_open, odd.is_open, level.value) == (False, False, 7)
    assert board.actor("controls").bugs == 0, "an action whose time no calendar has is read, too"
    assert [action.at.year for action in gates.actions] == [9999]


async def test_a_notification_that_somebody_sent_by_hand_is_none(pool: Pool) -> None:
    on_demand = OnDemand(pool, None, Stage("ports"))  # type: ignore[arg-type]
    for payload in ("", "no id", "\0", "{}"):
        on_demand.job_done(payload)
