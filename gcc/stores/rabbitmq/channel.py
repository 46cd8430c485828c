"""A channel: declarations one at a time, publishing with confirms, consumers and acknowledgement.

Callers only append whole frames to the connection's buffer, so that cancelling one tears nothing; what comes
in is handed to `handle`, which never waits. After a channel error all of it raises ChannelClosed and a new
channel must be opened: consumers, unsettled messages and delivery tags do not outlive their channel.
"""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import trio
from pamqp import base, commands

from . import codec
from .codec import Confirm, Event, ReturnedMessage
from .confirms import Confirms
from .errors import AmqpError, ChannelClosed, ConsumerCancelled, ProtocolError, fresh
from .message import Delivery, Message, Outcome

if TYPE_CHECKING:
    from .connection import Connection

RPC_S: Final = 30.0
"""How long the broker may take to answer a method; then the channel, whose state is unknown, is closed."""

_Reply = TypeVar("_Reply", bound=base.Frame)


@dataclass(frozen=True, slots=True)
class QueueInfo:
    name: str
    messages: int
    """Ready ones; what consumers hold is not counted."""
    consumers: int


class _Call(Generic[_Reply]):
    """A method that the broker owes an answer to, whether or not its caller still waits."""

    def __init__(self, reply: type[_Reply]) -> None:
        self.reply = reply
        self.answer: _Reply | None = None
        self.done = trio.Event()


