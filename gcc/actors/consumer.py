"""Takes frames from a queue, gathers them into batches, hands them to a handler, acknowledges.

In: deliveries under lease. Out: whatever the handler stores. A frame is acknowledged only after the
handler returned, so a hard stop at any point loses nothing: what is unacknowledged comes back.
The handler's Transient is retried with the same frozen batch; after ATTEMPTS_MAX in a row, or HOLD_S, the
breaker opens: all that is held is given back and nothing is taken, so that the queue keeps the frames for as
long as it takes. Then batches begin small, and grow with each one that is done. What a handler cannot accept is
its own to dead-letter. Anything else that it raises is a bug: the batch is halved until the deliveries on which it
raises are alone; these are dead-lettered (code BUG), and the rest goes on. What is done of a halved batch is
acknowledged as it ends: a handler that is slow, too, gets on.
Paused, intake ends and what is held is handled at once (batch age 0). At drain the same, and the actor finishes.
"""

import math
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.patience import Patience
from gcc.channels.batch import Batch, BatchLimits
from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.exchange import Queues
from gcc.channels.memory import Channels, Signal
from gcc.channels.message import FRAME_EVENTS_MAX, Delivery
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State, one_line

FRAMES_WAITING_MAX = 10_000  # between intake and batch; and no more events than the next batch may have
TAKE_FRAMES_MAX = 200  # at most 20,000 events
ATTEMPTS_MAX = 5
HOLD_S = 20.0
"""How long one batch is tried, its acknowledgement included. A frame may wait for one batch before its own, so
this is well below half of an exchange's lease (60 s in PostgreSQL)."""
RAISED_S = 2.0
"""So long others are gathered that are buried together; longer, and HOLD_S may end before the first one is."""
OPEN = Backoff(first_s=1.0, max_s=30.0)
PROBE_FRAMES = 10  # what a half-open breaker lets through: little, so that a store that is slow gets it done
GROWTH = 2  # of batches after that, each time one is done: a store too slow for full ones gets on with smaller ones


class Handler(Protocol):
    async def handle(self, batch: Sequence[Delivery]) -> int:
        """Store or dead-letter every event of `batch`; answers how many events were stored.

        Transient, or cancelled: nothing may be acknowledged; the events come again. Must be idempotent, also with
        other neighbours in the batch.
        """


@dataclass(eq=False, slots=True)
class _Hand:
    """What becomes of one frozen batch."""

    parts: list[Sequence[Delivery]]  # not handled yet; the next one is the last
    raised: list[tuple[Delivery, Exception]] = field(default_factory=list)  # the handler, on it alone; not buried yet
    bury_at: float = math.inf  # ... at the latest
    done: Sequence[Delivery] = ()  # stored or buried, not acknowledged yet
    stored: int = 0  # events of it
    told: set[str] = field(default_factory=set)

    @property
    def left(self) -> list[Delivery]:
        """All that is not acknowledged."""
        parts = [delivery for part in reversed(self.parts) for delivery in part]
        return [*self.done, *(delivery for delivery, _ in self.raised), *parts]


