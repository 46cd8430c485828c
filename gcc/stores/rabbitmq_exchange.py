"""The exchange on RabbitMQ: outbox rows are published with confirms, queues are consumed with acknowledgement.

In: rows of the outbox (`gcc.channels.outbox.Outbox`), messages of any producer. Out: frames under the broker's own
lease: unacknowledged, they come back when their channel ends. Three connections: a broker that blocks publishers does
not hold up acknowledgements, a consumer that is slow no confirms, and neither of them what is declared and counted.

A row leaves the outbox after the broker has confirmed its message; whoever dies in between publishes it again (a
duplicate, never a loss). One process relays at a time: the term of its leader fences the removal. The relay's half is
in rabbitmq_relay.py, what is declared in rabbitmq_topology.py.

While the broker is away every method raises Transient. `connected` is one life of the connections; an actor
(gcc/actors/connection.py) lives them one after the other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field

import trio

from gcc import threads
from gcc.channels.deadletters import OutboxDeadLetters
from gcc.channels.exchange import Held, QueueDepth, QueueLook
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Delivery
from gcc.channels.outbox import Outbox
from gcc.clock import Clock
from gcc.errors import ConfigError, Transient
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq_messages import unpacked
from gcc.stores.rabbitmq_relay import POLL_S, Publisher, Relaying, blocks
from gcc.stores.rabbitmq_topology import NOT_FOUND, Declarer, Topology

PREFETCH = 10_000  # messages unacknowledged at once, for each queue: two good batches of single events
ACCESS_REFUSED, NOT_ALLOWED = 403, 530
LIMIT = "limit ("  # how the broker says that it has as many connections as it may have: that passes
ANSWER_S = 5.0  # how long an answer is waited for that may come behind much else
_TAG_BITS = 40  # a delivery's id is its channel's number and its tag

Connect = Callable[..., AbstractAsyncContextManager[rabbitmq.Connection]]


@dataclass(eq=False, slots=True)
class _Intake:
    """One queue's consumer, on a channel of its own: closing that gives back all that it holds."""

    number: int
    channel: rabbitmq.Channel
    consumer: rabbitmq.Consumer
    received_before: int  # by this process, of the queue
    held: dict[int, float] = field(default_factory=dict)  # tag -> when its event was committed; in order of the tags

    @property
    def received(self) -> int:
        return self.received_before + self.channel.received

    def give_back(self, tags: Iterable[int]) -> None:
        """Waits for nothing: they may be what keeps the connection from reading answers."""
        for tag in tags:
            del self.held[tag]
            self.channel.nack(tag, requeue=True)  # at no cost: a channel that ends counts as a delivery

    async def end(self) -> None:
        """Give back all that it has, also what is still on its way. Returns when the broker has it, or does not answer.

        Until it is `settled` the first time more may come, which goes back, too.
        """
        try:
            self.consumer.stop()  # first: what goes back is not for us
            self.give_back(list(self.held))
            with trio.move_on_after(ANSWER_S):
                await self.channel.settled()
                await self.channel.settled()
        finally:
            self.channel.close()


@dataclass(eq=False, slots=True)
class _Link:
    """One life of the connections."""

    consuming: rabbitmq.Connection
    publisher: Publisher
    declarer: Declarer
    intakes: dict[str, _Intake] = field(default_factory=dict)
    opening: dict[str, trio.Lock] = field(default_factory=lambda: defaultdict(trio.Lock))