class Channel:
    """Made by `Connection.open_channel`. `closed` tells why, once it is."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self.number = number
        self.closed: AmqpError | None = None
        self._connection = connection
        self._calling = trio.Lock()
        self._call: _Call[Any] | None = None
        self._publishing = trio.Lock()
        self._confirms: Confirms | None = None
        self._held: dict[int, int] = {}  # tag -> bytes, of unsettled deliveries, in order
        self._consumers: dict[str, Consumer] = {}
        self._consumers_made = 0
        self.received = 0
        """How many deliveries ever came."""
        self.given_back = 0
        """How many of them were nacked."""

    # -- methods that the broker answers

    async def open(self) -> None:
        """Before anything else. Nobody shares the channel yet, so no turn is waited for: cancelled, it was asked for
        all the same and must be closed."""
        await self._ask_next(commands.Channel.Open(), commands.Channel.OpenOk)

    async def declare_exchange(
        self,
        name: str,
        kind: str,
        *,
        durable: bool = True,
        arguments: Mapping[str, Any] | None = None,
        passive: bool = False,
    ) -> None:
        """Make it, or check that it is there (ChannelClosed 404 when `passive` and absent, 406 when it differs)."""
        request = commands.Exchange.Declare(
            exchange=name, exchange_type=kind, durable=durable, passive=passive, arguments=dict(arguments or {})
        )
        await self._ask(request, commands.Exchange.DeclareOk)

    async def declare_queue(
        self, name: str, *, durable: bool = True, arguments: Mapping[str, Any] | None = None, passive: bool = False
    ) -> QueueInfo:
        """Make it, or look at it (ChannelClosed 404 when `passive` and absent, 406 when it differs)."""
        request = commands.Queue.Declare(queue=name, durable=durable, passive=passive, arguments=dict(arguments or {}))
        reply = await self._ask(request, commands.Queue.DeclareOk)
        return QueueInfo(reply.queue or name, reply.message_count or 0, reply.consumer_count or 0)

    async def bind_queue(self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any] | None = None) -> None:
        request = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key, arguments=dict(arguments or {}))
        await self._ask(request, commands.Queue.BindOk)

    async def delete_queue(self, name: str) -> None:
        await self._ask(commands.Queue.Delete(queue=name), commands.Queue.DeleteOk)

    async def purge_queue(self, name: str) -> None:
        await self._ask(commands.Queue.Purge(queue=name), commands.Queue.PurgeOk)

    async def select_confirms(self) -> None:
        """Must precede the first publish(). Doing it again changes nothing."""
        await self._ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
        self._confirms = self._confirms or Confirms()

    async def settled(self) -> None:
        """Return when the broker has dealt with all that this channel has acknowledged or given back so far."""
        await self._ask(commands.Channel.Flow(active=True), commands.Channel.FlowOk)

    async def _ask(self, request: base.Frame, reply: type[_Reply]) -> _Reply:
        async with self._calling:
            return await self._ask_next(request, reply)

    async def _ask_next(self, request: base.Frame, reply: type[_Reply]) -> _Reply:
        """Needs `_calling`. Cancelled: the answer is awaited, and dropped, by whoever asks next."""
        data = codec.method(self.number, request)  # what AMQP cannot carry is refused before an answer is owed
        with trio.move_on_after(RPC_S):
            if self._call is not None:
                await self._call.done.wait()
            self._check_open()
            call = _Call(reply)
            self._call = call
            self._connection.append(data)
            await call.done.wait()
            self._check_open()
            assert call.answer is not None
            return call.answer
        self.close(f"no answer to {request.name} within {RPC_S:g} s")
        raise fresh(self.closed or ChannelClosed(None, "closed"))

    # -- publishing

    async def publish(
        self, messages: Sequence[Message], *, mandatory: bool = True, settle_s: float = float("inf")
    ) -> Outcome:
        """Send `messages` in one write and return when the broker has settled every one of them, or `settle_s` later.

        One queue that cannot store (without its quorum, say) holds up its own messages only: those are told as
        unsettled, and take room of the window until the broker settles them or the channel is closed.
        Waits for its turn, for room in the confirm window, and while the broker blocks publishers; for how long is
        the caller's to bound. A batch larger than the window is sent in as many writes as the window needs.
        Raises RuntimeError without confirms; ValueError for what AMQP cannot carry (nothing of that write is sent).
        After ChannelClosed, ConnectionClosed or a cancellation each message may or may not be stored. `messages`
        must not change meanwhile.
        """
        confirms = self._confirms
        if confirms is None:
            raise RuntimeError("select_confirms() must come before publish()")
        self._check_open()
        if not messages:
            await trio.lowlevel.checkpoint()
            return Outcome()
        async with self._publishing:
            batch = confirms.begin(messages)
            for piece in confirms.pieces(messages):
                data = codec.publish(self.number, piece, self._connection.frame_max, mandatory=mandatory)
                await self._wait_for_room(confirms, piece)
                self._connection.append(data)
                confirms.sent(batch, piece)
        with trio.move_on_after(settle_s):
            await batch.settled.wait()
        if batch.error is not None:
            raise fresh(batch.error)
        return confirms.outcome(batch)

    async def _wait_for_room(self, confirms: Confirms, piece: Sequence[Message]) -> None:
        self._check_open()
        while self._connection.blocked is not None or self._connection.full or not confirms.room_for(piece):
            await self._connection.changed.park()
            self._check_open()

    # -- consuming

    async def consume(self, queue: str, *, prefetch: int) -> "Consumer":
        """Deliveries of `queue`, at most `prefetch` of them unacknowledged at a time.

        Cancelled: the consumer is ended and whatever was delivered to it goes back to the queue.
        """
        if not 0 < prefetch < 65536:
            raise ValueError(f"prefetch {prefetch} is not between 1 and 65535; 0 would be without bound")
        self._consumers_made += 1
        consumer = Consumer(self, f"{self.number}.{self._consumers_made}")
        request = commands.Basic.Consume(queue=queue, consumer_tag=consumer.tag)
        async with self._calling:
            await self._ask_next(commands.Basic.Qos(prefetch_count=prefetch), commands.Basic.QosOk)
            self._consumers[consumer.tag] = consumer  # before the answer: deliveries may come with it
            try:
                await self._ask_next(request, commands.Basic.ConsumeOk)
            except BaseException:
                self.stop(consumer)
                raise
        return consumer

    def stop(self, consumer: "Consumer") -> None:
        """Nobody will take from it: its deliveries go back, and it ends, but not before its consume-ok came:
        a basic.cancel that overtakes that crashes RabbitMQ's channel, and the connection with it."""
        if self._consumers.pop(consumer.tag, None) is not None:
            consumer.fail(ConsumerCancelled("the consumer was cancelled by this side"))
            if consumer.begun:
                self._send(commands.Basic.Cancel(consumer_tag=consumer.tag, nowait=True))
        if self.closed is None:
            for delivery in consumer.take_nowait():
                self.nack(delivery.tag)

    def _begin(self, tag: str) -> None:
        consumer = self._consumers.get(tag)
        if consumer is not None:
            consumer.begun = True
        else:  # stopped in the meantime
            self._send(commands.Basic.Cancel(consumer_tag=tag, nowait=True))

    def ack(self, tag: int, multiple: bool = False) -> None:
        """`multiple`: all deliveries of this channel up to `tag`. Appends and returns; never waits."""
        self._check_open()
        self._release(tag, multiple)
        self._connection.append(codec.ack(self.number, tag, multiple=multiple))

    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        self._check_open()
        self.given_back += self._release(tag, multiple)
        self._connection.append(codec.nack(self.number, tag, multiple=multiple, requeue=requeue))

    def reject(self, tag: int, requeue: bool = False) -> None:
        """Without `requeue` the message goes to the queue's dead-letter exchange, if it has one."""
        self._check_open()
        self._release(tag, multiple=False)
        self._send(commands.Basic.Reject(delivery_tag=tag, requeue=requeue))

    def _release(self, tag: int, multiple: bool) -> int:
        """Answers how many deliveries that settles."""
        before = len(self._held)
        size = self._held.pop(tag, 0)
        if multiple:
            for earlier in itertools.takewhile(lambda each: each < tag, list(self._held)):
                size += self._held.pop(earlier)
        self._connection.hold(-size)
        return before - len(self._held)

    # -- the end, and what comes in

    def close(self, text: str = "closed by this side") -> None:
        """Close it without waiting: what was sent before still counts. Doing it again changes nothing."""
        if self.closed is None:
            self.fail(ChannelClosed(None, text))
            self._send(commands.Channel.Close(reply_code=200, reply_text="", class_id=0, method_id=0))

    def fail(self, error: AmqpError) -> None:
        """The channel is gone because of `error`: everyone who waits here gets it."""
        self.closed = error
        if self._call is not None:
            self._call.done.set()
        if self._confirms is not None:
            self._confirms.fail(error)
        for consumer in self._consumers.values():
            consumer.fail(error, void=True)
        self._consumers.clear()
        self._connection.hold(-sum(self._held.values()))
        self._held.clear()
        self._connection.changed.unpark_all()

    def handle(self, event: Event) -> None:
        """Raises ProtocolError. Once closed, only the closing itself is listened to: the rest came late."""
        if isinstance(event, commands.Channel.Close):
            self._send(commands.Channel.CloseOk())
            if self.closed is None:
                self._connection.forget(self.number)
                self.fail(ChannelClosed(event.reply_code, event.reply_text))
        elif self.closed is not None:
            if isinstance(event, commands.Channel.CloseOk):
                self._connection.forget(self.number)
        elif isinstance(event, Delivery):
            self.received += 1
            self._held[event.tag] = event.held_bytes
            self._connection.hold(self._held[event.tag])
            consumer = self._consumers.get(event.consumer_tag)
            if consumer is None:
                self.nack(event.tag)  # it was stopped a moment ago
            else:
                consumer.add(event)
        elif isinstance(event, Confirm):
            self._window().settle(event)
            self._connection.changed.unpark_all()
        elif isinstance(event, ReturnedMessage):
            self._window().give_back(event)
        elif isinstance(event, commands.Basic.Cancel):
            cancelled = self._consumers.pop(event.consumer_tag or "", None)
            if cancelled is not None:
                cancelled.fail(ConsumerCancelled("the broker cancelled the consumer: its queue is gone or moved"))
        else:
            self._answer(event)

    def _window(self) -> Confirms:
        if self._confirms is None:
            raise ProtocolError(f"a confirm on channel {self.number}, which did not ask for any")
        return self._confirms

    def _answer(self, event: base.Frame) -> None:
        call = self._call
        if call is None or not isinstance(event, call.reply):
            raise ProtocolError(f"{event.name} on channel {self.number}, which nobody asked for")
        self._call = None
        call.answer = event
        call.done.set()
        if isinstance(event, commands.Basic.ConsumeOk):
            self._begin(event.consumer_tag or "")

    def _send(self, request: base.Frame) -> None:
        self._connection.append(codec.method(self.number, request))

    def _check_open(self) -> None:
        if self.closed is not None:
            raise fresh(self.closed)


