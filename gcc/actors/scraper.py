"""Works off the jobs of one flow: claim in batches, scrape side by side, commit each with its events.

In: due jobs of the flow. Out: one transaction a job (state, events, completion), or its failure with the
traces of what was tried. A refused or failed source costs this job a retry, a limit of ours costs
nothing; a lost store is waited for. Anything else that its work or its commit raises is a bug, and this
job's failure (code BUG), tried again like others; where not even that can be written, the lease ends by itself.
At drain claiming stops, jobs claimed but not begun go back to PENDING, the rest is finished. A pause does the
same until it ends. How many jobs run at once may change at any time; those in hand are finished all the same.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from gcc.actors import bugs
from gcc.actors.controls import CONCURRENCY_MAX
from gcc.actors.gates import ALWAYS_OPEN, Gate, Level
from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.channels.jobs import Crawl, Failure, Job, Jobs
from gcc.channels.memory import Channels, ChannelUse, Signal
from gcc.channels.message import Frame
from gcc.errors import LeaseLost, Transient
from gcc.metrics import Metrics
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State


@dataclass(frozen=True, slots=True)
class Deferred:
    """A limit or the want of a credential stood in the way: the slot is given back for `after_s`, at no cost."""

    after_s: float
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


class Scraper:
    def __init__(
        self,
        flow: str,
        jobs: Jobs,
        work: Work,
        *,
        retries: Retries,
        concurrency: Level | int,
        leases: Leases,
        channels: Channels,
        actor: Actor,
        intake: Stage,
        finishing: Stage,
        metrics: Metrics,
        rng: random.Random,
        poll_s: float,
        gate: Gate = ALWAYS_OPEN,
        askable: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        stuck_after_s: float = 600.0,
    ) -> None:
        """`retries`: of jobs that met a bug. `concurrency`: how many jobs run at once; a number stays what it is.
        `gate` closed is a pause. `askable()` returns when work is worth taking: the outside is there.
        `stuck_after_s`: see `Actor.watched`; it is stuck when there are jobs and none ends, nor fails to."""
        self._flow = flow
        self._jobs = jobs
        self._work = work
        self._retries = retries
        self._level = concurrency if isinstance(concurrency, Level) else Level(concurrency)
        self._leases = leases
        self._channels = channels
        self._actor = actor
        self._intake = intake
        self._finishing = finishing
        self._metrics = metrics
        self._rng = rng
        self._poll_s = poll_s
        self._gate = gate
        self._askable = askable
        self._stuck_after_s = stuck_after_s
        self._room_made = Signal()
        self._attempting = 0  # tasks that work off jobs, the idle ones too
        self._idle: dict[trio.CancelScope, None] = {}  # in the order of coming: a seed replays it

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the intake stage has begun and the jobs in hand are finished."""
        name = f"jobs {self._flow}"
        send, receive = self._channels.open(name, CONCURRENCY_MAX)
        self._channels.watch(
            name, lambda: ChannelUse(name, receive.statistics().current_buffer_used, self._level.value)
        )

        def work_waits() -> bool:
            return self._actor.in_flight > 0 or receive.statistics().current_buffer_used > 0

        with self._finishing.member(self._actor.name), self._actor.watched(work_waits, self._stuck_after_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_in, send, receive, nursery)
                self._actor.state = State.RUNNING
                task_status.started()
        self._actor.state = State.FINISHED

    async def _take_in(
        self, send: trio.MemorySendChannel[Job], jobs_in: trio.MemoryReceiveChannel[Job], attempts: trio.Nursery
    ) -> None:
        """Claim jobs, with as many attempts to work them off as the level says."""
        with send, jobs_in, self._intake.member(self._actor.name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_level, jobs_in, attempts)
                await self._claim(send, jobs_in)
                nursery.cancel_scope.cancel()

    async def _follow_level(self, jobs_in: trio.MemoryReceiveChannel[Job], attempts: trio.Nursery) -> None:
        """More: further attempts begin. Less: idle ones end now, others after the job in hand."""
        while True:
            changed = self._level.changed
            for _ in range(self._level.value - self._attempting):
                self._attempting += 1
                attempts.start_soon(self._attempts, jobs_in.clone())
            for waiting in self._idle:
                waiting.cancel()
            self._room_made.set()
            await changed.wait()

    async def _claim(self, send: trio.MemorySendChannel[Job], unbegun: trio.MemoryReceiveChannel[Job]) -> None:
        """Keep the channel filled; at drain, and for a pause, empty it back into the store."""
        patience = Patience(self._actor, self._rng)
        while not self._intake.begun.is_set():
            await self._give_back(unbegun, keep=self._level.value if self._gate.is_open else 0)
            await self._gate.passed(self._intake, self._actor)
            await self._wait(self._askable)
            if self._intake.begun.is_set() or not self._gate.is_open:
                continue
            # The channel holds at most as many jobs as can run at once, so leases do not age in a queue.
            room = self._level.value - send.statistics().current_buffer_used
            if room <= 0:
                await self._wait(self._room_made.wait)
                continue
            try:
                jobs = await self._jobs.claim(self._flow, room)  # a moment: a drain does not cut it short
            except Transient as error:
                await self._wait(partial(patience.wait_after, error))
                continue
            patience.reset()
            self._leases.keep(jobs)
            for job in jobs:
                send.send_nowait(job)  # a checkpoint here could lose sight of them
            if not jobs:
                await self._wait(partial(self._jobs.wait, self._flow, self._poll_s))
        await self._give_back(unbegun, keep=0)

    async def _wait(self, wait: Callable[[], Awaitable[object]]) -> None:
        """Until `wait()` returns, the drain begins or a pause."""
        await take_until(self._intake, lambda: self._gate.while_open(wait))

    async def _give_back(self, unbegun: trio.MemoryReceiveChannel[Job], *, keep: int) -> None:
        jobs: list[Job] = []
        while unbegun.statistics().current_buffer_used > keep:
            jobs.append(unbegun.receive_nowait())
        if jobs:
            self._leases.drop(jobs)
            try:
                await self._jobs.release(jobs)
            except Transient as error:  # their leases end by themselves
                self._actor.erred(error)

    async def _attempts(self, jobs_in: trio.MemoryReceiveChannel[Job]) -> None:
        with jobs_in:
            while job := await self._next(jobs_in):
                self._room_made.set()
                self._actor.in_flight += 1
                try:
                    with bugs.contained(self._actor, flow=self._flow, job=str(job.id)), self._leases.hold(job):
                        await self._attempt(job)
                finally:
                    self._actor.in_flight -= 1
            self._attempting -= 1

    async def _next(self, jobs_in: trio.MemoryReceiveChannel[Job]) -> Job | None:
        """The next job; None when there will be none, or more attempts are there than the level allows."""
        while self._attempting <= self._level.value:
            with trio.CancelScope() as waiting:
                self._idle[waiting] = None
                try:
                    return await jobs_in.receive()
                except trio.EndOfChannel:
                    return None
                finally:
                    del self._idle[waiting]
        return None

    async def _attempt(self, job: Job) -> None:
        try:
            await self._settle(job, await self._work(job))
        except Exception as error:
            reason = bugs.told(self._actor, error, flow=self._flow, job=str(job.id))
            after_s = self._retries.after_s(job, self._rng)
            await self._settle(job, Failure(bugs.CODE, reason, after_s, traceback=bugs.traceback_of(error)))

    async def _settle(self, job: Job, result: Crawl | Failure | Deferred) -> None:
        """Commit what came of it; a store that is away is waited for with the answer in hand."""
        patience = Patience(self._actor, self._rng)
        try:
            while True:
                try:
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
                await self._jobs.release([job], after_s=result.after_s, frames=result.frames)
                self._actor.beat()

    def _ended(self, state: str) -> None:
        self._actor.processed()
        self._metrics.jobs.labels(self._flow, state).inc()
