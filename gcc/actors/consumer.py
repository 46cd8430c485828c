"""Takes frames from a queue, gathers them into batches, hands them to a handler, acknowledges.

In: deliveries under lease. Out: whatever the handler stores. A frame is acknowledged only after the
handler returned, so a hard stop at any point loses nothing: what is unacknowledged comes back.
The handler's Transient is retried with the same frozen batch; after ATTEMPTS_MAX in a row the batch is
given back and intake pauses. What a handler cannot accept is its own to dead-letter; it raises nothing else.
At drain intake stops, what is held is handled at once (batch age 0), and the actor finishes.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import trio

from gcc.actors.patience import Patience
from gcc.channels.batch import Batch, BatchLimits
from gcc.channels.exchange import Exchange
from gcc.channels.memory import Channels
from gcc.channels.message import FRAME_EVENTS_MAX, Delivery
from gcc.errors import Transient
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State

FRAMES_WAITING_MAX = 200  # at most 12.8 MiB and 20,000 events between intake and batch, for each queue
ATTEMPTS_MAX = 5


class Handler(Protocol):
    async def handle(self, batch: Sequence[Delivery]) -> int:
        """Store or dead-letter every event of `batch`; answers how many events were stored.

        Transient: nothing may be acknowledged; the same batch comes again. Must be idempotent.
        """


class Consumer:
    def __init__(
        self,
        queue: str,
        exchange: Exchange,
        handler: Handler,
        *,
        limits: BatchLimits,
        channels: Channels,
        actor: Actor,
        stage: Stage,
        rng: random.Random,
    ) -> None:
        self._queue = queue
        self._exchange = exchange
        self._handler = handler
        self._limits = limits
        self._channels = channels
        self._actor = actor
        self._stage = stage
        self._rng = rng

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and what was taken is stored and acknowledged."""
        send, receive = self._channels.open(self._queue, FRAMES_WAITING_MAX)
        with self._stage.member(self._actor.name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_in, send)
                nursery.start_soon(self._work_off, receive)
                self._actor.state = State.RUNNING
                task_status.started()
        self._actor.state = State.FINISHED

    async def _take_in(self, send: trio.MemorySendChannel[Delivery]) -> None:
        """Fill the channel as it empties. Its end tells the other half that nothing more comes."""
        patience = Patience(self._actor, self._rng)

        async def take() -> list[Delivery]:
            room = FRAMES_WAITING_MAX - send.statistics().current_buffer_used
            return await self._exchange.take(self._queue, frames_max=max(1, room))

        with send:
            while True:
                try:
                    deliveries = await take_until(self._stage, take)
                except Transient as error:
                    await self._wait_or_drain(patience, error)
                    continue
                patience.reset()
                if deliveries is None:
                    return
                for delivery in deliveries:
                    await send.send(delivery)

    async def _wait_or_drain(self, patience: Patience, error: Transient) -> None:
        async def wait() -> None:
            await patience.wait_after(error)

        await take_until(self._stage, wait)

    async def _work_off(self, receive: trio.MemoryReceiveChannel[Delivery]) -> None:
        batch: Batch[Delivery] = Batch(self._limits)
        with receive:
            while await self._gather(receive, batch):
                held_s = trio.current_time() - (batch.opened_at or trio.current_time())
                self._actor.lag_s = max(delivery.age_s for delivery in batch.items) + held_s
                await self._flush(batch.take())
                if not receive.statistics().current_buffer_used:
                    self._actor.lag_s = 0.0

    async def _gather(self, receive: trio.MemoryReceiveChannel[Delivery], batch: Batch[Delivery]) -> bool:
        """Fill `batch` until it is due; False when intake has ended and nothing is left."""
        while not batch.due(trio.current_time()):
            try:
                with trio.move_on_at(batch.deadline):
                    self._add(batch, await receive.receive())
            except trio.EndOfChannel:
                return bool(batch.items)
        while batch.has_room(FRAME_EVENTS_MAX):  # backlog: what already waits rides along
            try:
                delivery = receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            self._add(batch, delivery)
        return True

    def _add(self, batch: Batch[Delivery], delivery: Delivery) -> None:
        batch.add(delivery, delivery.frame.events, trio.current_time())
        self._actor.in_flight = batch.rows

    async def _flush(self, batch: Sequence[Delivery]) -> None:
        """Handle and acknowledge one frozen batch, or give it back."""
        patience = Patience(self._actor, self._rng)
        stored: int | None = None
        while True:
            try:
                if stored is None:
                    stored = await self._handler.handle(batch)
                await self._exchange.acknowledge(batch)
            except Transient as error:
                if patience.failures >= ATTEMPTS_MAX:
                    await self._give_back(batch)
                    break
                await patience.wait_after(error)
            else:
                patience.reset()
                self._actor.processed(stored)
                break
        self._actor.in_flight = 0

    async def _give_back(self, batch: Sequence[Delivery]) -> None:
        """End the leases; if even that fails, the database's clock ends them."""
        try:
            await self._exchange.give_back(batch)
        except Transient as error:
            self._actor.erred(error)
