"""The unit of work in memory; passes tests/contract/test_jobs.py like the real one."""

import datetime as dt
import heapq
import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from msgspec.structs import replace

from gcc.channels.jobs import (
    CANCELLABLE,
    CLAIM_MAX,
    LOOKED_MAX,
    MOVES,
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
from gcc.errors import LeaseLost
from gcc.tables import ordered
from tests.fakes.database import Connection, JobRow


class FakeJobs:
    """One process's jobs port. Every change of a status goes through `_move`, its events through `_emit`."""

    def __init__(
        self, connection: Connection, status_frames: StatusFrames, *, lease_s: float, lost_max: int,
        outbox_written: Signal,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._database = connection.database
        self._clock = connection.database.clock
        self._status_frames = status_frames
        self._lease_s = lease_s
        self._lost_max = lost_max
        self._outbox_written = outbox_written
        self._woken = Signal()
        self._claims: Counter[str] = Counter()  # by flow

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        keys = [job.key for job in jobs if job.key]
        if len(set(keys)) != len(keys):
            raise ValueError("enqueue: two jobs of one call share a key")

        def change() -> list[Enqueued]:
            waiting = [self._database.unfinished.get(job.key) if job.key else None for job in jobs]
            rows = [self._again(row, new) if row else self._add(new) for row, new in zip(waiting, jobs, strict=True)]
            inserted = [row is None for row in waiting]
            self._emit([row.job for row, is_new in zip(rows, inserted, strict=True) if is_new])
            return [Enqueued(row.job.id, is_new) for row, is_new in zip(rows, inserted, strict=True)]

        answer = await self._connection.commit(change)
        self._wake()
        return answer

    def _add(self, new: NewJob) -> JobRow:
        now = self._clock.now()
        job = Job(
            self._clock.new_id(), new.flow, new.platform, dict(new.params), new.priority, 0, 0, 1,
            JobStatus.PENDING, now, None, now + dt.timedelta(seconds=new.ttl_s), new.awaited,
        )  # fmt: skip
        row = self._database.jobs[job.id] = JobRow(job, new.key or f"once:{job.id}", due_at=now, events=1)
        self._database.events += 1
        self._database.place(row)
        self._database.tell("enqueued", job)
        return row

    def _again(self, row: JobRow, new: NewJob) -> JobRow:
        """The unfinished job that is wanted again gets more urgent and expires later, if that is asked for."""
        now, more_urgent = self._clock.now(), new.priority > row.job.priority
        row.job = replace(
            row.job,
            priority=max(new.priority, row.job.priority),
            awaited=new.awaited or row.job.awaited,
            expires_at=max(row.job.expires_at, now + dt.timedelta(seconds=new.ttl_s)),
        )
        if more_urgent:
            row.due_at = now
        self._database.place(row)
        if more_urgent:
            self._database.tell("raised", row.job)
        return row

    async def claim(self, rooms: Mapping[str, Room]) -> list[Job]:
        def change() -> list[Job]:
            jobs = [job for flow, room in rooms.items() for job in self._claim_of(flow, room)]
            self._emit(jobs)
            return jobs

        jobs = await self._connection.commit(change)
        if jobs:
            self._outbox_written.set()
        return jobs

    def _claim_of(self, flow: str, room: Room) -> Iterator[Job]:
        now, due = self._clock.now(), self._database.due_now(flow)
        left = min(room.jobs, CLAIM_MAX)
        for row in self._oldest(flow, room, left):
            due.remove(row)
            left -= 1
            yield self._claim(row, now)
        while due and left > 0:
            if due.least()[1].job.priority < room.priority_min:
                return
            row = due.pop()
            if row.job.expires_at > now:  # else it is for expire()
                left -= 1
                yield self._claim(row, now)

    def _oldest(self, flow: str, room: Room, left: int) -> list[JobRow]:
        share, now = share_of_the_oldest(left, self._claims[flow]), self._clock.now()
        due, later = self._database.due[flow], self._database.later[flow]
        if share == 0 or any(row.job.priority >= URGENT for row in (*due, *later)):
            return []
        able = (row for row in due if row.job.expires_at > now and row.job.priority >= room.priority_min)
        return heapq.nsmallest(share, able, key=lambda row: (row.due_at, row.job.id.int))

    def _claim(self, row: JobRow, now: dt.datetime) -> Job:
        self._claims[row.job.flow] += 1
        job = self._move(row, JobStatus.PROCESSING, attempt=row.job.attempt + 1, picked_at=now)
        self._database.tell("claimed", job)
        return job

    async def wait(self, timeout_s: float) -> None:
        await self._woken.wait(timeout_s)

    async def complete(self, job: Job, crawl: Crawl) -> None:
        await self._connection.commit(lambda: self._complete(self._held(job), crawl))
        self._outbox_written.set()
        if crawl.then:
            self._wake()

    def _complete(self, row: JobRow, crawl: Crawl) -> None:
        for table, new_rows in ordered(crawl.writes):
            rows = self._database.tables[table.name]
            for new in new_rows:
                key = table.key_of(new)
                rows[key] = table.merged(rows.get(key), new)
        row.data = dict(crawl.data)
        ended = self._move(row, JobStatus.COMPLETE, crawled_events=crawl.events)
        self._database.tell("completed", (ended, crawl))
        self._emit([ended, *(self._add(new).job for new in crawl.then)], also=crawl.frames)

    async def fail(self, job: Job, failure: Failure) -> None:
        def change() -> None:
            row = self._held(job)
            row.data = failure.as_data()
            retries = row.job.retry_count + 1
            if failure.retry_after_s is None:
                ended = self._move(row, JobStatus.FAILED, retry_count=retries)
            else:
                ended = self._move(row, JobStatus.PENDING, due_in_s=failure.retry_after_s, retry_count=retries)
            self._database.tell("failed", (ended, failure))
            self._emit([ended], failure.reason, also=failure.frames)

        await self._connection.commit(change)
        self._outbox_written.set()

    async def release(
        self,
        jobs: Sequence[Job],
        *,
        after_s: float = 0.0,
        frames: Sequence[Frame] = (),
        why: Mapping[str, Any] | None = None,
    ) -> None:
        def change() -> None:
            rows = [self._database.jobs[job.id] for job in jobs if self._is_ours(job)]
            for row in rows:
                row.data = row.data if why is None else dict(why)
            released = [self._move(row, JobStatus.PENDING, due_in_s=after_s or None) for row in rows]
            for job in released:
                self._database.tell("released", job)
            self._emit(released, "given back", also=frames if released else ())

        if jobs:
            await self._connection.commit(change)
            self._wake()

    async def extend(self, jobs: Sequence[Job]) -> set[uuid.UUID]:
        def change() -> set[uuid.UUID]:
            rows = [self._database.jobs[job.id] for job in jobs if self._is_ours(job)]
            lease_until = self._in(self._lease_s)
            for row in rows:
                self._database.lease(row, lease_until)
                self._database.tell("extended", row.job)
            return {row.job.id for row in rows}

        return await self._connection.commit(change)

    async def rescue(self) -> int:
        def change() -> list[Job]:
            now = self._clock.now()
            lost = self._database.leased.pop_while(lambda lease_until: lease_until < now)
            rescued = [self._rescued(row) for row in lost]
            for job in rescued:
                self._database.tell("rescued", job)
            self._emit(rescued, "lease ended")
            return rescued

        rescued = await self._connection.commit(change)
        self._wake()
        return len(rescued)

    def _rescued(self, row: JobRow) -> Job:
        row.lost += 1
        if row.lost < self._lost_max:
            return self._move(row, JobStatus.PENDING)
        row.data = {"code": "WORKER_LOST", "reason": f"lost its worker {row.lost} times"}
        return self._move(row, JobStatus.FAILED)

    async def expire(self) -> int:
        def change() -> list[Job]:
            now = self._clock.now()
            expired = []
            for row in self._database.expiring.pop_while(lambda expires_at: expires_at < now):
                row.data = {"code": "EXPIRED", "reason": "was not claimed before its expiry"}
                expired.append(self._move(row, JobStatus.EXPIRED))
                self._database.tell("expired", row.job)
            self._emit(expired, "expired")
            return expired

        expired = await self._connection.commit(change)
        self._wake()
        return len(expired)

    async def end_leases(self) -> None:
        """Make everything that is PROCESSING due for rescue."""

        def change() -> None:
            for row in list(self._database.unfinished.values()):
                if row.job.status is JobStatus.PROCESSING:
                    self._database.lease(row, self._in(-1.0))

        await self._connection.commit(change)

    def _move(
        self, row: JobRow, status: JobStatus, *, due_in_s: float | None = None, crawled_events: int = 0, **changes: Any
    ) -> Job:
        """Give the row another status, with `changes` to its Job and the index kept right; the caller emits it."""
        assert status in MOVES.get(row.job.status, ()), f"{row.job.status} -> {status}"
        row.job = replace(row.job, status=status, seq=row.job.seq + 1, **changes)
        row.lease_until = self._in(self._lease_s) if status is JobStatus.PROCESSING else None
        if due_in_s is not None:
            row.due_at = self._in(due_in_s)
        row.events += 1 + crawled_events
        self._database.events += 1 + crawled_events
        self._database.place(row)
        return row.job

    def _emit(self, jobs: Sequence[Job], reason: str | None = None, *, also: Iterable[Frame] = ()) -> None:
        """Into the outbox: frames of the same transaction, and the status events of `jobs`."""
        self._database.emit(also)
        self._database.emit(self._status_frames(jobs, reason))

    def _wake(self) -> None:
        self._woken.set()
        self._outbox_written.set()

    def _in(self, seconds: float) -> dt.datetime:
        return self._clock.now() + dt.timedelta(seconds=seconds)

    def _is_ours(self, job: Job) -> bool:
        row = self._database.jobs.get(job.id)
        return row is not None and row.job.attempt == job.attempt and row.job.status is JobStatus.PROCESSING

    def _held(self, job: Job) -> JobRow:
        if not self._is_ours(job):
            raise LeaseLost(f"job {job.id} attempt {job.attempt} is over")
        return self._database.jobs[job.id]

    # What people ask for; here each change is one transaction, however large.

    async def count(self, wanted: JobFilter, among: Collection[JobStatus] = tuple(JobStatus)) -> int:
        return len(await self._connection.read(lambda: self._matching(wanted, among)[: wanted.limit]))

    async def find(self, wanted: JobFilter, *, before: uuid.UUID | None = None) -> list[FoundJob]:
        rows = await self._connection.read(lambda: self._newest(wanted, before))
        return [_found(row) for row in rows[: wanted.limit]]

    async def search(
        self, wanted: JobFilter, text: str, *, before: uuid.UUID | None = None
    ) -> tuple[list[FoundJob], uuid.UUID | None]:
        rows = (await self._connection.read(lambda: self._newest(wanted, before)))[:LOOKED_MAX]
        fitting = [row for row in rows if text.lower() in f"{json.dumps(row.job.params)} {row.key}".lower()]
        jobs = [_found(row) for row in fitting[: wanted.limit]]
        if len(jobs) == wanted.limit:
            return jobs, jobs[-1].id
        return jobs, rows[-1].job.id if len(rows) == LOOKED_MAX else None

    async def look(self, job_id: uuid.UUID) -> JobDetail | None:
        row = await self._connection.read(lambda: self._database.jobs.get(job_id))
        if row is None:
            return None
        job = row.job
        shown = {field.name: getattr(_found(row), field.name) for field in fields(FoundJob)}
        return JobDetail(
            **shown, picked_at=job.picked_at, lease_until=row.lease_until, source=None, seq=job.seq, lost=row.lost,
            events=row.events, awaited=job.awaited, data=row.data,
        )  # fmt: skip

    async def unfinished(self, keys: Collection[str]) -> set[str]:
        return await self._connection.read(lambda: {key for key in keys if key in self._database.unfinished})

    def _newest(self, wanted: JobFilter, before: uuid.UUID | None) -> list[JobRow]:
        rows = self._matching(wanted, tuple(JobStatus))[::-1]
        return [row for row in rows if before is None or row.job.id < before]

    async def retry(self, wanted: JobFilter) -> int:
        def change() -> list[Job]:
            retried: list[Job] = []
            for row in self._matching(wanted, RETRYABLE):
                if row.key not in self._database.unfinished and len(retried) != wanted.limit:
                    now, ttl = self._clock.now(), row.job.expires_at - row.job.created_at
                    row.data, row.lost = None, 0
                    anew = {"retry_count": 0, "created_at": now, "expires_at": now + ttl}
                    retried.append(self._move(row, JobStatus.PENDING, due_in_s=0.0, **anew))
                    self._database.tell("retried", row.job)
            self._emit(retried, "retried by hand")
            return retried

        retried = await self._connection.commit(change)
        self._wake()
        return len(retried)

    async def cancel(self, wanted: JobFilter) -> int:
        def change() -> list[Job]:
            cancelled: list[Job] = []
            for row in self._matching(wanted, CANCELLABLE)[: wanted.limit]:
                row.data = {"code": "CANCELLED", "reason": "cancelled by hand"}
                cancelled.append(self._move(row, JobStatus.CANCELLED))
                self._database.tell("cancelled", row.job)
            self._emit(cancelled, "cancelled by hand")
            return cancelled

        cancelled = await self._connection.commit(change)
        self._wake()
        return len(cancelled)

    def _matching(self, wanted: JobFilter, among: Collection[JobStatus]) -> list[JobRow]:
        """In order of id."""
        assert wanted.since is None, "this fake does not remember when jobs ended"
        statuses = wanted.statuses(among)
        return [
            row
            for _, row in sorted(self._database.jobs.items())
            if row.job.status in statuses
            and wanted.flow in (None, row.job.flow)
            and wanted.code in (None, (row.data or {}).get("code"))
            and wanted.key in (None, row.key)
            and (wanted.ids is None or row.job.id in wanted.ids)
        ]


def _found(row: JobRow) -> FoundJob:
    job, data = row.job, row.data or {}
    return FoundJob(
        job.id, job.flow, job.platform, job.params, row.key, job.status, job.priority, job.attempt, job.retry_count,
        job.created_at, row.due_at, None, job.expires_at, data.get("code"), data.get("reason"),
    )  # fmt: skip
