"""The transformer: builds SQL models inside ClickHouse, parents first, independent ones side by side.

In: the models of a pipeline (already read and in order) and a selection of them. Out: views and tables
`dbt.NAME`, a ModelRun for each selected model, and the same as rows of `dbt.model_run`.

A view is replaced when its text changed. A table is built beside the live one and exchanged with it;
the old one is dropped at the next run, because a drop can fail a query that still reads it. An
incremental model of strategy keys adds the keys that changed since its watermark to a ReplacingMergeTree
(its column `built_at` decides); one of strategy partitions builds those of its open months beside the live
table and replaces them there. Both are built whole when their text, or that of a model they read, changed.
The watermark is the start of the last build that succeeded: a build that was cut off is done again.

What is built whole is written in few parts, and those are not merged while a run lasts: that would take as long as the
build. Tables that grow are merged from its end on; the others are never, since the next build replaces them.

What was built is tested before it takes the live one's place (of strategy keys: what was added, afterwards): where it
is wrong the live table stays, and that is a failure of the model.

A month is open until a build that began on day 3 of the next, or later, has succeeded. Then it is frozen, and only
a backfill changes it.

What stands in `dbt` with our mark and is no model any more is dropped at the end of a run in which nothing failed.

A model that fails, for whatever reason, stops its descendants only. Cancelled: the queries are killed by the store,
live tables stay as they were, unfinished ones are dropped at the next run.
"""

import datetime as dt
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import trio

from gcc import statements
from gcc.actors import bugs
from gcc.actors.modelled import (
    EVENTS_AT_ONCE,
    EVERYTHING,
    Build,
    BuildTests,
    Model,
    ModelRun,
    Period,
    Run,
    Slice,
    reach,
    steps_from,
)
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.errors import GccError, Permanent, Transient
from gcc.supervisor.lifecycle import Actor, State, one_line

_SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")


ALL_SEEN = "2149-01-01 00:00:00"
"""The watermark of a table that this run has built: it holds all that the run knows."""

_MARK = re.compile(r"[0-9a-f]{16}")
"""A fingerprint, which stands as comment on what is made here."""

KEYS_TOGETHER = 1024
"""Rows that are read for the sake of one: of what grows few keys are asked for, by the next build and by the API."""

PEAKS_S = 0.25
"""How often it is asked how much memory builds hold: of shorter ones nobody knows."""

RECORD_S = 1.0
"""So much of what was built may be built again after a kill: a row alone would cost as much as a small model."""


