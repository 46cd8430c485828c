"""A RabbitMQ in memory: the part of `gcc.stores.rabbitmq` that the exchange uses, and a broker behind it.

The broker outlives the processes that connect to it, as the real one does. The exchange that runs on it is the real
one; tests/contract/test_exchange.py holds this to the real broker. Faults: connections drop before or after a
publication was taken (confirms are lost), deliveries are redelivered then, publishers are refused or blocked.
"""

import datetime as dt
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from gcc.stores import rabbitmq
from gcc.stores.rabbitmq.message import short_string
from tests.fakes.database import matches

NO_ROUTE = 312
PREFETCHED_MAX = 10_000
SLOW_S = 5.0
BENT_TIMES = (1_767_225_600_000_000, (1 << 64) - 86_400, 1 << 63)
"""Times of messages that no clock shows: in microseconds, before 1970, beyond all years."""
_SENT_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

Told = Callable[[str, str, rabbitmq.Message], None]


@dataclass
class Faults:
    """Shares of occasions; may be changed while running. All at 0 is healed."""

    rng: random.Random
    lose_publish: float = 0.0  # the connection drops before any of a publication arrived ...
    lose_confirm: float = 0.0  # ... or after: it is in the queues, and nobody is told
    refuse: float = 0.0  # of messages: nacked
    slow: float = 0.0  # of publications: the answer takes up to SLOW_S
    away: bool = False  # nobody is let in
    block: bool = False  # publishers are blocked; see FakeBroker.block
    mute: set[str] = field(default_factory=set)  # queues that neither take nor refuse: without their quorum
    undeclarable: set[str] = field(default_factory=set)  # queues that cannot be made: a limit of the vhost
    closing: dict[str, int | None] = field(default_factory=dict)  # exchanges to which to publish closes the channel ...
    poisonous: set[str] = field(default_factory=set)  # ... or the connection
    message_bytes_max: int = 1 << 30  # a larger message closes the channel

    def strikes(self, share: float) -> bool:
        return share > 0 and self.rng.random() < share

    def heal(self) -> None:
        self.lose_publish = self.lose_confirm = self.refuse = self.slow = 0.0
        self.away = False
        self.message_bytes_max = 1 << 30
        for some in (self.mute, self.undeclarable, self.closing, self.poisonous):
            some.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bent(rabbitmq.Properties):
    """Of which one cannot be read; the fields are the others. `raw` is what is on the wire."""

    raw: bytes

    def pack(self) -> bytes:
        return self.raw


def bent(properties: rabbitmq.Properties, time: int, *, in_headers: bool) -> Bent:
    """The same, with such a time after the message's id, or before it."""
    whole = (
        replace(properties, headers={"sent_at": _SENT_AT}) if in_headers else replace(properties, timestamp=_SENT_AT)
    )
    raw = whole.pack().replace(int(_SENT_AT.timestamp()).to_bytes(8, "big"), time.to_bytes(8, "big"))
    return Bent(message_id=properties.message_id, content_type=properties.content_type, raw=raw)


@dataclass(eq=False, slots=True)
class _Stored:
    message: rabbitmq.Message
    number: int
    queue: "_Queue"
    redelivered: bool = False


@dataclass(eq=False)
class _Queue:
    arguments: dict[str, Any]
    ready: deque[_Stored] = field(default_factory=deque)
    consumers: list["FakeConsumer"] = field(default_factory=list)


