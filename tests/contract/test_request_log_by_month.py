"""0007 moves the log of requests into a table by month: wherever it was cut short, and others writing meanwhile."""

import json
import shutil
import uuid
from pathlib import Path

import pytest

from gcc.statements import SQL
from gcc.stores.clickhouse import ONE_MACHINE, ClickHouse

LOG = "_e.scrape_request_log_events"
MIGRATION = SQL / "clickhouse" / "0007_request_log_by_month.sql"
STATEMENTS = [each for each in MIGRATION.read_text().split(";\n") if each.strip()]
TIMES = [f"2026-{month:02d}-{day:02d} 00:00:00.000000" for month in (1, 2) for day in range(1, 10)]


def job(number: int, time: str) -> bytes:
    event = {"event_id": str(uuid.UUID(int=number)), "origin": "gcc", "origin_id": "", "scl_id": str(number), "seq": 1}
    event |= {"flow": f"flow-{number % 3}", "platform": "INSTAGRAM", "params": {}, "status": "PENDING", "priority": 1}
    return json.dumps(event | {"retry_count": 0, "event_timestamp": time}).encode()


@pytest.mark.parametrize("done", range(len(STATEMENTS) + 1))
async def test_every_row_is_in_the_table_by_month(clickhouse: ClickHouse, tmp_path: Path, done: int) -> None:
    for file in sorted(MIGRATION.parent.glob("*.sql")):
        if file < MIGRATION:
            shutil.copy(file, tmp_path)
    for table in ("gcc_schema_migration", LOG):
        await clickhouse.command(f"drop table {table} sync")
    await clickhouse.migrate(tmp_path)
    for number, time in enumerate(TIMES):
        await clickhouse.insert_ndjson(LOG, job(number, time), token=str(number))
    for statement in STATEMENTS[:done]:
        await clickhouse.command(statement.replace("{on_cluster}", "").replace("{engine}", ONE_MACHINE["engine"]))
    await clickhouse.insert_ndjson(LOG, job(99, TIMES[0]), token="late")
    shutil.copy(MIGRATION, tmp_path)
    assert await clickhouse.migrate(tmp_path) == 1
    [row] = await clickhouse.rows(f"select count() as n, uniqExact(_partition_id) as months from {LOG} final")  # noqa: S608
    assert row == {"n": len(TIMES) + 1, "months": 2}
    assert await clickhouse.rows("select 1 from system.tables where name = 'request_log_moving'") == []
