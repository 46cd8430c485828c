"""Jobs: their states, and the unit-of-work port that scrapers and producers speak.

A job is a row; an attempt is a term: every write says which attempt it belongs to, and a write of an
attempt that is over raises LeaseLost and changes nothing. One call is one transaction: a change of
status, the state that goes with it and the events that tell of it are committed together or not at all.
Losing the store is Transient.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from gcc.channels.message import Frame, Route
from gcc.sources.snapshot import ProfileSnapshot


class JobStatus(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED})
MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.PROCESSING, JobStatus.EXPIRED, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: frozenset({JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.PENDING}),
}
"""Every legal change of status; a final job never changes. sql/postgres/queries/jobs.sql obeys it."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. While one with the same `key` is unfinished, enqueueing again only makes it more urgent."""

    flow: str
    platform: str
    params: Mapping[str, Any]
    key: str | None = None
    priority: int = 0  # higher first
    ttl_s: float = 86_400.0  # PENDING longer than this: EXPIRED
    awaited: bool = False  # tell waiters (NOTIFY gcc_job_done) when it ends


@dataclass(frozen=True, slots=True)
class Enqueued:
    id: uuid.UUID
    inserted: bool  # False: an unfinished job with this key was there


@dataclass(frozen=True, slots=True)
class Job:
    """A row as of its last change. `attempt` is its term, `seq` counts its changes of status."""

    id: uuid.UUID
    flow: str
    platform: str
    params: Mapping[str, Any]
    priority: int
    attempt: int
    retry_count: int
    seq: int
    status: JobStatus
    created_at: dt.datetime
    picked_at: dt.datetime | None
    expires_at: dt.datetime
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Crawl:
    """What a successful attempt commits: current state, and frames of which `events` are counted (traces are not)."""

    source: str
    profile: ProfileSnapshot | None
    frames: Sequence[Frame]
    events: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: `code` for programs, `reason` for people; `retry_after_s` None ends the job."""

    code: str
    reason: str
    retry_after_s: float | None
    frames: Sequence[Frame] = ()  # traces of the failed attempt

    def as_data(self) -> dict[str, Any]:
        return {"code": self.code, "reason": self.reason}


StatusEvent = Callable[[Job, str | None], tuple[Route, bytes]]
"""Encodes the event of a job's new status (and its reason). Given by pipelines/events."""


class Jobs(Protocol):
    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Add jobs, in one transaction; answers in the order given."""

    async def claim(self, flow: str, limit: int) -> list[Job]:
        """Lease up to `limit` due jobs of `flow`, most urgent first, oldest first within a priority."""

    async def wait(self, flow: str, timeout_s: float) -> None:
        """Return when `flow` may have work: told by an enqueue, or `timeout_s` later."""

    async def complete(self, job: Job, crawl: Crawl) -> None:
        """Commit the attempt's state and events with COMPLETE. LeaseLost: nothing was written."""

    async def fail(self, job: Job, failure: Failure) -> None:
        """Commit the failure: PENDING again after `retry_after_s`, or FAILED. LeaseLost: nothing was written."""

    async def release(self, jobs: Sequence[Job], *, after_s: float = 0.0, frames: Sequence[Frame] = ()) -> None:
        """Back to PENDING at no cost, with `frames` of traces. Jobs that are not ours any more are left alone."""

    async def extend(self, jobs: Sequence[Job]) -> set[uuid.UUID]:
        """Prolong the leases; answers the ids that are still ours."""

    async def rescue(self) -> int:
        """Move jobs whose lease ended back to PENDING (or FAILED after too many); how many."""

    async def expire(self) -> int:
        """Move PENDING jobs past their expiry to EXPIRED; how many."""
