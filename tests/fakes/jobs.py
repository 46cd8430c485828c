"""The unit of work in memory; passes tests/contract/test_jobs.py like the real one."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from gcc.channels.memory import Signal
from gcc.channels.message import Frame, frames
from gcc.errors import LeaseLost
from gcc.stores.jobs import FINAL, MOVES, Crawl, Enqueued, Failure, Job, JobStatus, NewJob, StatusEvent
from tests.fakes.database import Database, JobRow


class FakeJobs:
    def __init__(
        self, database: Database, status_event: StatusEvent, *, lease_s: float, attempts_max: int,
        outbox_written: Signal,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = database.clock
        self._status_event = status_event
        self._lease_s = lease_s
        self._attempts_max = attempts_max
        self._outbox_written = outbox_written
        self._wakeups: dict[str, Signal] = defaultdict(Signal)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        answer = await self._database.commit(lambda: [self._enqueue(job) for job in jobs])
        self._outbox_written.set()
        for job in jobs:
            self._wakeups[job.flow].set()
        return answer

    def _enqueue(self, new: NewJob) -> Enqueued:
        now = self._clock.now()
        for row in self._database.jobs.values():
            if new.key is not None and row.key == new.key and row.job.status not in FINAL:
                if new.priority > row.job.priority:
                    row.job = replace(row.job, priority=new.priority)
                    row.due_at = now
                return Enqueued(row.job.id, False)
        job = Job(
            self._clock.new_id(), new.flow, new.platform, dict(new.params), new.priority, 0, 0, 0,
            JobStatus.PENDING, now, None, now + dt.timedelta(seconds=new.ttl_s), new.awaited,
        )  # fmt: skip
        row = self._database.jobs[job.id] = JobRow(job, new.key or f"once:{job.id}", due_at=now)
        self._tell(row, None)
        return Enqueued(job.id, True)

    async def claim(self, flow: str, limit: int) -> list[Job]:
        return await self._database.commit(lambda: self._claim(flow, limit))

    def _claim(self, flow: str, limit: int) -> list[Job]:
        now = self._clock.now()
        due = [
            row
            for row in self._database.jobs.values()
            if row.job.flow == flow and row.job.status is JobStatus.PENDING and row.due_at <= now < row.job.expires_at
        ]
        due.sort(key=lambda row: (-row.job.priority, row.job.created_at, row.job.id))
        for row in due[:limit]:
            row.lease_until = now + dt.timedelta(seconds=self._lease_s)
            row.job = replace(row.job, attempt=row.job.attempt + 1, picked_at=now)
            self._move(row, JobStatus.PROCESSING)
        return [row.job for row in due[:limit]]

    async def wait(self, flow: str, timeout_s: float) -> None:
        await self._wakeups[flow].wait(timeout_s)

    async def complete(self, job: Job, crawl: Crawl) -> None:
        def change() -> None:
            row = self._held(job)
            if crawl.profile is not None:
                key = (crawl.profile.platform, crawl.profile.profile_id)
                old = self._database.profiles.get(key)
                if old is None or crawl.profile.at >= old.at:
                    self._database.profiles[key] = crawl.profile
            row.events += crawl.events
            row.data = dict(crawl.data)
            self._database.outbox.extend(crawl.frames)
            self._move(row, JobStatus.COMPLETE)

        await self._database.commit(change)
        self._outbox_written.set()

    async def fail(self, job: Job, failure: Failure) -> None:
        def change() -> None:
            row = self._held(job)
            row.data = failure.as_data()
            row.job = replace(row.job, retry_count=row.job.retry_count + 1)
            self._database.outbox.extend(failure.frames)
            if failure.retry_after_s is None:
                self._move(row, JobStatus.FAILED, failure.reason)
            else:
                row.due_at = self._clock.now() + dt.timedelta(seconds=failure.retry_after_s)
                self._move(row, JobStatus.PENDING, failure.reason)

        await self._database.commit(change)
        self._outbox_written.set()

    async def release(self, jobs: Sequence[Job], *, after_s: float = 0.0, frames: Sequence[Frame] = ()) -> None:
        def change() -> None:
            self._database.outbox.extend(frames)
            for job in jobs:
                if self._is_ours(job):
                    row = self._database.jobs[job.id]
                    row.due_at = self._clock.now() + dt.timedelta(seconds=after_s)
                    self._move(row, JobStatus.PENDING, "given back")

        await self._database.commit(change)
        for job in jobs:
            self._wakeups[job.flow].set()
        self._outbox_written.set()

    async def extend(self, jobs: Sequence[Job]) -> set[uuid.UUID]:
        def change() -> set[uuid.UUID]:
            ours = [job for job in jobs if self._is_ours(job)]
            for job in ours:
                self._database.jobs[job.id].lease_until = self._clock.now() + dt.timedelta(seconds=self._lease_s)
            return {job.id for job in ours}

        return await self._database.commit(change)

    async def rescue(self) -> int:
        def change() -> list[Job]:
            now = self._clock.now()
            lost = [row for row in self._database.jobs.values() if row.lease_until and row.lease_until < now]
            for row in lost:
                row.due_at = now
                worn_out = row.job.attempt >= self._attempts_max
                self._move(row, JobStatus.FAILED if worn_out else JobStatus.PENDING, "lease ended")
            return [row.job for row in lost]

        return self._woken(await self._database.commit(change))

    async def expire(self) -> int:
        def change() -> list[Job]:
            now = self._clock.now()
            old = [
                row
                for row in self._database.jobs.values()
                if row.job.status is JobStatus.PENDING and row.job.expires_at < now
            ]
            for row in old:
                self._move(row, JobStatus.EXPIRED, "expired")
            return [row.job for row in old]

        return self._woken(await self._database.commit(change))

    def _woken(self, jobs: list[Job]) -> int:
        for job in jobs:
            self._wakeups[job.flow].set()
        self._outbox_written.set()
        return len(jobs)

    def _is_ours(self, job: Job) -> bool:
        row = self._database.jobs[job.id]
        return row.job.attempt == job.attempt and row.job.status is JobStatus.PROCESSING

    def _held(self, job: Job) -> JobRow:
        if not self._is_ours(job):
            raise LeaseLost(f"job {job.id} attempt {job.attempt} is over")
        return self._database.jobs[job.id]

    def _move(self, row: JobRow, status: JobStatus, reason: str | None = None) -> None:
        assert status in MOVES[row.job.status], f"{row.job.status} -> {status}"
        if status is not JobStatus.PROCESSING:
            row.lease_until = None
        row.job = replace(row.job, status=status)
        self._tell(row, reason)

    def _tell(self, row: JobRow, reason: str | None) -> None:
        row.job = replace(row.job, seq=row.job.seq + 1)
        row.events += 1
        route, line = self._status_event(row.job, reason)
        self._database.outbox.extend(frames(route, [line], self._clock.new_id))
