"""How long the leaderboard's table takes to be replaced: `python -m bench.sync`. 500,000 rows, 8 readers meanwhile.

An embedded PostgreSQL with fsync, an embedded ClickHouse with a mart made of numbers. The first sync fills the empty
table; `sync_s` is of the second, which exports, copies, indexes, checks and swaps a table in use. Readers ask for pages
of it all the time, 50 a second each at most: a page that fails or is not full counts as failed.
`longest_read_ms`: the longest that one waited for a page.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from bench.claims import cpu_s_of_children
from bench.proc import cpu_s, rss_mb
from gcc.actors.leader import Leader
from gcc.actors.sync import Sync
from gcc.clock import SystemClock
from gcc.errors import GccError
from gcc.pipelines.analytics.synced import SYNCED
from gcc.statements import SQL
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.migrations import migrate_postgres
from gcc.stores.postgres import Pool
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.lifecycle import Board

LEADER = "bench"
TABLE = "leaderboard"
READERS = 8
PAGE = 20
PAUSE_S = 0.02
"""Of a reader between two pages: without it eight of them would keep both processors."""
COLUMNS = {
    "platform": "'INSTAGRAM'",
    "profile_id": "concat('17841', leftPad(toString(number), 12, '0'))",
    "month": "toDate('2026-11-01')",
    "handle": "toNullable(concat('creator.', toString(number)))",
    "full_name": "toNullable(concat('Creator ', toString(number)))",
    "profile_pic_url": "toNullable(concat('https://cdn.example/', toString(cityHash64(number)), '_n.jpg'))",
    "engagement_rate": "toNullable(number % 1000 / 10000)",
    "category": "toNullable(['beauty', 'comedy', 'food', 'tech'][number % 4 + 1])",
    "language": "toNullable(['hi', 'en', 'ta'][number % 3 + 1])",
    "country": "toNullable('IN')",
}
"""What the mart says; every other column of the table is a place or a count."""
MART = """
create table dbt.mart_leaderboard engine = MergeTree order by (platform, profile_id, month) as
select {columns} from numbers({rows})
"""
READ = (
    "select profile_id, handle, followers from leaderboard where platform = 'INSTAGRAM' and month = '2026-11-01'"
    " and followers_rank > %s order by followers_rank, profile_id limit %s"
)


class Readers:
    def __init__(self, pool: Pool, rows: int) -> None:
        self._pool = pool
        self._rows = rows
        self.pages = 0
        self.failed = 0
        self.longest_s = 0.0

    async def read(self, number: int) -> None:
        while True:
            number = (number * 7919 + 1) % (self._rows - PAGE)
            began = time.perf_counter()
            try:
                async with self._pool.connection() as connection:
                    found = await (await connection.execute(READ, (number, PAGE))).fetchall()
                self.failed += len(found) != PAGE
            except GccError:
                self.failed += 1
            self.pages += 1
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            await trio.sleep(PAUSE_S)


@asynccontextmanager
async def stores(folder: Path) -> AsyncIterator[tuple[Pool, ClickHouse]]:
    database = EmbeddedPostgres(folder / "postgres", fsync=True)
    clickhouse = ClickHouse(folder / "clickhouse", writers=1, readers=2, query_s_max=600, fsync=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        await migrate_postgres(database.conninfo, SQL / "postgres")
        await clickhouse.open()
        pool = Pool(database.conninfo, READERS + 4, name="bench")
        yield pool, clickhouse
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await clickhouse.aclose()
            await pool.aclose()


async def bench(rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as name:
        os.chmod(name, 0o755)  # the database's user reads below it
        folder = Path(name)
        async with stores(folder) as (pool, clickhouse):
            clock = SystemClock()
            board = Board(clock.now)
            leader = Leader(LEADER, PostgresLeadership(pool), board.actor("leader"), clock)
            tables = SyncedTables(pool, leader=LEADER)
            columns = ", ".join(
                f"{COLUMNS.get(column, 'toNullable(toInt64(number + 1))')} as {column}"
                for column in await tables.columns(TABLE)
            )
            await clickhouse.command("create database dbt")
            await clickhouse.builders.command(MART.format(columns=columns, rows=rows))
            sync = Sync(
                clickhouse, FolderObjects(folder / "objects"), tables, SYNCED, leader, board.actor("sync"), clock
            )
            async with trio.open_nursery() as nursery:
                await nursery.start(leader.run)
                first = await sync.sync(TABLE)
                readers = Readers(pool, rows)
                for number in range(READERS):
                    nursery.start_soon(readers.read, number)
                cpu = cpu_s(os.getpid()), cpu_s_of_children()
                second = await sync.sync(TABLE)
                spent = cpu_s(os.getpid()) - cpu[0], cpu_s_of_children() - cpu[1]
                nursery.cancel_scope.cancel()
            assert first.rows == second.rows == rows
    return {
        "sync_s": round(second.seconds, 2),
        "first_s": round(first.seconds, 2),
        "failed_reads": readers.failed,
        "pages": readers.pages,
        "longest_read_ms": round(readers.longest_s * 1000),
        "cpu_s": round(spent[0], 1),
        "database_cpu_s": round(spent[1], 1),
        "rss_mb": round(rss_mb(os.getpid())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    result = trio.run(bench, parser.parse_args().rows)
    for name, figure in result.items():
        print(f"{name:<18}{figure}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
