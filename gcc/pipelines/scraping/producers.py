"""Where jobs come from: the first crawl, the daily refresh of stale profiles, and a request that waits.

All enqueue ordinary jobs; they differ in key and priority.
"""

import uuid
from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import trio

from gcc import statements
from gcc.channels.jobs import FINAL, URGENT, Jobs, JobStatus, NewJob
from gcc.channels.memory import Signal
from gcc.errors import ConfigError, Transient
from gcc.pipelines.events.history import HistoryImport, ImportReport
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.refresh import Outcome, Refreshed
from gcc.pipelines.scraping.table import REFRESHING, refresh_key
from gcc.platforms import Platform
from gcc.sources.precedence import Precedence
from gcc.stores import profiles_read
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import one_line

HISTORY = statements.load("history")
JOBS = statements.load("jobs")
BATCH = 500
FIRST_CRAWL_PRIORITY = 0
STALE_PRIORITY = 10
ON_DEMAND_PRIORITY = URGENT
ON_DEMAND_TTL_S = 60.0  # nobody waits longer for an answer
POLL_S = 0.5  # fallback when the NOTIFY of a job's end was missed
UNCLAIMED_S = 1.0  # a job that is due is taken within milliseconds, where there is room
AWAY = ("SOURCE_CLOSED", "NO_CREDENTIAL", "LIMITS_AWAY")
"""Codes of attempts that ended before anything was asked, since nothing could be."""
FAILURES_MAX = 2  # of a job that somebody waits for
NOT_TAKEN = "nobody has begun it: all scrapers are busy or paused"
NOBODY = "no process with the role scraper runs"
NOBODY_S = 10.0  # when to ask again: whoever starts one is heard of within seconds

log = structlog.get_logger()


Flows = Mapping[str, Flow]
"""What refreshes profiles, by the platform's name."""


async def enqueue_first_crawl(pool: Pool, jobs: Jobs, flows: Flows = REFRESHING) -> int:
    """A job for every followed profile that never had one, as `first_crawl_at` tells; again adds only what lacks."""
    enqueued = 0
    await _tell_of_others(pool, flows)
    while rows := await _followed(pool, flows, "never_crawled", BATCH):
        await jobs.enqueue(
            [
                NewJob(
                    flows[platform].name,
                    platform,
                    {"handle": _platform(flows[platform]).asked_as(profile_id, handle)},
                    key=f"first:{platform}:{profile_id}",
                    priority=FIRST_CRAWL_PRIORITY,
                    first_crawl_of=profile_id,
                )
                for platform, profile_id, handle in rows
            ]
        )
        enqueued += len(rows)
    return enqueued


async def enqueue_by_handle(jobs: Jobs, handles: Collection[tuple[str, str]], flows: Flows = REFRESHING) -> None:
    """A job for each (platform, handle) of whom nothing else is known: its crawl has them followed."""
    wanted = [_refresh(flows[platform], handle, FIRST_CRAWL_PRIORITY) for platform, handle in handles]
    new = list({job.key: job for job in wanted}.values())
    for begin in range(0, len(new), BATCH):
        await jobs.enqueue(new[begin : begin + BATCH])


async def import_and_crawl(
    history: HistoryImport,
    pool: Pool,
    jobs: Jobs,
    flows: Flows,
    name: str,
    chunks: AsyncIterable[bytes],
    form: Form,
    dry_run: bool,
) -> ImportReport:
    """Import a file, and crawl for the first time whom it brought. Transient: part of it may be in."""
    report = await history.run(
        name, chunks, form, follow=partial(enqueue_by_handle, jobs, flows=flows), dry_run=dry_run
    )
    if not dry_run:
        try:
            await enqueue_first_crawl(pool, jobs, flows)
        except Transient as error:
            raise Transient(f"{error}; the file is in, run it again to have its profiles crawled") from error
    return report