class Transformer:
    """Runs one selection at a time; a second caller waits for the first."""

    def __init__(
        self,
        queries: Queries,
        models: Sequence[Model],
        actor: Actor,
        clock: Clock,
        *,
        zone: str,
        threads: int = 2,
        tests: BuildTests | None = None,
        events_at_once: int = EVENTS_AT_ONCE,
    ) -> None:
        self._queries = queries
        self._models = models
        self._actor = actor
        self._clock = clock
        self._zone = zone  # whose days and months these are
        self._tests = tests
        self._events_at_once = events_at_once
        self._threads = trio.CapacityLimiter(threads)
        self._one_run = trio.Lock()
        self._is_prepared = False
        self.building: set[str] = set()
        """What is built now."""
        actor.state = State.WAITING

    @property
    def models(self) -> Sequence[Model]:
        return self._models

    async def run_models(
        self, select: Collection[str] = (), *, whole: bool = False, period: Period | None = None
    ) -> list[ModelRun]:
        """Build the models whose name or tag (`tag:core`) is in `select`, all of them when it is empty.

        `whole`: incremental ones, too, from all that there is now: something of it was removed. Those that fail, or are
        cut short, are whole at their next build.
        `period`: those of strategy partitions build its months (and the later ones that look back on them) instead of
        the open ones, frozen or not; they are built whole if they have to be. The others are built as ever.

        Parents outside the selection are taken as they stand, as empty where they were never built. Failures of models
        are in the answer, never raised; a store that cannot even be asked what it holds raises Transient. Raises
        Permanent for a selection that matches nothing.
        """
        models = [m for m in self._models if not select or m.name in select or {f"tag:{t}" for t in m.tags} & {*select}]
        if not models:
            raise Permanent(f"no model is named or tagged {', '.join(select)}")
        if whole:  # also who is cut short while it waits
            await self._outdate(models)
        async with self._one_run:
            self._actor.state = State.RUNNING
            try:
                if whole:  # what was built meanwhile
                    await self._outdate(models)
                run = await self._begin(models, whole=whole, period=period)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_peaks, run)
                    async with trio.open_nursery() as building:
                        for model in [*models, *run.stand_ins]:
                            building.start_soon(self._build_after_parents, run, model)
                    run.over.set()
                await self._end(run)
            finally:
                self._actor.state = State.WAITING
                self._actor.in_flight = 0
        return [run.results[model.name] for model in models]

    async def _begin(self, models: Sequence[Model], *, whole: bool, period: Period | None) -> Run:
        """All that is asked for all models at once: a question for each would cost more than their rows."""
        await self.prepare()
        [now] = await self._queries.rows(_SQL["server_time"], {"zone": self._zone})
        marks = await self._queries.rows(_SQL["watermarks"], {"zone": self._zone})
        if ahead := {row["model"] for row in marks if row["ahead"]}:  # what they made would outlast what comes
            await self._outdate([model for model in self._models if model.name in ahead])
            await self._queries.command(_SQL["forget_ahead"])
            marks = await self._queries.rows(_SQL["watermarks"], {"zone": self._zone})
        built = await self._queries.rows(_SQL["built"])
        run = Run(
            self._clock.new_id(),
            now["now"],
            {row["name"]: row["fingerprint"] for row in built},
            {row["model"]: row["watermark"] for row in marks},
            {row["model"]: row["open_from"] for row in marks},
            now["end"],
            whole,
            period,
            reach(models, period, dt.date.fromisoformat(now["end"])) if period else {},
            {model.name: trio.Event() for model in models},
        )
        run.steps_from = steps_from(now["months"], self._events_at_once)
        run.stand_ins = self._stand_ins(run)
        run.done.update({model.name: trio.Event() for model in run.stand_ins})
        run.hollow.update(model.name for model in run.stand_ins)
        for model in self._models:
            if run.is_made_of_hollow(model) if model.materialized == "view" else run.built.get(model.name) == "":
                run.hollow.add(model.name)
        await self._drop_spares(run.built.keys(), models)
        return run

    async def drop_spares(self) -> None:
        """Of all models what the last builds replaced: it may tell of who was removed since. Who reads it had time."""
        async with self._one_run:
            await self._drop_spares({row["name"] for row in await self._queries.rows(_SQL["built"])}, self._models)

    async def _drop_spares(self, standing: Collection[str], models: Sequence[Model]) -> None:
        if spares := sorted(name for model in models if (name := f"{model.name}__new") in standing):
            await self._queries.command(_SQL["drop"].format(names=", ".join(f"dbt.{name}" for name in spares)))

    async def _outdate(self, models: Sequence[Model]) -> None:
        """Have the next build of incremental ones be a whole one, whoever does it: what was removed must not stay."""
        incremental = {model.name for model in models if model.materialized == "incremental"}
        for row in await self._queries.rows(_SQL["built"]):
            if row["name"] in incremental and row["fingerprint"]:
                await self._queries.command(_SQL["outdate"].format(name=row["name"]))

    async def prepare(self, *, once: bool = False) -> None:
        """Make what notes builds, in the form of this version; `once`: unless that was done here before."""
        if once and self._is_prepared:
            return
        for statement in ("create_database", "create_model_run", "extend_model_run"):
            await self._queries.command(_SQL[statement])
        self._is_prepared = True

    async def last_builds(self, queries: Queries | None = None) -> dict[str, Build]:
        """What is known of each model that was ever built, or tried, in the last 90 days, or that stands. Asked by
        `queries`, if who asks should not wait while builds run."""
        queries = queries or self._queries
        await self.prepare(once=True)  # who only looks does not wait for statements that change nothing
        standing = {row["name"]: row["fingerprint"] for row in await queries.rows(_SQL["built"])}
        last = {row["model"]: row for row in await queries.rows(_SQL["last_builds"])}
        never = {"error": "", "seconds": None, "rows": None, "overhead_s": None, "peak_bytes": None, "fresh_at": None}
        return {
            name: Build(**{**never, **row, "fingerprint": standing.get(name)})
            for name in standing.keys() | last.keys()
            for row in [{key: value for key, value in last.get(name, {}).items() if key != "model"}]
        }

    def _stand_ins(self, run: Run) -> list[Model]:
        """What the selected models read and nobody has built yet, parents first: a schedule must not wait for another's
        first run. They are made empty, without a fingerprint, so that their own build makes them whole."""
        found: list[Model] = []
        needed = {parent for model in self._models if model.name in run.done for parent in model.parents}
        for model in reversed(self._models):
            if model.name in needed and model.name not in run.done and model.name not in run.built:
                found.insert(0, model)
                needed |= {*model.parents}
        return found

    async def _end(self, run: Run) -> None:
        """What could not be noted counts as failed: the next run builds it again."""
        for model, error in (await self._record(run)).items():
            if run.results[model].ok:
                run.results[model] = replace(run.results[model], error=f"{model}: {error}", transient=True)
        if self._tests is not None:
            try:
                await self._tests.record()
            except GccError as error:  # it is kept for the next run
                self._actor.erred(error)
        if all(result.ok for result in run.results.values()):
            await self._drop_strangers(run)
        grow = {model.name for model in self._models if model.materialized == "incremental"}
        for row in await self._queries.rows(_SQL["count_rows"], {"names": list(run.results)}):
            run.results[row["name"]] = replace(run.results[row["name"]], rows=int(row["rows"]))
            if row["is_held"] and row["name"] in grow:
                try:
                    await self._queries.command(_SQL["merge_again"].format(name=row["name"]))
                except GccError as error:  # the next run finds it again
                    self._actor.erred(error)

    async def _drop_strangers(self, run: Run) -> None:
        """What was made here for models that are no more. Best effort: the next run finds it again."""
        names = {model.name for model in self._models}
        for name, comment in run.built.items():
            if _MARK.fullmatch(comment) and name.removesuffix("__new") not in names:
                try:
                    await self._queries.command(_SQL["drop"].format(names=f"dbt.{name}"))
                except GccError as error:
                    self._actor.erred(error)

    async def _watch_peaks(self, run: Run) -> None:
        """Until the run is over. Best effort."""
        while not run.over.is_set():
            with trio.move_on_after(PEAKS_S):
                await run.over.wait()
                return
            try:
                for row in await self._queries.rows(_SQL["peaks"]):
                    run.peaks[row["model"]] = max(row["peak_bytes"], run.peaks.get(row["model"], 0))
            except GccError as error:
                self._actor.erred(error)

    async def _build_after_parents(self, run: Run, model: Model) -> None:
        for other in (*model.parents, *model.newer_than):
            if other in run.done:
                await run.done[other].wait()
        broken = [parent for parent in model.parents if parent in run.results and not run.results[parent].ok]
        if broken:
            transient = all(run.results[parent].transient for parent in broken)
            reason = f"not built: {', '.join(broken)} failed"
            result = ModelRun(model.name, 0.0, 0, reason, transient=transient, skipped=True)
        else:
            async with self._threads:
                result = await self._build(run, model)
        run.results[model.name] = result
        if result.ok and model.materialized == "table" and model.name not in run.hollow:
            run.watermarks[model.name] = ALL_SEEN
        run.done[model.name].set()

    async def _build(self, run: Run, model: Model) -> ModelRun:
        self._actor.in_flight += 1
        self.building.add(model.name)
        began = trio.current_time()
        try:
            built = await self._materialize(run, model)
            result = self._result(run, model, began) if built else ModelRun(model.name, 0.0, 0)
            if built:
                self._note(run, model, result)
            self._actor.processed()
        except Exception as error:
            failure = f"{model.name}: {one_line(error)}"
            if isinstance(error, GccError):
                self._actor.erred(failure)
            else:
                bugs.told(self._actor, error, model=model.name)
            result = replace(self._result(run, model, began), error=failure, transient=isinstance(error, Transient))
            self._note(run, model, result)
        finally:
            self._actor.in_flight -= 1
            self.building.discard(model.name)
        if trio.current_time() - run.recorded_at >= RECORD_S:
            await self._record(run)
        return result

    def _result(self, run: Run, model: Model, began: float) -> ModelRun:
        seconds = trio.current_time() - began
        overhead_s = max(seconds - run.select_s.get(model.name, 0.0), 0.0)
        return ModelRun(model.name, seconds, 0, overhead_s=overhead_s, peak_bytes=run.peaks.get(model.name, 0))

    async def _materialize(self, run: Run, model: Model) -> bool:
        """Build; False: there is nothing to do."""
        hollow = run.is_made_of_hollow(model) or model in run.stand_ins
        (run.hollow.add if hollow else run.hollow.discard)(model.name)
        if model.materialized == "view":
            if run.built.get(model.name) == model.fingerprint:
                return False
            await self._do("create_view", model, select=model.select(EVERYTHING))
        elif model in run.stand_ins:
            await self._do("create_empty", model, select=model.select(EVERYTHING))
            return False
        elif model.strategy == "keys" and run.grows(model):
            for scope in run.slices_of(model):
                await self._select(run, "add_rows", model, scope)
            await self._test(run, model, model.name, only=f"built_at >= toDateTime64('{run.started_at}', 6, 'UTC')")
        elif model.strategy == "partitions" and run.grows(model):
            await self._replace_partitions(run, model, run.slices_of(model))
        else:
            # What is made of a stand-in is made anew until that is built: months would freeze without its rows.
            made = replace(model, fingerprint="") if hollow else model
            step, *steps = run.steps_of(model)
            await self._select(run, "create_table", made, step)
            for step in steps:
                await self._select(run, "fill_spare", model, step)
            await self._test(run, model, f"{model.name}__new", kept_of=run.kept_of(model))
            await self._do("exchange" if model.name in run.built else "put_in_place", model)
            if model.strategy == "keys" and self._tests is not None:
                run.once.add(model.name)
        return True

    async def _replace_partitions(self, run: Run, model: Model, slices: Sequence[Slice]) -> None:
        """Those of the period: built in the spare table, then put in place of the live ones; empty ones dropped."""
        await self._do("create_like", model)
        for scope in slices:
            await self._select(run, "fill_spare", model, scope)
        await self._test(run, model, f"{model.name}__new")
        rows = await self._queries.rows(_SQL["partitions"], {"name": model.name})
        fresh = [row["partition"] for row in rows if row["spare"]]
        first, end = (day.replace("-", "") for day in (slices[0].first, slices[-1].end))
        live = {row["partition"] for row in rows if not row["spare"] and first <= f"{row['partition']}01"[:8] < end}
        changes = [_SQL["replace_partition"].format(name=model.name, partition=partition) for partition in fresh]
        changes += [_SQL["drop_partition"].format(partition=partition) for partition in sorted(live.difference(fresh))]
        if changes:
            await self._queries.command(_SQL["alter"].format(name=model.name, changes=", ".join(changes)))

    async def _test(
        self, run: Run, model: Model, table: str, *, only: str = "true", kept_of: str | None = None
    ) -> None:
        """Permanent: what was made is wrong. A spare that is wrong is put in nobody's place."""
        if self._tests is None:
            return
        began = trio.current_time()
        try:
            await self._tests.of_build(run.id, model, f"dbt.{table}", only=only, kept_of=kept_of)
        finally:
            run.select_s[model.name] += trio.current_time() - began  # no overhead: it grows with the rows

    async def _select(self, run: Run, statement: str, model: Model, scope: Slice) -> None:
        select = model.select(scope)
        began = trio.current_time()
        try:
            await self._do(statement, model, select=select)
        finally:
            run.select_s[model.name] = run.select_s.get(model.name, 0.0) + trio.current_time() - began

    async def _do(self, statement: str, model: Model, *, select: str = "") -> None:
        await self._queries.command(
            _SQL[statement].format(
                name=model.name,
                select=select,
                engine="ReplacingMergeTree(built_at)" if model.strategy == "keys" else "MergeTree",
                granularity=KEYS_TOGETHER if model.strategy == "keys" else 8192,
                unique_key=", ".join(model.unique_key),
                partition_by=f"partition by {model.partition_by}" if model.partition_by else "",
                fingerprint=model.fingerprint,
            )
        )

    def _note(self, run: Run, model: Model, result: ModelRun) -> None:
        run.unrecorded[model.name] = {
            "run_id": str(run.id),
            "model": model.name,
            "fingerprint": model.fingerprint,
            "started_at": run.started_at,
            "seconds": result.seconds,
            "error": (result.error or "").encode(errors="replace").decode(),
            "overhead_s": result.overhead_s,
            "peak_bytes": result.peak_bytes,
            "backfilled": run.backfills(model),
        }

    async def _record(self, run: Run) -> dict[str, str]:
        """Store what is unrecorded, in one statement; what was not, with the reason. It stays unrecorded."""
        rows, run.unrecorded, run.recorded_at = run.unrecorded, {}, trio.current_time()
        if not rows:
            return {}
        try:
            lines = "\n".join(json.dumps(row) for row in rows.values())
            await self._queries.command(_SQL["record"], {"rows": lines})
        except Exception as error:  # the store that failed a model may be the one that should note it
            self._actor.erred(error)
            run.unrecorded = rows | run.unrecorded
            return {model: one_line(error) for model in rows}
        return {}
