"""The outbox in memory, for a relay that publishes elsewhere; see gcc.stores.outbox."""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from gcc.channels.message import Route
from gcc.channels.outbox import OutboxRow
from gcc.errors import LeaseLost
from tests.fakes.database import Connection
from tests.fakes.leadership import FakeLeadership


class FakeOutbox:
    def __init__(self, connection: Connection, leadership: FakeLeadership, leader: str) -> None:
        self._connection = connection
        self.leadership = leadership
        self.leader = leader

    async def oldest(self, frames_max: int, bytes_max: int, *, without: Sequence[Route]) -> list[OutboxRow]:
        def read() -> list[OutboxRow]:
            outbox = self._connection.database.outbox
            rows = [row for row in outbox if row.frame.route not in without][:frames_max]
            sizes = list(accumulate(len(row.frame.body) for row in rows))
            page = [row for row, size in zip(rows, sizes, strict=True) if size <= bytes_max] or rows[:1]
            return [OutboxRow(row.frame.id.int, row.frame, row.created_at) for row in page]

        return await self._connection.read(read)

    async def remove(self, ids: Sequence[int], *, term: int) -> None:
        def change() -> None:
            if not self.leadership.holds(self.leader, term):
                raise LeaseLost(f"term {term} of leader {self.leader!r} is over")
            database = self._connection.database
            database.outbox = deque(row for row in database.outbox if row.frame.id.int not in ids)

        if ids:
            await self._connection.commit(change)
