"""Removal: rows of event tables that must go before their partition does, and are counted for `check` first.

In: which rows of a table, as a condition. Out: they are gone from ClickHouse, and PostgreSQL has a row for them
(`removed_rows`). They go in these steps:

1. counted, and the count committed to PostgreSQL: from now on `check` counts that, and looks past the rows
2. deleted, and the row marked

Rows that are stored while that goes on are not meant: a condition holds for those that were inserted before `settled`.
Cut short anywhere, `finish` goes on from there.
"""

import json

import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.pipelines.events.check import Rows, open_removals
from gcc.pipelines.events.retention import EventTables
from gcc.pipelines.events.schemas import EMITTED_BY
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

_POSTGRES = statements.load("removal")
_CLICKHOUSE = statements.load("removal", statements.SQL / "clickhouse" / "queries")


class Removal:
    """Raises Transient, LeaseLost when another process leads."""

    def __init__(self, clickhouse: EventTables, pool: Pool, leader: Leader, turn: trio.Lock) -> None:
        """`turn` is held by whoever takes something out of the event tables: one at a time counts, and deletes."""
        self._clickhouse = clickhouse
        self._pool = pool
        self._leader = leader
        self._turn = turn

    async def finish(self) -> None:
        """Remove what was counted, and may still be there."""
        async with self._turn:
            for rows in await open_removals(self._pool):
                await self._remove(rows)

    async def remove(self, rows: Rows) -> int:
        """How many different events went. Nothing of the table may be open: see `finish`."""
        async with self._turn:
            return await self._counted_and_removed(rows)

    async def ids(self, rows: Rows, column: str) -> list[str]:
        """What stands in a column of these rows, each once."""
        found = await self._clickhouse.rows(_filled("ids", rows).replace("{column}", column), rows.values)
        return [str(row["id"]) for row in found]

    async def rewrite(self, rows: Rows, column: str, value: str) -> int:
        """Give a column of these rows another value, in ClickHouse's words: they stay, and count as before. How many
        there were."""
        async with self._turn:
            (counts,) = await self._clickhouse.rows(_filled("count", rows), {**rows.values, "emitted_by": []})
            if counts["events"]:
                statement = _filled("rewrite", rows).replace("{column}", column).replace("{value}", value)
                await self._clickhouse.command(statement, rows.values)
            return int(counts["events"])

    async def _counted_and_removed(self, rows: Rows) -> int:
        values = {**rows.values, "emitted_by": list(EMITTED_BY)}
        (counts,) = await self._clickhouse.rows(_filled("count", rows), values)
        if not counts["events"]:
            return 0
        counted = {"table": rows.table, "condition": rows.words, "parameters": json.dumps(dict(rows.values)), **counts}
        async with as_leader(self._pool, self._leader) as connection:
            await connection.execute(_POSTGRES["counted"], counted)
        await self._remove(rows)
        return int(counts["events"])

    async def _remove(self, rows: Rows) -> None:
        """It may take a while, and no term is held for so long: whoever leads then removes the same rows again."""
        await self._clickhouse.command(_filled("remove", rows), rows.values)
        async with as_leader(self._pool, self._leader) as connection:
            await connection.execute(_POSTGRES["removed"], {"table": rows.table})


def _filled(statement: str, rows: Rows) -> str:
    return _CLICKHOUSE[statement].replace("{table}", rows.table).replace("{condition}", rows.words)
