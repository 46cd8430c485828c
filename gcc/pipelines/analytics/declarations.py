"""What the rows of the timetable do: models by tag, syncs, producers of jobs, and functions by name."""

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from gcc import statements
from gcc.actors.modelled import ModelRun
from gcc.actors.replica import Replica
from gcc.actors.scheduler import Schedule
from gcc.actors.sync import Sync
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.errors import GccError, LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.imported import Imported
from gcc.pipelines.analytics.modelling import told
from gcc.pipelines.timetable import NOT_YET, ROWS, Row

CATCH_UP_S = 10.0
_SQL = statements.load("schedules", statements.SQL / "clickhouse" / "queries")

Detail = Mapping[str, Any]
Call = Callable[[], Awaitable[Detail]]
FIRST_TABLES = ("leaderboard", "social_profile_time_series")
"""What the first page of a first start shows."""


class Producers(Protocol):
    async def produce(self, name: str) -> Detail:
        """Jobs of this producer, see gcc/pipelines/scraping/stale.py."""


@dataclass(frozen=True)
class Runs:
    """What a leader runs. `open_from()`: the first day of the oldest month that is not frozen. `calls`: functions by
    name; a row whose function is missing waits for it."""

    queries: Queries
    transformer: Transformer
    imported: Imported
    replica: Replica
    sync: Sync
    producers: Producers
    open_from: Callable[[], dt.date]
    calls: Mapping[str, Call]

    def schedules(self, rows: Sequence[Row] = ROWS) -> list[Schedule]:
        own: Mapping[str, Call] = {
            "dbt_weekly": self.weekly,
            "dbt_monthly": self.monthly,
            "sync_time_series_month": self.months,
            "first_page": self.first_page,
            "after_first_page": self.after_first_page,
            "models_and_syncs": self.everything,
        }
        calls = {**own, **self.calls}
        return [
            Schedule(
                row.name,
                row.cron,
                self._run(row, calls),
                timeout_s=60.0 * row.minutes,
                catch_up="one" if row.catch_up else "none",
                was=row.was,
                waits_for=row.waits_for
                or (
                    "" if row.kind != "call" or row.name in calls else NOT_YET.get(row.name, f"the function {row.name}")
                ),
            )
            for row in rows
        ]

    def _run(self, row: Row, calls: Mapping[str, Call]) -> Call:
        async def models() -> Detail:
            return await self.built(row.words, imported=row.name == "dbt_core")

        async def sync() -> Detail:
            return await self.synced(row.what)

        async def produce() -> Detail:
            return await self.producers.produce(row.name)

        async def nothing() -> Detail:
            return {}

        return {"models": models, "sync": sync, "produce": produce, "call": calls.get(row.name, nothing)}[row.kind]

    async def built(self, select: Sequence[str], *, whole: bool = False, imported: bool = False) -> Detail:
        """Build the models of these tags, after the months that were imported. A tag that no model has is as good as
        built. Raises when one failed; what was built stays built."""
        known = {f"tag:{tag}" for model in self.transformer.models for tag in model.tags} | {
            model.name for model in self.transformer.models
        }
        wanted = [word for word in select if word in known]
        await self._catch_up()
        runs = await self.imported.build() if imported else []
        if wanted:
            runs = [*runs, *await self.transformer.run_models(wanted, whole=whole)]
        return {"models": detail_of(runs)}

    async def _catch_up(self) -> None:
        """Models read what has changed until now, if that is there soon."""
        with trio.move_on_after(CATCH_UP_S):
            await self.replica.catch_up()

    async def synced(self, table: str) -> Detail:
        return (await self.sync.sync(table)).as_dict()

    async def months(self) -> Detail:
        """The months of the time series that are not frozen, and older ones that lost or gained rows."""
        return (await self.sync.sync_months("social_profile_time_series", self.open_from())).as_dict()

    async def weekly(self) -> Detail:
        """The recent models whole; what is kept by keys without the versions that later ones replaced."""
        detail = await self.built(["tag:recent"], whole=True)
        names = [model.name for model in self.transformer.models if model.strategy == "keys"]
        merged = [row["name"] for row in await self.queries.rows(_SQL["standing"], {"names": names})]
        for name in merged:
            await self.queries.command(_SQL["merge"].format(name=name))
        return {**detail, "merged": merged}

    async def monthly(self) -> Detail:
        """Months are frozen by the first good build from day 3 of the next on."""
        return await self.built([model.name for model in self.transformer.models if model.strategy == "partitions"])

    async def first_page(self) -> Detail:
        detail = await self.built(self._first_models(), imported=True)
        return {**detail, "syncs": await self.each_synced(FIRST_TABLES)}

    def _first_models(self) -> list[str]:
        """Of the core models those that the first tables are made of. The others read much that is not built yet: empty
        tables that stand in for it take longer than the first tables."""
        made = {self.sync.mart(table) for table in FIRST_TABLES}
        for model in reversed(self.transformer.models):  # children before parents
            if model.name in made:
                made.update(model.parents)
        return [model.name for model in self.transformer.models if model.name in made and "core" in model.tags]

    async def after_first_page(self) -> Detail:
        """All else: models, those among the first that were made of stand-ins anew, the other tables, and where columns
        come from, before somebody looks."""
        await self._catch_up()
        models = detail_of(await self.transformer.run_models())
        others = [table for table in self.sync.tables if table not in FIRST_TABLES]
        syncs, lineage = await self.each_synced(others), self.calls.get("lineage")
        return {"models": models, "syncs": syncs, **(await lineage() if lineage else {})}

    async def everything(self) -> Detail:
        """Also where some models fail: tables of other marts are synced all the same, and that is told then."""
        await self._catch_up()
        runs = [*await self.imported.build(), *await self.transformer.run_models()]
        syncs = await self.each_synced(self.sync.tables, but={run.model for run in runs if not run.ok})
        models = detail_of(runs)
        upserts = self.calls.get("sync_account_upserts")
        return {"models": models, "syncs": syncs, **(await upserts() if upserts else {})}

    async def each_synced(self, tables: Sequence[str], *, but: Collection[str] = ()) -> list[Detail]:
        """Every table, whatever became of the others, `but` of these marts. Raises when one was not synced; a bug as it
        is."""
        done: list[Detail] = []
        failures: list[Exception] = []
        for table in tables:
            if self.sync.mart(table) in but:
                continue
            try:
                done.append(await self.synced(table))
            except LeaseLost:
                raise
            except Exception as error:
                failures.append(error)
        for failure in failures:
            if not isinstance(failure, GccError):
                raise failure
        if failures:
            reason = "; ".join(str(error) for error in failures)
            raise Transient(reason) if all(isinstance(error, Transient) for error in failures) else Permanent(reason)
        return done


def detail_of(runs: Sequence[ModelRun]) -> list[Detail]:
    """The detail of a run of models. Raises when one failed; what was built stays built."""
    failed = [run for run in runs if not run.ok]
    if failed:
        skipped = [run.model for run in failed if run.skipped]
        reason = "; ".join(str(run.error) for run in failed if not run.skipped)
        reason += f"; not built because of that: {', '.join(skipped)}" if skipped else ""
        raise Transient(reason) if all(run.transient for run in failed) else Permanent(reason)
    return [told(run) for run in runs]
