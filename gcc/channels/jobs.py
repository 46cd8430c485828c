"""Jobs: their states, and the unit-of-work port that scrapers and producers speak.

A job is a row; an attempt is a term: every write says which attempt it belongs to, and a write of an
attempt that is over raises LeaseLost and changes nothing. One call is one transaction: a change of
status, the state that goes with it and the events that tell of it are committed together or not at all.
Losing the store is Transient.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from gcc.channels.message import Frame
from gcc.sources import turns
from gcc.tables import Upsert


class JobStatus(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED})
RETRYABLE = frozenset({JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED})
CANCELLABLE = frozenset({JobStatus.PENDING, JobStatus.PROCESSING})
MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.PROCESSING, JobStatus.EXPIRED, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: frozenset({JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.PENDING, JobStatus.CANCELLED}),
    **{status: frozenset({JobStatus.PENDING}) for status in RETRYABLE},
}
"""Every legal change of status; a final job changes only when a person retries it. sql/postgres/queries/jobs.sql
obeys it."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. While one with the same `key` is unfinished, enqueueing again only makes it more urgent, and
    expire later."""

    flow: str
    platform: str
    params: Mapping[str, Any]
    key: str | None = None
    priority: int = 0  # higher first
    ttl_s: float = 86_400.0  # PENDING longer than this: EXPIRED
    awaited: bool = False  # tell waiters (NOTIFY gcc_job_done) when it ends
    first_crawl_of: str | None = None  # a followed profile's id: with the job it is noted there that this was enqueued


URGENT = turns.URGENT
"""The priority from which on somebody waits for a job: such a one is claimed and answered even while its sources are
out."""

PRIORITY_MIN = -32_768  # of a smallint
CLAIM_MAX = 50
AGED_EVERY = 10
"""Of so many jobs of a flow that are claimed one is that which is due the longest, whatever its priority."""


AGED_MAX = -(-CLAIM_MAX // AGED_EVERY)


def share_of_the_oldest(room: int, claimed: int) -> int:
    """How many of the next `room` jobs are to be those, after `claimed` of that flow."""
    return (claimed + room) // AGED_EVERY - claimed // AGED_EVERY


@dataclass(frozen=True, slots=True)
class Room:
    """How many jobs of a flow may be claimed, and how urgent they must be at least."""

    jobs: int
    priority_min: int = PRIORITY_MIN


@dataclass(frozen=True, slots=True)
class Enqueued:
    id: uuid.UUID
    inserted: bool  # False: an unfinished job with this key was there


class Job(msgspec.Struct, frozen=True):
    """A row as of its last change. `attempt` is its term, `seq` counts its changes of status.

    Made anew at each of them: a struct costs a tenth of a dataclass.
    """

    id: uuid.UUID
    flow: str
    platform: str
    params: Any  # of our own jobs an object; a row may hold any JSON
    priority: int
    attempt: int
    retry_count: int
    seq: int
    status: JobStatus
    created_at: dt.datetime
    picked_at: dt.datetime | None
    expires_at: dt.datetime
    awaited: bool = False

    @property
    def subject(self) -> str:
        """What people call the thing that it is about: the handle, where its params have one; else its own id."""
        handle = self.params.get("handle") if isinstance(self.params, dict) else None
        return handle if isinstance(handle, str) and handle else str(self.id)


@dataclass(frozen=True, slots=True)
class Crawl:
    """What a successful attempt commits: current state, and frames of which `events` are counted (traces are not).

    `then`: jobs that go on where this one stopped, without keys.
    """

    source: str
    writes: Sequence[Upsert] = ()
    frames: Sequence[Frame] = ()
    events: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    then: Sequence[NewJob] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: `code` for programs, `reason` for people; `retry_after_s` None ends the job.

    `traceback`: of a bug, without secrets. `data` is kept beside them, for people.
    """

    code: str
    reason: str
    retry_after_s: float | None
    frames: Sequence[Frame] = ()  # traces of the failed attempt
    traceback: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        told = {**self.data, "code": self.code, "reason": self.reason}
        return told if self.traceback is None else {**told, "traceback": self.traceback}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a person means: all that is given must hold, None holds for every job.

    `code` is that of the last failure; `since`: ended then or later, or waiting since then. `limit`: at most so
    many, oldest first (`find`: newest first).
    """

    flow: str | None = None
    status: JobStatus | None = None
    code: str | None = None
    since: dt.datetime | None = None
    key: str | None = None
    ids: Sequence[uuid.UUID] | None = None
    limit: int | None = None

    def statuses(self, among: Collection[JobStatus] = tuple(JobStatus)) -> list[JobStatus]:
        """Those of `among` that the filter lets through. A job that is COMPLETE has no last failure any more."""
        ended_well = frozenset() if self.code is None else frozenset({JobStatus.COMPLETE})
        return [status for status in among if self.status in (None, status) and status not in ended_well]


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job as people look at it. `code` and `reason` are those of its last failure."""

    id: uuid.UUID
    flow: str
    platform: str
    params: Any
    key: str | None
    status: JobStatus
    priority: int
    attempt: int
    retry_count: int
    created_at: dt.datetime
    due_at: dt.datetime
    ended_at: dt.datetime | None
    expires_at: dt.datetime
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class JobDetail(FoundJob):
    """All that a row tells: `data` is its result or its last failure, `events` what was committed with it."""

    picked_at: dt.datetime | None
    lease_until: dt.datetime | None
    source: str | None
    seq: int
    lost: int
    events: int
    awaited: bool
    data: Any


