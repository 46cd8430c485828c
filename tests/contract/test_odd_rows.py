"""Rows that somebody else wrote: what PostgreSQL takes and Python or a counter cannot hold harms no neighbour."""

import datetime as dt
import json
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog.testing
import trio
from psycopg.errors import UndefinedColumn

from gcc.actors.scraper import Retries
from gcc.channels.deadletters import Burial
from gcc.channels.jobs import Failure, JobFilter, JobStatus, Room
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.table import FLOWS
from gcc.pipelines.scraping.work import FlowWork
from gcc.stores import postgres
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.letters import PostgresLetters
from gcc.stores.odd_values import FIRST, LAST
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.web.ops import counts as counting
from gcc.web.ops.counts import PlatformCounts
from gcc.web.ops.shown_letters import shown_letter, shown_waiting
from tests.contract.test_jobs import FLOW, snapshot
from tests.crawls import crawl_of
from tests.fakes.credentials import KEYS
from tests.fakes.erasures import NobodyErased
from tests.fakes.objects import MemoryObjects

DEEP = "[" * 3000 + "]" * 3000
ODD_PARAMS = [
    "[1]",
    '"x"',
    "null",
    "5",
    "true",
    "9" * 6000,
    DEEP,
    f'{{"handle": {DEEP}}}',
    f'{{"handle": {"9" * 6000}}}',
]
ODD_TIMES = [
    "infinity",
    "-infinity",
    "12000-01-01",
    "0044-03-15 BC",
    "9999-12-31 23:59:59.999999+00",
    "0001-01-01 00:00+00",
]
INT_MAX, INT_MIN = 2147483647, -2147483648
PAST, FUTURE = "2020-01-01", "2100-01-01"

ODD_JOBS: list[dict[str, Any]] = [
    *({"params": params} for params in ODD_PARAMS),
    *({column: value} for column in ("created_at", "picked_at", "expires_at", "due_at") for value in ODD_TIMES),
    *({column: value} for column in ("seq", "attempt", "events", "retry_count") for value in (INT_MAX, INT_MIN)),
    *({column: value} for column in ("lost", "priority") for value in (32767, -32768)),
    {"platform": "x" * 100_000},
    {"platform": ""},
]


def named(change: dict[str, Any]) -> str:
    ((column, value),) = change.items()
    return f"{column}={str(value)[:24]}"


async def insert(pool: Pool, table: str, **columns: Any) -> None:
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    async with pool.connection() as conn:
        statement = f"insert into {table} ({names}) values ({marks})"  # noqa: S608
        await conn.execute(statement.encode(), list(columns.values()))


async def a_job(pool: Pool, **columns: Any) -> str:
    job_id = str(SystemClock().new_id())
    usual = {"id": job_id, "platform": "INSTAGRAM", "flow": FLOW, "params": '{"handle": "x"}', "expires_at": FUTURE}
    await insert(pool, "scrape_request_log", **usual | columns)
    return job_id


def jobs_of(pool: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())


async def status_of(pool: Pool, job_id: str) -> tuple[str, str | None]:
    async with pool.connection() as conn:
        statement = "select status, data ->> 'code' from scrape_request_log where id = %s"
        ((status, code),) = await (await conn.execute(statement, (job_id,))).fetchall()
    return status, code


@pytest.mark.parametrize("odd", ODD_JOBS, ids=named)
async def test_an_odd_job_beside_a_good_one(pool: Pool, odd: dict[str, Any]) -> None:
    jobs = jobs_of(pool)
    await a_job(pool, **odd)
    good = await a_job(pool)
    claimed = {str(job.id): job for job in await jobs.claim({FLOW: Room(10)})}
    for job_id, job in claimed.items():
        if job_id == good:
            await jobs.complete(job, crawl_of(snapshot("x")))
        else:
            await jobs.fail(job, Failure("INVALID_PARAMS", "odd", None))
    assert await status_of(pool, good) == ("COMPLETE", None)
    assert len(await jobs.find(JobFilter())) == 2
    await jobs.expire()
    await jobs.retry(JobFilter())
    await jobs.find(JobFilter())


