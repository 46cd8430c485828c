"""What tenants are told of, and how it gets on its way: a frame in the outbox, written in the transaction of what it
tells.

Events are thin: their data are ids, by which who is told may ask. In: `framed` of whoever emits one. Out: a delivery
for each endpoint that it is for; what is no event is buried.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence

import msgspec

from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame
from gcc.clock import Clock
from gcc.pipelines.events.reading import lines
from gcc.pipelines.events.routes import WEBHOOK_OUT
from gcc.stores.webhooks import Arrived, PostgresWebhooks

TEST = "webhook.test"
JOB_COMPLETED, JOB_FAILED = "job.completed", "job.failed"
CONNECTION_EXPIRED = "connection.expired"
USAGE_THRESHOLD = "usage.threshold"
EVENTS = (TEST, JOB_COMPLETED, JOB_FAILED, CONNECTION_EXPIRED, USAGE_THRESHOLD)
"""Those that somebody emits; who emits another adds its row."""
DATA_BYTES_MAX = 16 << 10
PARTNER_MAX = 2**63 - 1


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`endpoint_id`: it is for that one alone."""

    event_id: uuid.UUID
    type: str
    partner_id: int
    at: dt.datetime
    data: dict[str, str | int]
    endpoint_id: uuid.UUID | None = None


class Posted(msgspec.Struct):
    """The body that a receiver gets."""

    type: str
    timestamp: dt.datetime
    data: dict[str, str | int]


def framed(
    clock: Clock, type: str, partner_id: int, data: Mapping[str, str | int], *, endpoint_id: uuid.UUID | None = None
) -> tuple[uuid.UUID, Frame]:
    """An event's id, and its frame for the outbox."""
    event = Event(
        event_id=clock.new_id(),
        type=type,
        partner_id=partner_id,
        at=clock.now(),
        data=dict(data),
        endpoint_id=endpoint_id,
    )
    return event.event_id, Frame(clock.new_id(), WEBHOOK_OUT, 1, msgspec.json.encode(event), counted=0)


def connection_expired(clock: Clock, connection_id: uuid.UUID, partner_id: int, platform: str) -> Frame:
    """A creator's token has died: who may ask for another is told."""
    return framed(clock, CONNECTION_EXPIRED, partner_id, {"connection_id": str(connection_id), "platform": platform})[1]


class Arrivals:
    """The consumer of webhook_out_q. `arrived` is set where there is something to deliver. Raises Transient."""

    def __init__(self, webhooks: PostgresWebhooks, dead_letters: DeadLetters, arrived: Signal) -> None:
        self._webhooks = webhooks
        self._dead_letters = dead_letters
        self._arrived = arrived

    async def handle(self, batch: Sequence[Delivery]) -> int:
        events, burials = [], []
        for delivery in batch:
            for _, line in lines(delivery.frame.body):
                try:
                    events.append(_arrived(line))
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    burials.append(Burial(delivery.queue, delivery.frame, line, 1, f"it is no event: {error}", 0))
        if await self._webhooks.arrive(events):
            self._arrived.set()
        await self._dead_letters.bury(burials)
        return len(events)


def _arrived(line: bytes) -> Arrived:
    """ValueError: whose it is, and what it tells, cannot be known, or nobody may be told so much."""
    event = msgspec.json.decode(line, type=Event)
    if event.type not in EVENTS:
        raise ValueError(f"there is no type {event.type[:100]!r}; there are {', '.join(EVENTS)}")
    if not 0 < event.partner_id <= PARTNER_MAX:
        raise ValueError(f"there is no partner {event.partner_id}")
    if event.at.tzinfo is None:
        raise ValueError("its time has no zone")
    body = msgspec.json.encode(Posted(event.type, event.at, event.data))
    if len(body) > DATA_BYTES_MAX:
        raise ValueError(f"it has {len(body)} bytes, more than {DATA_BYTES_MAX}; tell ids alone")
    return Arrived(event.event_id, event.partner_id, event.type, body, event.endpoint_id)
