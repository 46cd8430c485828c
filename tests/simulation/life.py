"""One process of a simulation: the real tree on fakes, and the ways in which it may end.

What it remembers is in the fakes of its stores, which outlive it; all else is gone with it.
"""

import datetime as dt
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Frame
from gcc.channels.outbox import Emit
from gcc.clock import VirtualClock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.declared import Parts, Run
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.pipeline import RELAY_LEADER
from gcc.pipelines.events.routes import EXCHANGES
from gcc.pipelines.scraping.table import Catalogue, limits
from gcc.sources.calls import Call
from gcc.sources.http import Request
from gcc.sources.limits import DAY_S, AnyLimit, InProcessLimiter, LimitRefused, LimitUse, Take
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from gcc.supervisor.supervisor import Child
from gcc.tree import Tree
from tests.fakes.broker import FakeBroker, FakeConnection
from tests.fakes.controls import FakeControls
from tests.fakes.database import Connection, Database
from tests.fakes.days import FakeDays
from tests.fakes.erasures import NobodyErased
from tests.fakes.event_store import FakeDeadLetters, FakeEventStore
from tests.fakes.exchange import FakeExchange
from tests.fakes.exchange import Faults as Deliveries
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.fakes.jobs import FakeJobs
from tests.fakes.leadership import FakeLeadership
from tests.fakes.objects import MemoryObjects
from tests.fakes.outbox import FakeOutbox
from tests.fakes.referrals import FakeReferrals
from tests.fakes.scorers import FakeWorkers
from tests.simulation.counts import Counts
from tests.simulation.faults import Bug, Faults
from tests.simulation.ledger import Ledger
from tests.simulation.poison import bug_over
from tests.simulation.rests import Rests
from tests.simulation.throttles import Trouble, Use
from tests.simulation.world import Call as Asked

POLL_S = 30.0  # long idle waits, so that the virtual clock leaps
LOST_MAX = 10_000  # lost workers are the rule here
EXIT_S = 30.0  # after the grace, for the children's own stops


@dataclass(frozen=True)
class Ground:
    """What outlives processes: the stores, and who breaks and watches them."""

    settings: Settings
    clock: VirtualClock  # the stores'; processes have their own, which starts alike
    faults: Faults
    deliveries: Deliveries
    ledger: Ledger
    database: Database
    store: FakeEventStore
    objects: MemoryObjects
    credentials: Rests
    controls: FakeControls
    leadership: FakeLeadership
    days: FakeDays
    counts: Counts
    limiter: InProcessLimiter | None  # None: each process has its own
    broker: FakeBroker | None  # None: the queues are in the database


class JumpingClock(VirtualClock):
    """The machine's wall clock, which somebody sets now and then."""

    offset = dt.timedelta(0)

    def now(self) -> dt.datetime:
        return super().now() + self.offset


