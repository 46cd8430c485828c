"""Pruning on a real database: what ended long ago goes and nothing else, and every count is right at every step."""

import shutil
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from gcc import statements
from gcc.channels.jobs import JobFilter, JobStatus, NewJob
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import Kept, load
from gcc.errors import ConfigError, LeaseLost, Permanent, Transient
from gcc.pipelines.analytics import pruning as module
from gcc.pipelines.analytics.pruning import Pruning
from gcc.pipelines.events import check
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.producers import enqueue_first_crawl
from gcc.statements import SQL
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.letters import PostgresLetters
from gcc.stores.migrations import migrate_postgres
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.web.ops import counts as module_of_counts
from gcc.web.ops.counts import PlatformCounts
from tests.integration.test_producers import follow
from tests.integration.test_retention import leading

FLOW = "refresh_profile_by_handle"
ENDS = "0018_ends.sql"
QUEUED = """
insert into queue_message (queue, frame_id, exchange, routing_key, events, body, created_at)
select 'q', gen_random_uuid(), 'x', 'k', 5, '', now()
"""
KEPT = Kept(jobs_days=30, failed_jobs_days=90, letters_days=30, actions_days=30, schedule_runs_days=30)
JOBS = """
insert into scrape_request_log
    (id, idempotency_key, platform, flow, params, status, scraped_at, lease_until, expires_at, seq, events)
select gen_random_uuid(), %(key)s || number, 'INSTAGRAM', %(flow)s, '{}', %(status)s,
       case when %(status)s not in ('PENDING', 'PROCESSING') then now() - make_interval(days => %(days)s) end,
       case %(status)s when 'PROCESSING' then now() + interval '1 hour' end,
       now() - make_interval(days => %(days)s) + interval '1 day', 3, 7
from generate_series(1, %(count)s) as number
"""


async def put(pool: Pool, status: str, count: int, *, days: int, key: str = "", flow: str = FLOW) -> None:
    """Jobs with 7 events each, that ended so many days ago."""
    arguments = {"status": status, "count": count, "days": days, "flow": flow, "key": key or f"{status}:{days}:"}
    async with pool.connection() as conn:
        await conn.execute(JOBS, arguments)


async def counted(pool: Pool) -> tuple[int, int]:
    """What `check` says: (jobs_complete, events_emitted)."""
    ledger = await check._ledger(pool)
    return ledger["jobs_complete"], ledger["events_emitted"]


async def there(pool: Pool) -> dict[str, int]:
    """Jobs by status, counted over the table; the kept counts say the same."""
    async with pool.connection() as conn:
        rows = await (await conn.execute("select status, count(*) from scrape_request_log group by status")).fetchall()
        kept = await (
            await conn.execute(
                "select state, sum(number)::bigint from tally where counted in ('job', 'first job') group by state"
                " having sum(number) <> 0"
            )
        ).fetchall()
    assert dict(kept) == dict(rows)
    return dict(rows)


async def round_of(pool: Pool, objects: Any = None, kept: Kept = KEPT) -> dict[str, int]:
    async with leading(pool) as leader:
        answer = await Pruning(pool, objects, leader, kept)()
    return {kind: count for kind, count in answer["pruned"].items() if count}


async def test_finished_jobs_go_and_their_counts_stay(pool: Pool) -> None:
    for status in JobStatus:
        for days in (0, 29, 31, 91):
            await put(pool, status, 5, days=days)
    before = await counted(pool)
    assert before == (20, 4 * 6 * 5 * 7)
    assert await round_of(pool, kept=Kept(**dict.fromkeys(Kept.model_fields, 0))) == {}, "0 is for ever"
    assert await round_of(pool) == {"jobs": 30, "failed_jobs": 5}
    assert await there(pool) == {
        "PENDING": 20, "PROCESSING": 20, "COMPLETE": 10, "EXPIRED": 10, "CANCELLED": 10, "FAILED": 15,
    }  # fmt: skip
    assert await counted(pool) == before
    assert await round_of(pool) == {}
    assert await counted(pool) == before


