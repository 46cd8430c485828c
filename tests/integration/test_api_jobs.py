"""Jobs of the API on a real database: batches, files, cancels, turns, and what dies in between."""

import csv
import io
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gcc.channels.api_jobs import ApiJob
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.errors import LeaseLost, Transient
from gcc.pipelines.analytics.pruning import BATCH
from gcc.pipelines.api_jobs import runner as running
from gcc.pipelines.api_jobs.kind import Kind
from gcc.pipelines.api_jobs.told import told_of
from gcc.stores import api_jobs
from gcc.stores.api_jobs import LOST_MAX, PostgresApiJobs, end_leases, object_key
from gcc.stores.api_jobs_asked import UNFINISHED_MAX, TenantsApiJobs
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity_people import Refused
from gcc.stores.tenant import Tenant
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board
from gcc.web.ops.counts import PlatformCounts
from tests.fakes.objects import MemoryObjects
from tests.integration.api_job_child import BUGGY, EFFECTS, REFUSING, Count, counting, runner
from tests.integration.test_pruning import round_of

OWNER = Tenant(1, "PAID")
ENDED = "ended_at is not null"


async def nothing(job: ApiJob) -> None:
    pass


class Bench:
    def __init__(self, pool: Pool) -> None:
        self.pool, self.clock, self.objects = pool, SystemClock(), MemoryObjects()
        self.jobs = PostgresApiJobs(pool, self.objects, told_of(self.clock))
        self.asked = TenantsApiJobs(pool, self.clock)
        self.board = Board(self.clock.now)

    async def execute(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql.encode(), arguments)
            return await cursor.fetchall() if cursor.description else []

    async def add(self, kind: str = "count", partner: int = 1, **params: Any) -> uuid.UUID:
        row = await self.asked.add(Tenant(partner, "PAID"), kind, {"to": 25} | params)
        return uuid.UUID(str(row["id"]))

    async def row(self, id: uuid.UUID, *columns: str) -> tuple[Any, ...]:
        (row,) = await self.execute(f"select {', '.join(columns)} from api_job where id = %s", id)  # noqa: S608
        return row

    async def effects(self, id: uuid.UUID) -> list[int]:
        return [
            number for (number,) in await self.execute("select number from effect where job_id = %s order by 1", id)
        ]

    async def told(self) -> list[tuple[str, int, str]]:
        """The events of the outbox: type, partner, job."""
        bodies = await self.execute("select body from outbox where routing_key = 'webhook_out_rk' order by id")
        events = [msgspec.json.decode(body) for (body,) in bodies]
        return [(event["type"], event["partner_id"], event["data"]["job_id"]) for event in events]

    @asynccontextmanager
    async def running(self, *kinds: Kind, stage: Stage | None = None) -> AsyncIterator[Stage]:
        """A runner, drained at the end of the block."""
        stage = stage or Stage("intake")
        async with trio.open_nursery() as nursery:
            await nursery.start(runner(self.jobs, self.objects, self.clock, stage, *kinds, board=self.board).run)
            yield stage
            stage.begin()

    async def until(self, id: uuid.UUID, condition: str) -> None:
        """Until the row is so, and nothing is under way here."""
        with trio.fail_after(30):
            while self.board.actor("runner").in_flight or not (await self.row(id, condition))[0]:  # noqa: ASYNC110
                await trio.sleep(0.01)  # a commit of another task tells nobody


