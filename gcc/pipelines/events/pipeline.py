"""The events pipelines: the relay, which empties the outbox, and a sinker for each event type.

In: outbox frames. Out: rows in ClickHouse, dead letters. The two share no channel, so each restarts alone,
and whole. Both declare all bindings: a frame relayed before its queue is bound would be dead-lettered.
`foreign` tells whether other programs can publish, too: then their error queues are declared, and emptied.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from gcc.actors.consumer import Consumer, Handler
from gcc.actors.gates import Gates
from gcc.actors.leader import Leader, Leadership
from gcc.actors.maintenance import Maintenance
from gcc.actors.patience import Patience
from gcc.actors.relay import Relay
from gcc.channels.batch import BatchLimits
from gcc.channels.deadletters import LETTERS_MAX, DeadLetters
from gcc.channels.exchange import Exchange, Queues
from gcc.channels.memory import Channels
from gcc.channels.message import Binding
from gcc.channels.referrals import Referrals
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import ConfigError, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.error_queues import Burials, ManyQueues
from gcc.pipelines.events.referrals import also_referrals
from gcc.pipelines.events.sinks import EventStore, Sink
from gcc.pipelines.events.stillness import TELL_S, Telling
from gcc.pipelines.events.types import (
    BINDINGS,
    ERROR_BINDINGS,
    EVENT_TYPES,
    LAUNCH_REFER_EVENT,
    EventType,
)
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board, State

RELAY_LEADER = "relay"
UNDERTAKER = "events/sinker error_queues"
ERROR_QUEUES = "error queues"
"""All of them, as one consumer has them and as people see them."""
BURIED = BatchLimits(rows=LETTERS_MAX, age_s=1.0, rows_max=5 * LETTERS_MAX)
"""An object's worth, or a few: a batch must be done within its deadline (Consumer's HOLD_S), on a slow S3 too."""


@dataclass(frozen=True)
class RelayPipeline:
    """Outbox -> queues. `leadership`: where the exchange wants one relay at a time, in all processes."""

    exchange: Exchange
    foreign: bool
    board: Board
    drain: Drain
    metrics: Metrics
    clock: Clock
    gates: Gates
    leadership: Leadership | None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "relay" of the drain has begun and the outbox is empty."""
        actor = self.board.actor("events/relay")
        await _declare(self.exchange, bindings(self.foreign), Patience(actor, self.clock.rng))
        async with trio.open_nursery() as nursery:
            leader: Leader | None = None
            if self.leadership is not None:
                leader = Leader(RELAY_LEADER, self.leadership, self.board.actor("events/relay leader"), self.clock)
                await nursery.start(leader.run)
            relay = Relay(
                self.exchange, actor, self.drain.stage("relay"), self.metrics, self.clock.rng,
                gate=self.gates.gate(actor.name), leader=leader,
            )  # fmt: skip
            await relay.run(task_status=task_status)
            nursery.cancel_scope.cancel()  # the leader resigns


@dataclass(frozen=True)
class SinkPipeline:
    """Queues -> tables of the event store, one sinker for each event type.

    `telling`: where the broker does not know what is held of its queues, `check` is told.
    """

    settings: Settings
    exchange: Exchange
    foreign: bool
    store: EventStore
    dead_letters: DeadLetters
    referrals: Referrals
    channels: Channels
    board: Board
    drain: Drain
    metrics: Metrics
    clock: Clock
    gates: Gates
    telling: Telling | None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "sinkers" of the drain has begun and what they hold is stored."""
        patience = Patience(self.board.actor("events/sinkers"), self.clock.rng)
        await _declare(self.exchange, bindings(self.foreign), patience)
        async with self._telling():
            async with trio.open_nursery() as nursery:
                for event_type in chosen(self.settings):
                    await nursery.start(self._sinker(event_type).run)
                if self.foreign:
                    await nursery.start(self._undertaker().run)
                task_status.started()

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """What this process holds is told until it holds nothing."""
        if self.telling is None:
            yield
            return
        actor = self.board.actor("events/holdings")
        chore = Maintenance([self.telling], actor, self.clock.rng, every_s=TELL_S)
        async with trio.open_nursery() as nursery:
            await nursery.start(chore.run)
            yield
            nursery.cancel_scope.cancel()
        await self.telling.last()
        actor.state = State.FINISHED

    def _sinker(self, event_type: EventType) -> Consumer:
        also = also_referrals(self.referrals) if event_type is LAUNCH_REFER_EVENT else None
        sink = Sink(event_type, self.store, self.dead_letters, self.metrics, also=also)
        actor = f"events/sinker {event_type.name}"
        return self._consumer(event_type.queue, self.exchange, sink, limits(self.settings, event_type), actor)

    def _undertaker(self) -> Consumer:
        """Of the error queues, all in one."""
        queues = ManyQueues(sorted({binding.queue for binding in ERROR_BINDINGS}), self.exchange)
        return self._consumer(ERROR_QUEUES, queues, Burials(self.dead_letters, self.metrics), BURIED, UNDERTAKER)

    def _consumer(self, queue: str, queues: Queues, handler: Handler, limits: BatchLimits, name: str) -> Consumer:
        actor = self.board.actor(name)
        return Consumer(
            queue,
            queues,
            handler,
            self.dead_letters,
            limits=limits,
            channels=self.channels,
            actor=actor,
            stage=self.drain.stage("sinkers"),
            metrics=self.metrics,
            rng=self.clock.rng,
            gate=self.gates.gate(actor.name),
        )


def limits(settings: Settings, event_type: EventType) -> BatchLimits:
    """When a batch of this type is due, as configured for all or for it alone."""
    own = settings.sinker.of(event_type.name)
    return BatchLimits(own.batch_rows, own.batch_age_s, own.batch_rows_max)


def chosen(settings: Settings) -> list[EventType]:
    """The event types that this process stores."""
    names = settings.sinker.event_types
    return [event_type for event_type in EVENT_TYPES if not names or event_type.name in names]


def refuse_unknown_types(settings: Settings) -> None:
    """ConfigError: the settings name an event type that does not exist."""
    names = [event_type.name for event_type in EVENT_TYPES]
    named = [
        *(("sinker.overrides", name) for name in settings.sinker.overrides),
        *(("sinker.event_types", name) for name in settings.sinker.event_types),
    ]
    for key, name in named:
        if name not in names:
            raise ConfigError(f"{key}: {name} is no event type; known are {', '.join(names)}")


def bindings(foreign: bool) -> tuple[Binding, ...]:
    """What a process declares before it relays or takes."""
    return (*BINDINGS, *ERROR_BINDINGS) if foreign else BINDINGS


async def _declare(exchange: Exchange, bindings: Sequence[Binding], patience: Patience) -> None:
    while True:
        try:
            await exchange.declare(bindings)
            patience.reset()
            return
        except Transient as error:
            await patience.wait_after(error)
