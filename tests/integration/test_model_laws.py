"""What holds of incremental models, whatever came in which order: they are what a whole build would make of it.

`mart_daily` is of strategy keys, `mart_month` of partitions, and reads the first. Events come late, doubled and out of
order, between builds that are days apart. A month is as the last build before it froze left it, until a backfill.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gcc import statements
from gcc.actors.modelled import Model
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.supervisor.lifecycle import Board
from tests.fixtures_clickhouse import empty, opened

SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")
START = dt.datetime(2024, 1, 10, 12)  # noqa: DTZ001 (UTC, as ClickHouse tells it)
FIRST_DAY = dt.date(2023, 12, 15)
FOREVER = (dt.date(2023, 12, 1), dt.date(2024, 12, 31))
MODELS = {
    "mart_daily": """-- description: Last value of each key and day.
-- materialized: incremental
-- unique_key: k, day
-- partition_by: toYYYYMM(day)
select k, day, argMax(e.n, e.id) as n, now64(6, 'UTC') as built_at
from {{ source('_e', 'test_events') }} as e
{% if is_incremental() %}
where (k, day) in (select k, day from {{ source('_e', 'test_events') }} where inserted_at >= {{ watermark() }})
{% endif %}
group by k, day
""",
    "mart_month": """-- description: Sums of a month, where there is one.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- unique_key: month, k
select toStartOfMonth(day) as month, k, sum(d.n) as n
from {{ ref('mart_daily') }} as d final
{% if is_incremental() %}
where {{ in_period('toStartOfMonth(day)') }}
{% endif %}
group by month, k
having n > 0
""",
}


@dataclass(frozen=True)
class Event:
    id: int  # of two events of a day the greater one counts
    k: str
    day: dt.date
    n: int


@dataclass(frozen=True)
class Step:
    """What came in so many days after the step before; then everything is built."""

    days: int
    events: tuple[Event, ...]


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Of few events, so that they meet, and come again."""
    found = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 110), st.integers(-3, 5)), min_size=1, max_size=12)
    )
    events = [Event(number, k, FIRST_DAY + dt.timedelta(days=day), n) for number, (k, day, n) in enumerate(found)]
    steps, now = [], START
    for days in draw(st.lists(st.integers(1, 45), min_size=1, max_size=4)):
        now += dt.timedelta(days=days)
        known = [event for event in events if event.day <= now.date()]
        steps.append(Step(days, tuple(draw(st.lists(st.sampled_from(known), max_size=8)) if known else ())))
    return steps


class At:
    """The store, at a time of the test's."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self.now = START

    async def rows(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        if sql == SQL["server_time"]:
            (told,) = await self._queries.rows(sql, params)
            end = month_after(self.now.date() + dt.timedelta(days=1))
            return [told | {"now": f"{self.now:%F %T.%f}", "end": str(end)}]
        return await self._queries.rows(sql, params)

    async def command(self, sql: str, params: Any = None) -> None:
        await self._queries.command(sql, params)


def month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def month_after(day: dt.date) -> dt.date:
    return month(month(day) + dt.timedelta(days=32))


def daily(events: list[Event]) -> dict[tuple[str, dt.date], int]:
    return {(event.k, event.day): event.n for event in sorted(events, key=lambda event: event.id)}


def monthly(days: dict[tuple[str, dt.date], int]) -> dict[tuple[dt.date, str], int]:
    sums: dict[tuple[dt.date, str], int] = {}
    for (k, day), n in days.items():
        sums[month(day), k] = sums.get((month(day), k), 0) + n
    return {key: n for key, n in sums.items() if n > 0}


@pytest.fixture
def graph(tmp_path: Path) -> list[Model]:
    for name, text in MODELS.items():
        (tmp_path / f"{name}.sql").write_text(text)
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    return list(models.read(tmp_path, variables={}))


def test_builds_in_parts_are_what_a_whole_build_makes(clickhouse_folder: Path, graph: list[Model]) -> None:
    async def check(steps: list[Step]) -> None:
        async with opened(clickhouse_folder) as store:
            await empty(store)
            table = "(id UInt32, k String, day Date, n Int32, inserted_at DateTime64(6, 'UTC'))"
            await store.command(f"create table _e.test_events {table} engine = MergeTree order by id")
            clock, at = SystemClock(), At(store.builders)
            transformer = Transformer(at, graph, Board(clock.now).actor("t"), clock, zone="UTC")
            await transformer.prepare()
            await store.command("alter table dbt.model_run remove ttl")  # 2024 is over

            async def build(**how: Any) -> None:
                assert [run.error for run in await transformer.run_models(**how)] == [None, None]

            async def stand(mart: str, *columns: str) -> dict[Any, int]:
                rows = await store.rows(f"select * from dbt.{mart}")  # noqa: S608
                found = {tuple(row[name] for name in columns): row["n"] for row in rows}
                assert len(found) == len(rows), "keys are unique"
                return found

            came: list[Event] = []
            expected: dict[tuple[dt.date, str], int] = {}
            open_from = dt.date.min
            for step in steps:
                at.now += dt.timedelta(days=step.days)
                came += step.events
                for event in step.events:
                    values = f"({event.id}, '{event.k}', '{event.day}', {event.n}, '{at.now}')"
                    await store.command(f"insert into _e.test_events values {values}")  # noqa: S608
                await build()
                whole = monthly(daily(came))
                frozen = {key: n for key, n in expected.items() if key[0] < open_from}
                expected = frozen | {key: n for key, n in whole.items() if key[0] >= open_from}
                open_from = month(at.now.date() - dt.timedelta(days=2))
                assert await stand("mart_daily final", "k", "day") == daily(came)
                assert await stand("mart_month", "month", "k") == expected
            await build(period=FOREVER)
            assert await stand("mart_month", "month", "k") == monthly(daily(came))
            await build(whole=True)
            assert await stand("mart_daily final", "k", "day") == daily(came)
            assert await stand("mart_month", "month", "k") == monthly(daily(came))

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(histories())
    def checked(steps: list[Step]) -> None:
        trio.run(check, steps)

    checked()
