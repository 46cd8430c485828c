"""The exchange on RabbitMQ: outbox rows are published with confirms, queues are consumed with acknowledgement.

In: rows of the outbox (`gcc.stores.outbox.Outbox`), messages of any producer. Out: frames under the broker's own
lease: unacknowledged, they come back when their channel ends. Two connections, one for each direction, so that a
broker that blocks publishers does not hold up acknowledgements, and a consumer that is slow no confirms.

A row leaves the outbox after the broker has confirmed its message; whoever dies in between publishes it again (a
duplicate, never a loss). One process relays at a time: the term of its leader fences the removal. A message that was
refused (nacked), or not confirmed in time, stays in the outbox and its route rests for a while, so that one
queue does not hold up all others; an unroutable one is dead-lettered.

While the broker is away every method raises Transient. `connected` is one life of the connections; an actor
(gcc/actors/connection.py) lives them one after the other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from gcc.channels import rabbitmq
from gcc.channels.deadletters import DeadLetters, unroutable
from gcc.channels.exchange import QueueDepth
from gcc.channels.memory import Signal
from gcc.channels.message import FRAME_EVENTS_MAX, Binding, Delivery, Route
from gcc.channels.rabbitmq_messages import packed, unpacked
from gcc.clock import Clock
from gcc.errors import ConfigError, LeaseLost, Transient
from gcc.stores.outbox import Outbox, OutboxRow
from gcc.supervisor.backoff import Backoff

RELAY_FRAMES_MAX = 250  # published and confirmed at once: with 64 KiB each, what the client's confirm window holds
CONFIRMS_S = 30.0  # a broker that takes nothing more for so long is taken for lost
SETTLE_S = 20.0  # what is not confirmed by then is given up, and published again later
PREFETCH = 10_000  # messages unacknowledged at once, for each queue: two good batches of single events
POLL_S = 1.0  # how long a wait lasts while nothing comes
REFUSED = Backoff(first_s=0.5, max_s=5.0)  # how long a route rests whose messages the broker did not take ...
UNCONFIRMED = Backoff(first_s=10.0, max_s=120.0)  # ... or did not confirm: to ask again costs all others SETTLE_S
NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED, NOT_ALLOWED = 404, 403, 406, 530
_TAG_BITS = 40  # a delivery's id is its channel's number and its tag

log = structlog.get_logger()
Connect = Callable[..., AbstractAsyncContextManager[rabbitmq.Connection]]


@dataclass(frozen=True, slots=True)
class Topology:
    """What is declared: the kind of each exchange ("direct", "topic"), and the arguments of every queue."""

    kinds: Mapping[str, str]
    queue_arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Intake:
    """One queue's consumer, on a channel of its own: closing that gives back all that it holds."""

    number: int
    channel: rabbitmq.Channel
    consumer: rabbitmq.Consumer
    held: dict[int, float] = field(default_factory=dict)  # tag -> when its event was committed; in order of the tags


@dataclass(eq=False, slots=True)
class _Link:
    """One life of the connections."""

    consuming: rabbitmq.Connection
    publishing: rabbitmq.Connection
    publisher: rabbitmq.Channel
    control: rabbitmq.Channel  # declarations and counts; opened again when the broker has closed it
    intakes: dict[str, _Intake] = field(default_factory=dict)
    opening: dict[str, trio.Lock] = field(default_factory=lambda: defaultdict(trio.Lock))


@dataclass(eq=False, slots=True)
class _Rest:
    failures: int = 0
    until: float = 0.0