@pytest.fixture
async def bench(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(running, "POLL_S", 0.02)
    bench = Bench(pool)
    await bench.execute(EFFECTS)
    return bench


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


# To the end


async def test_a_job_runs_batch_by_batch_to_a_file_and_a_report(bench: Bench) -> None:
    id = await bench.add()
    seen: list[tuple[Any, ...]] = []

    async def look(job: ApiJob) -> None:
        seen.append(await bench.row(id, "state", "done", "total", "batches"))

    async with bench.running(counting(look)):
        await bench.until(id, ENDED)
    assert seen == [("RUNNING", 0, None, 0), ("RUNNING", 10, 25, 1), ("RUNNING", 20, 25, 2)]
    assert await bench.row(id, "state", "done", "failed", "total", "attempt") == ("COMPLETE", 25, 0, 25, 1)
    assert await bench.effects(id) == list(range(25))
    data = bench.objects.held(object_key(1, id))
    assert data is not None
    assert rows_of(data) == [["number", "text"], *([str(n), f"'={n}"] for n in range(25))]
    assert (await bench.row(id, "result"))[0] == {"bytes": len(data), "format": "csv"}
    report = [line async for lines in bench.jobs.lines(1, id, "report") for line in lines]
    assert report == [[n + 1, "ADDED", "", "", f"@{n}"] for n in range(25)], "each line once, in order"
    assert await bench.told() == [("job.completed", 1, str(id))]


async def test_what_is_there_twice_is_put_in_place_of_itself(bench: Bench) -> None:
    """A death between the file and the commit: the next makes the same file again."""
    id = await bench.add()

    class Dies(Exception):
        pass

    class Mortal(PostgresApiJobs):
        async def complete(self, *_: Any) -> None:
            raise Dies

    jobs = bench.jobs
    bench.jobs = Mortal(bench.pool, bench.objects, told_of(bench.clock))
    async with bench.running(counting(nothing)):
        await bench.until(id, "failures = 1")
    first = bench.objects.held(object_key(1, id))
    await bench.execute("update api_job set due_at = now()")
    bench.jobs = jobs
    async with bench.running(counting(nothing)):
        await bench.until(id, ENDED)
    assert bench.objects.held(object_key(1, id)) == first
    assert (await bench.effects(id), await bench.row(id, "state")) == (list(range(25)), ("COMPLETE",))


# Failures


async def test_one_that_cannot_be_done_fails_with_its_reason_and_leaves_nothing(bench: Bench) -> None:
    id, neighbour = await bench.add("refuse"), await bench.add()
    async with bench.running(REFUSING, counting(nothing)):
        for each in (id, neighbour):
            await bench.until(each, ENDED)
    reason = {"code": "NO_DATA", "reason": "there is nothing to count"}
    assert await bench.row(id, "state", "result", "traceback") == ("FAILED", reason, None)
    assert (await bench.effects(id), await bench.row(neighbour, "state")) == ([], ("COMPLETE",))
    assert sorted(await bench.told()) == [("job.completed", 1, str(neighbour)), ("job.failed", 1, str(id))]


async def test_a_bug_is_tried_again_a_few_times_and_is_its_job_s_alone(bench: Bench) -> None:
    id, odd, neighbour = await bench.add("err"), await bench.add(to="many"), await bench.add()
    async with bench.running(BUGGY, counting(nothing)):
        await bench.until(neighbour, ENDED)
        for each in (id, odd):
            for failures in range(1, running.ATTEMPTS_MAX + 1):
                await bench.until(each, f"failures >= {failures}")
                await bench.execute("update api_job set due_at = now() where id = %s", each)
            state, result, traceback = await bench.row(each, "state", "result", "traceback")
            assert (state, result["code"], result["reason"]) == ("FAILED", "BUG", running.SHOWN_OF_BUGS)
            assert "ZeroDivisionError: of a secret" in traceback or "ValidationError" in traceback
    assert await bench.effects(id) == []
    assert bench.board.actor("runner").bugs == 2 * running.ATTEMPTS_MAX
    assert sorted(told for told, *_ in await bench.told()) == ["job.completed", "job.failed", "job.failed"]


async def test_a_batch_that_hangs_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BATCH_S", 0.05)
    id = await bench.add()

    async def hang(job: ApiJob) -> None:
        await trio.sleep_forever()

    async with bench.running(counting(hang)):
        await bench.until(id, "failures = 1")
    assert await bench.effects(id) == []


async def test_a_commit_whose_answer_is_lost_is_not_made_again(bench: Bench) -> None:
    id = await bench.add()

    class Deaf(PostgresApiJobs):
        lost = False

        @asynccontextmanager
        async def batch(self, job: ApiJob) -> AsyncIterator[api_jobs.Begun]:
            async with super().batch(job) as begun:
                yield begun
            if job.batches == 1 and not self.lost:
                self.lost = True
                raise Transient("the connection was lost")

    bench.jobs = Deaf(bench.pool, bench.objects, told_of(bench.clock))
    async with bench.running(counting(nothing)):
        await bench.until(id, "batches = 2")
    assert await bench.effects(id) == list(range(20)), "and no more, until somebody else takes over"
    await end_leases(bench.pool)
    await bench.jobs.rescue()  # unless the drain came first, which gives it back
    async with bench.running(counting(nothing)):
        await bench.until(id, ENDED)
    assert await bench.effects(id) == list(range(25))


# Cancelled, given back, taken over


async def test_a_cancelled_job_stops_at_its_next_batch(bench: Bench) -> None:
    id = await bench.add()

    async def cancel(job: ApiJob) -> None:
        if job.batches == 1:
            await bench.asked.cancel(OWNER, id)

    async with bench.running(counting(cancel)):
        await bench.until(id, ENDED)
    assert await bench.row(id, "state", "done") == ("CANCELLED", 10)
    assert await bench.effects(id) == list(range(10)), "the batch under way has left nothing"
    with pytest.raises(Refused, match="it is CANCELLED"):
        await bench.asked.cancel(OWNER, id)
    assert await bench.told() == []
    waiting = await bench.add()
    assert (await bench.asked.cancel(OWNER, waiting))["state"] == "CANCELLED"


async def test_a_drain_waits_for_the_batch_and_gives_the_job_back(bench: Bench) -> None:
    id = await bench.add()
    stage = Stage("intake")

    async def drain(job: ApiJob) -> None:
        stage.begin()

    async with bench.running(counting(drain), stage=stage):
        await stage.empty()
    assert await bench.row(id, "state", "done", "failures", "lost") == ("PENDING", 10, 0, 0)
    async with bench.running(counting(nothing)):
        await bench.until(id, ENDED)
    assert await bench.effects(id) == list(range(25))


async def test_whose_lease_ended_writes_nothing_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "AT_ONCE", 1)  # or it would claim its own job again
    id = await bench.add()

    async def lose(job: ApiJob) -> None:
        if job.batches == 1:
            await end_leases(bench.pool)
            assert await bench.jobs.rescue() == 1
            (other,) = await bench.jobs.claim(["count"], 1)
            assert (other.attempt, other.place) == (job.attempt + 1, {"next": 10})

    async with bench.running(counting(lose)):
        await bench.until(id, "attempt = 2")
    assert await bench.effects(id) == list(range(10))
    old = ApiJob(
        id=id, partner_id=1, account_id=None, user_id=None, role="OWNER", plan="PAID", kind="count", params={},
        attempt=1, failures=0, place=None, batches=1, made=True,
    )  # fmt: skip
    for write in (bench.jobs.complete(old, {}, None), bench.jobs.fail(old, "X", "x", after_s=None)):
        with pytest.raises(LeaseLost):
            await write
    await bench.jobs.release([old])
    assert (await bench.row(id, "state"), await bench.jobs.extend([old])) == (("RUNNING",), set())


