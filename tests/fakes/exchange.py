"""The exchange in memory; passes tests/contract/test_exchange.py like the real one."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence

from gcc.channels.exchange import QueueDepth
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Delivery
from tests.fakes.database import Database, DeadLetter, QueueRow

LEASE_S = 60.0
POLL_S = 1.0
RELAY_FRAMES_MAX = 500


class FakeExchange:
    def __init__(self, database: Database, outbox_written: Signal) -> None:
        self._database = database
        self._outbox_written = outbox_written
        self._wakeups: dict[str, Signal] = defaultdict(Signal)

    async def declare(self, bindings: Sequence[Binding]) -> None:
        await self._database.commit(lambda: self._database.bindings.update(bindings))

    async def relay(self) -> int:
        return await self._database.commit(self._relay)

    def _relay(self) -> int:
        moved = self._database.outbox[:RELAY_FRAMES_MAX]
        del self._database.outbox[:RELAY_FRAMES_MAX]
        for frame in moved:
            queues = [binding.queue for binding in self._database.bindings if binding.route == frame.route]
            for queue in sorted(queues):
                self._database.sequence += 1
                row = QueueRow(self._database.sequence, queue, frame, self._database.clock.now())
                self._database.queues[row.id] = row
                self._wakeups[queue].set()
            if not queues:
                letter = DeadLetter("unroutable", frame.body, frame.events, "no queue is bound")
                self._database.dead_letters[str(frame.id)] = letter
        return len(moved)

    async def wait_outbox(self) -> None:
        await self._outbox_written.wait(POLL_S)

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        while not (taken := await self._database.commit(lambda: self._take(queue, frames_max))):
            await self._wakeups[queue].wait(POLL_S)
        return taken

    def _take(self, queue: str, frames_max: int) -> list[Delivery]:
        now = self._database.clock.now()
        ready = [
            row
            for row in self._database.queues.values()
            if row.queue == queue and (row.lease_until is None or row.lease_until < now)
        ][:frames_max]
        for row in ready:
            row.lease_until = now + dt.timedelta(seconds=LEASE_S)
            row.deliveries += 1
        return [
            Delivery(queue, row.id, row.frame, row.deliveries, (now - row.created_at).total_seconds()) for row in ready
        ]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        def change() -> None:
            for delivery in deliveries:
                if self._is_ours(delivery):
                    del self._database.queues[delivery.id]

        await self._database.commit(change)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        def change() -> None:
            for delivery in deliveries:
                if self._is_ours(delivery):
                    self._database.queues[delivery.id].lease_until = None
                    self._wakeups[delivery.queue].set()

        await self._database.commit(change)

    async def depths(self) -> list[QueueDepth]:
        now = self._database.clock.now()

        def read() -> list[QueueDepth]:
            depths = []
            for queue in sorted({binding.queue for binding in self._database.bindings}):
                rows = [row for row in self._database.queues.values() if row.queue == queue]
                held = sum(row.frame.events for row in rows if row.lease_until and row.lease_until > now)
                oldest_s = max(((now - row.created_at).total_seconds() for row in rows), default=0.0)
                depths.append(QueueDepth(queue, sum(row.frame.events for row in rows), held, oldest_s))
            return depths

        return await self._database.commit(read)

    def _is_ours(self, delivery: Delivery) -> bool:
        row = self._database.queues.get(delivery.id)
        return row is not None and row.deliveries == delivery.deliveries
