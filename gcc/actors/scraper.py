"""Works off the jobs of one flow: claim in batches, scrape side by side, commit each with its events.

In: due jobs of the flow. Out: one transaction a job (state, events, completion), or its failure with the
traces of what was tried. A refused or failed source costs this job a retry, a limit of ours costs
nothing; a lost store is waited for. A job that raises anything else is a bug: the pipeline restarts, and
the lease brings the job back.
At drain claiming stops, jobs claimed but not begun go back to PENDING, the rest is finished.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.channels.memory import Channels, Signal
from gcc.channels.message import Frame
from gcc.errors import LeaseLost, Transient
from gcc.metrics import Metrics
from gcc.stores.jobs import Crawl, Failure, Job, Jobs
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State


@dataclass(frozen=True, slots=True)
class Deferred:
    """A limit or the want of a credential stood in the way: the slot is given back for `after_s`, at no cost."""

    after_s: float
    frames: Sequence[Frame] = ()  # traces of what was tried before


Work = Callable[[Job], Awaitable[Crawl | Failure | Deferred]]
"""Scrapes one job. Expected troubles are values; an exception is a bug."""


class Scraper:
    def __init__(
        self,
        flow: str,
        jobs: Jobs,
        work: Work,
        *,
        concurrency: int,
        leases: Leases,
        channels: Channels,
        actor: Actor,
        intake: Stage,
        finishing: Stage,
        metrics: Metrics,
        rng: random.Random,
        poll_s: float,
    ) -> None:
        self._flow = flow
        self._jobs = jobs
        self._work = work
        self._concurrency = concurrency
        self._leases = leases
        self._channels = channels
        self._actor = actor
        self._intake = intake
        self._finishing = finishing
        self._metrics = metrics
        self._rng = rng
        self._poll_s = poll_s
        self._room_made = Signal()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the intake stage has begun and the jobs in hand are finished."""
        send, receive = self._channels.open(f"jobs {self._flow}", self._concurrency)
        with self._finishing.member(self._actor.name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._claim, send, receive.clone())
                for _ in range(self._concurrency):
                    nursery.start_soon(self._attempts, receive.clone())
                receive.close()
                self._actor.state = State.RUNNING
                task_status.started()
        self._actor.state = State.FINISHED

    async def _claim(self, send: trio.MemorySendChannel[Job], unbegun: trio.MemoryReceiveChannel[Job]) -> None:
        """Keep the channel filled; at drain empty it back into the store."""
        patience = Patience(self._actor, self._rng)

        async def claim() -> list[Job]:
            # The channel holds at most as many jobs as can run at once, so leases do not age in a queue.
            while not (room := self._concurrency - send.statistics().current_buffer_used):
                await self._room_made.wait()
            jobs = await self._jobs.claim(self._flow, room)
            if not jobs:
                await self._jobs.wait(self._flow, self._poll_s)
            return jobs

        with send, unbegun, self._intake.member(self._actor.name):
            while not self._intake.begun.is_set():
                try:
                    jobs = await take_until(self._intake, claim)
                except Transient as error:
                    await take_until(self._intake, lambda error=error: patience.wait_after(error))  # type: ignore[misc]
                    continue
                patience.reset()
                for job in jobs or ():
                    await send.send(job)
            await self._release_unbegun(unbegun)

    async def _release_unbegun(self, unbegun: trio.MemoryReceiveChannel[Job]) -> None:
        jobs: list[Job] = []
        while True:
            try:
                jobs.append(unbegun.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        try:
            await self._jobs.release(jobs)
        except Transient as error:  # their leases end by themselves
            self._actor.erred(error)

    async def _attempts(self, jobs_in: trio.MemoryReceiveChannel[Job]) -> None:
        with jobs_in:
            async for job in jobs_in:
                self._room_made.set()
                self._actor.in_flight += 1
                try:
                    with self._leases.hold(job):
                        await self._attempt(job)
                finally:
                    self._actor.in_flight -= 1

    async def _attempt(self, job: Job) -> None:
        result = await self._work(job)
        patience = Patience(self._actor, self._rng)
        while True:
            try:
                await self._commit(job, result)
                return
            except LeaseLost:
                return
            except Transient as error:  # the answer is in hand: keep trying while the lease is ours
                await patience.wait_after(error)

    async def _commit(self, job: Job, result: Crawl | Failure | Deferred) -> None:
        match result:
            case Crawl():
                await self._jobs.complete(job, result)
                self._ended("COMPLETE")
            case Failure():
                await self._jobs.fail(job, result)
                self._actor.erred(f"{result.code}: {result.reason}")
                self._ended("FAILED" if result.retry_after_s is None else "RETRY")
            case Deferred():
                await self._jobs.release([job], after_s=result.after_s, frames=result.frames)

    def _ended(self, state: str) -> None:
        self._actor.processed()
        self._metrics.jobs.labels(self._flow, state).inc()