async def test_a_job_that_keeps_killing_its_worker_fails(bench: Bench) -> None:
    id = await bench.add()
    for _ in range(LOST_MAX):
        (job,) = await bench.jobs.claim(["count"], 1)
        await end_leases(bench.pool)
        assert await bench.jobs.rescue() == 1
    state, result = await bench.row(id, "state", "result")
    assert (state, result["code"], job.attempt) == ("FAILED", "WORKER_LOST", LOST_MAX)
    assert await bench.told() == [("job.failed", 1, str(id))]


async def test_killed_with_a_batch_under_way_at_each_of_them_it_does_all_once(
    bench: Bench, database: str, tmp_path: Path
) -> None:
    id = await bench.add(to=25)
    for life in range(4):
        async with child(database, tmp_path) as process:
            committed = max(0, life - 1)
            assert await said(process) == committed, "it begins where the last whole batch ended"
            if life:
                await process.stdin.send_all(b"\n")  # type: ignore[union-attr]
                committed = life
            if life < 3:
                assert life == 0 or await said(process) == committed
            else:
                await bench.until(id, ENDED)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await end_leases(bench.pool)
        assert await bench.jobs.rescue() == (life < 3)
        assert await bench.effects(id) == list(range(min(10 * committed, 25))), "what was not committed is not there"
    assert await bench.row(id, "state", "done", "failed") == ("COMPLETE", 25, 0)
    assert await bench.effects(id) == list(range(25))
    report = [line[0] async for lines in bench.jobs.lines(1, id, "report") for line in lines]
    assert report == list(range(1, 26))
    assert len(rows_of((tmp_path / object_key(1, id)).read_bytes())) == 26
    assert await bench.told() == [("job.completed", 1, str(id))]


@asynccontextmanager
async def child(conninfo: str, folder: Path) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.integration.api_job_child", conninfo, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def said(process: trio.Process) -> int:
    """How many batches were committed before the one that waits now."""
    assert process.stdout is not None
    line = b""
    with trio.fail_after(120):
        while not line.endswith(b"\n"):
            line += await process.stdout.receive_some(1)
    return int(line)


