"""The timetable on real stores where nothing is yet: each row does its work and leaves a row of its run, or waits."""

from pathlib import Path

import trio

from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import load
from gcc.pipelines.analytics.pipeline import AnalyticsPipeline
from gcc.pipelines.declared import Parts, Real
from gcc.pipelines.timetable import ROWS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.vault import Vault
from gcc.supervisor.drain import Drain
from tests.contexts import context, partly
from tests.fakes.credentials import KEYS
from tests.integration.test_erasure import erasures_of, jobs_of

LATER = {
    "backup",
    "insta_gpt_enrichment",
    *(r.name for r in ROWS if r.name.startswith("upload_")),
}
"""What comes with later parts of the platform."""


async def test_every_row_runs_and_says_what_it_did_or_waits(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    real = partly(
        Real, clickhouse=clickhouse, pool=pool, web_pool=pool, terms_pool=pool, erasures=erasures_of(pool),
        letters=PostgresLetters(pool, objects, Signal()), vault=Vault(pool, KEYS),
    )  # fmt: skip
    queues = PostgresExchange(pool, StoredDeadLetters(pool, objects, SystemClock()), Signal())
    parts = partly(Parts, real=real, objects=objects, jobs=jobs_of(pool), exchange=queues)
    seldom = [f"analytics.schedules.{row.name}=0 0 29 2 *" for row in ROWS if row.cron]
    pipeline = AnalyticsPipeline(context(load(None, environ={}, overrides=seldom), Drain(["intake"], 10.0), parts))
    rows = {line["name"]: line["waits_for"] for line in pipeline.scheduler.overview()}
    assert {name for name, waits_for in rows.items() if waits_for} == LATER
    assert rows.keys() >= {row.name for row in ROWS}
    names = [name for name in rows if name not in LATER]
    async with trio.open_nursery() as nursery:
        await nursery.start(pipeline.run)
        ended = {name: await pipeline.scheduler.trigger(name) for name in names}
        nursery.cancel_scope.cancel()
    assert {name: run.detail for name, run in ended.items() if run.status != "COMPLETE"} == {}
    async with pool.connection() as connection:
        found = await connection.execute("select schedule, status, detail from schedule_run")
        told = {schedule: (status, detail) for schedule, status, detail in await found.fetchall()}
    assert told.keys() == set(names)
    assert {name for name, (status, detail) in told.items() if status != "COMPLETE" or not detail} == set()
