"""A whole platform under a virtual clock: the real tree on fakes, and a seed that decides all the rest.

Safety first: for `hours` everything fails as the seed's mix says, while jobs come in bursts and people
interfere. Then all heals; within HEAL_S all work must have ended. Then work comes once more, the processes
are drained in the middle of it, and must leave nothing in hand; the next ones finish the rest.
The ledger looks at every step; `verdict` at the end.
"""

import datetime as dt
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import trio

from gcc.actors.controls import CONCURRENCY, PAUSE, Action
from gcc.channels.deadletters import UNROUTABLE
from gcc.channels.jobs import FINAL, JobFilter, JobStatus, NewJob
from gcc.channels.message import Frame, Route
from gcc.clock import VirtualClock
from gcc.config import Settings
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.check import COUNTED
from gcc.pipelines.events.pipeline import CONSUMERS
from gcc.pipelines.events.types import APP_EVENT, CREATOR_FOLLOWER_SCORE, EVENT_TYPES, EventType
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.table import FLOWS, REFRESHING, Catalogue, limits
from gcc.pipelines.scraping.upkeep import renewal_of
from gcc.sources.breakers import OUT_S_MAX
from gcc.sources.limits import InProcessLimiter
from gcc.sources.table import PACIFIC as PACIFIC_ZONE
from gcc.sources.table import SOURCES
from gcc.sources.tokens.renewals import RENEWALS
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq_messages import EVENTS, FRAME, packed
from gcc.supervisor.lifecycle import State
from tests.fakes.broker import FakeBroker
from tests.fakes.broker import Faults as BrokerFaults
from tests.fakes.controls import FakeControls
from tests.fakes.database import Database, OutboxRow, QueueRow
from tests.fakes.days import FakeDays
from tests.fakes.event_store import FakeEventStore
from tests.fakes.exchange import Faults as Deliveries
from tests.fakes.leadership import FakeLeadership
from tests.fakes.objects import MemoryObjects
from tests.simulation.counts import Counts
from tests.simulation.examples import EXAMPLES, WAITS
from tests.simulation.faults import DEPENDENCIES, Bug, Faults
from tests.simulation.followers import QUEUE
from tests.simulation.ledger import Ledger
from tests.simulation.life import Ground, Life, Saboteur
from tests.simulation.mix import GRACE_S, Mix
from tests.simulation.poison import TYPES, Lines, Producers, foreign, met
from tests.simulation.rests import Rests
from tests.simulation.world import ATTEMPTS_MAX, BUGS, ROOT, World, credentials

PRUNE_EVERY_S = 600.0
HEAL_S = OUT_S_MAX + 3600.0  # the longest wait that is anybody's right, and 600 s before a retry, a few times over
LOOK_S = 30.0
MIDNIGHT = dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)  # in California
MIDNIGHT_S = (300.0, 1800.0)  # so long after all heals: what waits for it has its time
RENEW_EVERY_S = 60.0
TOLD_S_MAX = 1000.0  # no header of use tells of a longer time
SETTLED_S = 120.0  # longer than any poll, backoff or open breaker
LEASE_S = 15.0  # shorter than a slow attempt: the heartbeat matters
ROLES = ("scraper", "scorer", "relay", "sinker")
PAUSABLE = (
    *(f"scraping/scraper {flow}" for flow in FLOWS),
    *(f"events/sinker {event_type.name}" for event_type in TYPES),
    "events/relay",
    "scraping/maintenance",
    "scoring/scorer",
)
BURST_MAX = 40
PACIFIC = ZoneInfo(PACIFIC_ZONE)
SHARES = {name: row.shares for name, row in SOURCES.items() if row.shares}
SUNK = {event_type.name for flow in FLOWS.values() for event_type in flow.events} | {each.name for each in TYPES}
SUNK.add(CREATOR_FOLLOWER_SCORE.name)
POISON_BURSTS = (1, 1, 3, 3, 10, 10, 1000)  # the last one takes minutes to bury, unless many at once


def virtual_s_max(hours: float) -> float:
    """The end of the longest run of so many hours of faults: it waits until all is idle four times."""
    return (hours + 1) * 3600 + 4 * HEAL_S


