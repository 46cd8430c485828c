"""The events pipelines: the relay, which empties the outbox, and a sinker for each event type.

In: outbox frames. Out: rows in ClickHouse, dead letters. The two share no channel, so each restarts alone,
and whole. Both declare all bindings: a frame relayed before its queue is bound would be dead-lettered.
Where other programs can publish, too, since the exchange is a broker's, their error queues are declared, and emptied.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from gcc.actors.consumer import Consumer, Handler
from gcc.actors.leader import Leader
from gcc.actors.maintenance import Maintenance
from gcc.actors.patience import Patience
from gcc.actors.relay import Relay
from gcc.channels.batch import BatchLimits
from gcc.channels.deadletters import LETTERS_MAX
from gcc.channels.exchange import Queues
from gcc.channels.message import Binding
from gcc.config import Settings
from gcc.errors import ConfigError, Transient
from gcc.pipelines.declared import Context, Parts
from gcc.pipelines.events.error_queues import Burials, ManyQueues
from gcc.pipelines.events.referrals import also_referrals
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.stillness import TELL_S
from gcc.pipelines.events.types import (
    BINDINGS,
    ERROR_BINDINGS,
    EVENT_TYPES,
    LAUNCH_REFER_EVENT,
    EventType,
)
from gcc.supervisor.lifecycle import State

RELAY_LEADER = "relay"
UNDERTAKER = "events/sinker error_queues"
ERROR_QUEUES = "error queues"
"""All of them, as one consumer has them and as people see them."""
LISTENERS: Mapping[str, str] = {
    queue: f"credentials/listener {queue}"
    for queue in ("identity_token_q", "credentials_validate_q", "access_token_expired_q")
}
"""Who takes from a queue without a table, see gcc/pipelines/credentials."""
ANNOUNCED: Mapping[str, str] = {
    queue: f"announced/listener {queue}"
    for queue in ("upsert_instagram_account_q", "upsert_youtube_account_q", "alert_q")
}
"""And from those that schedules fill, see gcc/pipelines/analytics/announced.py."""
WEBHOOKS: Mapping[str, str] = {"webhook_out_q": "webhooks/listener webhook_out_q"}
"""And from that of what tenants are told, see gcc/pipelines/webhooks."""
SCORERS: Mapping[str, str] = {"creator_follower_in": "scoring/scorer"}
"""And from that of followers, see gcc/pipelines/scoring."""
CONSUMERS: Mapping[str, str] = {
    **{event_type.queue: f"events/sinker {event_type.name}" for event_type in EVENT_TYPES},
    ERROR_QUEUES: UNDERTAKER,
    **LISTENERS,
    **ANNOUNCED,
    **WEBHOOKS,
    **SCORERS,
}
"""Who takes from each queue."""
BURIED = BatchLimits(rows=LETTERS_MAX, age_s=1.0, rows_max=5 * LETTERS_MAX)
"""An object's worth, or a few: a batch must be done within its deadline (Consumer's HOLD_S), on a slow S3 too."""


class RelayPipeline:
    """Outbox -> queues. Where the exchange has a broker, one process relays at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "relay" of the drain has begun and the outbox is empty."""
        context, parts = self._context, self._context.parts
        actor = context.board.actor("events/relay")
        await declare(parts, Patience(actor, context.clock.rng))
        async with trio.open_nursery() as nursery:
            leader: Leader | None = None
            if parts.leadership is not None:
                leader_actor = context.board.actor("events/relay leader")
                leader = Leader(RELAY_LEADER, parts.leadership, leader_actor, context.clock)
                await nursery.start(leader.run)
            relay = Relay(
                parts.exchange, actor, context.drain.stage("relay"), context.metrics, context.clock.rng,
                gate=context.gates.gate(actor.name), leader=leader,
            )  # fmt: skip
            await relay.run(task_status=task_status)
            nursery.cancel_scope.cancel()  # the leader resigns


class SinkPipeline:
    """Queues -> tables of the event store, one sinker for each event type.

    Where the broker does not know what is held of its queues, `check` is told.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "sinkers" of the drain has begun and what they hold is stored."""
        context = self._context
        await declare(context.parts, Patience(context.board.actor("events/sinkers"), context.clock.rng))
        async with self._telling():
            async with trio.open_nursery() as nursery:
                for event_type in chosen(context.settings):
                    await nursery.start(self._sinker(event_type).run)
                if context.parts.broker is not None:
                    await nursery.start(self._undertaker().run)
                task_status.started()

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """What this process holds is told until it holds nothing."""
        telling = self._context.parts.telling
        if telling is None:
            yield
            return
        actor = self._context.board.actor("events/holdings")
        chore = Maintenance([telling], actor, self._context.clock.rng, every_s=TELL_S)
        async with trio.open_nursery() as nursery:
            await nursery.start(chore.run)
            yield
            nursery.cancel_scope.cancel()
        await telling.last()
        actor.state = State.FINISHED

    def _sinker(self, event_type: EventType) -> Consumer:
        context, parts = self._context, self._context.parts
        also = also_referrals(parts.referrals) if event_type is LAUNCH_REFER_EVENT else None
        sink = Sink(event_type, parts.events, parts.dead_letters, context.metrics, also=also, now=context.clock.now)
        return consumer(context, event_type.queue, sink, limits(context.settings, event_type), stage="sinkers")

    def _undertaker(self) -> Consumer:
        """Of the error queues, all in one."""
        context, parts = self._context, self._context.parts
        queues = ManyQueues(sorted({binding.queue for binding in ERROR_BINDINGS}), parts.exchange)
        burials = Burials(parts.dead_letters, context.metrics)
        return consumer(context, ERROR_QUEUES, burials, BURIED, stage="sinkers", queues=queues)


def consumer(
    context: Context, queue: str, handler: Handler, limits: BatchLimits, *, stage: str, queues: Queues | None = None
) -> Consumer:
    """Of one queue, or of what `queues` has under its name, under its name in CONSUMERS, until the drain's `stage`."""
    actor = context.board.actor(CONSUMERS[queue])
    return Consumer(
        queue,
        queues or context.parts.exchange,
        handler,
        context.parts.dead_letters,
        limits=limits,
        channels=context.channels,
        actor=actor,
        stage=context.drain.stage(stage),
        metrics=context.metrics,
        rng=context.clock.rng,
        gate=context.gates.gate(actor.name),
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
    """What a process declares before it relays or takes. `foreign`: other programs can publish, too."""
    return (*BINDINGS, *ERROR_BINDINGS) if foreign else BINDINGS


async def declare(parts: Parts, patience: Patience) -> None:
    """Declare all bindings, however long the exchange is away."""
    while True:
        try:
            await parts.exchange.declare(bindings(foreign=parts.broker is not None))
            patience.reset()
            return
        except Transient as error:
            await patience.wait_after(error)