class Consumer:
    """`gate` closed is a pause. `stuck_after_s`: see `Actor.watched`; work is what waits here or is being handled."""

    def __init__(
        self,
        queue: str,
        exchange: Queues,
        handler: Handler,
        dead_letters: DeadLetters,
        *,
        limits: BatchLimits,
        channels: Channels,
        actor: Actor,
        stage: Stage,
        metrics: Metrics,
        rng: random.Random,
        gate: Gate = ALWAYS_OPEN,
        stuck_after_s: float = 300.0,
    ) -> None:
        self._queue = queue
        self._exchange = exchange
        self._handler = handler
        self._dead_letters = dead_letters
        self._limits = limits
        self._channels = channels
        self._actor = actor
        self._stage = stage
        self._batch_events = metrics.batch_events.labels(queue)
        self._retries = metrics.batch_retries.labels(queue)
        self._buried = metrics.dead_letters.labels(queue)
        self._rng = rng
        self._gate = gate
        self._stuck_after_s = stuck_after_s
        self._breaker = Breaker(ATTEMPTS_MAX, OPEN)
        self._room_made = Signal()
        self._flushing = False
        self._events_waiting = 0
        self._frames_max = FRAMES_WAITING_MAX  # of a batch

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and what was taken is stored and acknowledged, or given back."""
        with self._stage.member(self._actor.name):
            self._actor.state = State.RUNNING
            task_status.started()
            await self._let_go()  # a life that crashed may have left something in hand
            while await self._may_take():
                await self._turn()
        self._actor.state = State.FINISHED

    async def _may_take(self) -> bool:
        """Wait, in view, while paused or while the breaker is open; False when the stage has begun."""
        while not self._stage.begun.is_set():
            self._actor.breaker = self._breaker.state(trio.current_time())
            if not self._gate.is_open:
                await self._gate.passed(self._stage, self._actor)
            elif self._actor.breaker == "open":
                self._actor.state = State.BACKOFF
                with trio.move_on_at(self._breaker.retry_at or 0.0):
                    await take_until(self._stage, self._gate.changed.wait)
            else:
                self._actor.state = State.RUNNING
                return True
        return False

    async def _turn(self) -> None:
        """Take and handle until drain, pause or breaker end it; then nothing is held. A half-open breaker: once."""
        send, receive = self._channels.open(self._queue, FRAMES_WAITING_MAX)
        closing = Stage(self._queue)
        self._events_waiting = 0

        async def close_after(event: trio.Event) -> None:
            await event.wait()
            closing.begin()

        def work_waits() -> bool:
            return self._flushing or receive.statistics().current_buffer_used > 0

        with self._actor.watched(work_waits, self._stuck_after_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(close_after, self._stage.begun)
                nursery.start_soon(close_after, self._gate.changed)
                nursery.start_soon(self._take_in, send, closing, self._actor.breaker == "half-open")
                await self._work_off(receive, closing)
                nursery.cancel_scope.cancel()  # who still waits to close
        await self._let_go()

    async def _let_go(self) -> None:
        """What the exchange has fetched ahead is not for us now; if it is away, it has that back already."""
        with suppress(Transient):
            await self._exchange.rest(self._queue)

    async def _take_in(self, send: trio.MemorySendChannel[Delivery], closing: Stage, once: bool) -> None:
        """Fill the channel as it empties. Its end tells the other half that nothing more comes."""
        patience = Patience(self._actor, self._rng)

        async def room_is_made() -> int:
            while not (room := self._room(send)):
                await self._room_made.wait()
            return room

        with send:
            while room := await take_until(closing, room_is_made):
                try:
                    deliveries = await self._exchange.take(self._queue, frames_max=PROBE_FRAMES if once else room)
                    patience.reset()
                    if not deliveries:
                        await take_until(closing, partial(self._exchange.wait, self._queue))
                except Transient as error:
                    await take_until(closing, partial(patience.wait_after, error))
                    continue
                for delivery in deliveries:
                    send.send_nowait(delivery)  # there is room, and a checkpoint here could lose sight of them
                    self._events_waiting += delivery.frame.events
                if once and deliveries:
                    return

    def _room(self, send: trio.MemorySendChannel[Delivery]) -> int:
        """How many frames to take now, so that those that wait fill one batch after the one in hand, not more."""
        frames = max(0, self._frames_max - send.statistics().current_buffer_used)
        events = self._limits.rows_max - self._events_waiting
        return min(frames, max(1, events // FRAME_EVENTS_MAX), TAKE_FRAMES_MAX) if events > 0 else 0

    async def _work_off(self, receive: trio.MemoryReceiveChannel[Delivery], closing: Stage) -> None:
        batch: Batch[Delivery] = Batch(self._limits)
        with receive:
            while await self._gather(receive, batch):
                held_s = trio.current_time() - (batch.opened_at or trio.current_time())
                self._actor.lag_s = max(delivery.age_s for delivery in batch.items) + held_s
                deliveries = batch.take()
                self._batch_events.observe(self._actor.in_flight)
                self._flushing = True
                left = await self._flush(deliveries)
                self._flushing = False
                self._frames_max = PROBE_FRAMES if left else min(GROWTH * self._frames_max, FRAMES_WAITING_MAX)
                if left:
                    closing.begin()
                    await self._give_back([*left, *[delivery async for delivery in receive]])
                elif not receive.statistics().current_buffer_used:
                    self._actor.lag_s = 0.0
                self._actor.in_flight = 0

    async def _gather(self, receive: trio.MemoryReceiveChannel[Delivery], batch: Batch[Delivery]) -> bool:
        """Fill `batch` until it is due; False when intake has ended and nothing is left."""
        try:
            while not batch.due(trio.current_time()) and len(batch.items) < self._frames_max:
                try:
                    self._add(batch, receive.receive_nowait())
                except trio.WouldBlock:
                    with trio.move_on_at(batch.deadline):
                        self._add(batch, await receive.receive())
        except trio.EndOfChannel:
            return bool(batch.items)
        # Backlog: what already waits rides along.
        while batch.has_room(FRAME_EVENTS_MAX) and len(batch.items) < self._frames_max:
            try:
                delivery = receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            self._add(batch, delivery)
        return True

    def _add(self, batch: Batch[Delivery], delivery: Delivery) -> None:
        batch.add(delivery, delivery.frame.events, len(delivery.frame.body), trio.current_time())
        self._events_waiting -= delivery.frame.events
        self._actor.in_flight = batch.rows
        self._room_made.set()

    async def _flush(self, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        """Handle and acknowledge one frozen batch; answers what of it is to be given back, with what else is held."""
        patience = Patience(self._actor, self._rng)
        hand = _Hand([batch])
        with trio.move_on_after(HOLD_S):
            while hand.parts or hand.raised or hand.done:
                self._actor.beat()
                try:
                    await self._step(hand)
                except Transient as error:
                    if not hand.done and self._has_opened():
                        self._actor.erred(error)
                        return hand.left
                    await patience.wait_after(error)
                    self._retries.inc()
                else:
                    patience.reset()
            return ()
        if not hand.done:
            self._breaker.open(trio.current_time(), self._rng)
        self._actor.erred(f"a batch was not {'acknowledged' if hand.done else 'stored'} within {HOLD_S:g} s")
        return hand.left

    async def _step(self, hand: _Hand) -> None:
        """Handle the next part, or bury what was raised on; what is done with that is acknowledged at once."""
        if not hand.done:
            if hand.raised and (not hand.parts or trio.current_time() >= hand.bury_at):
                await self._refuse(hand)
            else:
                await self._handle(hand)
        if hand.done:
            await self._exchange.acknowledge(hand.done)
            self._actor.processed(hand.stored)
            hand.done, hand.stored = (), 0

    async def _handle(self, hand: _Hand) -> None:
        part = hand.parts[-1]
        try:
            with bugs.parted(self._actor, queue=self._queue):
                hand.stored = await self._handler.handle(part)
        except Transient:
            raise
        except Exception as error:
            hand.parts.pop()
            half = len(part) // 2
            if half:
                hand.parts += [part[half:], part[:half]]
            else:
                hand.raised.append((part[0], error))
                hand.bury_at = min(hand.bury_at, trio.current_time() + RAISED_S)
        else:
            hand.done = hand.parts.pop()
            self._breaker.succeeded()

    async def _refuse(self, hand: _Hand) -> None:
        """Dead-letter whole deliveries; each bug among them is told once."""
        burials = [_burial(delivery, error) for delivery, error in hand.raised]
        try:
            await self._dead_letters.bury(burials)
        except Transient:
            raise
        except Exception as error:  # then nothing is known that could be done with them but to wait
            told = bugs.told(self._actor, error, queue=self._queue)
            raise Transient(f"{len(burials)} messages can be neither handled nor buried: {told}") from error
        for line, bug in {one_line(error): error for _, error in hand.raised}.items():
            if line not in hand.told:
                hand.told.add(line)
                bugs.told(self._actor, bug, queue=self._queue)
        self._buried.inc(sum(delivery.frame.events for delivery, _ in hand.raised))
        hand.done, hand.raised, hand.bury_at = [delivery for delivery, _ in hand.raised], [], math.inf
        self._breaker.succeeded()

    def _has_opened(self) -> bool:
        """Count a failure of the handler: is it one too many?"""
        now = trio.current_time()
        self._breaker.failed(now, self._rng)
        return self._breaker.state(now) == "open"

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        """End the leases; if even that fails, the database's clock ends them."""
        try:
            await self._exchange.give_back(deliveries)
        except Transient as error:
            self._actor.erred(error)


def _burial(delivery: Delivery, error: Exception) -> Burial:
    frame, reason = delivery.frame, f"{bugs.CODE}: {one_line(error)}"
    return Burial(delivery.queue, frame, frame.body, frame.events, reason, frame.counted)
