"""Retention: what is older than its type is kept for is dropped, a partition at a time, and counted for `check`.

In: partitions of event tables whose newest event is too old, and in which nothing has arrived for QUIET. Out: they are
gone from ClickHouse, and PostgreSQL has a row for each (`dropped_partition`). A partition goes these steps:

1. set aside: moved into a table beside its own, `..__aside`, so that nothing is added to what is counted
2. counted, and the count committed to PostgreSQL: from now on that is what `check` counts
3. the table beside is dropped, and the row marked

Cut short anywhere, the next round goes on from there: an open row means that step 3 is due, a table beside without one
that step 1 or 2 is. `check` is exact in between. Events that come later for a dropped partition make a new one, which
goes the same way. Steps that change something hold the leader's term in PostgreSQL: meanwhile nobody else can lead.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import ConfigError
from gcc.pipelines.events.check import ASIDE, Reading, open_removals, set_aside
from gcc.pipelines.events.schemas import EMITTED_BY
from gcc.pipelines.events.types import EVENT_TYPES, EventType
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

SCORES_SETTING = "creator_follower_score_days"
"""Of a state, which has no partitions to drop: see score_retention.py."""
QUIET = dt.timedelta(days=1)  # by then its events are acknowledged: none comes again out of a queue

_POSTGRES = statements.load("retention")
_CLICKHOUSE = statements.load("retention", statements.SQL / "clickhouse" / "queries")


class EventTables(Reading, Protocol):
    """The part of ClickHouse that is used here. Transient: it is away."""

    async def command(self, sql: str, params: Mapping[str, Any] | None = None) -> None: ...


def kept_days(settings: Settings) -> dict[EventType, int]:
    """How long each type is kept, 0 for ever: the settings' days where they name it, else its own. ConfigError."""
    known = {f"{event_type.name}_days": event_type for event_type in EVENT_TYPES}
    if unknown := sorted(set(settings.retention) - set(known)):
        raise ConfigError(f"retention.{unknown[0]} is no event type; known are {', '.join(known)}")
    days = {key: number for key, number in settings.retention.items() if key != SCORES_SETTING}
    return {each: days.get(key, each.kept_days) for key, each in known.items()}


class Retention:
    """A round is `await retention()`; see Schedule. Raises Transient, LeaseLost when another process leads."""

    def __init__(
        self,
        clickhouse: EventTables,
        pool: Pool,
        leader: Leader,
        clock: Clock,
        kept: Mapping[EventType, int],
        turn: trio.Lock,
    ) -> None:
        """`turn`: see `Removal`."""
        self._clickhouse = clickhouse
        self._pool = pool
        self._leader = leader
        self._clock = clock
        self._kept = kept
        self._turn = turn

    async def __call__(self) -> dict[str, Any]:
        """Finish what was cut short, then drop what is due. Answers the events dropped now, by table."""
        async with self._turn:
            return await self._round()

    async def _round(self) -> dict[str, Any]:
        dropped: Counter[str] = Counter()
        removing = {rows.table for rows in await open_removals(self._pool)}
        for event_type, days in self._kept.items():
            table = event_type.table
            if table in removing:  # these rows are counted: in a partition that is dropped they would be once more
                continue
            if await self._open(table):
                await self._drop(table)
            for partition in await self._aside(table):
                dropped[table] += await self._retire(table, partition)
            for partition in await self._expired(table, days) if days else ():
                dropped[table] += await self._retire(table, partition)
        return {"dropped": dict(dropped)}

    async def _expired(self, table: str, days: int) -> list[str]:
        now = self._clock.now()
        limits = {"older_than": now - dt.timedelta(days=days), "quiet_since": now - QUIET, "name": table}
        return [row["id"] for row in await self._clickhouse.rows(_filled("expired", table), limits)]

    async def _retire(self, table: str, partition: str) -> int:
        """All three steps. What is set aside already is joined by what is left, or came late."""
        async with as_leader(self._pool, self._leader):
            await self._clickhouse.command(_filled("make_aside", table))
            await self._clickhouse.command(_filled("set_aside", table, partition))
        (counts,) = await self._clickhouse.rows(_filled("count_aside", table), {"emitted_by": list(EMITTED_BY)})
        async with as_leader(self._pool, self._leader) as connection:
            await connection.execute(_POSTGRES["counted"], {"table": table, "partition": partition, **counts})
        await self._drop(table)
        return int(counts["events"])

    async def _drop(self, table: str) -> None:
        async with as_leader(self._pool, self._leader) as connection:
            await self._clickhouse.command(_filled("drop_aside", table))
            await connection.execute(_POSTGRES["dropped"], {"table": table})

    async def _open(self, table: str) -> bool:
        async with self._pool.connection() as connection:
            return await (await connection.execute(_POSTGRES["open"], {"table": table})).fetchone() is not None

    async def _aside(self, table: str) -> list[str]:
        """The partition that is set aside; there is one at most."""
        return [partition for name, partition, _ in await set_aside(self._clickhouse) if name == table]


def _filled(statement: str, table: str, partition: str = "") -> str:
    text = _CLICKHOUSE[statement].replace("{aside}", table + ASIDE).replace("{table}", table)
    return text.replace("{partition}", partition)
