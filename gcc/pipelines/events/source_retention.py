"""How long each source lets us keep what it answered: what was not asked for again in time is removed, everywhere.

In: the days of each source (gcc/sources/table.py, or `sources.NAME.retention_days`). Out: rows of current state whose
last answer is older are deleted from PostgreSQL, events of that age are removed from ClickHouse and counted for `check`
(see removal.py), and the marts are built anew from what is left. Events go a day later than they might, when none of
them can come again out of a queue.
"""

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from gcc import statements
from gcc.actors.leader import Leader
from gcc.clock import Clock
from gcc.pipelines.events.check import Rows
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.retention import QUIET
from gcc.pipelines.events.types import EVENT_TYPES, timestamp
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool
from gcc.tables import Table

BATCH = 1000
ROWS_MAX = 1_000_000  # of a table in a round
TABLES = tuple(each.table for each in EVENT_TYPES if "source" in each.schema.__struct_fields__)
"""The event tables that tell which source answered."""
_SQL = statements.load("removal")


class SourceRetention:
    """A round is `await retention()`; see Schedule. Raises Transient, LeaseLost when another process leads."""

    def __init__(
        self,
        removal: Removal,
        pool: Pool,
        leader: Leader,
        clock: Clock,
        kept_days: Mapping[str, int],
        states: Collection[Table],
        rebuild: Callable[[], Awaitable[Any]],
    ) -> None:
        """`kept_days` by source; those that are not in it are kept for ever. `states`: tables of current state,
        and the audit's. `rebuild()` builds the marts from what is left."""
        self._removal = removal
        self._pool = pool
        self._leader = leader
        self._clock = clock
        self._kept_days = kept_days
        self._states = [
            (table, at)
            for table in states
            for at in ("scraped_at", "event_timestamp")
            if {"source", at} <= table.columns.keys()
        ]
        self._rebuild = rebuild
        self._owed = False  # see Erasure

    async def __call__(self) -> dict[str, Any]:
        """Answers how much went now, by table."""
        await self._removal.finish()
        now, gone = self._clock.now(), Counter[str]()
        for source, days in self._kept_days.items():
            before = now - dt.timedelta(days=days)
            for state, at in self._states:
                gone[state.name] += await self._forget(state, at, source, before)
            for table in TABLES:
                words = "source = {source:String} and event_timestamp < {before:DateTime64(6, 'UTC')}"
                rows = Rows(table, words, {"source": source, "before": timestamp(before)})
                gone[table] += await self._removal.remove(rows.settled(now - QUIET))
        self._owed |= any(gone[table] for table in TABLES)
        if self._owed:
            await self._rebuild()
            self._owed = False
        return {"removed": {table: rows for table, rows in gone.items() if rows}}

    async def _forget(self, state: Table, at: str, source: str, before: dt.datetime) -> int:
        statement = _SQL["forget"].replace("{table}", f'"{state.name}"').replace("{at}", at)
        statement = statement.replace("{limit}", str(BATCH))
        gone, batch = 0, BATCH
        while batch == BATCH and gone < ROWS_MAX:
            async with as_leader(self._pool, self._leader) as connection:
                batch = (await connection.execute(statement, {"source": source, "before": before})).rowcount
            gone += batch
        return gone