@pytest.mark.parametrize("odd", ODD_JOBS, ids=named)
async def test_a_lapsed_job_is_rescued_beside_an_odd_one(pool: Pool, odd: dict[str, Any]) -> None:
    held = {"status": "PROCESSING", "lease_until": PAST}
    await a_job(pool, **held | odd)
    good = await a_job(pool, **held)
    assert await jobs_of(pool).rescue() == 2
    assert await status_of(pool, good) == ("PENDING", None)


@pytest.mark.parametrize("odd", [odd for odd in ODD_JOBS if "expires_at" not in odd], ids=named)
async def test_an_overdue_job_expires_beside_an_odd_one(pool: Pool, odd: dict[str, Any]) -> None:
    await a_job(pool, **{"expires_at": PAST} | odd)
    good = await a_job(pool, expires_at=PAST)
    assert await jobs_of(pool).expire() == 2
    assert await status_of(pool, good) == ("EXPIRED", "EXPIRED")


@pytest.mark.parametrize("odd", ODD_JOBS, ids=named)
async def test_jobs_are_cancelled_beside_an_odd_one(pool: Pool, odd: dict[str, Any]) -> None:
    await a_job(pool, **odd)
    await a_job(pool)
    assert await jobs_of(pool).cancel(JobFilter()) == 2
    ended = await jobs_of(pool).find(JobFilter())
    assert {job.status for job in ended} == {JobStatus.CANCELLED}


@pytest.mark.parametrize("moment", ODD_TIMES)
async def test_an_ended_job_of_any_time_is_found_and_retried(pool: Pool, moment: str) -> None:
    await a_job(pool, status="FAILED", scraped_at=moment, created_at=moment)
    (found,) = await jobs_of(pool).find(JobFilter())
    assert found.ended_at is not None
    assert await jobs_of(pool).retry(JobFilter()) == 1


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("timestamptz", "infinity", LAST),
        ("timestamptz", "-infinity", FIRST),
        ("timestamptz", "12000-01-01", LAST),
        ("timestamptz", "0044-03-15 BC", FIRST),
        ("timestamptz", "9999-12-31 23:59:59.999999+00", LAST),
        ("timestamptz", "0001-01-01 00:00+00", FIRST),
        ("timestamptz", "2026-01-02 03:04:05.000006+00", dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)),
        ("date", "infinity", LAST.date()),
        ("date", "-infinity", FIRST.date()),
        ("date", "12000-01-01", LAST.date()),
        ("date", "0044-03-15 BC", FIRST.date()),
        ("date", "2026-01-02", dt.date(2026, 1, 2)),
        *((kind, "9" * 6000, None) for kind in ("json", "jsonb")),
        *((kind, DEEP, None) for kind in ("json", "jsonb")),
        *((kind, json.dumps(["[[["] * 50), ["[[["] * 50) for kind in ("json", "jsonb")),
        *((kind, json.dumps([[]] * 500), [[]] * 500) for kind in ("json", "jsonb")),
        ("jsonb", '{"a": 1.5, "b": "x"}', {"a": 1.5, "b": "x"}),
        ("jsonb", "9" * 30, 10**30 - 1),
        ("jsonb", '{"a": 1e400}', {"a": 10**400}),
    ],
)
async def test_every_value_can_be_read(pool: Pool, kind: str, given: str, read: object, binary: bool) -> None:
    async with pool.connection() as conn:
        for zone in ("UTC", "Asia/Kolkata", "Pacific/Kiritimati", "America/Los_Angeles"):
            await conn.execute("select set_config('timezone', %s, false)", (zone,))
            cursor = await conn.execute(f"select %s::{kind}".encode(), (given,), binary=binary)
            assert await cursor.fetchall() == [(read,)]


ODD_MESSAGES: list[dict[str, Any]] = [
    *({column: value} for column in ("deliveries", "events", "counted") for value in (INT_MAX, INT_MIN, -1, 0)),
    *({"created_at": moment} for moment in ODD_TIMES),
]


