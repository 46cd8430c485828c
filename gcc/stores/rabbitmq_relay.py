"""The relay's half of the exchange on RabbitMQ: outbox rows are published, and leave the outbox once confirmed.

Each route is published on a channel of its own, and nobody waits for it: what one route meets costs no other. That may
be a queue that confirms nothing, an exchange that was deleted, a permission, a message that the broker refuses. Such a
route rests for a while; its rows stay in the outbox and are passed over.

A message that no queue takes, although what we have declared for its route was declared again, is dead-lettered; so is
one that alone closes its channel, or that AMQP cannot carry. What is confirmed has left the outbox before that; what
cannot be buried now rests like all else.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
import trio

from gcc.channels.deadletters import OutboxDeadLetters
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Route
from gcc.channels.outbox import Outbox, OutboxRow
from gcc.clock import Clock
from gcc.errors import LeaseLost, Transient
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq_messages import packed
from gcc.stores.rabbitmq_topology import NOT_FOUND, PRECONDITION_FAILED, Declarer
from gcc.supervisor.backoff import Backoff

RELAY_FRAMES_MAX = 250  # read and published at once ...
RELAY_BYTES_MAX = 16 << 20  # ... and no more of their bytes are under way than a channel's confirm window has
CONFIRMS_S = 30.0  # how long a route may take in all: nothing can be sent, or declared
SETTLE_S = 20.0  # what is not confirmed by then is given up, and published again later
TOGETHER_S = 0.2  # the fastest route waits so long for others, so that one transaction removes what they have
BURY_S = 60.0
CHANNELS_MAX = 64  # kept open; routes are few, but dead letters may be replayed to any
POLL_S = 1.0
REFUSED = Backoff(first_s=0.5, max_s=5.0)  # how long a route rests whose messages the broker did not take ...
UNBURIED = Backoff(first_s=5.0, max_s=60.0)  # ... or whose refused ones cannot be buried ...
UNCONFIRMED = Backoff(first_s=10.0, max_s=120.0)  # ... or are not confirmed
FORGOTTEN_S = 60.0  # after its rest, a route that has no rows
TOLD_S = 15.0  # how often it is told again that routes rest, and why
ALONE_S = 60.0  # how long routes are published one by one after something has cost the connection
CONNECTION_FORCED = 320  # an operator or a shutdown ended it; other codes speak of what we sent

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Sent:
    """What became of the rows of one route. `kept` stay in the outbox, and `why`."""

    route: Route
    kept: dict[int, OutboxRow]
    taken: list[OutboxRow] = field(default_factory=list)
    refused: list[tuple[OutboxRow, str]] = field(default_factory=list)  # with the reason, "" for no queue
    why: str = ""
    backoff: Backoff = REFUSED
    lost: rabbitmq.ConnectionClosed | None = None

    @property
    def poisoned(self) -> bool:
        """The broker ended the connection for what it was sent."""
        return self.lost is not None and self.lost.code not in (None, CONNECTION_FORCED)

    def keep(self, why: str, backoff: Backoff = REFUSED) -> None:
        """The broker did this to what is kept."""
        self.why, self.backoff = f"{why}, one of {self.route}", backoff

    def take(self, row: OutboxRow) -> None:
        self.taken.append(self.kept.pop(row.id))

    def refuse(self, row: OutboxRow, reason: str) -> None:
        self.refused.append((self.kept.pop(row.id), reason))


class Publisher:
    """For one life of `connection`, in a `nursery` that ends with it: what a route meets is waited for there, beside
    the relay. `bindings`: all that this process has declared."""

    def __init__(
        self,
        connection: rabbitmq.Connection,
        declarer: Declarer,
        bindings: Mapping[Binding, None],
        nursery: trio.Nursery,
    ) -> None:
        self.connection = connection
        self.ended = False
        self.under_way: dict[Route, int] = {}  # with so many bytes
        self._declarer = declarer
        self._bindings = bindings
        self._nursery = nursery
        self._channels: dict[Route, rabbitmq.Channel] = {}  # the one that was used last is the last one
        self._done: list[Sent] = []
        self._news = Signal()

    def start(self, route: Route, rows: Sequence[OutboxRow], work: Callable[[], Awaitable[Sent]]) -> None:
        """Do `work` on rows of a route that has nothing under way."""
        self.under_way[route] = sum(len(row.frame.body) for row in rows)
        self._nursery.start_soon(self._work, route, rows, work)

    async def _work(self, route: Route, rows: Sequence[OutboxRow], work: Callable[[], Awaitable[Sent]]) -> None:
        try:
            sent = await work()
        except Exception as error:  # a bug, and this route's alone
            log.exception("bug", route=str(route))
            sent = Sent(route, {row.id: row for row in rows})
            sent.keep(f"met a bug ({error!r})", UNCONFIRMED)
        self._done.append(sent)
        self._news.set()

    async def done(self) -> list[Sent]:
        """What is done, as soon as something is; nothing after POLL_S. It is under way no longer."""
        with trio.move_on_after(POLL_S):
            while self.under_way and not self._done:
                await self._news.wait()
        with trio.move_on_after(TOGETHER_S):
            while 0 < len(self._done) < len(self.under_way):
                await self._news.wait()
        done, self._done = self._done, []
        for sent in done:
            del self.under_way[sent.route]
        return done

    async def send(self, route: Route, rows: Sequence[OutboxRow]) -> Sent:
        """Raises nothing: what goes wrong is this route's. At most CONFIRMS_S."""
        sent = Sent(route, {row.id: row for row in rows})
        try:
            with trio.move_on_after(CONFIRMS_S) as patience:
                await self._send(sent)
            if patience.cancelled_caught:
                sent.keep(f"has taken nothing more for {CONFIRMS_S:g} s", UNCONFIRMED)
        except rabbitmq.ConnectionClosed as error:
            sent.lost = error
        except rabbitmq.AmqpError as error:
            sent.keep(f"answers {error}")
        except ValueError as error:
            for row in list(sent.kept.values()):
                sent.refuse(row, _impossible(error))
        if sent.kept and route in self._channels:
            self._channels.pop(route).close()  # what is not confirmed takes up its window
        return sent

    async def _send(self, sent: Sent) -> None:
        """A first time, and once more after all that should take it was declared again."""
        there = await self._declarer.exists(sent.route.exchange)
        returned = await self._deliver(sent, list(sent.kept.values())) if there else list(sent.kept.values())
        if returned and (ours := self._ours(sent.route)):
            if failed := await self._declarer.declare(ours):
                sent.keep("; ".join(f"refuses {what}: {why}" for what, why in failed.items()))
                return
            returned = await self._deliver(sent, returned)
        for row in returned:
            sent.refuse(row, "")

    def _ours(self, route: Route) -> list[Binding]:
        """What we have declared that may take messages of the route."""
        if not route.exchange:
            return [binding for binding in self._bindings if binding.queue == route.key]
        return [binding for binding in self._bindings if binding.route.exchange == route.exchange]

    async def _deliver(self, sent: Sent, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Answers what no queue took. Where the broker closes the channel for one message, halving finds it."""
        returned: list[OutboxRow] = []
        parts = [rows]
        while parts:
            part = parts.pop()
            try:
                outcome = await self._publish(sent.route, part)
            except (rabbitmq.ChannelClosed, ValueError) as error:
                if isinstance(error, rabbitmq.ChannelClosed) and error.code == NOT_FOUND:
                    self._declarer.forget(sent.route.exchange)
                    return list(sent.kept.values())
                if isinstance(error, rabbitmq.ChannelClosed) and error.code != PRECONDITION_FAILED:
                    raise
                if len(part) == 1:
                    sent.refuse(part[0], _impossible(error))
                else:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                continue
            returned += _settled(sent, part, outcome)
            if outcome.unsettled:
                break
        return returned

    async def _publish(self, route: Route, rows: Sequence[OutboxRow]) -> rabbitmq.Outcome:
        channel = self._channels.pop(route, None)
        if channel is None or channel.closed:
            channel = await self.connection.open_channel()
            await channel.select_confirms()
        self._channels[route] = channel
        while len(self._channels) > CHANNELS_MAX + len(self.under_way):
            idle = next(each for each in self._channels if each not in self.under_way)
            self._channels.pop(idle).close()
        messages = [packed(row.frame, row.created_at) for row in rows]
        return await channel.publish(messages, mandatory=True, settle_s=SETTLE_S)


def _impossible(error: Exception) -> str:
    return f"it cannot be published: {error}"


def _settled(sent: Sent, rows: Sequence[OutboxRow], outcome: rabbitmq.Outcome) -> list[OutboxRow]:
    """Note what the broker took; answers what it returned."""
    for index, row in enumerate(rows):
        if not (index in outcome.nacked or index in outcome.unsettled or index in outcome.returned):
            sent.take(row)
    if outcome.nacked:
        sent.keep(f"refused {len(outcome.nacked)} messages")
    if outcome.unsettled:
        sent.keep(f"has not confirmed {len(outcome.unsettled)} messages", UNCONFIRMED)
    return [rows[index] for index in sorted(outcome.returned)]


@dataclass(eq=False, slots=True)
class _Rest:
    failures: int = 0
    until: float = 0.0
    why: str = ""


class Relaying:
    """Outlives the connections: what rests goes on resting."""

    def __init__(self, outbox: Outbox, dead_letters: OutboxDeadLetters, clock: Clock, place: str) -> None:
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._clock = clock
        self._place = place
        self._resting: dict[Route, _Rest] = {}
        self._alone_until = 0.0

    async def relay(self, publisher: Publisher, term: int) -> int:
        """See `Exchange.relay`. Raises ConnectionClosed; Transient: it concerns all routes, or nothing moved and one
        rests, or goes on resting."""
        began = trio.current_time()
        while True:
            blocked = publisher.connection.blocked
            if blocked is not None:
                raise Transient(f"{self._place} {blocks(blocked)}")
            now = trio.current_time()
            resting = {route: rest for route, rest in self._resting.items() if rest.until > now}
            room = max(1, RELAY_BYTES_MAX - sum(publisher.under_way.values()))
            rows = await self._outbox.oldest(RELAY_FRAMES_MAX, room, without=[*resting, *publisher.under_way])
            self._start(publisher, rows)
            if moved := await self._settle(publisher, await publisher.done(), term):
                return moved
            if rows or publisher.under_way:
                continue
            if not resting:
                return 0
            first = min(resting.values(), key=lambda rest: rest.until)
            if now - began >= TOLD_S:
                raise Transient(f"{self._place} {first.why}", retry_after_s=0.0)
            await trio.sleep(min(first.until - now, POLL_S))  # others may have something by then

    def _start(self, publisher: Publisher, rows: Sequence[OutboxRow]) -> None:
        """Each route for itself, at once."""
        if publisher.ended:
            raise Transient(f"{self._place} is away")
        by_route: dict[Route, list[OutboxRow]] = defaultdict(list)
        for row in rows:
            by_route[row.frame.route].append(row)
        alone = trio.current_time() < self._alone_until
        for route, some in by_route.items():
            if not (alone and publisher.under_way):
                publisher.start(route, some, partial(publisher.send, route, some))

    async def _settle(self, publisher: Publisher, done: Sequence[Sent], term: int) -> int:
        """What is taken leaves the outbox; then what is refused is buried, beside the relay; and what is kept rests."""
        rows = [row for sent in done for row in sent.taken]
        try:
            await self._outbox.remove([row.id for row in rows], term=term)
        except LeaseLost as error:
            raise Transient(f"another process relays now: {error}") from error
        for sent in done:
            if sent.refused and not publisher.ended:
                publisher.start(sent.route, [row for row, _ in sent.refused], partial(self._bury, sent, term))
        self._let_rest(done)
        if lost := next((sent.lost for sent in done if sent.lost), None):
            raise lost
        if not rows and (why := next((sent.why for sent in done if sent.kept), "")):
            raise Transient(f"{self._place} {why}", retry_after_s=0.0)
        return len(rows)

    async def _bury(self, sent: Sent, term: int) -> Sent:
        """What was refused of a route: taken, once it is buried. Who follows in the term publishes it anew: then it
        must not be buried, too."""
        rows = [row for row, _ in sent.refused]
        buried = Sent(sent.route, {row.id: row for row in rows})
        why = f"no answer within {BURY_S:g} s"
        with trio.move_on_after(BURY_S):
            try:
                await self._dead_letters.bury_outbox(sent.refused, (self._outbox.leader, term))
            except (Transient, LeaseLost) as error:
                why = str(error)
            else:
                for row in rows:
                    buried.take(row)
                return buried
        buried.keep(f"did not take {len(rows)} messages, which cannot be buried now ({why})", UNBURIED)
        return buried

    def _let_rest(self, done: Sequence[Sent]) -> None:
        now = trio.current_time()
        if any(sent.poisoned for sent in done):
            for sent in done:
                if sent.poisoned and self._alone_until > now:
                    sent.keep(f"ended the connection for it: {sent.lost}", UNCONFIRMED)
            self._alone_until = now + ALONE_S
        for sent in done:
            if sent.kept and sent.why:
                rest = self._resting.setdefault(sent.route, _Rest())
                rest.failures += 1
                rest.why = sent.why
                rest.until = now + sent.backoff.delay_s(rest.failures, self._clock.rng)
            elif not (sent.kept or sent.refused):
                self._resting.pop(sent.route, None)
        for route in [route for route, rest in self._resting.items() if rest.until < now - FORGOTTEN_S]:
            del self._resting[route]


def blocks(reason: str) -> str:
    return f"blocks publishers: {reason}"
