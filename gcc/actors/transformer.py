"""The transformer: builds SQL models inside ClickHouse, parents first, independent ones side by side.

In: the models of a pipeline (already read and in order) and a selection of them. Out: views and tables
`dbt.NAME`, a ModelRun for each selected model, and the same as rows of `dbt.model_run`.

A view is replaced when its text changed. A table is built beside the live one and exchanged with it;
the old one is dropped at the next run, because a drop can fail a query that still reads it. An
incremental model of strategy keys adds the keys that changed since its watermark to a ReplacingMergeTree
(its column `built_at` decides); one of strategy partitions builds those of its open months beside the live
table and replaces them there. Both are built whole when their text, or that of a model they read, changed.
The watermark is the start of the last build that succeeded: a build that was cut off is done again.

A month is open until a build that began on day 3 of the next, or later, has succeeded. Then it is frozen, and only
a backfill changes it.

What stands in `dbt` with our mark and is no model any more is dropped at the end of a run in which nothing failed.

A model that fails, for whatever reason, stops its descendants only. Cancelled: the queries are killed by the store,
live tables stay as they were, unfinished ones are dropped at the next run.
"""

import json
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import trio

from gcc import statements
from gcc.actors import bugs
from gcc.actors.warehouse import Warehouse
from gcc.clock import Clock
from gcc.errors import GccError, Permanent, Transient
from gcc.supervisor.lifecycle import Actor, State, one_line

_SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")


NEVER = "1970-01-01 00:00:00"
"""The watermark of a model that was never built."""

SETTINGS: Mapping[str, object] = {
    "join_use_nulls": 1,  # what an outer join does not find is null, not 0 or ''
    "do_not_merge_across_partitions_select_final": 1,  # a key is in one partition: FINAL looks at each alone
    "optimize_aggregation_in_order": 0,  # over FINAL it takes 2.5 times as long
    "min_insert_block_size_rows": 65536,  # a million rows at once (the default) do not fit into the embedded engine
    "min_insert_block_size_bytes": 0,
    "max_partitions_per_insert_block": 400,
}
"""Of every statement that builds a model."""

_MARK = re.compile(r"[0-9a-f]{16}")
"""A fingerprint, which stands as comment on what is made here."""


@dataclass(frozen=True)
class Slice:
    """So much of a model as one build makes: `incremental`, what changed since its watermark or is in its period."""

    incremental: bool = False
    since: Mapping[str, str] = field(default_factory=dict)  # the watermark of each model
    first: str = "1970-01-01"  # the period's first day,
    end: str = "2149-01-01"  # and the first one after it
    variables: Mapping[str, object] = field(default_factory=dict)  # what var() answers instead, of a unit test


EVERYTHING = Slice()


@dataclass(frozen=True)
class Model:
    """One SELECT file. `select(slice)` is its SQL."""

    name: str
    description: str
    materialized: Literal["view", "table", "incremental"]
    strategy: Literal["", "keys", "partitions"]  # of an incremental one
    tags: frozenset[str]
    unique_key: tuple[str, ...]
    partition_by: str  # an expression, or ''
    looks_back: int | None  # so many months before its own it reads, too; None: all
    parents: tuple[str, ...]
    fingerprint: str  # of its text and of every model it reads
    select: Callable[[Slice], str]


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
    open_from: dict[str, str]  # model -> the first day that its last good build did not freeze
    end: str  # the first day after the last open month
    whole: bool
    done: dict[str, trio.Event]
    results: dict[str, ModelRun]


class Transformer:
    """Runs one selection at a time; a second caller waits for the first."""

    def __init__(
        self, warehouse: Warehouse, models: Sequence[Model], actor: Actor, clock: Clock, *, zone: str, threads: int = 2
    ) -> None:
        self._warehouse = warehouse
        self._models = models
        self._actor = actor
        self._clock = clock
        self._zone = zone  # whose days and months these are
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
                if all(result.ok for result in run.results.values()):
                    await self._drop_strangers(run)
            finally:
                self._actor.state = State.WAITING
                self._actor.in_flight = 0
        return [run.results[model.name] for model in models]

    async def _begin(self, models: Sequence[Model], *, whole: bool) -> _Run:
        await self._warehouse.command(_SQL["create_database"])
        await self._warehouse.command(_SQL["create_model_run"])
        [now] = await self._warehouse.rows(_SQL["server_time"], {"zone": self._zone})
        built = await self._warehouse.rows(_SQL["built"])
        marks = await self._warehouse.rows(_SQL["watermarks"], {"zone": self._zone})
        return _Run(
            self._clock.new_id(),
            now["now"],
            {row["name"]: row["fingerprint"] for row in built},
            {row["model"]: row["watermark"] for row in marks},
            {row["model"]: row["open_from"] for row in marks},
            now["end"],
            whole,
            {model.name: trio.Event() for model in models},
            {},
        )

    async def _drop_strangers(self, run: _Run) -> None:
        """What was made here for models that are no more. Best effort: the next run finds it again."""
        names = {model.name for model in self._models}
        for name, comment in run.built.items():
            if _MARK.fullmatch(comment) and name.removesuffix("__new") not in names:
                try:
                    await self._warehouse.command(_SQL["drop"].format(name=name))
                except GccError as error:
                    self._actor.erred(error)

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
        if model.materialized == "view":
            if not unchanged:
                await self._do("create_view", model, select=model.select(EVERYTHING))
            return 0
        if model.strategy and unchanged and model.name in run.watermarks and not run.whole:
            scope = Slice(True, run.watermarks, run.open_from[model.name], run.end)
            if model.strategy == "keys":
                await self._do("add_rows", model, select=model.select(scope))
            else:
                await self._replace_partitions(model, scope)
        else:
            await self._do("drop_spare", model)
            await self._do("create_table", model, select=model.select(Slice(since=run.watermarks)))
            await self._do("exchange" if model.name in run.built else "put_in_place", model)
        [row] = await self._warehouse.rows(_SQL["count_rows"], {"name": model.name})
        return int(row["rows"])

    async def _replace_partitions(self, model: Model, scope: Slice) -> None:
        """Those of the period: built in the spare table, then put in place of the live ones; empty ones dropped."""
        await self._do("drop_spare", model)
        await self._do("create_like", model)
        await self._do("fill_spare", model, select=model.select(scope))
        rows = await self._warehouse.rows(_SQL["partitions"], {"name": model.name})
        fresh = [row["partition"] for row in rows if row["spare"]]
        first, end = (day.replace("-", "") for day in (scope.first, scope.end))
        live = {row["partition"] for row in rows if not row["spare"] and first <= f"{row['partition']:0<6}01"[:8] < end}
        changes = [_SQL["replace_partition"].format(name=model.name, partition=partition) for partition in fresh]
        changes += [_SQL["drop_partition"].format(partition=partition) for partition in sorted(live.difference(fresh))]
        if changes:
            await self._warehouse.command(_SQL["alter"].format(name=model.name, changes=", ".join(changes)))

    async def _do(self, statement: str, model: Model, *, select: str = "") -> None:
        await self._warehouse.command(
            _SQL[statement].format(
                name=model.name,
                select=select,
                engine="ReplacingMergeTree(built_at)" if model.strategy == "keys" else "MergeTree",
                unique_key=", ".join(model.unique_key),
                partition_by=f"partition by {model.partition_by}" if model.partition_by else "",
                fingerprint=model.fingerprint,
            ),
            settings=SETTINGS,
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
