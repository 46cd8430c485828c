"""ClickHouse for tests: one embedded engine a process (chdb allows one folder), emptied before each test.

`clickhouse` is the real store, migrated, with empty event tables and nothing in `dbt` and `default`.
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from gcc.statements import SQL
from gcc.stores import clickhouse_clients
from gcc.stores.clickhouse import ClickHouse

QUERY_S_MAX = 20.0


@pytest.fixture(scope="session")
def clickhouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The engine's folder. Its clients keep the engine running between tests: starting takes a second."""
    folder = tmp_path_factory.mktemp("clickhouse")
    kept = _kept(folder)
    for client in kept.open({"keeper": 1})["keeper"]:
        client.close()
    yield folder
    kept.close()


class _Kept(clickhouse_clients.Opener):
    """Clients that are closed are opened again as they are: to make eight of them costs 150 ms, a third of a test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, query_s_max=QUERY_S_MAX)
        self._free: dict[str, list[Client]] = defaultdict(list)

    def open(self, sizes: Mapping[str, int]) -> dict[str, list[Client]]:
        return {kind: [self._taken(kind) for _ in range(size)] for kind, size in sizes.items()}

    def _taken(self, kind: str) -> Client:
        if self._free[kind]:
            return self._free[kind].pop()
        client = super().open({kind: 1})[kind][0]
        client.close = lambda: self._free[kind].append(client)  # type: ignore[method-assign]
        return client

    def close(self) -> None:
        for client in (client for clients in self._free.values() for client in clients):
            del client.close
            client.close()


_kept = cache(_Kept)


@pytest.fixture
async def clickhouse(clickhouse_folder: Path) -> AsyncIterator[ClickHouse]:
    async with opened(clickhouse_folder) as store:
        await empty(store)
        yield store


def store_of(folder: Path) -> ClickHouse:
    """Closed."""
    store = ClickHouse(folder, writers=2, readers=3, query_s_max=QUERY_S_MAX, fsync=False)
    store._clients = _kept(folder)
    return store


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[ClickHouse]:
    """The store as a test before has left it."""
    store = store_of(folder)
    await store.open()
    yield store
    await store.aclose()


async def empty(store: ClickHouse) -> None:
    """Leave the migrated tables, without rows, and nothing else."""
    if not await _emptied(store):
        await _clear(store)
        await store.migrate(SQL / "clickhouse")
        _migrated.update(await _tables(store))


LEDGER = ("default", "gcc_schema_migration")
_migrated: dict[tuple[str, str], str] = {}
"""What the migrations make, as ClickHouse tells it. Making it costs half a second, and most tests change none of it."""


async def _emptied(store: ClickHouse) -> bool:
    """Leave nothing but the migrated tables, without rows. False: a test has changed or dropped one of them."""
    found = await _tables(store)
    if not _migrated or any(found.get(table) != told for table, told in _migrated.items()):
        return False
    for database, name in found.keys() - _migrated.keys():
        await store.command(f"drop table `{database}`.`{name}` sync")
    filled = "select database, name from system.tables where total_rows > 0 or parts > 0"
    for row in await store.rows(filled):
        table = row["database"], row["name"]
        if table in _migrated and table != LEDGER:
            await store.command(f"truncate table `{table[0]}`.`{table[1]}` sync")  # forgets the tokens of inserts, too
    return True


async def _tables(store: ClickHouse) -> dict[tuple[str, str], str]:
    """What each is: the statement that makes it, or, cheaper by a millisecond a table, its file, which a change writes
    anew; the engine's first database has no files."""
    listed = "select database, name, concat(toString(uuid), {}) as told from system.tables where database {}"
    first = await store.rows(listed.format("create_table_query", "= 'default'"))
    folder = store._clients.folder
    assert folder is not None
    others = "in ('_e', 'dbt', 'beat_replica', 'coffee_replica')"
    found = {(row["database"], row["name"]): row["told"] for row in first}
    for row in await store.rows(listed.format("'|', metadata_path", others)):
        file = os.stat(folder / row["told"].partition("|")[2])
        found[row["database"], row["name"]] = f"{row['told']} {file.st_ino} {file.st_mtime_ns} {file.st_size}"
    if LEDGER in found:
        found[LEDGER] += str(await store.rows(f"select * from {LEDGER[1]} order by number, checksum"))  # noqa: S608
    return found


async def _clear(store: ClickHouse) -> None:
    _migrated.clear()
    for database, name in await _tables(store):
        await store.command(f"drop table if exists `{database}`.`{name}` sync")
