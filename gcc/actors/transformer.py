"""The transformer: builds SQL models inside ClickHouse, parents first, independent ones side by side.

In: the models of a pipeline (already read and in order) and a selection of them. Out: views and tables
`dbt.NAME`, a ModelRun for each selected model, and the same as rows of `dbt.model_run`.

A view is replaced when its text changed. A table is built beside the live one and exchanged with it;
the old one is dropped at the next run, because a drop can fail a query that still reads it. An
incremental model adds the keys that changed since its watermark to a ReplacingMergeTree (its column
`built_at` decides); it is built whole when its text, or that of a model it reads, changed. The watermark
is the start of the last build that succeeded: a build that was cut off is done again.

A model that fails, for whatever reason, stops its descendants only. Cancelled: the queries are killed by the store,
live tables stay as they were, unfinished ones are dropped at the next run.
"""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import trio

from gcc import statements
from gcc.actors import bugs
from gcc.actors.warehouse import Warehouse
from gcc.clock import Clock
from gcc.errors import GccError, Permanent, Transient
from gcc.supervisor.lifecycle import Actor, State, one_line

_SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")


@dataclass(frozen=True)
class Model:
    """One SELECT file. `select(watermark)` is its SQL, for all rows (None) or for what changed since."""

    name: str
    materialized: Literal["view", "table", "incremental"]
    tags: frozenset[str]
    unique_key: tuple[str, ...]
    parents: tuple[str, ...]
    fingerprint: str  # of its text and of every model it reads
    select: Callable[[str | None], str]


@dataclass(frozen=True)
class ModelRun:
    """What became of one model in one run. `rows` counts the whole table, 0 for a view."""

    model: str
    seconds: float
    rows: int
    error: str | None = None
    transient: bool = False  # the error is worth another try
    skipped: bool = False  # not even tried: a model that it reads failed

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass
class _Run:
    """One call of run_models: what stood before it, and which models are done."""

    id: uuid.UUID
    started_at: str
    built: dict[str, str]  # name -> fingerprint
    watermarks: dict[str, str]
    done: dict[str, trio.Event]
    results: dict[str, ModelRun]


class Transformer:
    """Runs one selection at a time; a second caller waits for the first."""

    def __init__(
        self, warehouse: Warehouse, models: Sequence[Model], actor: Actor, clock: Clock, *, threads: int = 2
    ) -> None:
        self._warehouse = warehouse
        self._models = models
        self._actor = actor
        self._clock = clock
        self._threads = trio.CapacityLimiter(threads)
        self._one_run = trio.Lock()
        actor.state = State.WAITING

    async def run_models(self, select: Collection[str] = (), *, whole: bool = False) -> list[ModelRun]:
        """Build the models whose name or tag (`tag:core`) is in `select`, all of them when it is empty.

        `whole`: incremental ones, too, from all that there is now: something of it was removed.

        Parents outside the selection are taken as they stand. Failures of models are in the answer,
        never raised; a store that cannot even be asked what it holds raises Transient. Raises
        Permanent for a selection that matches nothing.
        """
        models = [m for m in self._models if not select or m.name in select or {f"tag:{t}" for t in m.tags} & {*select}]
        if not models:
            raise Permanent(f"no model is named or tagged {', '.join(select)}")
        async with self._one_run:
            self._actor.state = State.RUNNING
            try:
                run = await self._begin(models, whole=whole)
                async with trio.open_nursery() as nursery:
                    for model in models:
                        nursery.start_soon(self._build_after_parents, run, model)
            finally:
                self._actor.state = State.WAITING
                self._actor.in_flight = 0
        return [run.results[model.name] for model in models]

    async def _begin(self, models: Sequence[Model], *, whole: bool) -> _Run:
        await self._warehouse.command(_SQL["create_database"])
        await self._warehouse.command(_SQL["create_model_run"])
        [now] = await self._warehouse.rows(_SQL["server_time"])
        built = await self._warehouse.rows(_SQL["built"])
        watermarks = await self._warehouse.rows(_SQL["watermarks"])
        return _Run(
            self._clock.new_id(),
            now["now"],
            {row["name"]: row["fingerprint"] for row in built},
            {} if whole else {row["model"]: row["watermark"] for row in watermarks},
            {model.name: trio.Event() for model in models},
            {},
        )

    async def _build_after_parents(self, run: _Run, model: Model) -> None:
        for parent in model.parents:
            if parent in run.done:
                await run.done[parent].wait()
        broken = [parent for parent in model.parents if parent in run.results and not run.results[parent].ok]
        if broken:
            transient = all(run.results[parent].transient for parent in broken)
            reason = f"not built: {', '.join(broken)} failed"
            result = ModelRun(model.name, 0.0, 0, reason, transient, skipped=True)
        else:
            async with self._threads:
                result = await self._build(run, model)
        run.results[model.name] = result
        run.done[model.name].set()

    async def _build(self, run: _Run, model: Model) -> ModelRun:
        self._actor.in_flight += 1
        began = trio.current_time()
        try:
            rows = await self._materialize(run, model)
            result = ModelRun(model.name, trio.current_time() - began, rows)
            await self._record(run, model, result)
            self._actor.processed()
        except Exception as error:
            failure = f"{model.name}: {one_line(error)}"
            if isinstance(error, GccError):
                self._actor.erred(failure)
            else:
                bugs.told(self._actor, error, model=model.name)
            result = ModelRun(model.name, trio.current_time() - began, 0, failure, isinstance(error, Transient))
            await self._record_failure(run, model, result)
        finally:
            self._actor.in_flight -= 1
        return result

    async def _materialize(self, run: _Run, model: Model) -> int:
        """Build and return the number of rows that stand afterwards."""
        unchanged = run.built.get(model.name) == model.fingerprint
        watermark = run.watermarks.get(model.name) if unchanged else None
        if model.materialized == "view":
            if not unchanged:
                await self._do("create_view", model, select=model.select(None))
            return 0
        if model.materialized == "incremental" and watermark is not None:
            await self._do("add_rows", model, select=model.select(watermark))
        else:
            engine = "ReplacingMergeTree(built_at)" if model.materialized == "incremental" else "MergeTree"
            await self._do("drop_spare", model)
            await self._do("create_table", model, select=model.select(None), engine=engine)
            await self._do("exchange" if model.name in run.built else "put_in_place", model)
        [row] = await self._warehouse.rows(_SQL["count_rows"], {"name": model.name})
        return int(row["rows"])

    async def _do(self, statement: str, model: Model, *, select: str = "", engine: str = "") -> None:
        key = ", ".join(model.unique_key)
        await self._warehouse.command(
            _SQL[statement].format(
                name=model.name, select=select, engine=engine, unique_key=key, fingerprint=model.fingerprint
            )
        )

    async def _record(self, run: _Run, model: Model, result: ModelRun) -> None:
        row: Mapping[str, object] = {
            "run_id": str(run.id),
            "model": model.name,
            "fingerprint": model.fingerprint,
            "started_at": run.started_at,
            "seconds": result.seconds,
            "rows": result.rows,
            "error": result.error or "",
        }
        body = json.dumps(row).encode()
        await self._warehouse.insert_ndjson("dbt.model_run", body, token=f"{run.id}/{model.name}/{result.ok}")

    async def _record_failure(self, run: _Run, model: Model, result: ModelRun) -> None:
        """Best effort: the store that failed the model may be the one that should note it."""
        try:
            await self._record(run, model, result)
        except Exception as error:
            self._actor.erred(error)