async def _tell_of_others(pool: Pool, flows: Flows) -> None:
    """Somebody else may have written any platform or name into the list: once a run, it is told what is passed over."""
    for platform, profiles, first in await _followed(pool, flows, "not_ours", BATCH):
        log.warning(
            "followed profiles are passed over: remove them from tracked_profile",
            why="the platform is none of " + ", ".join(flows) + ", or a name has more than 1000 bytes",
            platform=one_line(platform),
            profiles=profiles,
            first=one_line(first),
        )


async def _followed(pool: Pool, flows: Flows, statement: str, limit: int, **arguments: float) -> list[tuple[Any, ...]]:
    filled = HISTORY[statement].replace("{ours}", HISTORY["ours"]).replace("{limit}", str(limit))
    filled = filled.replace("{accounts}", profiles_read.accounts(map(_platform, flows.values())))
    return await _rows(pool, filled, {"platforms": list(flows), **arguments})


def _platform(flow: Flow) -> Platform:
    assert flow.refreshes is not None, "producers are given flows that refresh profiles"
    return flow.refreshes


def _refresh(flow: Flow, handle: str, priority: int, **changes: Any) -> NewJob:
    key = refresh_key(_platform(flow), handle)
    return NewJob(flow.name, flow.platform, {"handle": handle}, key=key, priority=priority, **changes)


