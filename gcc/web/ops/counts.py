"""What only the database knows about the running platform, for the dashboard: jobs, queues, lag, dead letters, ..."""

from collections import defaultdict

from gcc import statements
from gcc.channels.exchange import Exchange, QueueDepth
from gcc.channels.letters import Letters, Waiting
from gcc.errors import Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.stores.postgres import Pool
from gcc.web.ops.snapshot import Counts

SQL = statements.load("counts")
STORED = frozenset(event_type.queue for event_type in EVENT_TYPES)
"""The queues whose events are for a table: only they can lag."""


class PlatformCounts:
    """`exchange` is None where this process does not speak to it: then its queues and the lag are not known."""

    def __init__(self, pool: Pool, exchange: Exchange | None, letters: Letters) -> None:
        self._pool = pool
        self._exchange = exchange
        self._letters = letters
        self.crawl: tuple[int, int] | None = None  # (ended, all) jobs of the first crawl, as last read
        self.crawled = False  # the first crawl has ended: its counts move no more

    async def read(self) -> Counts:
        """One look at everything. Transient: the database is away; without the exchange all else is counted, and where
        the letters meet a bug."""
        async with self._pool.connection() as conn:
            by_flow: dict[str, dict[str, int]] = defaultdict(dict)
            for flow, status, count in await (await conn.execute(SQL["jobs"])).fetchall():
                by_flow[flow][status] = count
            ((failures, outbox_s),) = await (await conn.execute(SQL["trouble"])).fetchall()
            if not self.crawled:
                ((done, total, enqueued),) = await (await conn.execute(SQL["first_crawl"])).fetchall()
                self.crawl = (done, total) if total else None
                self.crawled = bool(enqueued and done == total)
        queues: list[QueueDepth] = []
        lag_s: float | None = None
        why: str | None = None
        try:
            if self._exchange is not None:
                queues = await self._exchange.depths()
                lag_s = max([float(outbox_s), *(queue.oldest_s for queue in queues if queue.queue in STORED)])
        except Transient as error:
            why = str(error)
        letters: Waiting | None = None
        bug: Exception | None = None
        try:
            letters = await self._letters.recent()
        except Transient:
            raise
        except Exception as error:
            bug = error
        return Counts(dict(by_flow), queues, self.crawl, failures, lag_s, letters, why, bug)