class Life:
    """One process, from its start to its end. `number` differs from process to process."""

    def __init__(self, number: int, ground: Ground, rng: random.Random) -> None:
        self.number = number
        self.clock = JumpingClock(rng.getrandbits(64), ground.clock.epoch)
        self._ground = ground
        self._dead = False
        self._scope = trio.CancelScope()
        self.connection = Connection(
            ground.database,
            before=ground.faults.before_commit,
            after=ground.faults.after_commit,
            read_only=ground.faults.read_only,
        )
        self._dead_letters = FakeDeadLetters(self.connection, ground.objects, ground.leadership)
        written = Signal()
        self.jobs = FakeJobs(
            self.connection,
            StatusEvents(self.clock),
            lease_s=ground.settings.scraper.lease_s,
            lost_max=LOST_MAX,
            outbox_written=written,
        )
        self.limiter = BookedLimiter(self, ground)
        self._links: list[FakeConnection] = []
        rabbitmq = self._rabbitmq(ground.broker, written) if ground.broker else None
        parts = Parts(
            jobs=self.jobs,
            exchange=rabbitmq or FakeExchange(self.connection, written, poll_s=POLL_S, faults=ground.deliveries),
            events=self,
            dead_letters=self._dead_letters,
            referrals=FakeReferrals(self.connection),
            credentials=ground.credentials,
            controls=ground.controls,
            limiter=self.limiter,
            objects=ground.objects,
            erasures=NobodyErased(),
            fetcher=self._fetcher,
            emit=self._emitter(written),
            scorers=self._scorers,
            broker=rabbitmq.connected if rabbitmq else None,
            leadership=LifeLeadership(self.connection, ground.leadership) if rabbitmq else None,
        )
        self.tree = FragileTree(ground.settings, self.clock, parts, ground.ledger)

    def _rabbitmq(self, broker: FakeBroker, written: Signal) -> RabbitMQExchange:
        """The real exchange, on connections that end with this process."""

        @asynccontextmanager
        async def connect(url: str, **more: Any) -> AsyncIterator[FakeConnection]:
            if self._dead:
                raise rabbitmq.ConnectionClosed(None, "the process was killed")
            async with broker.connect(url, **more) as link:
                self._links.append(link)
                yield link

        return RabbitMQExchange(
            "amqp://broker",
            FakeOutbox(self.connection, self._ground.leadership, RELAY_LEADER),
            self._dead_letters,
            self.clock,
            written,
            Topology(EXCHANGES),
            held_bytes_max=self._ground.settings.exchange.held_bytes_max,
            connect=connect,  # type: ignore[arg-type]
            poll_s=POLL_S,
        )

    def _emitter(self, written: Signal) -> Emit:
        async def emit(frames: Sequence[Frame]) -> None:
            await self.connection.commit(lambda: self._ground.database.emit(frames))
            written.set()

        return emit

    @asynccontextmanager
    async def _scorers(self) -> AsyncIterator[FakeWorkers]:
        yield FakeWorkers(self._ground.faults.before_scoring)

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """This process's way to the event store; see FakeEventStore."""
        if self._dead:
            raise Transient("the process was killed: it reaches the store no more")
        if (bug := bug_over(body)) is not None:
            raise bug
        await self._ground.store.insert_ndjson(table, body, token=token)

    @asynccontextmanager
    async def _fetcher(self) -> AsyncIterator[FakeFetcher]:
        yield FakeFetcher(self._outside, self._ground.faults.way_s)

    def _outside(self, request: Request) -> Reply:
        if self._dead:
            return Reply(lost=True)
        call = self._ground.faults.world.read(request)
        self._ground.counts.called(self.number, call)
        return self._ground.faults.outside(call, _Told(self, self._ground, call))

    async def run(self) -> None:
        """Until it has drained, or was killed or stopped. Complains of what no process may do."""
        ledger = self._ground.ledger
        ledger.say(f"process {self.number} begins")
        try:
            with self._scope:
                await self.tree.run()
        except Exception as error:
            if not _simulated(error):  # a bug at the start, or a storm of them, ends the process, rightly
                ledger.complain(f"process {self.number} ended by itself: {error!r}")
        ledger.say(f"process {self.number} ends")

    def kill(self) -> None:
        """As kill -9: from this moment on nothing of it has any effect."""
        self._ground.ledger.say(f"process {self.number} is killed")
        self._dead = True
        self.connection.kill()
        for link in self._links:
            link.drop(rabbitmq.ConnectionClosed(None, "the process was killed"))
        self._scope.cancel()

    @property
    def ending(self) -> bool:
        """It drains, or was killed or stopped, maybe at this very moment."""
        return self.tree.drain.draining or self._scope.cancel_called or self.tree.ended.is_set()

    def stop(self) -> None:
        """As a second signal: everything is cancelled."""
        self._ground.ledger.say(f"process {self.number} is cancelled")
        self._scope.cancel()

    async def drain(self) -> None:
        """As a signal: finish what is in hand, within the grace."""
        began = trio.current_time()
        self._ground.ledger.say(f"process {self.number} drains")
        self.tree.drain.request("simulated signal")
        limit_s = self._ground.settings.grace_s + EXIT_S
        with trio.move_on_after(limit_s):
            await self.tree.ended.wait()
            return
        stages = self.tree.drain.snapshot()
        self._ground.ledger.complain(
            f"process {self.number} drains since {trio.current_time() - began:.0f} s: {stages}"
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """Keeps the books of what the outside tells a process; see faults.Told."""

    life: Life
    ground: Ground
    call: Asked

    def refused(self, trouble: Trouble) -> None:
        self.ground.credentials.refused(trouble, self.call.token, self.call.bucket)

    def full(self, use: Use, delay_s: float) -> None:
        self.ground.counts.told_full(self.life.number, self.call, use, trio.current_time() + delay_s)

    def throttled(self) -> None:
        self.ground.counts.throttled(self.call)


class BookedLimiter:
    """The limiter of a process, or of all; where nothing fails, its refusals are looked at."""

    def __init__(self, life: Life, ground: Ground) -> None:
        own = InProcessLimiter(limits(ground.settings, Catalogue()), ground.days)
        self._inner, self._life, self._ground = ground.limiter or own, life, ground

    async def take(self, takes: Sequence[Take], **more: Any) -> Call:
        try:
            return await self._inner.take(takes, **more)
        except LimitRefused as refusal:
            use = next((use for use in self._inner.usage() if use.name == refusal.name), None)
            calm = self._ground.ledger.is_calm and not self._ground.faults.slow and not self._life.ending
            if calm and use and use.share == 1 and use.per_s < DAY_S:
                self._ground.counts.refused(self._life.number, use.name, use.calls, use.per_s)
            raise

    async def narrow(self, what: Take, share: float, for_s: float, why: str) -> None:
        await self._inner.narrow(what, share, for_s, why)

    def override(self, limits: Mapping[str, AnyLimit]) -> None:
        self._inner.override(limits)

    def away(self) -> str | None:
        return self._inner.away()

    def usage(self) -> list[LimitUse]:
        return self._inner.usage()


class LifeLeadership:
    """A process's way to the terms: none when it is dead."""

    def __init__(self, connection: Connection, terms: FakeLeadership) -> None:
        self._connection = connection
        self._terms = terms

    async def campaign(self, name: str, holder: str, *, ttl_s: float) -> int | None:
        await self._connection.commit(lambda: None)
        return await self._terms.campaign(name, holder, ttl_s=ttl_s)

    async def resign(self, name: str, holder: str, term: int) -> None:
        await self._connection.commit(lambda: None)
        await self._terms.resign(name, holder, term)


class FragileTree(Tree):
    """The tree, with a place in each pipeline where it can be broken at any of its steps."""

    def __init__(self, settings: Settings, clock: VirtualClock, parts: Parts, ledger: Ledger) -> None:
        super().__init__(settings, clock, parts)
        self._ledger = ledger
        self.ended = trio.Event()
        self.scopes: dict[str, trio.CancelScope] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await super().run(task_status=task_status)
        finally:
            self.ended.set()

    def children(self) -> Iterator[tuple[Child, str | None]]:
        for child, role in super().children():
            yield Child(child.name, self._fragile(child.name, child.run), child.restart, child.stop_s), role

    def _fragile(self, name: str, run: Run) -> Run:
        async def fragile(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            with trio.CancelScope() as scope:
                self.scopes[name] = scope
                try:
                    await run(task_status=task_status)
                except Exception as error:
                    if not _simulated(error):
                        self._ledger.complain(f"{name} crashed: {error!r}")
                    raise
            if scope.cancelled_caught:
                raise Bug(f"simulated: {name} failed at some step")

        return fragile


def _simulated(error: BaseException) -> bool:
    """Whether nothing but simulated bugs is at the bottom of it, and the channels that they broke."""
    leaves = list(_leaves(error))
    return any(isinstance(leaf, Bug) for leaf in leaves) and all(
        isinstance(leaf, Bug | trio.BrokenResourceError) for leaf in leaves
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error.__cause__ is not None:
        yield from _leaves(error.__cause__)
    else:
        yield error


class Saboteur(trio.abc.Instrument):
    """Does something at exactly the n-th step of any task from now on."""

    def __init__(self) -> None:
        self._left = 0
        self._strike: Callable[[], object] | None = None

    def arm(self, steps: int, strike: Callable[[], object]) -> None:
        if self._strike is None:  # it listens only while it is armed: each step costs
            trio.lowlevel.add_instrument(self)
        self._left, self._strike = steps, strike

    def disarm(self) -> None:
        if self._strike is not None:
            trio.lowlevel.remove_instrument(self)
            self._strike = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left <= 0 and (strike := self._strike):
            self.disarm()
            strike()