@pytest.mark.parametrize("odd", ODD_MESSAGES, ids=named)
async def test_an_odd_message_is_taken_beside_a_good_one(pool: Pool, odd: dict[str, Any]) -> None:
    usual = {"exchange": "e", "routing_key": "k", "events": 1, "body": b"{}", "created_at": "2026-01-01"}
    await insert(pool, "binding", exchange="e", routing_key="k", queue="q")
    for columns in (usual | odd, usual):
        await insert(pool, "queue_message", queue="q", frame_id=SystemClock().new_id(), **columns)
    clock, written = SystemClock(), Signal()
    exchange = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), clock), written)
    (depth,) = await exchange.depths()
    assert 0 <= depth.oldest_s < 1e10
    taken = await exchange.take("q", frames_max=10)
    assert len(taken) == 2
    for delivery in taken:
        assert delivery.frame.events > 0 and (delivery.frame.counted is None or delivery.frame.counted >= 0)
        assert 0 <= delivery.age_s < 1e10
    await exchange.give_back(taken)
    await exchange.acknowledge(await exchange.take("q", frames_max=10))
    (depth,) = await exchange.depths()
    assert depth.events == 0


@pytest.mark.parametrize("moment", ODD_TIMES)
@pytest.mark.parametrize("bound", [True, False])
async def test_an_outbox_row_of_any_time_goes_where_it_belongs(pool: Pool, moment: str, bound: bool) -> None:
    if bound:
        await insert(pool, "binding", exchange="e", routing_key="k", queue="q" * 20_000)  # longer than a NOTIFY
    for at in (moment, "2026-01-01"):
        row = {"exchange": "e", "routing_key": "k", "events": 1, "body": b"{}", "created_at": at}
        await insert(pool, "outbox", frame_id=SystemClock().new_id(), **row)
    clock, written = SystemClock(), Signal()
    exchange = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), clock), written)
    assert await exchange.relay() == 2
    assert not await exchange.pending()


async def test_a_notification_of_what_nobody_waits_for_is_not_kept(pool: Pool) -> None:
    jobs = jobs_of(pool)
    exchange = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), SystemClock()), Signal())
    credentials = PostgresCredentials(pool, SystemClock(), KEYS)
    await exchange.take("q", frames_max=1)
    assert credentials.renewals("graphapi") == 0
    for wakes in (jobs, exchange, credentials):
        for number in range(100):
            wakes.woken(f"nobody's {number}")
    assert (list(exchange._wakeups), credentials._renewals) == (["q"], {"graphapi": 0})
    exchange.woken("q")
    with trio.fail_after(2):  # told between the look and the wait
        await jobs.wait(60.0)
        await exchange.wait("q")


REFUSING = """
create function refuse() returns trigger language plpgsql as $$ begin
    if new.params @> '{"handle": "odd"}' and new.status <> 'FAILED' then raise exception 'refused'; end if;
    return new;
end $$;
create trigger refuse before update on scrape_request_log for each row execute function refuse();
"""


async def refuse_moves(pool: Pool) -> None:
    """Whatever a row has that no statement takes: nothing but its end as FAILED is let through."""
    async with pool.connection() as conn:
        await conn.execute(REFUSING.encode())


ODD = {"params": '{"handle": "odd"}'}
HELD = {"status": "PROCESSING", "lease_until": PAST}


