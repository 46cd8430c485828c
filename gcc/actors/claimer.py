"""Claims the jobs of all flows of a process: one statement asks for as many as each flow has room for.

In: due jobs. Out: attempts, begun by the flows' scrapers. A flow that has no room is not asked for, and one that had
nothing is not asked for again before somebody enqueues, or `poll_s` are over: any number of idle flows cost one wait,
and one statement each `poll_s`. Each flow is given no more than its own room, so a flow with a million jobs takes
nothing from one with three.

A flow whose sources are all out (see gcc/sources/breakers.py) is asked for urgent jobs alone, those that somebody waits
for: an attempt of one ends at once, and leaves with the job why. Its others stay as they are, at no cost, until the
first of the sources may be asked; then one goes ahead (see `Scraper.room`).

A store that is away is waited for. At drain claiming stops; what a claim brought too late, or for a flow that was
paused meanwhile, goes back.
"""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import trio

from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.actors.scraper import Scraper
from gcc.channels.jobs import CLAIM_MAX, Job, Jobs, Room
from gcc.channels.memory import Signal
from gcc.errors import Transient
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State


class Claimer:
    def __init__(
        self,
        jobs: Jobs,
        leases: Leases[Job],
        *,
        actor: Actor,
        intake: Stage,
        rng: random.Random,
        poll_s: float,
        sources_changed: Callable[[], Awaitable[None]] = trio.sleep_forever,
    ) -> None:
        """`sources_changed()` returns when the work of another flow may be worth taking."""
        self._jobs = jobs
        self._leases = leases
        self._actor = actor
        self._intake = intake
        self._rng = rng
        self._poll_s = poll_s
        self._sources_changed = sources_changed
        self._scrapers: dict[str, Scraper] = {}
        self._news = Signal()
        self._looks = 0  # how often it was time to ask for what had nothing
        self._empty: dict[str, tuple[int, int]] = {}  # flow -> the look that found nothing, the least priority of it

    @contextmanager
    def serving(self, scraper: Scraper) -> Iterator[None]:
        """Claim for this flow, as long as the block runs."""
        self._scrapers[scraper.flow] = scraper
        self._news.set()
        try:
            yield
        finally:
            del self._scrapers[scraper.flow]

    def room_made(self) -> None:
        """A flow may have more room than before, or less."""
        self._news.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the intake stage has begun. Cancelled: leases that a claim has just brought end by themselves."""
        with self._intake.member(self._actor.name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look_again)
                nursery.start_soon(self._follow_sources)
                self._actor.state = State.RUNNING
                task_status.started()
                await self._claim()
                nursery.cancel_scope.cancel()
        self._actor.state = State.FINISHED

    async def _look_again(self) -> None:
        while True:
            await self._jobs.wait(self._poll_s)
            self._looks += 1
            self._news.set()

    async def _follow_sources(self) -> None:
        while True:
            await self._sources_changed()
            self._news.set()

    async def _claim(self) -> None:
        patience = Patience(self._actor, self._rng)
        while not self._intake.begun.is_set():
            rooms = self._rooms()
            if not rooms or self._intake.begun.is_set():
                await take_until(self._intake, partial(self._news.wait, self._until_a_source_is_back_s()))
                continue
            look = self._looks  # what is told while the claim is on its way may be of jobs that it does not see
            try:
                jobs = await self._jobs.claim(rooms)  # a moment: a drain does not cut it short
            except Transient as error:
                await take_until(self._intake, partial(patience.wait_after, error))
                continue
            patience.reset()
            self._leases.keep(jobs)
            for flow, room in rooms.items():
                if sum(job.flow == flow for job in jobs) < min(room.jobs, CLAIM_MAX):
                    self._empty[flow] = (look, room.priority_min)
            self._actor.processed(len(jobs))
            await self._give_back([job for job in jobs if not self._begun(job)])

    def _rooms(self) -> dict[str, Room]:
        """Of the flows that are worth asking for."""
        rooms = {flow: scraper.room() for flow, scraper in self._scrapers.items()}
        return {flow: room for flow, room in rooms.items() if room.jobs > 0 and not self._had_nothing(flow, room)}

    def _had_nothing(self, flow: str, room: Room) -> bool:
        look, priority_min = self._empty.get(flow, (-1, 0))
        return look == self._looks and priority_min <= room.priority_min

    def _until_a_source_is_back_s(self) -> float | None:
        outs = [out for scraper in self._scrapers.values() if (out := scraper.out())]
        return max(0.0, min(out.until for out in outs) - trio.current_time()) if outs else None  # it goes on meanwhile

    def _begun(self, job: Job) -> bool:
        scraper = self._scrapers.get(job.flow)
        return scraper is not None and scraper.begin(job)

    async def _give_back(self, jobs: Sequence[Job]) -> None:
        if jobs:
            self._leases.drop(jobs)
            try:
                await self._jobs.release(jobs)
            except Transient as error:  # their leases end by themselves
                self._actor.erred(error)
