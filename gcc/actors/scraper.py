"""Works off the jobs of one flow: an attempt for each that is claimed, side by side, each committed with its events.

In: jobs, from the process's claimer, as many as there are slots free. Out: of each its state, events
and completion in one transaction, or its failure with the traces of what was tried. A refused or failed source costs
this job a retry, a limit of ours costs nothing; a lost store is waited for. Anything else that its work or its commit
raises is a bug, and this job's failure (code BUG), tried again like others; where not even that can be written, the
lease ends by itself.
At drain, and for a pause, nothing more begins, and what has begun is finished. How many jobs run at once may change at
any time; those in hand are finished all the same.
"""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate, Level
from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.channels.jobs import URGENT, Crawl, Failure, Job, Jobs, Room
from gcc.channels.memory import Channels, ChannelUse
from gcc.channels.message import Frame
from gcc.errors import LeaseLost, Transient
from gcc.metrics import Metrics
from gcc.sources.breakers import Out
from gcc.sources.precedence import Precedence
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Actor, State

BEYOND = 4  # more would be more than a source lets through in the time that a person waits


@dataclass(frozen=True, slots=True)
class Deferred:
    """A source that is away, a limit or the want of a credential stood in the way: the job waits `after_s`, at no cost.

    `code` and `reason` stay with it, for who waits for it.
    """

    after_s: float
    code: str
    reason: str
    frames: Sequence[Frame] = ()  # traces of what was tried before


Work = Callable[[Job], Awaitable[Crawl | Failure | Deferred]]
"""Scrapes one job. Expected troubles are values; an exception is a bug."""


@dataclass(frozen=True, slots=True)
class Retries:
    """When a job that failed is tried again: after growing delays, `attempts_max` times in all."""

    attempts_max: int
    backoff: Backoff

    def after_s(self, job: Job, rng: random.Random) -> float | None:
        """How long after this failure; None when it was the last attempt."""
        failures = job.retry_count + 1
        return None if failures >= self.attempts_max else self.backoff.delay_s(failures, rng)


class Claims(Protocol):
    """What a scraper knows of its claimer; see gcc/actors/claimer.py."""

    def serving(self, scraper: "Scraper") -> AbstractContextManager[None]: ...

    def room_made(self) -> None: ...