@pytest.mark.parametrize(
    ("columns", "move", "good_is"),
    [
        ({}, lambda jobs: jobs.claim({FLOW: Room(10)}), "PROCESSING"),
        (HELD, lambda jobs: jobs.rescue(), "PENDING"),
        ({"expires_at": PAST}, lambda jobs: jobs.expire(), "EXPIRED"),
        ({}, lambda jobs: jobs.cancel(JobFilter()), "CANCELLED"),
        (HELD, lambda jobs: jobs.cancel(JobFilter()), "CANCELLED"),
    ],
    ids=["claim", "rescue", "expire", "cancel", "cancel held"],
)
async def test_a_job_that_cannot_be_moved_is_given_up_and_its_neighbours_move(
    pool: Pool, columns: dict[str, Any], move: Callable[[PostgresJobs], Awaitable[Any]], good_is: str
) -> None:
    jobs = jobs_of(pool)
    ids = [await a_job(pool, **columns | extra) for extra in ({}, ODD, {})]
    await refuse_moves(pool)
    with structlog.testing.capture_logs() as told:
        moved = await move(jobs)
        await move(jobs)
    assert (len(moved) if isinstance(moved, list) else moved) == 2
    assert [(await status_of(pool, job_id))[0] for job_id in ids] == [good_is, "FAILED", good_is]
    assert (await status_of(pool, ids[1]))[1] == "BUG"
    assert [line["job"] for line in told] == [ids[1]], "once"


async def test_a_job_that_cannot_be_retried_stays_as_it_is(pool: Pool) -> None:
    jobs = jobs_of(pool)
    ended = {"status": "FAILED", "scraped_at": PAST}
    ids = [await a_job(pool, **ended | extra) for extra in ({}, ODD, {})]
    too_long = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=30_000))
    ids.append(await a_job(pool, **ended, idempotency_key=too_long))  # no index takes it, and this one is not in it yet
    await refuse_moves(pool)
    with structlog.testing.capture_logs() as told:
        assert await jobs.retry(JobFilter()) == 2
        assert await jobs.retry(JobFilter()) == 0
    assert [(await status_of(pool, job_id))[0] for job_id in ids] == ["PENDING", "FAILED", "PENDING", "FAILED"]
    assert [line["job"] for line in told] == [ids[1], ids[3]]


async def test_what_is_wrong_with_the_schema_gives_no_job_up(pool: Pool) -> None:
    jobs = jobs_of(pool)
    job = await a_job(pool)
    async with pool.connection() as conn:
        await conn.execute("alter table outbox drop column counted")
    with pytest.raises(UndefinedColumn):
        await jobs.claim({FLOW: Room(1)})
    assert await status_of(pool, job) == ("PENDING", None)


@pytest.mark.parametrize("params", ODD_PARAMS)
async def test_params_that_are_no_object_fail_their_job(pool: Pool, params: str) -> None:
    jobs = jobs_of(pool)
    await a_job(pool, params=params)
    (job,) = await jobs.claim({FLOW: Room(1)})
    apis: Any = None  # nobody is asked
    retries = Retries(3, Backoff(first_s=1.0, max_s=1.0))
    failure = await FlowWork(
        FLOWS[FLOW], apis, MemoryObjects(), NobodyErased(), SystemClock(), retries, random.Random(0)
    )(job)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.retry_after_s) == ("INVALID_PARAMS", None)
    await jobs.fail(job, failure)
    assert await status_of(pool, str(job.id)) == ("FAILED", "INVALID_PARAMS")


async def a_letter(pool: Pool, **columns: Any) -> None:
    usual = {"id": SystemClock().new_id(), "queue": "q", "exchange": "e", "routing_key": "k", "events": 1}
    usual |= {"frame_id": SystemClock().new_id(), "reason": "r", "object_key": "o"}
    await insert(pool, "dead_letter", **usual | columns)


@pytest.mark.parametrize(
    "odd",
    [*({"created_at": moment} for moment in ODD_TIMES), *({"events": value} for value in (INT_MAX, INT_MIN))],
    ids=named,
)
async def test_everything_is_counted_beside_an_odd_letter(pool: Pool, odd: dict[str, Any]) -> None:
    await a_letter(pool, **odd)
    await a_letter(pool)
    await a_job(pool)
    letters = PostgresLetters(pool, MemoryObjects(), Signal())
    counts = await PlatformCounts(pool, None, letters).read()
    assert counts.jobs_by_flow == {FLOW: {"PENDING": 1}}
    assert counts.dead_letters is not None and shown_waiting(counts.dead_letters)["letters"] == 2
    assert len([shown_letter(letter) for letter in await letters.find(LetterFilter())]) == 2