class FakeBroker:
    """`told(what, queue, message)` hears of each message that is "queued", "acknowledged" or "requeued", or "deleted"
    with its queue."""

    def __init__(self, faults: Faults | None = None, told: Told = lambda what, queue, message: None) -> None:
        self.faults = faults or Faults(random.Random(0))
        self.queues: dict[str, _Queue] = {}
        self.exchanges: dict[str, str] = {}
        self.told = told
        self._bindings: dict[str, list[tuple[str, str]]] = defaultdict(list)  # exchange -> (key, queue)
        self._connections: dict[FakeConnection, None] = {}
        self._numbers = 0
        self.published = 0  # messages, whatever became of them
        self.used: set[str] = set()  # queues that have had one

    @asynccontextmanager
    async def connect(self, url: str, *, name: str = "", **_: Any) -> AsyncIterator["FakeConnection"]:
        await trio.lowlevel.checkpoint()
        if self.faults.away:
            raise rabbitmq.ConnectionClosed(None, "simulated: nobody listens")
        connection = FakeConnection(self)
        self._connections[connection] = None
        try:
            yield connection
        finally:
            connection.drop(rabbitmq.ConnectionClosed(None, "closed"))

    def restart(self) -> None:
        """All connections are lost; queues and messages are durable."""
        for connection in list(self._connections):
            connection.drop(rabbitmq.ConnectionClosed(320, "simulated: the broker went away"))

    def block(self, on: bool) -> None:
        """Publishers, by a memory alarm; each connection is told."""
        self.faults.block = on
        for connection in self._connections:
            connection.changed.unpark_all()

    def heal(self) -> None:
        self.faults.heal()
        self.block(False)

    def messages(self) -> int:
        """Ready or held by a consumer."""
        held = sum(len(channel.held) for connection in self._connections for channel in connection.channels)
        return held + sum(len(queue.ready) for queue in self.queues.values())

    def held(self) -> int:
        return sum(len(channel.held) for connection in self._connections for channel in connection.channels)

    def channels(self) -> int:
        return sum(len(connection.channels) for connection in self._connections)

    def route(self, message: rabbitmq.Message) -> list[str]:
        """The queues that the message belongs into."""
        if not message.exchange:
            return [message.key] if message.key in self.queues else []
        topic = self.exchanges.get(message.exchange) == "topic"
        found = {
            queue
            for key, queue in self._bindings[message.exchange]
            if (matches(key, message.key) if topic else key == message.key)
        }
        return sorted(found)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        if (key, queue) not in self._bindings[exchange]:
            self._bindings[exchange].append((key, queue))

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        self._bindings[exchange].remove((key, queue))

    def delete_exchange(self, name: str) -> None:
        """With its bindings, as an operator does it."""
        del self.exchanges[name]
        self._bindings.pop(name, None)

    def delete_queue(self, name: str) -> None:
        """With its messages and bindings; its consumers are told."""
        queue = self.queues.pop(name)
        for bindings in self._bindings.values():
            bindings[:] = [(key, other) for key, other in bindings if other != name]
        for stored in queue.ready:
            self.told("deleted", name, stored.message)
        for consumer in queue.consumers:
            consumer.cancelled()

    def store(self, message: rabbitmq.Message, queues: Sequence[str]) -> None:
        for name in queues:
            self._numbers += 1
            queue = self.queues[name]
            queue.ready.append(_Stored(message, self._numbers, queue))
            self.used.add(name)
            self.told("queued", name, message)
            self.pump(name)

    def requeue(self, name: str, stored: Sequence[_Stored]) -> None:
        """Back to where they were: a queue is in order of arrival."""
        queue = self.queues.get(name)
        back = [each for each in stored if each.queue is queue]
        for each in stored:
            each.redelivered = True
            self.told("requeued" if each.queue is queue else "deleted", name, each.message)
        if queue is not None and back:
            queue.ready = deque(sorted([*back, *queue.ready], key=lambda each: each.number))
            self.pump(name)

    def pump(self, name: str) -> None:
        """Hand ready messages to consumers that have room, one after the other."""
        queue = self.queues.get(name)
        while queue and queue.ready and (free := [consumer for consumer in queue.consumers if consumer.has_room]):
            for consumer in free:
                if queue.ready:
                    consumer.deliver(queue.ready.popleft())


class FakeConnection:
    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.closed: rabbitmq.AmqpError | None = None
        self.channels: list[FakeChannel] = []
        self.changed = trio.lowlevel.ParkingLot()
        self._gone = trio.Event()

    @property
    def blocked(self) -> str | None:
        return "simulated: low on memory" if self.broker.faults.block else None

    async def wait_closed(self) -> None:
        await self._gone.wait()

    async def open_channel(self) -> "FakeChannel":
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise self.closed
        channel = FakeChannel(self)
        self.channels.append(channel)
        return channel

    def drop(self, why: rabbitmq.AmqpError) -> None:
        if self.closed is None:
            self.closed = why
            self.broker._connections.pop(self, None)
            for channel in list(self.channels):
                channel.end(why)
            self._gone.set()