async def test_a_death_between_batches_costs_no_count(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(
        module, "_BY_AGE", {kind: text.replace("limit 1000", "limit 10") for kind, text in module._BY_AGE.items()}
    )
    await put(pool, "COMPLETE", 25, days=40)
    await put(pool, "FAILED", 25, days=100)
    before = await counted(pool)
    batches = 0
    execute = module._count

    async def mortal(connection: Connection, statement: str, **arguments: Any) -> int:
        nonlocal batches
        batches += 1
        done = await execute(connection, statement, **arguments)
        if batches == 2:
            raise psycopg.OperationalError("the process died before the commit")
        return done

    monkeypatch.setattr(module, "_count", mortal)
    with pytest.raises(BaseExceptionGroup):
        await round_of(pool)
    assert await there(pool) == {"COMPLETE": 15, "FAILED": 25}
    assert await counted(pool) == before
    assert await round_of(pool) == {"jobs": 15, "failed_jobs": 25}
    assert await there(pool) == {}
    assert await counted(pool) == before == (25, 350)


async def test_only_the_leader_prunes(pool: Pool) -> None:
    await put(pool, "COMPLETE", 3, days=40)
    async with leading(pool) as leader:
        async with pool.connection() as conn:
            await conn.execute("update leader set term = term + 1, holder = 'another'")
        pruning = Pruning(pool, FolderObjects(Path("/nowhere")), leader, KEPT)
        with pytest.raises(LeaseLost):
            await pruning()
        with pytest.raises(LeaseLost):
            await pruning._letters(30)
        async with pool.connection() as conn:
            await conn.execute("insert into tally values ('job', 'f', 'PENDING', 1)")
        assert await pruning.recount() == {"mended": 0}
    assert (await counted(pool))[0] == 3


@pytest.fixture
def jobs(pool: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())


async def test_a_retry_waits_for_who_prunes_the_job_and_finds_it_gone(pool: Pool, jobs: PostgresJobs) -> None:
    await put(pool, "FAILED", 1, days=100)
    before = await counted(pool)
    retried: list[int] = []

    async def retry() -> None:
        retried.append(await jobs.retry(JobFilter()))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            async with pool.transaction() as conn:
                assert await module._count(conn, module._BY_AGE["failed_jobs"], days=90) == 1
                nursery.start_soon(retry)
                await _somebody_waits_for(pool, conn)
    assert (retried, await there(pool)) == ([0], {})
    assert await counted(pool) == before


async def test_a_job_that_somebody_retries_is_passed_over(pool: Pool, jobs: PostgresJobs) -> None:
    await put(pool, "FAILED", 2, days=100)
    with trio.fail_after(20):
        async with pool.transaction() as conn:
            await conn.execute("select from scrape_request_log where idempotency_key like '%1' for update")
            assert await round_of(pool) == {"failed_jobs": 1}
    assert await jobs.retry(JobFilter()) == 1
    assert await round_of(pool) == {}
    assert await there(pool) == {"PENDING": 1}


async def _somebody_waits_for(pool: Pool, conn: Connection) -> None:
    blocked = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
    async with pool.connection() as other:
        while not (await (await other.execute(blocked, (conn.info.backend_pid,))).fetchall())[0][0]:  # noqa: ASYNC110
            await trio.sleep(0.01)  # nobody tells


async def test_a_key_is_free_again_and_a_waiting_one_is_not(pool: Pool, jobs: PostgresJobs) -> None:
    await put(pool, "COMPLETE", 1, days=40, key="k:")
    await put(pool, "PENDING", 1, days=40, key="k:")
    assert await round_of(pool) == {"jobs": 1}
    (again,) = await jobs.enqueue([NewJob(FLOW, "INSTAGRAM", {}, key="k:1")])
    assert not again.inserted
    assert await there(pool) == {"PENDING": 1}


async def test_a_first_crawl_is_not_enqueued_again(pool: Pool, jobs: PostgresJobs) -> None:
    await follow(pool, "a", "b")
    assert await enqueue_first_crawl(pool, jobs) == 2
    async with pool.connection() as conn:
        await conn.execute(
            "update scrape_request_log set status = 'COMPLETE', scraped_at = now() - interval '40 days'"
            " where idempotency_key like '%a'"
        )
    assert await round_of(pool) == {"jobs": 1}
    assert await enqueue_first_crawl(pool, jobs) == 0
    counts = await PlatformCounts(pool, None, PostgresLetters(pool, FolderObjects(Path("/nowhere")), Signal())).read()
    assert counts.first_crawl == (1, 2), "what was crawled was crawled"
    assert counts.jobs_by_flow == {FLOW: {"PENDING": 1}}


async def test_a_crash_leaves_a_first_crawl_and_its_mark_or_neither(
    pool: Pool, jobs: PostgresJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow(pool, "a")
    monkeypatch.setattr("gcc.stores.postgres_jobs.JOBS_CHANNEL", "x" * 100)  # a NOTIFY that fails, before the commit
    with pytest.raises(psycopg.Error):
        await enqueue_first_crawl(pool, jobs)
    assert await there(pool) == {}
    monkeypatch.undo()
    assert await enqueue_first_crawl(pool, jobs) == 1
    assert await there(pool) == {"PENDING": 1}


async def test_a_database_of_before_knows_who_was_crawled_and_how_much_there_is(
    postgres_server: str, postgres_admin: "psycopg.Connection[tuple[object, ...]]", tmp_path: Path
) -> None:
    for file in (SQL / "postgres").glob("*.sql"):
        if file.name < ENDS:
            shutil.copy(file, tmp_path)
    postgres_admin.execute("create database before strategy file_copy")
    conninfo = make_conninfo(postgres_server, dbname="before")
    pool = Pool(conninfo, 2, name="test")
    try:
        await migrate_postgres(conninfo, tmp_path)
        await follow(pool, "a", "b")
        async with pool.connection() as conn:
            arguments = {"status": "COMPLETE", "count": 1, "days": 3, "flow": FLOW, "key": "first:INSTAGRAM:id-a"}
            await conn.execute(JOBS.replace("|| number", ""), arguments)
            await conn.execute(QUEUED)
        await migrate_postgres(conninfo, SQL / "postgres")
        assert await there(pool) == {"COMPLETE": 1}
        async with pool.connection() as conn:
            crawled = "select handle from tracked_profile where first_crawl_at is not null"
            assert await (await conn.execute(crawled)).fetchall() == [("a",)]
            queued = "select name, number from tally where counted = 'queue'"
            assert await (await conn.execute(queued)).fetchall() == [("q", 5)]
    finally:
        await pool.aclose()
        postgres_admin.execute("drop database before with (force)")


# the kept counts


@pytest.mark.parametrize(
    "change",
    [
        "update scrape_request_log set flow = 'other' where idempotency_key like '%1'",
        "update scrape_request_log set status = 'CANCELLED', scraped_at = now() where idempotency_key like '%1'",
        "delete from scrape_request_log where idempotency_key like '%1'",
    ],
    ids=["flow", "status", "delete"],
)
async def test_what_people_write_counts_too(pool: Pool, change: str) -> None:
    await put(pool, "PENDING", 30, days=0)
    async with pool.connection() as conn:
        await conn.execute(change)
        async with conn.transaction(force_rollback=True):
            await conn.execute("delete from scrape_request_log")
    await there(pool)


async def test_folding_keeps_every_sum(pool: Pool) -> None:
    """Whoever does it at once, and whatever is written meanwhile."""
    letters = PostgresLetters(pool, FolderObjects(Path("/nowhere")), Signal())
    counts = [PlatformCounts(pool, None, letters) for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for number in range(1200):
            await put(pool, "PENDING", 1, days=0, key=f"{number}:", flow=f"f{number % 3}")
            if number % 100 == 99:
                for each in counts:
                    nursery.start_soon(each.read)
    read = await counts[0].read()
    assert read.jobs_by_flow == {f"f{number}": {"PENDING": 400} for number in range(3)}
    await counts[0].read()
    async with pool.connection() as conn:
        ((rows,),) = await (await conn.execute("select count(*) from tally")).fetchall()
    assert rows < 1003
    assert await there(pool) == {"PENDING": 1200}


CROWD = """
insert into tally select 'job', 'f', 'PENDING', case number when 1 then 7 else (number %% 2) * 2 - 1 end
from generate_series(1, %s) as number
"""


@pytest.mark.parametrize("states", ["one", "each its own"])
async def test_a_tally_that_nobody_read_for_long_is_folded_before_it_is_read(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, states: str
) -> None:
    monkeypatch.setattr("gcc.web.ops.counts.FOLD_MAX", 500)
    written = CROWD if states == "one" else CROWD.replace("'f',", "'f' || number,")
    async with pool.connection() as conn:
        await conn.execute(written, (2800,))
    with trio.fail_after(20):  # however little there is to fold
        counts = await PlatformCounts(
            pool, None, PostgresLetters(pool, FolderObjects(Path("/nowhere")), Signal())
        ).read()
    async with pool.connection() as conn:
        ((rows,),) = await (await conn.execute("select count(*) from tally")).fetchall()
    if states == "one":
        assert (rows < 500, counts.jobs_by_flow) == (True, {"f": {"PENDING": 6}})
    else:
        assert rows == 2800


HUGE = "insert into tally select 'job', 'f', 'PENDING', 9e18 from generate_series(1, 3)"


async def test_numbers_that_no_count_reaches_are_read_folded_and_mended(pool: Pool) -> None:
    await put(pool, "PENDING", 3, days=0, flow="f")
    counts = PlatformCounts(pool, None, PostgresLetters(pool, FolderObjects(Path("/nowhere")), Signal()))
    async with pool.connection() as conn:
        for odd in (HUGE, HUGE.replace("'job', 'f', 'PENDING'", "'queue', 'q', ''"), HUGE.replace("job", "first job")):
            await conn.execute(odd)
        assert (await counts.read()).jobs_by_flow["f"]["PENDING"] > 8 * 10**18
        await conn.execute("insert into binding (exchange, routing_key, queue) values ('x', 'k', 'q')")
        await conn.execute(statements.load("exchange")["depths"])
        await conn.execute(statements.load("history")["first_crawl"])
        await module_of_counts._fewer(conn, 1)
    async with leading(pool) as leader:
        pruning = Pruning(pool, FolderObjects(Path("/nowhere")), leader, KEPT)
        assert (await pruning.recount(), await pruning.recount()) == ({"mended": 3}, {"mended": 0})
    assert await there(pool) == {"PENDING": 3}


async def test_a_recount_mends_what_was_written_past_the_triggers(pool: Pool) -> None:
    await put(pool, "PENDING", 3, days=0)
    async with pool.connection() as conn:
        await conn.execute("insert into tally values ('job', 'gone', 'FAILED', 7), ('queue', 'q', '', 5)")
        await conn.execute("alter table scrape_request_log disable trigger user")
        await conn.execute("delete from scrape_request_log where idempotency_key like '%1'")
        await conn.execute("alter table scrape_request_log enable trigger user")
    async with leading(pool) as leader:
        pruning = Pruning(pool, FolderObjects(Path("/nowhere")), leader, KEPT)
        assert await pruning.recount() == {"mended": 3}
        assert await pruning.recount() == {"mended": 0}
    assert await there(pool) == {"PENDING": 2}


# letters, actions, runs


async def bury(pool: Pool, objects: FolderObjects, key: str, *replayed_days: int | None) -> list[uuid.UUID]:
    """Letters of one object; None: it waits."""
    ids = [uuid.uuid4() for _ in replayed_days]
    await objects.put(key, b"{}\n")
    async with pool.connection() as conn:
        for id, days in zip(ids, replayed_days, strict=True):
            await conn.execute(
                "insert into dead_letter"
                " (id, queue, exchange, routing_key, frame_id, events, reason, object_key, replayed_at)"
                " values (%s, 'q', 'x', 'k', %s, 1, 'r', %s, now() - make_interval(days => %s))",
                (id, uuid.uuid4(), key, days),
            )
    return ids


async def letters_of(pool: Pool) -> set[uuid.UUID]:
    async with pool.connection() as conn:
        return {id for (id,) in await (await conn.execute("select id from dead_letter")).fetchall()}


async def test_replayed_letters_go_with_objects_that_no_other_needs(pool: Pool, tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    await bury(pool, objects, "dlq/old", 40, 50)
    _, waits = await bury(pool, objects, "dlq/waits", 40, None)
    _, young = await bury(pool, objects, "dlq/young", 40, 20)
    assert await round_of(pool, objects) == {"letters": 4}
    assert await letters_of(pool) == {waits, young}
    assert await objects.keys("dlq/") == ["dlq/waits", "dlq/young"]


async def test_a_death_leaves_no_object_behind(pool: Pool, tmp_path: Path) -> None:
    class Mortal(FolderObjects):
        async def delete(self, key: str) -> None:
            await super().delete(key)
            raise Transient("the process died here")

    (one,) = await bury(pool, FolderObjects(tmp_path), "dlq/one", 40)
    with pytest.raises(BaseExceptionGroup):
        await round_of(pool, Mortal(tmp_path))
    assert await letters_of(pool) == {one}
    assert await round_of(pool, FolderObjects(tmp_path)) == {"letters": 1}
    assert await letters_of(pool) == set()


async def test_an_object_that_cannot_be_removed_holds_up_nothing(pool: Pool, tmp_path: Path) -> None:
    class Refusing(FolderObjects):
        async def delete(self, key: str) -> None:
            raise Permanent(f"{key} must not be removed")

    await bury(pool, FolderObjects(tmp_path), "dlq/one", 40)
    assert await round_of(pool, Refusing(tmp_path)) == {"letters": 1}


async def test_old_actions_go_and_runs_but_for_the_last_of_each_schedule(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "insert into action (id, at, who, why, verb, target)"
            " select gen_random_uuid(), now() - make_interval(days => days), 'me', 'w', 'pause', 't'"
            " from unnest(array[1, 29, 31, 300]) as days"
        )
        await conn.execute(
            "insert into schedule_run (id, schedule, started_at, status)"
            " select gen_random_uuid(), schedule, now() - make_interval(days => days), 'COMPLETE'"
            " from unnest(array['often', 'often', 'often', 'often', 'seldom', 'seldom'], array[1, 29, 31, 40, 50, 60])"
            " as run (schedule, days)"
        )
    assert await round_of(pool) == {"actions": 2, "schedule_runs": 3}
    async with pool.connection() as conn:
        left = await (await conn.execute("select schedule, count(*) from schedule_run group by 1")).fetchall()
    assert dict(left) == {"often": 2, "seldom": 1}


async def test_answers_that_nobody_is_given_any_more_go_in_batches(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setitem(
        module._BY_AGE, "idempotency_keys", module._BY_AGE["idempotency_keys"].replace("limit 1000", "limit 2")
    )
    async with pool.connection() as conn:
        await conn.execute("insert into partner (id, name) values (7, 'Brand')")
        await conn.execute(
            "insert into idempotency_key (scope, partner_id, fingerprint, status, body, expires_at)"
            " select int4send(minutes), 7, '', 201, '', now() + minutes * interval '1 minute'"
            " from generate_series(-4, 1) as minutes"
        )
    assert await round_of(pool) == {"idempotency_keys": 5}
    async with pool.connection() as conn:
        assert await (await conn.execute("select scope from idempotency_key")).fetchall() == [(b"\0\0\0\1",)]


async def test_what_was_counted_of_partners_goes_when_its_period_is_long_over(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "insert into partner_usage_event (partner_id, module, period, subject, number)"
            " select 1, 'EXPORT', now() - make_interval(days => days), 'x', 1 from unnest(array[1, 31, 61, 63]) as days"
        )
    assert await round_of(pool) == {"usage_events": 1}


def test_what_is_known_of_handles_is_not_pruned_before_its_time() -> None:
    with pytest.raises(ConfigError, match=r"web\.not_found_s 172800 cannot exceed kept\.failed_jobs_days 1"):
        load(None, overrides=["kept.failed_jobs_days=1", "web.not_found_s=172800"], environ={})