async def test_a_database_that_hangs_is_away_and_not_only_slow_to_count(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections stand, and nothing comes by them."""
    monkeypatch.setattr(counting, "PING_S", 0.1)
    monkeypatch.setattr(postgres, "CANCEL_S", 0.05)
    async with pool.connection() as conn:
        ((pid,),) = await (await conn.execute("select pg_backend_pid()")).fetchall()
    os.kill(pid, signal.SIGSTOP)
    try:
        with trio.fail_after(10), pytest.raises(Transient, match=r"no answer within 0\.1 s") as caught:
            await PlatformCounts(pool, None, PostgresLetters(pool, MemoryObjects(), Signal())).read()
        assert postgres.is_unreachable(caught.value)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_bug_with_the_letters_leaves_the_other_counts(pool: Pool) -> None:
    await a_job(pool)
    letters: Any = None  # has no method at all
    counts = await PlatformCounts(pool, None, letters).read()
    assert counts.jobs_by_flow == {FLOW: {"PENDING": 1}}
    assert counts.dead_letters is None and isinstance(counts.bug, AttributeError)


@pytest.mark.parametrize("events", [0, -1, INT_MIN])
async def test_a_letter_of_no_events_is_replayed_beside_a_good_one(pool: Pool, events: int) -> None:
    objects, clock = MemoryObjects(), SystemClock()
    burials = [Burial("q", Frame(clock.new_id(), Route("e", "k"), 1, body), body, 1, "r") for body in (b"{}", b"[]")]
    await StoredDeadLetters(pool, objects, clock).bury(burials)
    async with pool.connection() as conn:
        statement = "update dead_letter set events = %s where id = (select min(id::text)::uuid from dead_letter)"
        await conn.execute(statement, (events,))
    replayed = await PostgresLetters(pool, objects, Signal()).replay(LetterFilter(), "somebody")
    assert (replayed.letters, replayed.unreadable) == (2, 0)


ODD_CREDENTIALS: list[dict[str, Any]] = [
    *({"credentials": secret} for secret in ("[1]", '"x"', "null", "5", "9" * 6000, DEEP)),
    *({"disabled_till": moment} for moment in ODD_TIMES),
]


@pytest.mark.parametrize("odd", ODD_CREDENTIALS, ids=named)
async def test_a_good_credential_is_picked_beside_an_odd_one(pool: Pool, odd: dict[str, Any]) -> None:
    usual = {"source": "graphapi", "credentials": '{"token": "t"}'}
    for handle, columns in (("odd", usual | odd), ("good", usual)):
        await insert(pool, "credential", id=SystemClock().new_id(), handle=handle, **columns)
    credentials = PostgresCredentials(pool, SystemClock(), KEYS)
    for _ in range(20):
        picked = await credentials.pick("graphapi")
        assert picked.secret == {"token": "t"}
        assert picked.handle == "good" or "disabled_till" in odd


@pytest.mark.parametrize(
    ("key", "odd"),
    [("k", "("), ("k.*", "(((("), ("#", "[z-a]"), (".".join("*" * 30_000), "*a"), ("x" * 5000, "a{5,1}")],
    ids=["plain", "words", "all", "30,000 words", "long"],
)
async def test_a_binding_whose_pattern_is_none_stops_no_relay(pool: Pool, key: str, odd: str) -> None:
    exchange = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), SystemClock()), Signal())
    await exchange.declare([Binding(Route("e", "k.#"), "good")])
    await insert(pool, "binding", exchange="e", routing_key=key, queue="odd", pattern=odd)
    row = {"exchange": "e", "routing_key": "k.l", "events": 1, "body": b"{}"}
    await insert(pool, "outbox", frame_id=SystemClock().new_id(), **row)
    with pytest.raises(Transient, match="pattern is none"):
        await exchange.relay()
    assert await exchange.relay() == 1
    assert len(await exchange.take("good", frames_max=1)) == 1