class FakeChannel:
    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.broker = connection.broker
        self.closed: rabbitmq.AmqpError | None = None
        self.held: dict[int, tuple[str, _Stored]] = {}  # tag -> its queue, the message
        self.consumer: FakeConsumer | None = None
        self.received = self.given_back = 0
        self._tags = 0

    async def _ask(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise self.closed

    def _refuse(self, code: int | None, text: str) -> rabbitmq.ChannelClosed:
        error = rabbitmq.ChannelClosed(code, text)
        self.end(error)
        return error

    async def declare_exchange(self, name: str, kind: str, *, passive: bool = False, **_: Any) -> None:
        await self._ask()
        short_string(name)
        known = self.broker.exchanges.get(name)
        if passive:
            if known is None:
                raise self._refuse(404, f"no exchange '{name}'")
        elif known not in (None, kind):
            raise self._refuse(406, f"exchange '{name}' is {known}")
        else:
            self.broker.exchanges[name] = kind

    async def declare_queue(
        self, name: str, *, passive: bool = False, arguments: Any = None, **_: Any
    ) -> rabbitmq.QueueInfo:
        await self._ask()
        queue = self.broker.queues.get(name)
        if queue is None:
            if passive:
                raise self._refuse(404, f"no queue '{name}'")
            if name in self.broker.faults.undeclarable:
                raise self._refuse(406, "simulated: queue limit in vhost is reached")
            queue = self.broker.queues[name] = _Queue(dict(arguments or {}))
        elif not passive and queue.arguments != dict(arguments or {}):
            raise self._refuse(406, f"inequivalent arguments for queue '{name}'")
        return rabbitmq.QueueInfo(name, len(queue.ready), len(queue.consumers))

    async def bind_queue(self, queue: str, exchange: str, key: str, arguments: Any = None) -> None:
        await self._ask()
        if queue not in self.broker.queues or exchange not in self.broker.exchanges:
            raise self._refuse(404, f"no queue '{queue}' or no exchange '{exchange}'")
        self.broker.bind(queue, exchange, key)

    async def select_confirms(self) -> None:
        await self._ask()

    async def settled(self) -> None:
        await self._ask()

    async def publish(
        self, messages: Sequence[rabbitmq.Message], *, mandatory: bool = True, settle_s: float = float("inf")
    ) -> rabbitmq.Outcome:
        await self._ask()
        faults = self.broker.faults
        if faults.strikes(faults.lose_publish):
            self.connection.drop(rabbitmq.ConnectionClosed(None, "simulated: lost before it was taken"))
            raise self.connection.closed or AssertionError
        for message in messages:
            short_string(message.exchange), short_string(message.key)  # AMQP cannot carry more: nothing is sent
        nacked, returned, unsettled = set(), {}, set()
        for index, message in enumerate(messages):
            self.broker.published += 1
            self._refuse_poison(message)  # what came before it is stored, and nobody is told
            queues = self.broker.route(message)
            if faults.strikes(faults.refuse):
                nacked.add(index)
            elif not queues:
                returned[index] = rabbitmq.Returned(NO_ROUTE, "NO_ROUTE")
            elif not faults.mute.isdisjoint(queues):
                unsettled.add(index)
            else:
                self.broker.store(message, queues)
        if unsettled:
            await trio.sleep(settle_s)
        await trio.sleep(faults.rng.uniform(0, SLOW_S) if faults.strikes(faults.slow) else 0)
        # cancelled by now: it is there, and nobody is told
        if faults.strikes(faults.lose_confirm):
            self.connection.drop(rabbitmq.ConnectionClosed(None, "simulated: lost before it was confirmed"))
        if self.closed:
            raise self.closed
        return rabbitmq.Outcome(frozenset(nacked), returned, frozenset(unsettled))

    def _refuse_poison(self, message: rabbitmq.Message) -> None:
        faults = self.broker.faults
        if message.exchange and message.exchange not in self.broker.exchanges:
            raise self._refuse(404, f"no exchange '{message.exchange}'")
        if message.exchange in faults.closing:
            raise self._refuse(faults.closing[message.exchange], "simulated")
        if message.exchange in faults.poisonous:
            self.connection.drop(rabbitmq.ConnectionClosed(541, "simulated: internal error"))
            raise self.connection.closed or AssertionError
        if len(message.body) > faults.message_bytes_max:
            text = f"message size {len(message.body)} is larger than configured {faults.message_bytes_max}"
            raise self._refuse(406, text)

    async def consume(self, queue: str, *, prefetch: int) -> "FakeConsumer":
        await self._ask()
        if queue not in self.broker.queues:
            raise self._refuse(404, f"no queue '{queue}'")
        self.consumer = FakeConsumer(self, queue, min(prefetch, PREFETCHED_MAX))
        self.broker.queues[queue].consumers.append(self.consumer)
        self.broker.pump(queue)
        return self.consumer

    def hold(self, queue: str, stored: _Stored) -> int:
        self._tags += 1
        self.held[self._tags] = (queue, stored)
        return self._tags

    def ack(self, tag: int, multiple: bool = False) -> None:
        for queue, stored in self._settle(tag, multiple):
            self.broker.told("acknowledged", queue, stored.message)
        self._more()

    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        for queue, stored in self._settle(tag, multiple):
            self.given_back += 1
            self.broker.requeue(queue, [stored] if requeue else [])
        self._more()

    def _settle(self, tag: int, multiple: bool) -> list[tuple[str, _Stored]]:
        if self.closed:
            raise self.closed
        tags = [each for each in self.held if each <= tag] if multiple else [tag]
        if tag not in self.held:
            raise self._refuse(406, f"unknown delivery tag {tag}")
        return [self.held.pop(each) for each in tags]

    def _more(self) -> None:
        if self.consumer:
            self.broker.pump(self.consumer.queue)

    def close(self) -> None:
        self.end(rabbitmq.ChannelClosed(None, "closed by this side"))

    def end(self, why: rabbitmq.AmqpError) -> None:
        """All that it holds is ready again."""
        if self.closed is None:
            self.closed = why
            if self in self.connection.channels:
                self.connection.channels.remove(self)
            if self.consumer:
                self.consumer.end()
            held, self.held = self.held, {}
            by_queue: dict[str, list[_Stored]] = defaultdict(list)
            for queue, stored in held.values():
                by_queue[queue].append(stored)
            for queue, some in by_queue.items():
                self.broker.requeue(queue, some)


class FakeConsumer:
    def __init__(self, channel: FakeChannel, queue: str, prefetch: int) -> None:
        self.queue = queue
        self._channel = channel
        self._prefetch = prefetch
        self._waiting: deque[rabbitmq.Delivery] = deque()
        self._news = trio.Event()
        self._cancelled = False

    @property
    def has_room(self) -> bool:
        return len(self._channel.held) < self._prefetch

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def deliver(self, stored: _Stored) -> None:
        self._channel.received += 1
        tag = self._channel.hold(self.queue, stored)
        message = stored.message
        delivery = rabbitmq.Delivery(tag, stored.redelivered, message.exchange, message.key, self.queue)
        delivery.body, delivery.packed_properties = message.body, message.properties.pack()
        self._waiting.append(delivery)
        self._news.set()

    def take_nowait(self, most: int) -> list[rabbitmq.Delivery]:
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    async def wait(self) -> None:
        while not self._waiting:
            if self._channel.closed:
                raise self._channel.closed
            if self._cancelled:
                raise rabbitmq.ConsumerCancelled("simulated: the queue is gone")
            self._news = trio.Event()
            await self._news.wait()
        await trio.lowlevel.checkpoint()

    def cancelled(self) -> None:
        """The queue is gone. What was delivered can still be taken; to acknowledge it changes nothing."""
        self._cancelled = True
        self._news.set()

    def stop(self) -> None:
        self.end()
        left, self._waiting = list(self._waiting), deque()
        for delivery in left:
            self._channel.nack(delivery.tag)

    def end(self) -> None:
        queue = self._channel.broker.queues.get(self.queue)
        if queue and self in queue.consumers:
            queue.consumers.remove(self)
        if self._channel.closed:
            self._waiting.clear()
        self._news.set()
