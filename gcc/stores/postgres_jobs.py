"""The unit of work on PostgreSQL: `scrape_request_log`, the tables that crawls write, and the outbox.

Leases are decided by the database's clock. Every transaction locks rows in key order.
"""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import msgspec
import psycopg
import structlog
from msgspec.structs import replace
from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.channels.jobs import (
    AGED_MAX,
    CANCELLABLE,
    CLAIM_MAX,
    LOOKED_MAX,
    RETRYABLE,
    URGENT,
    Crawl,
    Enqueued,
    Failure,
    FoundJob,
    Job,
    JobDetail,
    JobFilter,
    JobStatus,
    NewJob,
    Room,
    StatusFrames,
    share_of_the_oldest,
)
from gcc.channels.memory import Signal
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.errors import LeaseLost, Transient
from gcc.stores import outbox, upserts
from gcc.stores.postgres import Connection, Pool, named_rows
from gcc.stores.together import Together
from gcc.supervisor.lifecycle import one_line

SQL = statements.load("jobs")
DUE = SQL["due"].replace("{share_max}", str(AGED_MAX)).replace("{urgent}", str(URGENT))
RELEASE, EXTEND, COMPLETE = (SQL[name].replace("{held}", SQL["held"]) for name in ("release", "extend", "complete"))
JOBS_CHANNEL = "gcc_jobs"
DONE_CHANNEL = "gcc_job_done"
BATCH = 500  # jobs that one transaction of a person's change may move
ENDS_BYTES_MAX = 4 << 20  # of events that one transaction of several attempts may write
TRIES_MAX = 5
OF_A_ROW = frozenset({"22", "23", "54", "P0"})
"""Classes of SQLSTATE: values, constraints, the server's fixed limits, what triggers raise."""

log = structlog.get_logger()


