"""The scraping and events pipelines, for real, on fakes, under a virtual clock: one seed is one run.

Safety first: for FAULTS_S everything fails as the seed says (connections that break before or after a
commit, a slow or refusing store, 429, 500, silence and garbage from the outside, the process killed and
rebuilt on what its stores remember). Then all heals, and within HEAL_S everything must have ended.
Checkers look at every step (`watch`) and at the end (`verdict`).
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trio

from gcc.channels.memory import Channels, Signal
from gcc.channels.message import Frame
from gcc.clock import VirtualClock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.pipeline import EventsPipeline
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.pipelines.scraping.outside import apis
from gcc.pipelines.scraping.pipeline import ScrapingPipeline
from gcc.pipelines.scraping.table import REFRESH_FLOW
from gcc.sources.http import Request
from gcc.stores.jobs import FINAL, JobStatus, NewJob
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from gcc.supervisor.supervisor import Child, Supervisor
from gcc.world.creators import generate
from gcc.world.graph import GraphApi
from gcc.world.model import Cast
from gcc.world.youtube import DataApi
from tests.fakes.credentials import FakeCredentials
from tests.fakes.database import Database
from tests.fakes.event_store import FakeDeadLetters, FakeEventStore
from tests.fakes.exchange import FakeExchange
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.fakes.jobs import FakeJobs

FAULTS_S = 600.0
HEAL_S = 3600.0
GRACE_S = 60.0
STAGES = ("intake", "scrapers", "relay", "sinkers")
CREATORS = 12


@dataclass
class Mix:
    """How often what goes wrong, drawn from the seed: some runs have none of a kind, some have much."""

    break_before: float
    break_after: float
    store_fails: float
    source_fails: float
    kills: int

    @classmethod
    def draw(cls, rng: random.Random) -> "Mix":
        def share(most: float) -> float:
            return rng.choice([0.0, 0.25, 1.0]) * most

        return cls(share(0.05), share(0.05), share(0.3), share(0.5), rng.randint(1, 3))


@dataclass
class Outcome:
    """What a run came to: a trace of its steps, and what the checkers have against it."""

    trace: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    jobs: Counter[str] = field(default_factory=Counter)
    stored: int = 0


class Simulation:
    def __init__(self, rng: random.Random, *, jobs: int) -> None:
        self.rng = rng
        self.mix = Mix.draw(rng)
        self.clock = VirtualClock(rng.getrandbits(32))
        self.jobs_wanted = jobs
        self.faulty = True
        self.outcome = Outcome()
        self.database = Database(self.clock, before=self._before, after=self._after)
        self.store = FakeEventStore(
            {event_type.table for event_type in EVENT_TYPES}, before=self._store_before, after=self._store_after
        )
        self.credentials = FakeCredentials(self.clock)
        today = dt.date(2026, 1, 1)
        casts = {p: Cast(p, generate(p, 1, CREATORS), today) for p in ("INSTAGRAM", "YOUTUBE")}
        self.graph, self.youtube = GraphApi(casts["INSTAGRAM"]), DataApi(casts["YOUTUBE"])
        self.handles = [(p, creator.handle) for p, cast in casts.items() for creator, _ in cast.ranked]
        self.settings = Settings.model_validate(
            {"scraper": {"lease_s": 30, "attempts_max": 50}, "world": {"enabled": True}, "grace_s": GRACE_S}
        )

    # faults

    async def _before(self) -> None:
        await trio.sleep(self.rng.expovariate(200))
        if self._strikes(self.mix.break_before):
            raise Transient("simulated: the connection broke before the commit")

    async def _after(self) -> None:
        await trio.sleep(self.rng.expovariate(200))
        if self._strikes(self.mix.break_after):
            raise Transient("simulated: the connection broke after the commit")

    async def _store_before(self) -> None:
        await trio.sleep(self.rng.expovariate(10))
        if self._strikes(self.mix.store_fails):
            raise Transient("simulated: the store is away")

    async def _store_after(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._strikes(self.mix.store_fails / 2):
            raise Transient("simulated: the store did not answer")

    def _strikes(self, share: float) -> bool:
        return self.faulty and self.rng.random() < share

    def _outside(self, request: Request) -> Reply:
        delay_s = self.rng.expovariate(5)
        if self._strikes(self.mix.source_fails):
            kind = self.rng.choice(["429", "500", "silence", "lost", "garbage"])
            return {
                "429": Reply(429, b"{}", {"retry-after": "2"}, delay_s),
                "500": Reply(500, b"oops", {}, delay_s),
                "silence": Reply(delay_s=1e6),
                "lost": Reply(lost=True, delay_s=delay_s),
                "garbage": Reply(200, b"<html>", {}, delay_s),
            }[kind]
        path = urlsplit(request.url).path
        api, _, rest = path[1:].partition("/")
        found = (self.graph if api == "graph" else self.youtube).answer(f"/{rest}", dict(request.params))
        return Reply(found.status, found.body, {"content-type": found.content_type}, delay_s)

    # the run

    async def run(self) -> Outcome:
        for number in range(1, 4):
            await self.credentials.put("graphapi", f"g{number}", {"token": f"world-ig-{number}", "ig_user_id": "1"})
            await self.credentials.put("ytapi", f"y{number}", {"token": f"world-yt-{number}"})
        for life in range(self.mix.kills):
            await self._live(life, self.rng.uniform(1, FAULTS_S / self.mix.kills))
        self.faulty = False
        await self._live(self.mix.kills, None)
        self._verdict()
        return self.outcome

    async def _live(self, life: int, killed_after_s: float | None) -> None:
        """One process: killed after a while, or, healed, drained once nothing is left to do."""
        self._say(f"life {life} begins")
        drain = Drain(STAGES, GRACE_S)
        with trio.move_on_after(HEAL_S if killed_after_s is None else killed_after_s):
            async with trio.open_nursery() as nursery:
                self.database.before, self.database.after = self._before, self._after
                jobs = await nursery.start(self._start, drain)
                nursery.start_soon(self._work, jobs, life)
                if killed_after_s is None:
                    await self._until_idle()
                    drain.request("nothing is left")
                    reports = await drain.run()
                    if any(report.left_behind for report in reports):
                        self.outcome.complaints.append(f"drain left {reports}")
                    nursery.cancel_scope.cancel()
                else:
                    await trio.sleep_forever()
        if killed_after_s is None and not drain.draining:
            self.outcome.complaints.append(f"not idle {HEAL_S:g} virtual seconds after healing")

    async def _start(self, drain: Drain, *, task_status: trio.TaskStatus[FakeJobs]) -> None:
        """The tree of one process, as tree.py wires it."""
        board, channels, metrics, written = Board(self.clock.now), Channels(), Metrics(), Signal()
        jobs = FakeJobs(
            self.database, StatusEvents(self.clock), lease_s=30, attempts_max=10_000, outbox_written=written
        )
        exchange = FakeExchange(self.database, written)
        outside = apis(
            self.settings, fetcher=FakeFetcher(self._outside), credentials=self.credentials, clock=self.clock,
            metrics=metrics, intake=drain.stage("intake"), world_url="http://world",
        )  # fmt: skip
        scraping = ScrapingPipeline(
            self.settings, jobs=jobs, apis=outside, channels=channels, board=board, drain=drain, metrics=metrics,
            clock=self.clock,
        )  # fmt: skip
        events = EventsPipeline(
            self.settings, exchange=exchange, store=self.store, dead_letters=FakeDeadLetters(self.database),
            channels=channels, board=board, drain=drain, metrics=metrics, clock=self.clock,
        )  # fmt: skip
        children = [Child("scraping", scraping.run), Child("events", events.run)]
        root = Supervisor("gcc", children, board=board, rng=self.clock.rng, stopping=lambda: drain.draining)
        task_status.started(jobs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, board, channels)
            await root.run()
            nursery.cancel_scope.cancel()

    async def _work(self, jobs: FakeJobs, life: int) -> None:
        """Enqueue what people and schedules ask for, in bursts; the first lives ask for all of it."""
        count = self.jobs_wanted // self.mix.kills if life < self.mix.kills else 1
        while count > 0:
            burst = min(count, self.rng.randint(1, 20))
            count -= burst
            wanted = [self.rng.choice(self.handles) for _ in range(burst)]
            new = [
                NewJob(REFRESH_FLOW[platform], platform, {"handle": handle}, key=None, priority=self.rng.randint(0, 3))
                for platform, handle in wanted
            ]
            try:
                await jobs.enqueue(new)
            except Transient:
                continue
            await trio.sleep(self.rng.expovariate(0.1))

    async def _until_idle(self) -> None:
        await trio.sleep(60)
        while not self._idle():  # noqa: ASYNC110 - virtual time
            await trio.sleep(30)

    def _idle(self) -> bool:
        ended = all(row.job.status in FINAL for row in self.database.jobs.values())
        return ended and not self.database.outbox and not self.database.queues

    # checkers

    async def _watch(self, board: Board, channels: Channels) -> None:
        """At every step: buffers within bounds, one lease a job, nothing acknowledged before it is kept."""
        while True:
            for use in channels.uses():
                if use.used > use.size:
                    self.outcome.complaints.append(f"channel {use.name} holds {use.used} of {use.size}")
            self._nothing_vanished()
            self._say(" ".join(f"{actor.name}={actor.done}" for actor in board.actors()))
            await trio.sleep(1.0)

    def _nothing_vanished(self) -> None:
        """Counted events are in the outbox, in a queue, stored or dead-lettered at any moment."""
        seen: set[str] = set()
        waiting: list[Frame] = [*self.database.outbox, *(row.frame for row in self.database.queues.values())]
        for frame in waiting:
            seen.update(_ids(frame.body))
        for letter in self.database.dead_letters.values():
            seen.update(_ids(letter.body))
        for event_type in EVENT_TYPES:
            seen.update(self.store.tables[event_type.table])
        traces = set(self.store.tables["_e.trace_log_events"])
        traces.update(i for frame in waiting if frame.route.key == "trace_log" for i in _ids(frame.body))
        emitted = sum(row.events for row in self.database.jobs.values())
        if len(seen - traces) != emitted:
            self.outcome.complaints.append(
                f"at {trio.current_time():.3f}: {emitted} events emitted, {len(seen - traces)} found"
            )

    def _verdict(self) -> None:
        self._nothing_vanished()
        outcome = self.outcome
        outcome.jobs = Counter(row.job.status.value for row in self.database.jobs.values())
        outcome.stored = sum(len(rows) for rows in self.store.tables.values())
        if not self._idle():
            outcome.complaints.append("work is left at the end")
        if self.database.dead_letters:
            outcome.complaints.append(f"{len(self.database.dead_letters)} healthy frames were dead-lettered")
        if outcome.jobs[JobStatus.EXPIRED]:
            outcome.complaints.append("jobs expired although sources answered")
        self._say(json.dumps([sorted(outcome.jobs.items()), outcome.stored]))

    def _say(self, line: str) -> None:
        self.outcome.trace.append(f"{trio.current_time():.6f} {line}")


def _ids(body: bytes) -> list[str]:
    return [json.loads(line)["event_id"] for line in body.split(b"\n")]


def simulation(jobs: int) -> Callable[[random.Random], Awaitable[Outcome]]:
    async def program(rng: random.Random) -> Outcome:
        return await Simulation(rng, jobs=jobs).run()

    return program
