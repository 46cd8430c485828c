"""What people ask of the models: how each stands, one with its SQL, where a column comes from, a run, a backfill.

A run is the leader's, as a schedule's is: two processes that built one table would mix it up. It has its row among the
runs of schedules, and who asks gets the models' results, failed ones among them.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from gcc.actors.modelled import EVERYTHING, Build, Model, ModelRun, Period
from gcc.actors.scheduler import Schedule, Scheduler, shown
from gcc.actors.transformer import Transformer
from gcc.errors import Permanent, there_are
from gcc.pipelines.analytics.imported import backfilled
from gcc.pipelines.analytics.lineage import Lineage
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.pipelines.analytics.quality import Quality, counted, rfc3339
from gcc.pipelines.analytics.synced import SYNCED

RUN_S_MAX = 3600.0
READ_AT_START = "files of models are read at the start"
"""What helps who wrote one just now."""
DAYS = (dt.date(1970, 1, 1), dt.date(2149, 1, 1))
"""What ClickHouse's Date can tell of."""


class Modelling:
    def __init__(
        self, transformer: Transformer, tests: ModelTests, lineage: Lineage, quality: Quality, scheduler: Scheduler
    ) -> None:
        self._transformer = transformer
        self.test = tests.run
        self._lineage = lineage
        self._quality = quality
        self.volumes = quality.volumes
        self._scheduler = scheduler
        self._models = {model.name: model for model in transformer.models}

    async def listed(self) -> list[dict[str, Any]]:
        """A row a model, parents first. `state`: good, building, failed (the last try), outdated (the text has changed
        since), or unbuilt. Seconds, rows and `fresh_at` are the last good build's; a view is as fresh as what it reads
        (null: as its source, always). `age_s_max`: how old its tag lets it be, `late` when it is older. `tests`: how
        many were `looked` at last, `failed` and `warned`; null: none yet."""
        builds = await self._transformer.last_builds(self._quality.queries)
        ages = await self._quality.ages()
        tests = counted(await self._quality.all_findings())
        rows: dict[str, dict[str, Any]] = {}
        for model in self._models.values():
            row = described(model, builds.get(model.name), self._state(model, builds.get(model.name)))
            if model.materialized == "view":
                read = [rows[parent]["fresh_at"] for parent in model.parents if rows[parent]["fresh_at"]]
                row["fresh_at"] = min(read, default=None)
            age = ages.get(model.name)
            row |= {"age_s_max": age and age.age_s_max, "late": age is not None and not age.ok}
            rows[model.name] = row | {"tests": tests.get(model.name)}
        return list(rows.values())

    def _state(self, model: Model, build: Build | None) -> str:
        if model.name in self._transformer.building:
            return "building"
        if build and build.error:
            return "failed"
        if not build or build.fingerprint is None:
            return "unbuilt"
        return "good" if build.fingerprint == model.fingerprint else "outdated"

    async def shown(self, name: str) -> dict[str, Any]:
        """A model's row and what its file says: description, keys, children, the SQL of a whole build; `findings` of
        its tests, see `Quality.findings`; which tables of PostgreSQL are `synced` from it."""
        model = self._known(name)
        (row,) = [row for row in await self.listed() if row["name"] == name]
        return row | {
            "description": model.description,
            "unique_key": list(model.unique_key),
            "partition_by": model.partition_by or None,
            "children": [child.name for child in self._models.values() if name in child.parents],
            "synced": [synced.table for synced in SYNCED if synced.mart == name],
            "findings": await self._quality.findings(name),
            "sql": model.select(EVERYTHING),
        }

    async def quality(self) -> dict[str, Any]:
        """What is promised of models and how it is kept, see `Quality.overview`; also before the first build."""
        await self._transformer.prepare(once=True)
        return await self._quality.overview()

    async def lineage(self, name: str, column: str | None, depth_max: int | None = None) -> list[dict[str, Any]]:
        """See `Lineage.of`."""
        return await self._lineage.of(self._known(name).name, column, depth_max=depth_max)

    async def run(self, select: Sequence[str], *, whole: bool) -> dict[str, Any]:
        """Build what is selected by name or `tag:...`, all without a word; the ended run. See `Scheduler.perform`."""
        self.refuse_unknown(select)
        return await self._perform("models_run", lambda: self._transformer.run_models(select, whole=whole))

    async def backfill(self, period: Period, select: Sequence[str]) -> dict[str, Any]:
        """Build the months of a period again, frozen or not, of these models, or of all that have months."""
        first, last = period
        if not DAYS[0] <= first <= last <= DAYS[1]:
            raise Permanent(f"a backfill is from an earlier day to a later one, {DAYS[0]} to {DAYS[1]}")
        self.refuse_unknown(select)
        names = select or backfilled(list(self._models.values()))
        if not names:
            raise Permanent("no model is of strategy partitions: there is nothing to backfill")
        return await self._perform("models_backfill", lambda: self._transformer.run_models(names, period=period))

    async def _perform(self, name: str, build: Callable[[], Awaitable[list[ModelRun]]]) -> dict[str, Any]:
        async def run() -> dict[str, Any]:
            return {"models": [told(run) for run in await build()]}

        ended = await self._scheduler.perform(Schedule(name, None, run, timeout_s=RUN_S_MAX))
        return {"name": name, **(shown(ended) or {})}

    def _known(self, name: str) -> Model:
        if name not in self._models:
            raise Permanent(f"there is no model {name!r}; {there_are(self._models, name)}; {READ_AT_START}")
        return self._models[name]

    def refuse_unknown(self, select: Collection[str]) -> None:
        """Permanent: a word is neither a model nor a tag."""
        tags = {f"tag:{tag}" for model in self._models.values() for tag in model.tags}
        for word in select:
            if word not in tags and word not in self._models:
                known = there_are([*self._models, *sorted(tags)], word)
                raise Permanent(f"no model is named or tagged {word!r}; {known}; {READ_AT_START}")


def told(run: ModelRun) -> dict[str, Any]:
    """A model's result in the detail of a run."""
    row: dict[str, Any] = {"model": run.model, "seconds": round(run.seconds, 3), "rows": run.rows}
    return row if run.ok else row | {"error": run.error, "skipped": run.skipped}


def described(model: Model, build: Build | None, state: str) -> dict[str, Any]:
    """A model's row, see `Modelling.listed`; `build` None: nothing is known of one."""
    return {
        "name": model.name,
        "layer": "staging" if model.name.startswith("stg_") else "marts",
        "materialized": model.materialized,
        "strategy": model.strategy or None,
        "tags": sorted(model.tags),
        "parents": list(model.parents),
        "state": state,
        "seconds": build and build.seconds,
        "rows": build and build.rows,
        "peak_bytes": build and build.peak_bytes,
        "overhead_s": build and build.overhead_s,
        "fresh_at": rfc3339(build.fresh_at) if build else None,
        "error": (build and build.error) or None,
    }