class PostgresJobs:
    """See `gcc.channels.jobs.Jobs`. `outbox_written` wakes this process's relay after each commit.

    A row that no statement of many takes is given up alone (FAILED, code BUG), with its id in the log once.
    `leases_pool`: for the heartbeat, which must come in time however many wait for a connection of `pool`.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        status_frames: StatusFrames,
        *,
        lease_s: float,
        lost_max: int,
        outbox_written: Signal,
        leases_pool: Pool | None = None,
    ) -> None:
        self._pool = pool
        self._leases_pool = leases_pool or pool
        self._clock = clock
        self._status_frames = status_frames
        self._lease_s = lease_s
        self._lost_max = lost_max
        self._outbox_written = outbox_written
        self._woken = Signal()
        self._ends = Together(self.complete_all, weight=_frame_bytes, weight_max=ENDS_BYTES_MAX)
        self._given_up: set[uuid.UUID] = set()  # told of
        self._claimed: Counter[str] = Counter()  # by flow

    def woken(self, _flow: str = "") -> None:
        """Somebody enqueued jobs (NOTIFY gcc_jobs, with the flow; one claim asks for all flows)."""
        self._woken.set()

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        if not jobs:
            return []
        async with self._pool.transaction() as conn:
            enqueued = await self._enqueue(conn, jobs)
        self._outbox_written.set()
        self.woken()
        return enqueued

    async def _enqueue(self, conn: Connection, jobs: Sequence[NewJob]) -> list[Enqueued]:
        ids = [self._clock.new_id() for _ in jobs]
        keys = [job.key or f"once:{new_id}" for job, new_id in zip(jobs, ids, strict=True)]
        if len(set(keys)) != len(keys):
            raise ValueError("enqueue: two jobs of one call share a key")
        arguments = {
            "ids": ids,
            "keys": keys,
            "platforms": [job.platform for job in jobs],
            "flows": [job.flow for job in jobs],
            "params": [msgspec.json.encode(job.params).decode() for job in jobs],
            "priorities": [job.priority for job in jobs],
            "ttls_s": [float(job.ttl_s) for job in jobs],
            "awaited": [job.awaited for job in jobs],
        }
        rows = await named_rows(conn, SQL["enqueue"], arguments)
        await outbox.put(conn, self._status_frames([_job(row) for row in rows if row["inserted"]], None))
        if first := [job for job in jobs if job.first_crawl_of is not None]:
            asked = {
                "platforms": [job.platform for job in first],
                "profile_ids": [job.first_crawl_of for job in first],
            }
            await conn.execute(SQL["first_crawled"], asked)
        await conn.execute(SQL["notify"], {"channel": JOBS_CHANNEL, "payloads": sorted({job.flow for job in jobs})})
        by_key = {row["idempotency_key"]: Enqueued(row["id"], row["inserted"]) for row in rows}
        return [by_key[key] for key in keys]

    async def claim(self, rooms: Mapping[str, Room]) -> list[Job]:
        places = {flow: min(room.jobs, CLAIM_MAX) for flow, room in rooms.items()}
        arguments = {
            "flows": list(places),
            "rooms": list(places.values()),
            "shares": [share_of_the_oldest(places[flow], self._claimed[flow]) for flow in places],
            "priorities_min": [room.priority_min for room in rooms.values()],
            "lease_s": self._lease_s,
        }
        jobs = await self._move_picked("claim", DUE, arguments, CLAIM_MAX)
        if jobs:
            self._claimed.update(job.flow for job in jobs)
            self._outbox_written.set()
        return jobs

    async def wait(self, timeout_s: float) -> None:
        await self._woken.wait(timeout_s)

    async def complete(self, job: Job, crawl: Crawl) -> None:
        if job.priority < URGENT:
            await self._ends.commit((job, crawl))
            return
        for error in await self.complete_all([(job, crawl)]):  # nobody's transaction is waited for
            if error:
                raise error

    async def complete_all(self, crawls: Sequence[tuple[Job, Crawl]]) -> list[Exception | None]:
        """One transaction: without those whose attempts are over, of whom it is told."""
        arguments = {
            "ids": [job.id for job, _ in crawls],
            "attempts": [job.attempt for job, _ in crawls],
            "events": [crawl.events + 1 for _, crawl in crawls],
            "sources": [crawl.source for _, crawl in crawls],
            "data": [msgspec.json.encode(dict(crawl.data)).decode() for _, crawl in crawls],
        }
        async with self._pool.transaction() as conn:
            rows = {(row["id"], row["attempt"]): row for row in await named_rows(conn, COMPLETE, arguments)}
            found = [rows.get((job.id, job.attempt)) for job, _ in crawls]  # of one job there may be two
            ours = [(job, crawl, row) for (job, crawl), row in zip(crawls, found, strict=True) if row]
            await upserts.write(conn, [write for _, crawl, _ in ours for write in crawl.writes])
            frames = [frame for _, crawl, _ in ours for frame in crawl.frames]
            ended = [
                replace(job, status=JobStatus.COMPLETE, seq=row["seq"], awaited=row["awaited"]) for job, _, row in ours
            ]
            await self._tell_of(conn, ended, also=frames)
            if then := [new for _, crawl, _ in ours for new in crawl.then]:
                await self._enqueue(conn, then)
        self._outbox_written.set()
        if then:
            self.woken()
        return [None if row else _over(job, "complete") for (job, _), row in zip(crawls, found, strict=True)]

    async def fail(self, job: Job, failure: Failure) -> None:
        final = failure.retry_after_s is None
        arguments: dict[str, Any] = {"data": Jsonb(failure.as_data())}
        if not final:
            arguments["after_s"] = failure.retry_after_s
        async with self._pool.transaction() as conn:
            row = await self._end(conn, "fail" if final else "retry", job, arguments)
            ended = replace(
                job,
                status=JobStatus.FAILED if final else JobStatus.PENDING,
                seq=row["seq"],
                retry_count=job.retry_count + 1,
                awaited=row["awaited"],
            )
            await self._tell_of(conn, [ended], failure.reason, also=failure.frames)
        self._outbox_written.set()

    async def release(
        self,
        jobs: Sequence[Job],
        *,
        after_s: float = 0.0,
        frames: Sequence[Frame] = (),
        why: Mapping[str, Any] | None = None,
    ) -> None:
        if jobs:
            arguments = {**_held(jobs), "after_s": after_s, "data": None if why is None else Jsonb(dict(why))}
            async with self._pool.transaction() as conn:
                released = [_job(row) for row in await named_rows(conn, RELEASE, arguments)]
                await self._tell_of(conn, released, "given back", also=frames if released else ())
            self._wake(released)

    async def extend(self, jobs: Sequence[Job]) -> set[uuid.UUID]:
        async with self._leases_pool.connection() as conn:
            rows = await named_rows(conn, EXTEND, {**_held(jobs), "lease_s": self._lease_s})
        return {row["id"] for row in rows}

    async def rescue(self) -> int:
        return await self._move_all("rescue", SQL["lapsed"], {"lost_max": self._lost_max}, "lease ended")

    async def expire(self) -> int:
        return await self._move_all("expire", SQL["overdue"], {}, "expired")

    async def count(self, wanted: JobFilter, among: Collection[JobStatus] = tuple(JobStatus)) -> int:
        statement = _matching_sql("count", wanted.limit)
        async with self._pool.connection() as conn:
            ((found,),) = await (await conn.execute(statement, _matching(wanted, among))).fetchall()
        return int(found)

    async def find(self, wanted: JobFilter, *, before: uuid.UUID | None = None) -> list[FoundJob]:
        values = _matching(wanted, tuple(JobStatus)) | {"before": before}
        async with self._pool.connection() as conn:
            rows = await named_rows(conn, _matching_sql("find", wanted.limit), values)
        return [_found(row) for row in rows]

    async def search(
        self, wanted: JobFilter, text: str, *, before: uuid.UUID | None = None
    ) -> tuple[list[FoundJob], uuid.UUID | None]:
        values = _matching(wanted, tuple(JobStatus)) | {"before": before, "text": text}
        statement = _matching_sql("search", wanted.limit).replace("{looked_max}", str(LOOKED_MAX))
        async with self._pool.connection() as conn:
            rows = await named_rows(conn, statement, values)
        jobs = [_found(row) for row in rows if row["fits"]]
        if wanted.limit is not None and len(jobs) == wanted.limit:
            return jobs, jobs[-1].id
        return jobs, next((row["id"] for row in rows if row["looked"] == LOOKED_MAX), None)

    async def look(self, job_id: uuid.UUID) -> JobDetail | None:
        async with self._pool.connection() as conn:
            rows = await named_rows(conn, SQL["look"], {"id": job_id})
        return next((JobDetail(**{**row, "status": JobStatus(row["status"])}) for row in rows), None)

    async def unfinished(self, keys: Collection[str]) -> set[str]:
        async with self._pool.connection() as conn:
            rows = await named_rows(conn, SQL["unfinished"], {"keys": list(keys)})
        return {row["idempotency_key"] for row in rows}

    async def retry(self, wanted: JobFilter) -> int:
        return await self._in_batches("begin_anew", wanted, RETRYABLE, reason="retried by hand")

    async def cancel(self, wanted: JobFilter) -> int:
        return await self._in_batches("cancel", wanted, CANCELLABLE, reason="cancelled by hand")

    async def _in_batches(self, statement: str, wanted: JobFilter, among: Collection[JobStatus], *, reason: str) -> int:
        """Pick and move, BATCH jobs a transaction, from the lowest id to the highest."""
        arguments = _matching(wanted, among) | {"after": uuid.UUID(int=0)}
        moved, picked = 0, BATCH
        while picked and (wanted.limit is None or moved < wanted.limit):
            size = BATCH if wanted.limit is None else min(BATCH, wanted.limit - moved)
            ids, jobs = await self._pick_and_move(statement, arguments, size, reason)
            moved, picked = moved + len(jobs), len(ids)
            arguments["after"] = ids[-1] if ids else None
        return moved

    async def _pick_and_move(
        self, statement: str, arguments: Mapping[str, Any], size: int, reason: str
    ) -> tuple[list[uuid.UUID], list[Job]]:
        """What was picked, in order of id, and what of it was moved."""
        picked: list[uuid.UUID] = []

        async def move(only: uuid.UUID | None) -> list[Job]:
            wanted = arguments if only is None else {**arguments, "ids": [only]}
            async with self._pool.transaction() as conn:
                page = await named_rows(conn, _matching_sql("pick", size), wanted)
                if only is None:
                    picked[:] = [row["id"] for row in page]
                ids = [row["id"] for row in page if row["locked"]]
                jobs = [_job(row) for row in await named_rows(conn, SQL[statement], {"ids": ids})]
                await self._tell_of(conn, jobs, reason)
            return jobs

        async def what_was_picked() -> list[uuid.UUID]:
            return list(picked)

        for _ in range(TRIES_MAX):
            try:
                jobs = await self._or_one_by_one(move, what_was_picked)
            except UniqueViolation:  # a key was enqueued meanwhile; looking again sees that job
                continue
            self._wake(jobs)
            return picked, jobs
        raise Transient(f"jobs with the same keys were enqueued {TRIES_MAX} times while they were {reason}; try again")

    async def end_leases(self) -> None:
        """Make everything that is PROCESSING due for rescue; only where this process is the database's only one."""
        async with self._pool.connection() as conn:
            await conn.execute(SQL["end_leases"])

    async def _move_all(self, statement: str, pick: str, arguments: Mapping[str, Any], reason: str) -> int:
        """Everything that `pick` finds, BATCH jobs a transaction: each claim walks over what is overdue."""
        moved, batch = 0, BATCH
        while batch == BATCH:
            jobs = await self._move_picked(statement, pick, arguments, BATCH, reason)
            self._wake(jobs)
            batch = len(jobs)
            moved += batch
        return moved

    async def _move_picked(
        self, statement: str, pick: str, arguments: Mapping[str, Any], limit: int, reason: str | None = None
    ) -> list[Job]:
        """A change of status of the jobs that `pick` finds, with their status events; most urgent first."""

        def picking(only: uuid.UUID | None) -> str:
            return pick.replace("{limit}", str(limit)).replace("{only}", "id = %(only)s" if only else "true")

        async def move(only: uuid.UUID | None) -> list[Job]:
            filled = SQL[statement].replace("{picked}", picking(only))
            async with self._pool.transaction() as conn:
                jobs = [_job(row) for row in await named_rows(conn, filled, {**arguments, "only": only})]
                jobs.sort(key=lambda job: (-job.priority, job.created_at, job.id.int))
                await self._tell_of(conn, jobs, reason)
            return jobs

        async def ids() -> list[uuid.UUID]:
            async with self._pool.connection() as conn:
                return [row["id"] for row in await named_rows(conn, picking(None), arguments)]

        return await self._or_one_by_one(move, ids)

    async def _or_one_by_one(
        self,
        move: Callable[[uuid.UUID | None], Awaitable[list[Job]]],
        ids: Callable[[], Awaitable[list[uuid.UUID]]],
    ) -> list[Job]:
        """Move all at once; where one row does not let them, each alone, and that one is given up."""
        try:
            return await move(None)
        except Exception as error:
            if not _is_of_a_row(error):
                raise
        moved: list[Job] = []
        for job_id in await ids():
            try:
                moved += await move(job_id)
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                await self._give_up(job_id, error)
        return moved

    async def _give_up(self, job_id: uuid.UUID, error: Exception) -> None:
        if job_id not in self._given_up:
            self._given_up.add(job_id)
            log.error("a job that cannot be moved is given up", job=str(job_id), exc_info=error)
        failure = Failure("BUG", one_line(f"it cannot be moved: {error}"), None)
        try:
            async with self._pool.connection() as conn:
                await conn.execute(SQL["give_up"], {"id": job_id, "data": Jsonb(failure.as_data())})
        except Exception as refused:  # then it stays as it is, and is met again
            if not _is_of_a_row(refused):
                raise

    async def _tell_of(
        self, conn: Connection, jobs: Sequence[Job], reason: str | None = None, *, also: Sequence[Frame] = ()
    ) -> None:
        """Of their new status: `also` and the events into the outbox, and word to those who wait for one of them.

        Only awaited jobs notify: a NOTIFY in every transaction costs five times the throughput.
        """
        await outbox.put(conn, [*also, *self._status_frames(jobs, reason)])
        if told := [str(job.id) for job in jobs if job.awaited and job.status is not JobStatus.PROCESSING]:
            await conn.execute(SQL["notify"], {"channel": DONE_CHANNEL, "payloads": told})

    def _wake(self, jobs: Collection[Job]) -> None:
        if jobs:
            self.woken()
            self._outbox_written.set()

    async def _end(self, conn: Connection, statement: str, job: Job, arguments: Mapping[str, Any]) -> DictRow:
        rows = await named_rows(conn, SQL[statement], {**arguments, "id": job.id, "attempt": job.attempt})
        if not rows:
            raise _over(job, statement)
        return rows[0]