class Consumer:
    """What a queue delivers, buffered: at most its prefetch. Made by `Channel.consume`."""

    def __init__(self, channel: Channel, tag: str) -> None:
        self.tag = tag
        self.begun = False
        """The broker has said consume-ok."""
        self._channel = channel
        self._buffer: deque[Delivery] = deque()
        self._changed = trio.lowlevel.ParkingLot()
        self._error: AmqpError | None = None

    @property
    def waiting(self) -> int:
        """Deliveries that nobody took yet."""
        return len(self._buffer)

    def take_nowait(self, count_max: int | None = None) -> list[Delivery]:
        """Up to `count_max` deliveries, the oldest first; an empty list when there is none."""
        count = len(self._buffer) if count_max is None else min(count_max, len(self._buffer))
        return [self._buffer.popleft() for _ in range(count)]

    async def wait(self) -> None:
        """Return when there is something to take. Cancelled: nothing is lost, for nothing is taken here.

        Raises ConsumerCancelled when the broker ended the consumer and all of it was taken (what was taken can
        still be acknowledged), ChannelClosed or ConnectionClosed when the channel is gone.
        """
        await trio.lowlevel.checkpoint()
        while not self._buffer:
            if self._error is not None:
                raise fresh(self._error)
            await self._changed.park()

    def stop(self) -> None:
        """End it: what nobody took goes back to the queue, also what is still on its way. Never waits, for no answer is
        read as long as its deliveries keep the connection from reading. After the next `Channel.settled` nothing more
        comes; after one more all is ready again. Doing it again changes nothing.
        """
        self._channel.stop(self)

    def add(self, delivery: Delivery) -> None:
        self._buffer.append(delivery)
        self._changed.unpark_all()

    def fail(self, error: AmqpError, *, void: bool = False) -> None:
        """No more will come; with `void` the tags of what is buffered mean nothing any more."""
        self._error = error
        if void:
            self._buffer.clear()
        self._changed.unpark_all()
