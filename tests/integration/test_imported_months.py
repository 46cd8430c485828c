"""After an import: frozen months that it touched are built again, by whichever process looks, and only those."""

import json
from pathlib import Path

import pytest
import trio

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.config import load
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.imported import Imported
from gcc.pipelines.analytics.pipeline import AnalyticsPipeline
from gcc.pipelines.declared import Parts, Real
from gcc.pipelines.timetable import BY_HAND, ROWS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from tests.contexts import context, partly

MONTHS = """-- description: Snapshots of a month.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- unique_key: month
-- looks_back: 1
select toStartOfMonth(toDate(event_timestamp)) as month, count() as n
from {{ source('_e', 'profile_log_events') }}
{% if is_incremental() %}
where {{ in_period('month') }}
{% endif %}
group by month
"""

SUMS = """-- description: Snapshots of a month and the one before.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- unique_key: month
-- looks_back: 1
select m.month as month, m.n + ifNull(before.n, 0) as n
from {{ ref('mart_months') }} as m
left join {{ ref('mart_months') }} as before on addMonths(before.month, 1) = m.month
{% if is_incremental() %}
where {{ in_period('m.month') }}
{% endif %}
"""


@pytest.fixture
def transformer(clickhouse: ClickHouse, tmp_path: Path) -> Transformer:
    (tmp_path / "mart_months.sql").write_text(MONTHS)
    (tmp_path / "mart_sums.sql").write_text(SUMS)
    (tmp_path / "mart_other.sql").write_text(
        "-- description: x\n-- materialized: table\n-- unique_key: month\nselect * from {{ ref('mart_months') }}"
    )
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    clock = SystemClock()
    graph = models.read(tmp_path, variables={})
    return Transformer(clickhouse.builders, graph, Board(clock.now).actor("t"), clock, zone="UTC")


async def store(clickhouse: ClickHouse, number: int, origin: str, day: str) -> None:
    row = {
        "event_id": f"00000000-0000-7000-8000-{number:012}",
        "origin": origin,
        "platform": "INSTAGRAM",
        "profile_id": "a",
        "event_timestamp": f"{day} 12:00:00",
        "metrics": {"followers": 1},
        "dimensions": {},
    }
    await clickhouse.insert_ndjson("_e.profile_log_events", json.dumps(row).encode(), token=str(number))


async def test_months_of_imports_are_opened_once_and_no_others(
    clickhouse: ClickHouse, transformer: Transformer
) -> None:
    imported = Imported(clickhouse.builders, transformer, SystemClock(), zone="UTC")

    async def months() -> dict[str, int]:
        return await found(clickhouse, "mart_months")

    await store(clickhouse, 1, "import", "2020-01-31")
    assert await imported.build() == [], "nothing was built ever: the first build is whole"
    await transformer.run_models()
    await store(clickhouse, 2, "import", "2020-01-01")
    await store(clickhouse, 3, "scraper", "2020-03-01")
    await store(clickhouse, 4, "scraper", "2020-05-01")
    await transformer.run_models()
    assert await months() == {"2020-01-01": 1}, "they are frozen"
    assert {run.model for run in await imported.build()} == {"mart_months", "mart_sums"}, (
        "and not what is no part of months"
    )
    assert await months() == {"2020-01-01": 2}
    await store(clickhouse, 5, "import", "2020-02-29")
    await imported.build()
    assert await months() == {"2020-01-01": 2, "2020-02-01": 1, "2020-03-01": 1}, "March looks back on February"


async def found(clickhouse: ClickHouse, mart: str) -> dict[str, int]:
    return {str(row["month"]): row["n"] for row in await clickhouse.rows(f"select * from dbt.{mart}")}  # noqa: S608


async def test_who_looks_back_on_who_looks_back_is_built_as_far(
    clickhouse: ClickHouse, transformer: Transformer
) -> None:
    imported = Imported(clickhouse.builders, transformer, SystemClock(), zone="UTC")
    await store(clickhouse, 1, "scraper", "2020-04-10")
    await transformer.run_models()
    await store(clickhouse, 2, "scraper", "2020-03-01")
    await store(clickhouse, 3, "import", "2020-02-29")
    await imported.build()
    assert await found(clickhouse, "mart_months") == {"2020-02-01": 1, "2020-03-01": 1, "2020-04-01": 1}
    assert await found(clickhouse, "mart_sums") == {"2020-02-01": 1, "2020-03-01": 2, "2020-04-01": 2}


async def test_an_import_here_has_all_modelled_and_synced_at_once(
    clickhouse: ClickHouse, pool: Pool, tmp_path: Path
) -> None:
    real = partly(Real, clickhouse=clickhouse, pool=pool, terms_pool=pool)
    parts = partly(Parts, real=real, objects=FolderObjects(tmp_path))
    # At a full hour the schedules would do the same, and the import would have to wait for them.
    by_hand = [f"analytics.schedules.{row.name}={BY_HAND}" for row in ROWS]
    here = context(load(None, overrides=by_hand, environ={}), Drain(["intake"], 10.0), parts)
    pipeline = AnalyticsPipeline(here)

    async def counted() -> int:
        async with pool.connection() as connection:
            cursor = await connection.execute("select count(*) from social_profile_time_series")
            ((number,),) = await cursor.fetchall()
        return int(number)

    async with trio.open_nursery() as nursery:
        await nursery.start(pipeline.run)
        await store(clickhouse, 1, "import", "2020-01-31")
        here.imported.set()
        with trio.fail_after(60):
            while await counted() == 0:  # noqa: ASYNC110 (others write)
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
