"""ClickHouse for tests: one embedded engine a process (chdb allows one folder), emptied before each test.

`clickhouse` is the real store, migrated, with empty event tables and nothing in `dbt` and `default`.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gcc.stores import clickhouse_clients
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.statements import SQL

QUERY_S_MAX = 20.0


@pytest.fixture(scope="session")
def clickhouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The engine's folder. A client of our own keeps the engine running between tests: starting takes a second."""
    folder = tmp_path_factory.mktemp("clickhouse")
    opened = clickhouse_clients.Opener(folder, query_s_max=QUERY_S_MAX).open({"keeper": 1})
    yield folder
    for client in opened["keeper"]:
        client.close()


@pytest.fixture
async def clickhouse(clickhouse_folder: Path) -> AsyncIterator[ClickHouse]:
    store = ClickHouse(clickhouse_folder, writers=2, readers=3, query_s_max=QUERY_S_MAX, fsync=False)
    await store.open()
    await _clear(store)
    await store.migrate(SQL / "clickhouse")
    yield store
    await store.aclose()


async def _clear(store: ClickHouse) -> None:
    # Dropping is as fast as truncating here, and a test may have changed a table.
    listed = "select database, name from system.tables where database in ('_e', 'dbt', 'default')"
    for table in await store.rows(listed):
        await store.command(f"drop table if exists `{table['database']}`.`{table['name']}` sync")
