"""What only the database knows about the running platform, for the dashboard: jobs, queues, lag, dead letters, ..."""

from collections import Counter, defaultdict

from gcc import statements
from gcc.channels.exchange import Exchange, QueueDepth
from gcc.channels.letters import Letters, Waiting
from gcc.errors import Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.stores.postgres import Connection, Pool
from gcc.web.ops.snapshot import ApiJobs, Counts

SQL = statements.load("counts")
PING_S = 5.0
SPARE_MAX = 1000  # rows of the tally that could be fewer: reading them takes about a millisecond
FOLD_MAX = 50_000  # rows that one statement makes fewer: half a second
UNFINISHED = ("PENDING", "PROCESSING")
STORED = frozenset(event_type.queue for event_type in EVENT_TYPES)
"""The queues whose events are for a table: only they can lag."""


class PlatformCounts:
    """`exchange` is None where this process does not speak to it: then its queues and the lag are not known."""

    def __init__(self, pool: Pool, exchange: Exchange | None, letters: Letters) -> None:
        self._pool = pool
        self._exchange = exchange
        self._letters = letters
        self.crawl: tuple[int, int] | None = None  # (ended, all) jobs of the first crawl, as last read
        self.crawled = False  # the first crawl has ended, as last read

    async def read(self) -> Counts:
        """One look at everything. Transient: the database is away; without the exchange all else is counted, and where
        the letters meet a bug."""
        async with self._pool.connection() as conn:
            await conn.ping(PING_S)  # what hangs is away, too, and not only slow to count
            while await _fewer(conn, FOLD_MAX) > FOLD_MAX // 2:  # nobody has counted for long: too many to be read
                pass
            tally = await (await conn.execute(SQL["tally"])).fetchall()
            ((failures, outbox_s, enqueued),) = await (await conn.execute(SQL["trouble"])).fetchall()
            api_jobs = [ApiJobs(*row) for row in await (await conn.execute(SQL["api_jobs"])).fetchall()]
            if sum(spare for *_, spare in tally) > SPARE_MAX:
                await _fewer(conn, 1)
        by_flow: dict[str, Counter[str]] = defaultdict(Counter)
        crawl: Counter[bool] = Counter()  # ended -> jobs of the first crawl
        for counted, flow, status, number, _ in tally:
            if counted in ("job", "first job"):
                by_flow[flow] += Counter({status: number})
            if counted in ("first job", "pruned first job"):
                crawl[status not in UNFINISHED] += number
        self.crawl = (crawl[True], crawl.total()) if crawl.total() else None
        self.crawled = enqueued and not crawl[False]
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
        return Counts(dict(by_flow), queues, self.crawl, failures, lag_s, letters, why, bug, api_jobs)


async def _fewer(conn: Connection, crowd: int) -> int:
    """Fold the tally if it has `crowd` rows; answers how many fewer they are."""
    fold = SQL["fold"].replace("{fold_max}", str(FOLD_MAX))
    ((fewer,),) = await (await conn.execute(fold, {"crowd": crowd})).fetchall()
    return int(fewer)