class RabbitMQExchange:
    """See `gcc.channels.exchange.Exchange`. `outbox_written` is set by this process's producers."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        dead_letters: OutboxDeadLetters,
        clock: Clock,
        outbox_written: Signal,
        topology: Topology,
        *,
        held_bytes_max: int,
        connect: Connect = rabbitmq.connect,
        poll_s: float = POLL_S,
    ) -> None:
        """`held_bytes_max`: nothing is read while so much is unacknowledged, whatever the prefetch.

        ConfigError: the URL cannot be read.
        """
        self._url = url
        self._outbox = outbox
        self._clock = clock
        self._outbox_written = outbox_written
        self._topology = topology
        self._held_bytes_max = held_bytes_max
        self._connect = connect
        self._poll_s = poll_s
        try:
            self._place = str(rabbitmq.parse_url(url))
        except rabbitmq.UrlError as error:
            raise ConfigError(f"exchange.url: {error}") from None
        self._link: _Link | None = None
        self._met = False  # connected once, in this life or an earlier one
        self._why = "it is not connected yet"
        self._bindings: dict[Binding, None] = {}
        self._relaying = Relaying(outbox, dead_letters, clock, self._place)
        self._intakes_made = 0
        self._last_intakes: dict[str, _Intake] = {}  # also after its end: what it has received is remembered
        self._seen_empty: dict[str, float] = {}  # queue -> when it was last seen without a message

    async def connected(
        self, stands: Callable[[], None], troubled: Callable[[str | None], None] = lambda why: None
    ) -> None:
        """Connect, declare what was declared before, call `stands()`, and stay until the broker is lost.

        `troubled(why)` is called when the broker blocks publishers, `troubled(None)` when it does no longer.
        Raises Transient with why; ConfigError when the very first connection is refused for a reason that
        waiting does not mend. Cancelled: the connections are closed, what was held goes back.
        """
        try:
            with self._translated(), threads.needed(self._place):
                async with (
                    self._connect(self._url, name="gcc relay") as publishing,
                    self._connect(self._url, name="gcc sinkers", held_bytes_max=self._held_bytes_max) as consuming,
                    self._connect(self._url, name="gcc declarations") as declaring,
                ):
                    declarer = Declarer(declaring, self._topology, self._place)
                    await declarer.declare(self._bindings)
                    async with trio.open_nursery() as nursery:
                        publisher = Publisher(publishing, declarer, self._bindings, nursery)
                        self._link = _Link(consuming, publisher, declarer)
                        self._met = True
                        stands()
                        try:
                            why = await _lost(publishing, consuming, declaring, troubled=troubled)
                        finally:
                            publisher.ended = True
                        nursery.cancel_scope.cancel()
                    raise why
        finally:
            self._link = None

    async def declare(self, bindings: Sequence[Binding]) -> None:
        """What the broker refuses of it is logged, and tried again when it is missed."""
        self._bindings.update(dict.fromkeys(bindings))
        with self._translated():
            await self._connection().declarer.declare(bindings)

    # publishing

    async def relay(self, term: int = 0) -> int:
        with self._translated():
            return await self._relaying.relay(self._connection().publisher, term)

    async def pending(self) -> int | None:
        rows = await self._outbox.oldest(1, 1, without=())
        return rows[0].id if rows else None

    async def wait_outbox(self) -> None:
        await self._outbox_written.wait(self._poll_s)

    # consuming

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        with self._translated():
            intake = await self._intake(queue)
            messages = intake.consumer.take_nowait(frames_max)
        now = self._clock.now()
        taken = []
        for message in messages:
            delivery = unpacked(queue, intake.number << _TAG_BITS | message.tag, message, now)
            intake.held[message.tag] = trio.current_time() - delivery.age_s
            taken.append(delivery)
        return taken

    async def wait(self, queue: str) -> None:
        with self._translated(), trio.move_on_after(self._poll_s):
            intake = await self._intake(queue)
            try:
                await intake.consumer.wait()
            except rabbitmq.ConsumerCancelled:  # what was taken of it can only come again
                intake.channel.close()
                raise

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        with self._translated():
            for intake, tags in self._held(deliveries):
                # One acknowledgement for all that nobody holds anything before, one each for the others.
                last = 0
                for tag in list(intake.held):
                    if tag not in tags:
                        break
                    del intake.held[tag]
                    tags.discard(tag)
                    last = tag
                if last:
                    intake.channel.ack(last, multiple=True)
                for tag in sorted(tags):
                    del intake.held[tag]
                    intake.channel.ack(tag)
        await trio.lowlevel.checkpoint()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        with self._translated():
            for intake, tags in self._held(deliveries):
                intake.give_back(sorted(tags))
        await trio.lowlevel.checkpoint()

    async def rest(self, queue: str) -> None:
        link = self._link
        intake = link.intakes.pop(queue, None) if link else None
        if intake is None:
            await trio.lowlevel.checkpoint()
            return
        with self._translated():
            await intake.end()

    def _held(self, deliveries: Sequence[Delivery]) -> list[tuple[_Intake, set[int]]]:
        """Those that are still ours, by intake: the tags of a channel that has ended are void."""
        link = self._connection()
        by_intake: dict[_Intake, set[int]] = defaultdict(set)
        for delivery in deliveries:
            intake = link.intakes.get(delivery.queue)
            number, tag = divmod(delivery.id, 1 << _TAG_BITS)
            if intake and intake.number == number and not intake.channel.closed and tag in intake.held:
                by_intake[intake].add(tag)
        return list(by_intake.items())

    async def _intake(self, queue: str) -> _Intake:
        link = self._connection()
        async with link.opening[queue]:
            intake = link.intakes.get(queue)
            if intake is None or intake.channel.closed:
                intake = link.intakes[queue] = await self._consume(link, queue)
            return intake

    async def _consume(self, link: _Link, queue: str) -> _Intake:
        channel = await link.consuming.open_channel()
        try:
            consumer = await channel.consume(queue, prefetch=PREFETCH)
        except rabbitmq.ChannelClosed as error:
            if error.code == NOT_FOUND:  # somebody deleted it: the next one finds it again
                await self._declare_again(queue)
            raise
        except BaseException:  # cancelled: nobody would ever close it
            channel.close()
            raise
        self._intakes_made += 1
        last = self._last_intakes.get(queue)
        intake = _Intake(self._intakes_made, channel, consumer, last.received if last else 0)
        self._last_intakes[queue] = intake
        return intake

    async def _declare_again(self, queue: str) -> None:
        bindings = [binding for binding in self._bindings if binding.queue == queue]
        await self._connection().declarer.declare(bindings)

    # counts

    async def depths(self) -> list[QueueDepth]:
        with self._translated():
            return [await self._depth(queue) for queue in sorted({binding.queue for binding in self._bindings})]

    async def _depth(self, queue: str) -> QueueDepth:
        try:
            ready = (await self._look(queue)).messages
        except rabbitmq.ChannelClosed:  # nobody may look
            ready = 0
        now = trio.current_time()
        intake = self._connection().intakes.get(queue)
        held = len(intake.held) + intake.consumer.waiting if intake else 0
        if not ready and not held:
            self._seen_empty[queue] = now
            return QueueDepth(queue, 0, 0, 0.0)
        oldest = min(intake.held.values(), default=None) if intake else None
        if oldest is None:
            oldest = self._seen_empty.setdefault(queue, now)
        return QueueDepth(queue, ready + held, held, max(0.0, now - oldest))

    async def look(self, queues: Sequence[str]) -> list[QueueLook]:
        with self._translated():
            infos = [await self._look(queue) for queue in queues]
        return [QueueLook(info.name, info.messages, info.consumers, PREFETCH) for info in infos]

    async def _look(self, queue: str) -> rabbitmq.QueueInfo:
        try:
            return await self._connection().declarer.look(queue)
        except rabbitmq.ChannelClosed as error:
            if error.code != NOT_FOUND:
                raise
            await self._declare_again(queue)
            return rabbitmq.QueueInfo(queue, 0, 0)

    async def held(self, queues: Sequence[str]) -> list[Held]:
        """Of each queue, all that the broker had handed to us when this began. Also while it is away: then nothing.

        Transient: it does not answer in time, so nobody knows.
        """
        return [await self._held_of(queue) for queue in queues]

    async def _held_of(self, queue: str) -> Held:
        last = self._last_intakes.get(queue)
        if last is None:
            return Held(queue, 0, 0, 0)
        given_back = last.channel.given_back
        with trio.move_on_after(ANSWER_S) as patience, suppress(rabbitmq.AmqpError):
            await last.channel.settled()  # what was on its way, to us or back, has come before the answer
        if patience.cancelled_caught:
            raise Transient(f"{self._place} does not answer within {ANSWER_S:g} s")
        is_open = last.channel.closed is None
        returning = last.channel.given_back - given_back  # meanwhile, and not yet known to be ready again
        messages = len(last.held) + last.consumer.waiting + returning if is_open else 0
        return Held(queue, int(is_open), messages, last.received)

    # the broker

    def _connection(self) -> _Link:
        if self._link is None:
            raise Transient(f"{self._place} is away: {self._why}")
        return self._link

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except rabbitmq.ConnectionClosed as error:
            self._why = str(error).replace(f"{self._place}: ", "")  # the client may have said it, too
            if not self._met and error.code in (ACCESS_REFUSED, NOT_ALLOWED) and LIMIT not in error.text:
                raise ConfigError(f"exchange.url: {self._place} refuses us: {self._why}") from error
            raise Transient(f"{self._place}: {self._why}") from error
        except rabbitmq.AmqpError as error:
            raise Transient(f"{self._place}: {error}") from error


async def _lost(
    publishing: rabbitmq.Connection, *others: rabbitmq.Connection, troubled: Callable[[str | None], None]
) -> rabbitmq.AmqpError:
    """Why one of them is gone, as soon as one is; tells meanwhile when publishers are blocked."""
    async with trio.open_nursery() as nursery:

        async def watch(connection: rabbitmq.Connection) -> None:
            await connection.wait_closed()
            nursery.cancel_scope.cancel()

        async def watch_blocked() -> None:
            told = None
            while True:
                if publishing.blocked != told:
                    told = publishing.blocked
                    troubled(None if told is None else f"the broker {blocks(told)}")
                await publishing.changed.park()

        for connection in (publishing, *others):
            nursery.start_soon(watch, connection)
        nursery.start_soon(watch_blocked)
    return next(connection.closed for connection in (publishing, *others) if connection.closed)
