"""The exchange in memory; passes tests/contract/test_exchange.py like the real one."""

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from gcc.channels.deadletters import unroutable
from gcc.channels.exchange import QueueDepth
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Delivery
from tests.fakes.database import Connection, Line, OutboxRow, QueueRow

LEASE_S = 60.0
POLL_S = 5.0
RELAY_FRAMES_MAX = 500
REORDER_TAKES = 4  # a reordered take draws from as many times the frames it may have


@dataclass
class Faults:
    """What at-least-once delivery allows, as shares of 1. May be changed while running: all at 0 is healed."""

    rng: random.Random
    duplicate: float = 0.0  # of takes: one frame is ready again although its lease lives
    reorder: float = 0.0  # of takes: the frames come in any order, younger ones before older ones
    delay: float = 0.0  # of frames in a queue: ready only up to `delay_s_max` later, and nobody is woken then
    delay_s_max: float = 60.0
    lose_wakeup: float = 0.0  # of waits (for the outbox, for a queue): deaf, until the poll

    def strikes(self, share: float) -> bool:
        return share > 0 and self.rng.random() < share


class FakeExchange:
    def __init__(
        self, connection: Connection, outbox_written: Signal, *, poll_s: float = POLL_S, faults: Faults | None = None
    ) -> None:
        self._connection = connection
        self._database = connection.database
        self._outbox_written = outbox_written
        self._poll_s = poll_s
        self._faults = faults or Faults(random.Random(0))
        self._wakeups: dict[str, Signal] = defaultdict(Signal)

    async def declare(self, bindings: Sequence[Binding]) -> None:
        def change() -> None:
            for binding in bindings:
                queues = self._database.routes.get(binding.route, [])
                self._database.routes[binding.route] = sorted({*queues, binding.queue})

        await self._connection.commit(change)

    async def relay(self, term: int = 0) -> int:
        def change() -> list[OutboxRow]:
            outbox = self._database.outbox
            moved = [outbox.popleft() for _ in range(min(len(outbox), RELAY_FRAMES_MAX))]
            for row in moved:
                self._deliver(row)
            return moved

        moved = await self._connection.commit(change)
        for queue in sorted({queue for row in moved for queue in self._database.queues_of(row.frame.route)}):
            self._wakeups[queue].set()
        return len(moved)

    def _deliver(self, row: OutboxRow) -> None:
        """Into each bound queue, or buried."""
        queues = self._database.queues_of(row.frame.route)
        for queue in queues:
            self._database.queue(row.frame, queue, row.created_at, self._delayed_until())
        if not queues:
            self._database.bury(unroutable(row.frame))

    def _delayed_until(self) -> dt.datetime | None:
        if not self._faults.strikes(self._faults.delay):
            return None
        delay_s = self._faults.rng.uniform(0, self._faults.delay_s_max)
        return self._database.clock.now() + dt.timedelta(seconds=delay_s)

    async def pending(self) -> int | None:
        return await self._connection.read(lambda: next((row.frame.id.int for row in self._database.outbox), None))

    async def wait_outbox(self) -> None:
        await self._wait(self._outbox_written)

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        return await self._connection.commit(lambda: self._take(queue, frames_max))

    async def wait(self, queue: str) -> None:
        await self._wait(self._wakeups[queue])

    def _take(self, queue: str, frames_max: int) -> list[Delivery]:
        now, line = self._database.clock.now(), self._database.lines[queue]
        line.ripen(now)
        if line.leased and self._faults.strikes(self._faults.duplicate):
            _, again = line.leased.least()
            line.end_lease(again)
            self._database.tell("duplicated", again)
        rows = self._draw(line, frames_max)
        for row in rows:
            line.lease(row, now + dt.timedelta(seconds=LEASE_S))
        if rows:
            self._database.tell("taken", rows)
        return [
            Delivery(queue, row.id, row.frame, row.deliveries, (now - row.created_at).total_seconds()) for row in rows
        ]

    def _draw(self, line: Line, frames_max: int) -> list[QueueRow]:
        """Out of the ready ones, the oldest first."""
        if not self._faults.strikes(self._faults.reorder):
            return [line.ready.pop() for _ in range(min(len(line.ready), frames_max))]
        rows = [line.ready.pop() for _ in range(min(len(line.ready), frames_max * REORDER_TAKES))]
        self._faults.rng.shuffle(rows)
        for row in rows[frames_max:]:
            line.ready.put(row, row.id)
        return rows[:frames_max]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        def change() -> None:
            for row in self._ours(deliveries):
                del self._database.queues[row.id]
                self._database.lines[row.queue].remove(row)
                self._database.tell("acknowledged", row)

        if deliveries:
            await self._connection.commit(change)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        def change() -> None:
            for row in self._ours(deliveries):
                self._database.lines[row.queue].end_lease(row)
                self._database.tell("given back", row)

        if deliveries:
            await self._connection.commit(change)
            for queue in sorted({delivery.queue for delivery in deliveries}):
                self._wakeups[queue].set()

    async def rest(self, queue: str) -> None:
        await trio.lowlevel.checkpoint()

    async def end_leases(self) -> None:
        """Make every leased frame ready."""

        def change() -> None:
            for row in self._database.queues.values():
                self._database.lines[row.queue].end_lease(row)

        await self._connection.commit(change)

    async def depths(self) -> list[QueueDepth]:
        def read() -> list[QueueDepth]:
            queues = {queue for queues in self._database.routes.values() for queue in queues}
            return [self._depth(queue) for queue in sorted(queues)]

        return await self._connection.read(read)

    def _depth(self, queue: str) -> QueueDepth:
        now, line = self._database.clock.now(), self._database.lines[queue]
        line.ripen(now)
        oldest_s = (now - line.all.least()[0]).total_seconds() if line.all else 0.0
        return QueueDepth(queue, line.events, line.held, oldest_s)

    async def _wait(self, signal: Signal) -> None:
        if self._faults.strikes(self._faults.lose_wakeup):
            await trio.sleep(self._poll_s)
        else:
            await signal.wait(self._poll_s)

    def _ours(self, deliveries: Sequence[Delivery]) -> list[QueueRow]:
        """The rows whose lease did not pass to another consumer."""
        rows = [self._database.queues.get(delivery.id) for delivery in deliveries]
        return [
            row
            for row, delivery in zip(rows, deliveries, strict=True)
            if row is not None and row.deliveries == delivery.deliveries
        ]