class StaleProfiles:
    """The daily producer: every followed profile whose state is older than `stale_s` gets a refresh."""

    def __init__(
        self, pool: Pool, jobs: Jobs, *, stale_s: float, per_run_max: int = 500_000, flows: Flows = REFRESHING
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._flows = flows
        self._stale_s = stale_s
        self._per_run_max = per_run_max

    async def __call__(self) -> dict[str, Any]:
        await _tell_of_others(self._pool, self._flows)
        rows = await _followed(self._pool, self._flows, "stale_profiles", self._per_run_max, stale_s=self._stale_s)
        inserted = 0
        for begin in range(0, len(rows), BATCH):
            wanted = [
                _refresh(flow, _platform(flow).asked_as(profile_id, handle), STALE_PRIORITY)
                for flow, profile_id, handle in ((self._flows[row[0]], *row[1:]) for row in rows[begin : begin + BATCH])
            ]
            jobs = {job.key: job for job in wanted}
            inserted += sum(job.inserted for job in await self._jobs.enqueue(list(jobs.values())))
        return {"stale": len(rows), "enqueued": inserted}


class OnDemand:
    """Scrapes a profile within a request: a job of high priority that shares all limits, awaited.

    See `gcc.pipelines.scraping.refresh.Refresher`. Requests for the same profile share one job.
    """

    def __init__(
        self,
        pool: Pool,
        jobs: Jobs,
        closing: Stage,
        flows: Flows = REFRESHING,
        *,
        scraped: Callable[[], bool] = lambda: True,
        precedence: Precedence | None = None,
    ) -> None:
        """`closing` is the stage at which ports close: who still waits then is answered, not cut off.

        `scraped()`: whether any process may take jobs, as far as this one knows.
        """
        self._pool = pool
        self._jobs = jobs
        self._closing = closing
        self._flows = flows
        self._scraped = scraped
        self._precedence = precedence or Precedence()
        self._waiting: dict[uuid.UUID, list[Signal]] = defaultdict(list)

    def job_done(self, payload: str) -> None:
        """A job ended (NOTIFY gcc_job_done); '' means that some may have."""
        for job_id in list(self._waiting):
            if payload in ("", str(job_id)):
                for signal in self._waiting[job_id]:
                    signal.set()

    async def refresh(
        self, platform: str, handle: str, *, wait_s: float, begun: Callable[[uuid.UUID], None] = lambda job_id: None
    ) -> Refreshed:
        """Wait until the profile's refresh ended, at most `wait_s`. Cancelled: the job goes on without us."""
        flow = self._flows.get(platform)
        if flow is None:
            raise ConfigError(f"platform {platform!r} has no refresh flow")
        job = _refresh(flow, handle, ON_DEMAND_PRIORITY, ttl_s=ON_DEMAND_TTL_S, awaited=True)
        async with self._precedence.step(job.priority):
            (enqueued,) = await self._jobs.enqueue([job])
        begun(enqueued.id)
        with trio.move_on_after(wait_s) as patience:
            if ended := await take_until(self._closing, lambda: self._ended(enqueued.id, patience.deadline)):
                return ended
        awaited = await self._look(enqueued.id)
        return awaited.why_not(0.0) or awaited.why_not_yet(self._scraped())

    async def _ended(self, job_id: uuid.UUID, deadline: float) -> Refreshed:
        """How it ended, or why it will not before the deadline, as soon as that is known."""
        signal = Signal()
        self._waiting[job_id].append(signal)
        unclaimed_at = trio.current_time() + UNCLAIMED_S
        try:
            while True:
                awaited = await self._look(job_id)
                if known := awaited.answer() or awaited.why_not(deadline - trio.current_time()):
                    return known
                if awaited.is_due and trio.current_time() >= unclaimed_at and not self._scraped():
                    return awaited.why_not_yet(False)
                await signal.wait(POLL_S)
        finally:
            self._waiting[job_id].remove(signal)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _look(self, job_id: uuid.UUID) -> "Awaited":
        """As it is now; a job that somebody removed has ended."""
        async with self._precedence.step(ON_DEMAND_PRIORITY):
            rows = await _rows(self._pool, JOBS["status"], {"id": job_id})
        if not rows:
            return Awaited(JobStatus.CANCELLED, "GONE", "its job was removed", 0.0, 0)
        ((status, data, due_in_s, failures),) = rows
        told = data if isinstance(data, dict) else {}
        return Awaited(JobStatus(status), str(told.get("code", "")), str(told.get("reason", "")), due_in_s, failures)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A job that a request waits for, as it is now; `code` and `reason` are those of its last attempt."""

    status: JobStatus
    code: str
    reason: str
    due_in_s: float
    failures: int

    @property
    def is_due(self) -> bool:
        """It waits for nothing but somebody who takes it."""
        return self.status is JobStatus.PENDING and self.due_in_s <= 0

    def answer(self) -> Refreshed | None:
        """What it ended with; None: it has not ended."""
        match self.status, self.code:
            case JobStatus.COMPLETE, _:
                return Refreshed("COMPLETE", "")
            case JobStatus.EXPIRED, _:
                return Refreshed("TIMEOUT", NOT_TAKEN)
            case status, _ if status not in FINAL:
                return None
            case _, "PROFILE_NOT_FOUND":
                return Refreshed("NOT_FOUND", self.reason)
            case _, "NOT_VISIBLE":
                return Refreshed("NOT_VISIBLE", self.reason)
            case _, "INVALID_HANDLE" | "INVALID_PARAMS":
                return Refreshed("INVALID", self.reason)
        return Refreshed("FAILED", self.reason)

    def why_not(self, left_s: float) -> Refreshed | None:
        """Why its last attempt found out that it will not end in time; None: it did not.

        A source that is away may be back in a moment, but whoever asks is told at once; one that failed is given
        another try.
        """
        if self.status is not JobStatus.PENDING or self.due_in_s <= 0 or not self.code:
            return None
        if self.due_in_s <= left_s and self.code not in AWAY and self.failures < FAILURES_MAX:
            return None
        outcome: Outcome = "LIMITED" if self.code == "LIMITED" else "FAILED"
        reason = "the store of our limits does not answer" if self.code == "LIMITS_AWAY" else self.reason
        return Refreshed(outcome, reason, max(1.0, self.due_in_s))

    def why_not_yet(self, scraped: bool) -> Refreshed:
        """It neither ended nor told anything."""
        if self.status is not JobStatus.PENDING:
            return Refreshed("TIMEOUT", "it did not answer in time; it may do so later")
        return Refreshed("TIMEOUT", NOT_TAKEN) if scraped else Refreshed("FAILED", NOBODY, NOBODY_S)


async def _rows(pool: Pool, statement: str, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(statement, arguments)).fetchall()