def _over(job: Job, statement: str) -> LeaseLost:
    return LeaseLost(f"job {job.id} attempt {job.attempt} is over: {statement} wrote nothing")


def _frame_bytes(end: tuple[Job, Crawl]) -> int:
    return sum(len(frame.body) for frame in end[1].frames)


def _is_of_a_row(error: Exception) -> bool:
    """Whether one row may be to blame, not the statement, the schema or the server."""
    if isinstance(error, psycopg.Error):
        return error.sqlstate is None or (error.sqlstate[:2] in OF_A_ROW and not isinstance(error, UniqueViolation))
    return isinstance(error, ArithmeticError | RecursionError | TypeError | ValueError)


def _matching_sql(statement: str, limit: int | None) -> str:
    """The limit is a literal: as a parameter it costs a generic plan."""
    filled = SQL[statement].replace("{matching}", SQL["matching"])
    return filled.replace("{limit}", "all" if limit is None else str(int(limit)))


def _matching(wanted: JobFilter, among: Iterable[JobStatus]) -> dict[str, Any]:
    return {
        "statuses": [status.value for status in wanted.statuses(tuple(among))],
        "flow": wanted.flow,
        "code": wanted.code,
        "since": wanted.since,
        "key": wanted.key,
        "ids": None if wanted.ids is None else list(wanted.ids),
    }


def _held(jobs: Sequence[Job]) -> dict[str, Any]:
    ordered = sorted(jobs, key=lambda job: job.id)
    return {"ids": [job.id for job in ordered], "attempts": [job.attempt for job in ordered]}


def _found(row: DictRow) -> FoundJob:
    columns = {column.name: row[column.name] for column in fields(FoundJob)}
    return FoundJob(**{**columns, "status": JobStatus(row["status"])})


def _job(row: DictRow) -> Job:
    return Job(
        id=row["id"],
        flow=row["flow"],
        platform=row["platform"],
        params=row["params"],
        priority=row["priority"],
        attempt=row["attempt"],
        retry_count=row["retry_count"],
        seq=row["seq"],
        status=JobStatus(row["status"]),
        created_at=row["created_at"],
        picked_at=row["picked_at"],
        expires_at=row["expires_at"],
        awaited=row["awaited"],
    )