class RabbitMQExchange:
    """See `gcc.channels.exchange.Exchange`. `outbox_written` is set by this process's producers."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        dead_letters: DeadLetters,
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
        self._dead_letters = dead_letters
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
        self._exchanges: set[str] = set()  # known to exist, in this life
        self._intakes_made = 0
        self._resting: dict[Route, _Rest] = {}
        self._seen_empty: dict[str, float] = {}  # queue -> when it was last seen without a message
        self._lock = trio.Lock()  # one talks on the control channel

    async def connected(
        self, stands: Callable[[], None], troubled: Callable[[str | None], None] = lambda why: None
    ) -> None:
        """Connect, declare what was declared before, call `stands()`, and stay until the broker is lost.

        `troubled(why)` is called when the broker blocks publishers, `troubled(None)` when it does no longer.
        Raises Transient with why; ConfigError when the very first connection is refused for a reason that
        waiting does not mend. Cancelled: the connections are closed, what was held goes back.
        """
        try:
            with self._translated():
                async with (
                    self._connect(self._url, name="gcc relay") as publishing,
                    self._connect(self._url, name="gcc sinkers", held_bytes_max=self._held_bytes_max) as consuming,
                ):
                    publisher = await publishing.open_channel()
                    await publisher.select_confirms()
                    self._exchanges.clear()
                    self._link = _Link(consuming, publishing, publisher, await consuming.open_channel())
                    await self._declare(list(self._bindings))
                    self._met = True
                    stands()
                    await _lost(consuming, publishing, troubled)
        finally:
            self._link = None

    # topology

    async def declare(self, bindings: Sequence[Binding]) -> None:
        self._bindings.update(dict.fromkeys(bindings))
        with self._translated():
            await self._declare(bindings)

    async def _declare(self, bindings: Sequence[Binding]) -> None:
        """What exists with other arguments is used as it is (`doctor` tells of it), never made anew."""
        ordered = sorted(bindings, key=lambda binding: (binding.route.exchange, binding.queue, binding.route.key))
        async with self._lock:
            for exchange in dict.fromkeys(binding.route.exchange for binding in ordered):
                await self._declare_exchange(exchange)
            for queue in dict.fromkeys(binding.queue for binding in ordered):
                await self._unless_other(
                    lambda channel, queue=queue: channel.declare_queue(queue, arguments=self._topology.queue_arguments),
                    lambda channel, queue=queue: channel.declare_queue(queue, passive=True),
                )
            for binding in (binding for binding in ordered if binding.route.exchange):  # '' knows every queue
                await (await self._control()).bind_queue(binding.queue, binding.route.exchange, binding.route.key)

    async def _declare_exchange(self, name: str) -> None:
        if name and name not in self._exchanges:
            kind = self._topology.kinds.get(name, "direct")
            await self._unless_other(
                lambda channel: channel.declare_exchange(name, kind),
                lambda channel: channel.declare_exchange(name, kind, passive=True),
            )
            self._exchanges.add(name)

    async def _unless_other(self, make: Callable[..., Any], look: Callable[..., Any]) -> None:
        try:
            await make(await self._control())
        except rabbitmq.ChannelClosed as error:
            if error.code != PRECONDITION_FAILED:
                raise
            log.warning("declared otherwise", broker=self._place, error=str(error))
            await look(await self._control())

    async def _control(self) -> rabbitmq.Channel:
        """The control channel; the caller has the lock."""
        link = self._connection()
        if link.control.closed:
            link.control = await link.consuming.open_channel()
        return link.control

    # publishing

    async def relay(self, term: int = 0) -> int:
        with self._translated():
            link = self._connection()
            if link.publishing.blocked is not None:
                raise Transient(f"{self._place} {_blocks(link.publishing)}")
            if link.publisher.closed:
                link.publisher = await link.publishing.open_channel()
                await link.publisher.select_confirms()
            now = trio.current_time()
            resting = [route for route, rest in self._resting.items() if rest.until > now]
            rows = await self._outbox.oldest(RELAY_FRAMES_MAX, without=resting)
            if resting and not rows:
                rest_s = min(self._resting[route].until for route in resting) - now
                look_s = min(rest_s, self._poll_s)  # others may have something by then
                raise Transient(f"{self._place} did not take messages of {resting[0]}", retry_after_s=look_s)
            nowhere = [row for row in rows if not await self._exists(row.frame.route.exchange)]
            lost = {row.id for row in nowhere}
            sent = [row for row in rows if row.id not in lost]
            outcome = await self._publish(link, sent)
        for index in outcome.returned:
            nowhere.append(sent[index])
        kept = outcome.nacked | outcome.unsettled
        self._let_rest(sent, outcome)
        gone = [row for index, row in enumerate(sent) if index not in kept]
        await self._dead_letters.bury([unroutable(row.frame) for row in nowhere])
        done = [row.id for row in [*gone, *(row for row in nowhere if row.id in lost)]]
        try:
            await self._outbox.remove(done, term=term)
        except LeaseLost as error:
            raise Transient(f"another process relays now: {error}") from error
        if kept and not done:
            what = f"{len(kept)} messages, one of {sent[min(kept)].frame.route}"
            raise Transient(f"{self._place} {'has not confirmed' if outcome.unsettled else 'refused'} {what}")
        return len(done)

    async def _publish(self, link: _Link, rows: Sequence[OutboxRow]) -> rabbitmq.Outcome:
        messages = [packed(row.frame, row.created_at) for row in rows]
        with trio.move_on_after(CONFIRMS_S):
            outcome = await link.publisher.publish(messages, mandatory=True, settle_s=SETTLE_S)
            if outcome.unsettled:
                link.publisher.close()  # they would take up its window; the next relay opens another
            return outcome
        why = _blocks(link.publishing) if link.publishing.blocked is not None else "does not say why"
        raise Transient(f"{self._place} has taken nothing for {CONFIRMS_S:g} s: it {why}")

    async def _exists(self, exchange: str) -> bool:
        """Publishing to an exchange that does not exist would cost the channel, and all that is on its way there."""
        if exchange and exchange not in self._exchanges:
            try:
                async with self._lock:
                    await (await self._control()).declare_exchange(exchange, "direct", passive=True)
            except rabbitmq.ChannelClosed as error:
                if error.code != NOT_FOUND:
                    raise
                return False
            self._exchanges.add(exchange)
        return True

    def _let_rest(self, sent: Sequence[OutboxRow], outcome: rabbitmq.Outcome) -> None:
        kept = sorted(outcome.nacked | outcome.unsettled)
        late = {sent[index].frame.route for index in outcome.unsettled}
        resting = dict.fromkeys(sent[index].frame.route for index in kept)
        for route in {row.frame.route for row in sent} - set(resting):
            self._resting.pop(route, None)
        for route in resting:
            rest = self._resting.setdefault(route, _Rest())
            rest.failures += 1
            backoff = UNCONFIRMED if route in late else REFUSED
            rest.until = trio.current_time() + backoff.delay_s(rest.failures, self._clock.rng)

    async def pending(self) -> bool:
        return bool(await self._outbox.oldest(1, without=()))

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
                for tag in sorted(tags):
                    del intake.held[tag]
                    intake.channel.nack(tag, requeue=True)
        await trio.lowlevel.checkpoint()

    async def rest(self, queue: str) -> None:
        link = self._link
        intake = link.intakes.pop(queue, None) if link else None
        if intake is None:
            await trio.lowlevel.checkpoint()
            return
        with self._translated():
            for message in await intake.consumer.cancel():
                intake.channel.nack(message.tag, requeue=True)  # at no cost: a channel that ends counts as a delivery
            intake.channel.close()

    def _held(self, deliveries: Sequence[Delivery]) -> list[tuple[_Intake, set[int]]]:
        """Those that are still ours, by intake: the tags of a channel that has ended are void."""
        link = self._connection()
        by_intake: dict[_Intake, set[int]] = defaultdict(set)
        for delivery in deliveries:
            intake = link.intakes.get(delivery.queue)
            number, tag = divmod(delivery.id, 1 << _TAG_BITS)
            if intake and intake.number == number and tag in intake.held:
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
                await self._declare([binding for binding in self._bindings if binding.queue == queue])
            raise
        self._intakes_made += 1
        return _Intake(self._intakes_made, channel, consumer)

    # counts

    async def depths(self) -> list[QueueDepth]:
        with self._translated():
            return [await self._depth(queue) for queue in sorted({binding.queue for binding in self._bindings})]

    async def _depth(self, queue: str) -> QueueDepth:
        async with self._lock:
            info = await (await self._control()).declare_queue(queue, passive=True)
        now = trio.current_time()
        intake = self._connection().intakes.get(queue)
        held = len(intake.held) + intake.consumer.waiting if intake else 0
        others = info.consumers - (1 if intake else 0)
        events_max = (info.messages + held + others * PREFETCH) * FRAME_EVENTS_MAX
        if not info.messages and not held:
            self._seen_empty[queue] = now
            return QueueDepth(queue, 0, 0, 0.0, events_max)
        oldest = min(intake.held.values(), default=None) if intake else None
        if oldest is None:
            oldest = self._seen_empty.setdefault(queue, now)
        return QueueDepth(queue, info.messages + held, held, max(0.0, now - oldest), events_max)

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
            if not self._met and error.code in (ACCESS_REFUSED, NOT_ALLOWED):
                raise ConfigError(f"exchange.url: {self._place} refuses us: {self._why}") from error
            raise Transient(f"{self._place}: {self._why}") from error
        except rabbitmq.AmqpError as error:
            raise Transient(f"{self._place}: {error}") from error


def _blocks(publishing: rabbitmq.Connection) -> str:
    return f"blocks publishers: {publishing.blocked}"


async def _lost(
    consuming: rabbitmq.Connection, publishing: rabbitmq.Connection, troubled: Callable[[str | None], None]
) -> None:
    """Raise why one of them is gone, as soon as one is; tell meanwhile when publishers are blocked."""
    async with trio.open_nursery() as nursery:

        async def watch(connection: rabbitmq.Connection) -> None:
            await connection.wait_closed()
            nursery.cancel_scope.cancel()

        async def watch_blocked() -> None:
            told = None
            while True:
                if publishing.blocked != told:
                    told = publishing.blocked
                    troubled(None if told is None else f"the broker {_blocks(publishing)}")
                await publishing.changed.park()

        for connection in (consuming, publishing):
            nursery.start_soon(watch, connection)
        nursery.start_soon(watch_blocked)
    raise next(connection.closed for connection in (consuming, publishing) if connection.closed)