class Scraper:
    def __init__(
        self,
        flow: str,
        jobs: Jobs,
        work: Work,
        claimer: Claims,
        *,
        retries: Retries,
        concurrency: Level | int,
        leases: Leases[Job],
        channels: Channels,
        actor: Actor,
        intake: Stage,
        finishing: Stage,
        metrics: Metrics,
        rng: random.Random,
        gate: Gate = ALWAYS_OPEN,
        precedence: Precedence | None = None,
        out: Callable[[], Out | None] = lambda: None,
        stuck_after_s: float = 600.0,
    ) -> None:
        """`retries`: of jobs that met a bug. `concurrency`: how many jobs run at once; a number stays what it is.
        `gate` closed is a pause. `out()`: why none of the flow's sources may be asked now, and until when.
        `stuck_after_s`: see `Actor.watched`; it is stuck when there are jobs and none ends, nor fails to."""
        self.flow = flow
        self.out = out
        self._jobs = jobs
        self._work = work
        self._claimer = claimer
        self._retries = retries
        self._level = concurrency if isinstance(concurrency, Level) else Level(concurrency)
        self._leases = leases
        self._channels = channels
        self._actor = actor
        self._intake = intake
        self._finishing = finishing
        self._metrics = metrics
        self._rng = rng
        self._precedence = precedence or Precedence()
        self._gate = gate
        self._stuck_after_s = stuck_after_s
        self._attempts: trio.Nursery | None = None
        self._careful = math.inf  # so many at once, however many the level says: after its sources were out

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the intake stage has begun and the jobs in hand are finished."""
        self._channels.watch(f"slots {self.flow}", self._use)
        with self._finishing.member(self._actor.name), self._actor.watched(self._has_work, self._stuck_after_s):
            async with trio.open_nursery() as self._attempts, trio.open_nursery() as following:
                following.start_soon(self._follow, self._gate)
                following.start_soon(self._follow, self._level)
                with self._claimer.serving(self):
                    self._actor.state = State.RUNNING
                    self._show()
                    task_status.started()
                    await self._intake.begun.wait()
                following.cancel_scope.cancel()
        self._actor.state = State.FINISHED

    async def _follow(self, what: Gate | Level) -> None:
        while True:
            await what.changed.wait()
            self._show()
            self._claimer.room_made()

    def _use(self) -> ChannelUse:
        """Slots beyond the level vanish when their jobs end."""
        in_flight = self._actor.in_flight
        return ChannelUse(f"slots {self.flow}", in_flight, max(self._level.value, in_flight), self._actor.name)

    def _has_work(self) -> bool:
        return self._actor.in_flight > 0

    def room(self) -> Room:
        """What may be claimed now. After the sources were out one job goes ahead; with each that ends one more does,
        so that whether they are back, and how much of them, is found out at the cost of a few. Where all slots are
        taken, or nothing else is to go ahead, there is still room for jobs that somebody waits for."""
        out, free = self._show(), self._level.value - self._actor.in_flight
        if not self._gate.is_open:
            return Room(0)
        if out:
            self._careful = 1
        elif (batch := int(min(free, self._careful - self._actor.in_flight))) > 0:
            return Room(batch)
        return Room(max(0, free + self._beyond), URGENT)

    @property
    def _beyond(self) -> int:
        """Slots beyond the level, for urgent jobs alone; none where the level tells to begin nothing."""
        return BEYOND if self._level.value else 0

    def begin(self, job: Job) -> bool:
        """Begin the attempt of a job just claimed. False: there is no room for it any more."""
        free = self._level.value - self._actor.in_flight + (self._beyond if job.priority >= URGENT else 0)
        if self._attempts is None or self._intake.begun.is_set() or not self._gate.is_open or free <= 0:
            return False
        self._actor.in_flight += 1
        self._attempts.start_soon(self._begun, job)
        return True

    def _show(self) -> Out | None:
        """On the board, unless there is something else to tell. Answers what `out()` does."""
        out = self.out()
        if self._actor.state in (State.RUNNING, State.WAITING, State.PAUSED):
            waits = State.WAITING if out else State.RUNNING
            self._actor.state = waits if self._gate.is_open else State.PAUSED
        return out

    async def _begun(self, job: Job) -> None:
        try:
            with bugs.contained(self._actor, flow=self.flow, job=str(job.id)), self._leases.hold(job):
                await self._attempt(job)
        finally:
            self._actor.in_flight -= 1
            self._claimer.room_made()

    async def _attempt(self, job: Job) -> None:
        try:
            await self._settle(job, await self._work(job))
        except Exception as error:
            reason = bugs.told(self._actor, error, flow=self.flow, job=str(job.id))
            after_s = self._retries.after_s(job, self._rng)
            await self._settle(job, Failure(bugs.CODE, reason, after_s, traceback=bugs.traceback_of(error)))

    async def _settle(self, job: Job, result: Crawl | Failure | Deferred) -> None:
        """Commit what came of it; a store that is away is waited for with the answer in hand."""
        patience = Patience(self._actor, self._rng)
        try:
            while True:
                try:
                    async with self._precedence.step(job.priority):
                        await self._commit(job, result)
                    return
                except LeaseLost:
                    return
                except Transient as error:  # keep trying while the lease is ours
                    await patience.wait_after(error)
        finally:
            patience.reset()  # cut short by a lost lease, too

    async def _commit(self, job: Job, result: Crawl | Failure | Deferred) -> None:
        match result:
            case Crawl():
                await self._jobs.complete(job, result)
                self._ended("COMPLETE")
            case Failure():
                await self._jobs.fail(job, result)
                self._actor.erred(f"{job.subject}: {result.code}: {result.reason}", job=str(job.id))
                self._ended("FAILED" if result.retry_after_s is None else "RETRY")
            case Deferred():
                why = {"code": result.code, "reason": result.reason}
                await self._jobs.release([job], after_s=result.after_s, frames=result.frames, why=why)
                self._careful = 1
                self._actor.beat()

    def _ended(self, state: str) -> None:
        self._careful = self._careful + 1 if self._careful < self._level.value else math.inf
        self._actor.processed()
        self._metrics.jobs.labels(self.flow, state).inc()
