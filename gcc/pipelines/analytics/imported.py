"""After an import of past snapshots: the months that it touched are built again, frozen ones, too.

Found by insert time, as all that is new: nobody has to remember an import, or tell this process of another's. Rows that
came within five minutes of the last look are looked at twice.
"""

import datetime as dt
import json
from collections.abc import Sequence

import structlog
import trio

from gcc import statements
from gcc.actors.modelled import NEVER, Model, ModelRun
from gcc.actors.scheduler import Scheduler
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.errors import GccError, Transient
from gcc.pipelines.declared import Context
from gcc.supervisor.lifecycle import one_line

LOOK = "(imports)"
"""Stands in dbt.model_run as if it were a model: so its watermark is kept as theirs are."""

LOOK_S = 0.5
STORED_S = 600.0
"""An import that is not stored by then shows with the next models and syncs."""

_SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")
_HISTORY = statements.load("history")

log = structlog.get_logger()


def backfilled(models: Sequence[Model]) -> list[str]:
    """The names of what a backfill builds: models of strategy partitions, and all that they read."""
    names = {model.name for model in models if model.strategy == "partitions"}
    for model in reversed(models):  # children before parents
        if model.name in names:
            names.update(model.parents)
    return [model.name for model in models if model.name in names]


class Imported:
    def __init__(self, queries: Queries, transformer: Transformer, clock: Clock, *, zone: str) -> None:
        self._queries = queries
        self._transformer = transformer
        self._clock = clock
        self._zone = zone

    async def build(self) -> list[ModelRun]:
        """Build the months that imports touched since the last time, if any did; what became of each model."""
        await self._transformer.prepare()
        zone = {"zone": self._zone}
        [now] = await self._queries.rows(_SQL["server_time"], zone)
        marks = {row["model"]: row["watermark"] for row in await self._queries.rows(_SQL["watermarks"], zone)}
        [found] = await self._queries.rows(_SQL["imported_months"], {**zone, "since": marks.get(LOOK, NEVER)})
        names = backfilled(self._transformer.models)
        runs: list[ModelRun] = []
        if found["rows"] and not marks.keys().isdisjoint(names):  # what was never built is built whole anyway
            period = dt.date.fromisoformat(found["first"]), dt.date.fromisoformat(found["last"])
            runs = await self._transformer.run_models(names, period=period)
        if all(run.ok for run in runs):
            row = {"run_id": str(self._clock.new_id()), "model": LOOK, "started_at": now["now"]}
            await self._queries.command(_SQL["record"], {"rows": json.dumps(row)})
        return runs


class AfterImports:
    """Has everything modelled and synced as soon as what people imported here is stored.

    What goes wrong is told, and left to the schedules: they find the same rows.
    """

    def __init__(self, context: Context, scheduler: Scheduler) -> None:
        self._context = context
        self._scheduler = scheduler

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._context.imported.wait()
            try:
                with trio.move_on_after(STORED_S):
                    while not await self._stored():  # noqa: ASYNC110 (others store, too)
                        await trio.sleep(LOOK_S)
                await self._scheduler.trigger("models_and_syncs")
            except GccError as error:
                log.warning("after an import", part="analytics", error=one_line(error))

    async def _stored(self) -> bool:
        """Whether no event waits for its place; where a broker has the queues, they may hold the last seconds'."""
        try:
            async with self._context.real.pool.connection() as conn:
                ((idle,),) = await (await conn.execute(_HISTORY["idle"])).fetchall()
        except Transient:
            return False
        return bool(idle)
