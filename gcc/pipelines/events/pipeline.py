"""The events pipeline: the relay, and a sinker for each event type, in one nursery.

In: outbox frames. Out: rows in ClickHouse, dead letters. It owns its channels, so it restarts whole.
"""

from collections.abc import Sequence

import trio

from gcc.actors.consumer import Consumer
from gcc.actors.patience import Patience
from gcc.actors.relay import Relay
from gcc.channels.batch import BatchLimits
from gcc.channels.deadletters import DeadLetters
from gcc.channels.exchange import Exchange
from gcc.channels.memory import Channels
from gcc.clock import Clock
from gcc.config import Role, Settings
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.sinks import EventStore, Sink
from gcc.pipelines.events.types import EVENT_TYPES, EventType
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board


class EventsPipeline:
    """`roles` of the settings choose its halves: "relay", "sinker"."""

    def __init__(
        self,
        settings: Settings,
        *,
        exchange: Exchange,
        store: EventStore,
        dead_letters: DeadLetters,
        channels: Channels,
        board: Board,
        drain: Drain,
        metrics: Metrics,
        clock: Clock,
        event_types: Sequence[EventType] = EVENT_TYPES,
    ) -> None:
        self._roles: frozenset[Role] = frozenset(settings.roles)
        sinker = settings.sinker
        self._limits = BatchLimits(sinker.batch_rows, sinker.batch_age_s, sinker.batch_rows_max)
        self._exchange = exchange
        self._store = store
        self._dead_letters = dead_letters
        self._channels = channels
        self._board = board
        self._drain = drain
        self._metrics = metrics
        self._clock = clock
        self._event_types = event_types

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained: the relay's stage, then the sinkers'."""
        await self._declare()
        async with trio.open_nursery() as nursery:
            if "sinker" in self._roles:
                for event_type in self._event_types:
                    await nursery.start(self._sinker(event_type).run)
            if "relay" in self._roles:
                await nursery.start(self._relay().run)
            task_status.started()

    async def _declare(self) -> None:
        patience = Patience(self._board.actor("events"), self._clock.rng)
        while True:
            try:
                await self._exchange.declare([event_type.binding for event_type in self._event_types])
                return
            except Transient as error:
                await patience.wait_after(error)

    def _relay(self) -> Relay:
        actor = self._board.actor("events/relay")
        return Relay(self._exchange, actor, self._drain.stage("relay"), self._metrics, self._clock.rng)

    def _sinker(self, event_type: EventType) -> Consumer:
        return Consumer(
            event_type.queue,
            self._exchange,
            Sink(event_type, self._store, self._dead_letters, self._metrics),
            limits=self._limits,
            channels=self._channels,
            actor=self._board.actor(f"events/sinker {event_type.name}"),
            stage=self._drain.stage("sinkers"),
            rng=self._clock.rng,
        )