@dataclass
class Outcome:
    """What a run came to."""

    complaints: list[str]
    virtual_s: float
    digest: str
    trace: list[str] | None
    jobs: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    peak_in_flight: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Simulation:
    """One run, of up to `jobs`; of all of them where there is a `burst`. A `hasty` one ends at a complaint."""

    def __init__(
        self, rng: random.Random, *, hours: float, jobs: int, burst: int = 0, concurrency: int | None = None,
        tracing: bool = False, hasty: bool = False,
    ) -> None:  # fmt: skip
        self._rng = rng
        self._hours = hours
        self._burst = burst
        self._hasty = hasty
        self.mix = Mix.draw(rng)
        if concurrency is not None:
            self.mix = replace(self.mix, concurrency=concurrency)
        self._jobs_wanted = jobs if burst else round(jobs * self.mix.jobs)
        after_healing_s = rng.uniform(*MIDNIGHT_S)
        began = MIDNIGHT - dt.timedelta(seconds=hours * 3600 + after_healing_s)
        clock = VirtualClock(rng.getrandbits(64), began)
        database = Database(clock)
        faults = Faults(self.mix, rng, World(clock))
        objects = MemoryObjects(faults.before_put)
        ledger = Ledger(database, objects, alone=self.mix.alone, tracing=tracing)
        store = FakeEventStore(
            {event_type.table for event_type in EVENT_TYPES},
            before=faults.before_insert,
            after=faults.after_insert,
            keep_lines=False,
        )
        store.watchers.append(ledger.changed)
        controls = FakeControls(before=faults.before_commit, told=self._told)
        deliveries = Deliveries(
            rng,
            duplicate=self.mix.deliver_twice,
            delay=self.mix.deliver_late,
            reorder=1.0 if self.mix.reorder else 0.0,
            lose_wakeup=self.mix.lose_wakeups,
        )
        settings, days = _settings(self.mix), FakeDays(clock)
        rates = limits(settings, Catalogue())
        self.ground = Ground(
            settings, clock, faults, deliveries, ledger, database, store,
            objects, Rests(clock, SHARES, ledger.complain), controls,
            FakeLeadership(), days, Counts(clock, rates, ledger.complain, shared=self.mix.shared),
            InProcessLimiter(rates, days) if self.mix.shared else None,
            self._broker(rng) if self.mix.rabbitmq else None,
        )  # fmt: skip
        ledger.followers.steady = not self.mix.workers_die
        self.ledger = ledger
        self.database = database
        self.saboteur = Saboteur()
        self._producers = Producers(rng, clock, *((0.05, 0.05) if self.mix.refusing else (0.0, 0.0)))
        self._clock = clock
        self._lives: list[Life] = []  # that run now
        self._born = 0
        self._asked: list[uuid.UUID] = []

    def _broker(self, rng: random.Random) -> FakeBroker:
        """The broker; its messages are counted as the queues' rows are."""
        loses = self.mix.broker_loses
        faults = BrokerFaults(rng, loses, loses, refuse=self.mix.broker_refuses, slow=self.mix.broker_slow)

        def told(what: str, queue: str, message: rabbitmq.Message) -> None:
            headers = message.properties.headers or {}
            if FRAME in headers:
                route = Route(message.exchange, message.key)
                frame = Frame(uuid.UUID(headers[FRAME]), route, headers[EVENTS], message.body)
            else:
                frame = met(queue, message, self._clock.now())
            self.ledger.changed(what, QueueRow(0, queue, frame, self._clock.now()))

        return FakeBroker(faults, told)

    async def run(self) -> Outcome:
        self.ledger.say(f"mix {self.mix}")
        async with trio.open_nursery() as nursery:
            if self._hasty:
                nursery.start_soon(self._end_at_a_complaint, nursery.cancel_scope)
            nursery.start_soon(self._renew)
            await self._phases()
            nursery.cancel_scope.cancel()
        return self._verdict()

    async def _end_at_a_complaint(self, all_of_it: trio.CancelScope) -> None:
        while not self.ledger.complaints:  # noqa: ASYNC110 - virtual time
            await trio.sleep(LOOK_S)
        all_of_it.cancel()

    async def _phases(self) -> None:
        await self._put_credentials()
        async with trio.open_nursery() as processes:
            await self._safety(processes)
            await self._heal()
            self._begin(processes)
            await self._until_idle("after healing")
            if self.mix.deleted_every_s < float("inf"):
                self._delete_exchange(self._rng.choice(COUNTED))
            await self._enqueue(10)  # enough for every actor to find out
            await self._ask_about_followers()
            if self.mix.poisonous:
                await self._send_poison()
            await trio.sleep(SETTLED_S)
            await self._until_idle("after more work")
            self._all_well()
            await self._drain_under_load()
            self._begin(processes)
            await self._until_idle("after the drain under load")
            await self._drain_all()
            processes.cancel_scope.cancel()

    # phases

    async def _safety(self, processes: trio.Nursery) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self.mix.processes):
                processes.start_soon(self._slot)
            nursery.start_soon(self._work, self._jobs_wanted, self._hours * 3600 * 0.8)
            nursery.start_soon(self._every, self.mix.crash_every_s, self._crash)
            nursery.start_soon(self._every, self.mix.jump_every_s, self._jump)
            nursery.start_soon(self._every, self.mix.lease_ends_every_s, self._end_a_lease)
            nursery.start_soon(self._every, self.mix.people_every_s, self._interfere)
            nursery.start_soon(self._every, self.mix.outage_every_s, self._outage)
            nursery.start_soon(self._every, self.mix.poison_every_s, self._send_poison)
            nursery.start_soon(self._every, self.mix.followers_every_s, self._ask_about_followers)
            nursery.start_soon(self._every, self.mix.deleted_every_s, self._delete)
            nursery.start_soon(self._every, self.mix.throttle_every_s, self._throttle)
            nursery.start_soon(self._every, self.mix.use_every_s, self._use)
            nursery.start_soon(self._prune)
            await trio.sleep(self._hours * 3600)
            nursery.cancel_scope.cancel()

    async def _heal(self) -> None:
        """Nothing fails any more. The processes go on, with all that they remember, or all begin anew."""
        ground = self.ground
        ground.faults.heal()
        self.saboteur.disarm()
        deliveries = ground.deliveries
        deliveries.duplicate = deliveries.delay = deliveries.reorder = deliveries.lose_wakeup = 0.0
        ground.controls.overrides.clear()
        ground.credentials.enable_all(ground.faults.world.ends)
        for token in [token for token, end in ground.faults.world.ends.items() if end <= self._clock.now()]:
            del ground.faults.world.ends[token]  # its owner has logged in again
        if ground.broker:
            ground.broker.heal()
        for life in list(self._lives):
            if not self.mix.survive or life.ending:
                self._lives.remove(life)
                life.kill()
        for life in self._lives:
            life.clock.offset = dt.timedelta(0)
            for role, drain in life.tree.roles.here.items():
                while drain.state == "draining" and not life.tree.ended.is_set():  # noqa: ASYNC110 - virtual time
                    await trio.sleep(1.0)
                if drain.state == "drained" and not life.tree.ended.is_set():
                    life.tree.roles.resume(role)
        self.ledger.healed()

    def _begin(self, processes: trio.Nursery) -> None:
        for _ in range(self.mix.processes - len(self._lives)):
            processes.start_soon(self._born_life().run)

    def _all_well(self) -> None:
        """After a while without faults nobody waits for anybody, and no breaker is open.

        Half-open is one whose consumer had nothing to try, as when an operator has deleted its queue.
        """
        if len(self._lives) > 1:
            return  # one of them may have had nothing to find it out by
        for life in self._lives:
            for use in life.limiter.usage():
                if use.narrowed_s > TOLD_S_MAX:
                    self.ledger.complain(f"{use.name} is narrowed for {use.narrowed_s:.0f} s more, as nobody told")
            for actor in life.tree.context.board.actors():
                queues = [queue for queue, name in CONSUMERS.items() if name == actor.name]
                if actor.breaker == "half-open" and queues and not any(map(self.ledger.queued_since_healed, queues)):
                    continue
                if actor.breaker not in (None, "closed") and not actor.name.startswith("sources/"):
                    self.ledger.complain(
                        f"{actor.name} of {life.number}: its breaker is {actor.breaker} though all is well"
                    )
                if actor.state in (State.BACKOFF, State.FAILED, State.PAUSED) and not actor.name.startswith("sources/"):
                    self.ledger.complain(
                        f"{actor.name} of {life.number} is {actor.state} though all is well ({actor.last_error})"
                    )

    async def _until_idle(self, when: str) -> None:
        deadline = trio.current_time() + HEAL_S
        while not self._idle():
            if trio.current_time() > deadline:
                self.ledger.complain(f"not idle {HEAL_S:g} s {when}: {self._left()}")
                return
            self.ledger.look_at_outbox()
            await trio.sleep(LOOK_S)

    async def _drain_under_load(self) -> None:
        """A drain in the middle of work leaves nothing in hand that it could have finished."""
        for life in self._lives:
            await life.tree.ready.wait()
        await self._enqueue(min(self.mix.concurrency * 5, 60))
        await self._ask_about_followers()
        await trio.sleep(self._rng.expovariate(1 / 3))
        if not await self._drain_all():
            return
        if self.database.leased:
            self.ledger.complain(f"{len(self.database.leased)} jobs are leased after a drain")
        held = sum(line.held for line in self.database.lines.values())
        if held or (self.ground.broker and self.ground.broker.held()):
            self.ledger.complain(f"{held} events, or messages of the broker, are held after a drain")
        if self.database.outbox:
            self.ledger.complain(f"{len(self.database.outbox)} frames are in the outbox after a drain")

    async def _drain_all(self) -> bool:
        """True when everybody finished, and nobody ran out of grace."""
        lives, self._lives = self._lives, []
        async with trio.open_nursery() as nursery:
            for life in lives:
                nursery.start_soon(life.drain)
        left = [(report.name, report.left_behind) for life in lives for report in life.tree.drain.report]
        left = [(name, who) for name, who in left if who]
        if left and self.mix.store_s * 4 < GRACE_S and not self.mix.source_slow:
            self.ledger.complain(f"the grace was over before {left}")
        if left:
            self.ledger.cut_off()
        return not left

    # processes

    def _born_life(self) -> Life:
        self._born += 1
        life = Life(self._born, self.ground, self._rng)
        self._lives.append(life)
        return life

    async def _slot(self) -> None:
        """A place for one process; when one ends the next begins."""
        while not self.ground.faults.healed:
            life = self._born_life()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_some_time, life)
                await life.run()
                nursery.cancel_scope.cancel()
            if life in self._lives:
                self._lives.remove(life)
            await trio.sleep(self._rng.expovariate(1 / 5))

    async def _end_some_time(self, life: Life) -> None:
        after_s = self.mix.life_every_s
        await trio.sleep(after_s if after_s == float("inf") else self._rng.expovariate(1 / after_s))
        if self.ground.faults.healed:
            return
        match self._rng.choice(("kill", "kill at a step", "stop at a step", "drain", "drain and kill", "drain twice")):
            case "kill":
                life.kill()
            case "kill at a step":
                self._arm(life.kill)
            case "stop at a step":
                self._arm(life.stop)
            case "drain":
                await life.drain()
            case "drain and kill":
                life.tree.drain.request("simulated signal")
                self._arm(life.kill)
            case "drain twice":
                life.tree.drain.request("simulated signal")
                self._arm(life.stop)
        await trio.sleep_forever()

    def _arm(self, strike: Callable[[], object]) -> None:
        self.saboteur.arm(self._rng.randint(1, 500), strike)

    # troubles

    async def _every(self, mean_s: float, trouble: Callable[[], Awaitable[None]]) -> None:
        if mean_s < float("inf"):
            while True:
                await trio.sleep(self._rng.expovariate(1 / mean_s))
                await trouble()

    async def _crash(self) -> None:
        if self._lives:
            tree = self._rng.choice(self._lives).tree
            if tree.scopes:
                name = self._rng.choice(sorted(tree.scopes))
                self._arm(tree.scopes[name].cancel)
        await trio.sleep(20)  # more often would be a storm, which rightly ends a process

    async def _jump(self) -> None:
        if self._lives:
            life = self._rng.choice(self._lives)
            life.clock.offset = dt.timedelta(seconds=self._rng.choice((-7200, -30, 0, 5, 300, 86_400)))
            self.ledger.say(f"clock of {life.number} is off by {life.clock.offset}")

    async def _throttle(self) -> None:
        self.ledger.say(f"{self.ground.faults.throttles.refuse()}")

    async def _use(self) -> None:
        self.ledger.say(f"{self.ground.faults.throttles.use()}")

    async def _renew(self) -> None:
        """What the schedule does: a renewal for each whose end is near."""
        while True:
            await trio.sleep(RENEW_EVERY_S)
            near = self.ground.credentials.ending({kind: renewal.near_s for kind, renewal in RENEWALS.items()})
            if near and self._lives:
                with suppress(Transient, Bug):
                    await self._rng.choice(self._lives).jobs.enqueue([renewal_of(*each) for each in near])

    async def _prune(self) -> None:
        """The leader does: now and then every other job that has ended is gone. Nobody misses it."""
        while True:
            await trio.sleep(PRUNE_EVERY_S)
            ended = [row for row in self.database.jobs.values() if row.job.status in FINAL][::2]
            for row in ended:
                self.database.prune(row)
            self.ledger.say(f"{len(ended)} jobs are pruned")

    async def _end_a_lease(self) -> None:
        """The lease of a job, or of a frame, is over while its holder works on."""
        now = self._clock.now()
        if self.database.leased:
            _, row = self.database.leased.least()
            row.lease_until = now - dt.timedelta(seconds=1)
            self.database.place(row)
            self.ledger.lease_was_ended(row.job.id)
        for line in self.database.lines.values():
            if line.leased:
                _, queued = line.leased.least()
                line.end_lease(queued)

    async def _outage(self) -> None:
        """A dependency is gone, and comes back."""
        gone = self._rng.choice(DEPENDENCIES)
        self.ledger.say(f"{gone} is away")
        broker = self.ground.broker
        if gone == "broker" and broker:
            chance = self._rng.random()
            broker.block(chance < 0.3)
            broker.faults.away = 0.3 <= chance < 0.6
            if chance >= 0.6 and broker.used:  # a queue has lost its quorum: one of those that matter
                broker.faults.mute.add(self._rng.choice(sorted(broker.used)))
            if broker.faults.away:
                broker.restart()
        self.ground.faults.away.add(gone)
        self.ledger.forgive_publishing = not self.ground.faults.away.isdisjoint(("database", "primary", "answers"))
        if gone == "objects" and self.mix.poisonous:
            await self._send_poison()  # what is refused cannot be buried now
        await trio.sleep(self._rng.expovariate(1 / self.mix.outage_s))
        self.ground.faults.away.discard(gone)
        self.ledger.forgive_publishing = False
        if broker:
            broker.faults.away = False
            broker.block(False)
            broker.faults.mute.clear()

    async def _send_poison(self) -> None:
        """Others send: straight into queues, or as rows of an outbox."""
        event_type = self._rng.choice(TYPES)
        for _ in range(self._rng.choice(POISON_BURSTS)):
            lines = self._producers.lines(event_type)
            route = self._rng.choice((event_type.route, Route("", event_type.queue)))
            if self._rng.random() < 0.3:
                self._put_into_outbox(event_type, route, lines)
            elif self.ground.broker:
                self._publish(event_type, route, lines)
            else:
                frame = self._producers.frame(route, lines)
                self.ledger.expect(foreign(event_type.queue, event_type, frame, lines))
                self.database.queue(frame, event_type.queue, self._clock.now())

    def _put_into_outbox(self, event_type: EventType, route: Route, lines: Lines) -> None:
        """Sometimes for a queue that nobody knows."""
        if lost := self._rng.random() < 0.2:
            route = Route(self._rng.choice(("nowhere.dx", "beat.dx", "")), "nobody")
        frame = self._producers.frame(route, lines)
        if lost:
            self.ledger.expect(foreign(UNROUTABLE, None, frame, lines))
        else:
            self.ledger.expect(foreign(event_type.queue, event_type, frame, lines))
        self.database.outbox.append(OutboxRow(frame, self._clock.now()))

    def _publish(self, event_type: EventType, route: Route, lines: Lines) -> None:
        broker, message = self.ground.broker, self._producers.message(route, lines)
        if broker and not broker.faults.away and broker.route(message) == [event_type.queue]:
            frame = met(event_type.queue, message, self._clock.now())
            self.ledger.expect(foreign(event_type.queue, event_type, frame, lines))
            broker.store(message, [event_type.queue])

    async def _ask_about_followers(self) -> None:
        """By the outbox, or straight into the queue."""
        frame, broker = self.ledger.followers.ask(self._rng, self._clock), self.ground.broker
        if broker and not broker.faults.away and QUEUE in broker.queues and self._rng.random() < 0.5:
            broker.store(packed(frame, self._clock.now()), [QUEUE])
        elif broker or self._rng.random() < 0.5:
            self.database.outbox.append(OutboxRow(frame, self._clock.now()))
        else:
            self.database.queue(frame, QUEUE, self._clock.now())

    async def _delete(self) -> None:
        """Somebody cleans up: an exchange, or a queue with all that is in it."""
        event_type, broker = self._rng.choice(COUNTED), self.ground.broker
        if self._rng.random() < 0.5:
            self._delete_exchange(event_type)
        elif broker and not broker.faults.away and event_type.queue in broker.queues:
            self.ledger.say(f"queue {event_type.queue} is deleted")
            broker.delete_queue(event_type.queue)

    def _delete_exchange(self, event_type: EventType) -> None:
        broker, exchange = self.ground.broker, event_type.route.exchange
        if broker and not broker.faults.away and exchange in broker.exchanges:
            self.ledger.say(f"exchange {exchange} is deleted")
            broker.delete_exchange(exchange)

    async def _interfere(self) -> None:
        """What people do."""
        if not self._lives:
            return
        deed = self._rng.choice((self._pause, self._change_concurrency, self._retry, self._cancel, self._drain_role))
        try:
            await deed()
        except (Transient, Bug, Permanent) as error:
            self.ledger.say(f"people were told: {error}")

    async def _pause(self) -> None:
        name = PAUSE + self._rng.choice(PAUSABLE)
        await self.ground.controls.write(name, True, self._action(name))
        await trio.sleep(self._rng.expovariate(1 / 120))
        await self.ground.controls.write(name, None, self._action(name))

    async def _change_concurrency(self) -> None:
        name = CONCURRENCY + self._rng.choice(sorted(FLOWS))
        await self.ground.controls.write(name, self._rng.choice((None, 1, 3, 100)), self._action(name))

    async def _retry(self) -> None:
        await self._rng.choice(self._lives).jobs.retry(JobFilter(limit=self._rng.choice((1, 50))))

    async def _cancel(self) -> None:
        await self._rng.choice(self._lives).jobs.cancel(JobFilter(limit=self._rng.choice((1, 5))))

    async def _drain_role(self) -> None:
        tree, role = self._rng.choice(self._lives).tree, self._rng.choice(ROLES)
        tree.roles.request_drain(role, "simulated")
        await trio.sleep(GRACE_S + self._rng.expovariate(1 / 60))
        if not tree.drain.draining and not tree.ended.is_set():
            tree.roles.resume(role)

    def _action(self, target: str) -> Action:
        return Action(self._clock.new_id(), self._clock.now(), "people", "simulated", "change", target)

    def _told(self, payload: str) -> None:
        for life in self._lives:
            if not self.ground.faults.strikes(self.mix.lose_wakeups):
                life.tree.context.gates.woken(payload)

    # work

    async def _work(self, jobs: int, within_s: float) -> None:
        """Jobs in bursts, spread over the time; of every kind that people and schedules ask for.

        A quarter of them come in the great bursts asked for: some of those will meet a platform that is well.
        """
        great = max(1, jobs // (4 * self._burst)) if 0 < self._burst < jobs else 0
        bursts: list[int] = [self._burst] * great
        while (left := jobs - sum(bursts)) > 0:
            bursts.append(min(left, self._rng.randint(1, BURST_MAX)))
        self._rng.shuffle(bursts)
        for burst in bursts:
            await trio.sleep(self._rng.expovariate(len(bursts) / within_s))
            await self._enqueue(burst)

    async def _enqueue(self, count: int) -> None:
        alike = self._rng.choice(list(FLOWS.values())) if self._rng.random() < 0.2 else None
        new = {job.key or index: job for index, job in enumerate(self._new_job(alike) for _ in range(count))}
        while True:
            if self._lives and "answers" not in self.ground.faults.away:  # else they would be enqueued again and again
                try:
                    await self._rng.choice(self._lives).jobs.enqueue(list(new.values()))
                    return
                except (Transient, Bug):
                    pass
            await trio.sleep(1.0)

    def _new_job(self, flow: Flow | None = None) -> NewJob:
        """Of any flow, unless one is named."""
        if flow is None:
            flow = self._rng.choice(list(REFRESHING.values()) if self._rng.random() < 0.3 else list(FLOWS.values()))
        example = self._rng.choice(EXAMPLES[flow.name])
        if self.mix.alone and example.alone == WAITS:
            return self._new_job()
        params, priority = dict(example.params), self._rng.choice((0, 10, 100))
        if self._rng.random() < self.mix.raising:
            flow = self._rng.choice(list(REFRESHING.values()))
            params = {"handle": self._rng.choice(list(BUGS))}
        key = f"{flow.name}:{params}" if self._rng.random() < 0.1 else None
        if self._rng.random() < 0.01:
            params = {"nonsense": True}
        return NewJob(flow.name, flow.platform, params, key=key, priority=priority)

    async def _put_credentials(self) -> None:
        for source, handle, secret, facts in credentials():
            if facts.kind in RENEWALS and facts.kind != "shopify" and self.mix.expiring:
                ends = self._clock.now() + dt.timedelta(hours=self._hours * self._rng.uniform(0.2, 1.2))
                self.ground.faults.world.ends[secret["token"]] = ends
                facts = replace(facts, expires_at=ends)
            await self.ground.credentials.put(source, handle, secret, facts)
            if source == "ytapi":
                for bucket in ("search", "stats", "units"):
                    self._spend_day(f"ytapi.{bucket}@{handle}", f"ytapi.{bucket}@*")

    def _spend_day(self, name: str, rule: str) -> None:
        """Of this day little is left, as the database and the outside know alike."""
        if (spent := self.ground.counts.spent(name, rule, self.mix.day_left)) > 0:
            self.ground.days.reserved[name] = self._clock.now().astimezone(PACIFIC).date(), spent

    def _idle(self) -> bool:
        waiting = self.ground.broker.messages() if self.ground.broker else len(self.database.queues)
        return not (self.database.unfinished or self.database.outbox or waiting)

    def _left(self) -> str:
        states = Counter(row.job.status.value for row in self.database.jobs.values())
        left = Counter(row.job.flow for row in self.database.unfinished.values())
        waiting = self.ground.broker.messages() if self.ground.broker else len(self.database.queues)
        return f"{dict(states)}, of {dict(left)}, {len(self.database.outbox)} in the outbox, {waiting} in queues"

    # the end

    def _verdict(self) -> Outcome:
        ledger, database = self.ledger, self.database
        ledger.close()
        jobs = database.pruned + Counter(row.job.status.value for row in database.jobs.values())
        tables = self.ground.store.tables
        foreign_events, spent = ledger.foreign_events(), ledger.spent_events()
        stored = sum(len(tables[event_type.table].keys() - foreign_events) for event_type in COUNTED)
        if database.events != stored + spent:
            ledger.complain(f"{database.events} events are counted on the jobs, {stored} are stored, {spent} excused")
        if jobs[JobStatus.EXPIRED]:
            ledger.complain(f"{jobs[JobStatus.EXPIRED]} jobs expired although they had a day")
        if any(row.job.status not in FINAL for row in database.jobs.values()):
            ledger.complain(f"work is left at the end: {self._left()}")
        ledger.say(f"{sorted(jobs.items())} {stored}")
        return Outcome(
            ledger.complaints, trio.current_time(), ledger.digest(), ledger.trace, jobs, stored,
            ledger.peak_in_flight, ledger.counts,
        )  # fmt: skip


def _settings(mix: Mix) -> Settings:
    event_types = [name for name in sorted(SUNK) if name != APP_EVENT.name or mix.poisonous]
    sources: dict[str, dict[str, object]] = {
        name: {"base_url": ROOT + row.world_path, "enabled": not (row.unofficial and mix.alone)}
        for name, row in SOURCES.items()
    }
    for name in ("graphapi", "ytapi"):
        sources[name] |= {"calls": mix.calls_per_s, "per_s": 1.0}
    sources["graphapi"]["limits"] = {
        name: max(3, mix.calls_per_s // part) for name, part in (("app", 2), ("credential", 4))
    }
    return Settings.model_validate(
        {
            "roles": ROLES,
            "grace_s": GRACE_S,
            "scraper": {
                "lease_s": LEASE_S,
                "attempts_max": ATTEMPTS_MAX,
                "poll_s": 30,
                "concurrency": dict.fromkeys(FLOWS, mix.concurrency),
            },
            "sinker": {"batch_rows": mix.batch_rows, "event_types": event_types},  # nobody sends the others
            "sources": sources,
        }
    )


def simulation(hours: float, jobs: int, **more: object) -> Callable[[random.Random], Awaitable[Outcome]]:
    async def program(rng: random.Random) -> Outcome:
        return await Simulation(rng, hours=hours, jobs=jobs, **more).run()  # type: ignore[arg-type]

    return program