# Turns


async def test_fifty_jobs_of_one_partner_do_not_starve_another_s_one(bench: Bench) -> None:
    await bench.execute("insert into partner (id, name) values (2, 'Two'), (3, 'Three')")
    many = [await bench.add() for _ in range(50)]
    one, two = await bench.add(partner=2), await bench.add(partner=3)
    claimed = await bench.jobs.claim(["count"], 4)
    assert {job.id for job in claimed} == {many[0], many[1], one, two}
    late = await bench.add(partner=2)
    assert [job.id for job in await bench.jobs.claim(["count"], 1)] == [late], "who has fewer under way goes first"
    assert await bench.jobs.claim(["another"], 4) == []
    rest = [job.id for _ in range(30) for job in await bench.jobs.claim(["count"], 4)]
    assert rest == many[2:], "each once, the first to come first"


async def test_long_jobs_take_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "AT_ONCE", 1)
    monkeypatch.setattr(running, "TURN_S", 0.0)
    await bench.execute("insert into partner (id, name) values (2, 'Two')")
    ids = [await bench.add(), await bench.add(), await bench.add(partner=2)]
    order: list[uuid.UUID] = []

    async def note(job: ApiJob) -> None:
        order.append(job.id)

    async with bench.running(counting(note)):
        for id in ids:
            await bench.until(id, ENDED)
    first, second, other = ids
    assert order == [first, other] * 3 + [second] * 3
    assert [await bench.effects(id) for id in ids] == [list(range(25))] * 3


async def test_a_partner_has_so_many_unfinished_jobs(bench: Bench) -> None:
    row = f"gen_random_uuid(), 1, 'OWNER', 'PAID', 'count', '{{}}' from generate_series(1, {UNFINISHED_MAX - 1})"
    await bench.execute(f"insert into api_job (id, partner_id, role, plan, kind, params) select {row}")
    full: list[Refused] = []

    async def add() -> None:
        try:
            await bench.add()
        except Refused as refused:
            full.append(refused)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(add)
    assert [refused.reason for refused in full] == ["FULL"] * 3
    await bench.execute("insert into partner (id, name) values (2, 'Two')")
    await bench.add(partner=2)


async def test_people_are_told_what_waits_and_since_when(bench: Bench) -> None:
    for _ in range(3):
        await bench.add()
    await bench.add("refuse")
    await bench.jobs.claim(["count"], 1)
    await bench.execute("update api_job set created_at = created_at - interval '1 minute' where state = 'PENDING'")
    await bench.execute("update api_job set created_at = '-infinity' where kind = 'refuse'")
    counts = await PlatformCounts(bench.pool, None, PostgresLetters(bench.pool, bench.objects, Signal())).read()
    told = [(each.kind, each.state, each.jobs, each.oldest_s >= 60) for each in counts.api_jobs]
    assert told == [("count", "PENDING", 2, True), ("count", "RUNNING", 1, False), ("refuse", "PENDING", 1, True)]


# What is kept


async def test_files_and_reports_go_after_a_week_whatever_became_of_the_job(bench: Bench) -> None:
    old, young = await bench.add(), await bench.add()
    async with bench.running(counting(nothing)):
        for id in (old, young):
            await bench.until(id, ENDED)
    half_way = await bench.add()
    (job,) = await bench.jobs.claim(["count"], 1)
    async with bench.jobs.batch(job) as begun:
        await counting(nothing).step(job, Count(25), begun)
    await bench.asked.cancel(OWNER, half_way)
    week = "update api_job set ended_at = ended_at - make_interval(secs => %s) where id = any(%s)"
    await bench.execute(week, api_jobs.KEPT_S - 60, [old, young, half_way])
    assert await bench.jobs.free() == 0
    await bench.execute(week, 120, [old, half_way])
    assert await bench.jobs.free() == 2
    assert await bench.jobs.free() == 0
    assert [await bench.row(id, "state") for id in (old, young, half_way)] == [
        ("EXPIRED",),
        ("COMPLETE",),
        ("CANCELLED",),
    ]
    assert await bench.objects.keys("") == [object_key(1, young)]
    assert {id for (id,) in await bench.execute("select distinct job_id from api_job_part")} == {young}
    await bench.execute(week, 90 * 86_400, [old, young, half_way])
    assert (await round_of(bench.pool))["api_jobs"] == 2 < BATCH, "what is not freed yet stays"
    assert await bench.execute("select id from api_job") == [(young,)]