LOOKED_MAX = 10_000

StatusFrames = Callable[[Sequence[Job], str | None], list[Frame]]
"""Encodes the events of these jobs' new status (and its reason). Given by pipelines/events."""


class Jobs(Protocol):
    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Add jobs, in one transaction; answers in the order given."""

    async def claim(self, rooms: Mapping[str, Room]) -> list[Job]:
        """Lease due jobs of each of these flows, as many as it has room for and CLAIM_MAX at most.

        Of a flow the most urgent come first, within a priority those that are due the longest. But one of AGED_EVERY
        is that which is due the longest of all, unless an URGENT one of its flow waits: so every job moves at last.
        """

    async def wait(self, timeout_s: float) -> None:
        """Return when any flow may have work: told by an enqueue, or `timeout_s` later. One waiter a process."""

    async def complete(self, job: Job, crawl: Crawl) -> None:
        """Commit the attempt's state and events with COMPLETE. LeaseLost: nothing was written.

        Attempts that end at the same moment may share a transaction; an error is that of its own attempt alone.
        """

    async def fail(self, job: Job, failure: Failure) -> None:
        """Commit the failure: PENDING again after `retry_after_s`, or FAILED. LeaseLost: nothing was written."""

    async def release(
        self,
        jobs: Sequence[Job],
        *,
        after_s: float = 0.0,
        frames: Sequence[Frame] = (),
        why: Mapping[str, Any] | None = None,
    ) -> None:
        """Back to PENDING at no cost, with `frames` of traces. Jobs that are not ours any more are left alone.

        `why` ({"code", "reason"}) takes the place of what their last failure told; waiters are told that there is one.

        With none of them ours nothing is written, so a release whose answer was lost may be made again.
        """

    async def extend(self, jobs: Sequence[Job]) -> set[uuid.UUID]:
        """Prolong the leases; answers the ids that are still ours."""

    async def rescue(self) -> int:
        """Move jobs whose lease ended back to PENDING (or FAILED after too many); how many."""

    async def expire(self) -> int:
        """Move PENDING jobs past their expiry to EXPIRED; how many."""

    # What people ask for. Large changes are made in batches, each a transaction with its events: Transient, or a
    # cancellation, in the middle leaves some of them done, and asking again does the rest.

    async def count(self, wanted: JobFilter, among: Collection[JobStatus] = tuple(JobStatus)) -> int:
        """How many jobs match and have one of these statuses; at most `wanted.limit`."""

    async def find(self, wanted: JobFilter, *, before: uuid.UUID | None = None) -> list[FoundJob]:
        """The jobs that match, newest first: those with ids below `before`, to read on."""

    async def search(
        self, wanted: JobFilter, text: str, *, before: uuid.UUID | None = None
    ) -> tuple[list[FoundJob], uuid.UUID | None]:
        """As `find`, of the newest LOOKED_MAX that match those with `text` in their params or key, in any case.

        Also the id below which nobody has looked; None: there is no job below it.
        """

    async def look(self, job_id: uuid.UUID) -> JobDetail | None:
        """One job; None: there is none."""

    async def unfinished(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that an unfinished job has."""

    async def retry(self, wanted: JobFilter) -> int:
        """RETRYABLE jobs begin anew: PENDING, due now, without failures, to expire as long from now as at first.

        Of jobs with the same key one is taken, and none while an unfinished job has it. Answers how many moved.
        """

    async def cancel(self, wanted: JobFilter) -> int:
        """CANCELLABLE jobs end as CANCELLED; answers how many. An attempt under way has lost its lease with that:
        it is cancelled at its next heartbeat, and whatever it still writes is refused."""
