"""What the analytics pipeline does, declared: the synced tables, and which schedule runs what when (UTC).

Later work adds rows here. `analytics.schedules` of the settings replaces the cron line of any row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gcc.actors.scheduler import Schedule
from gcc.actors.sync import Sync, SyncedTable
from gcc.actors.transformer import ModelRun, Transformer
from gcc.errors import ConfigError, GccError, LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.pruning import Pruning
from gcc.pipelines.events.erasure import Erasure
from gcc.pipelines.events.retention import Retention
from gcc.pipelines.events.source_retention import SourceRetention

SYNCED: Sequence[SyncedTable] = (
    SyncedTable("leaderboard", mart="mart_leaderboard"),
    SyncedTable("social_profile_time_series", mart="mart_time_series"),
)

Detail = dict[str, Any]


def schedules(
    transformer: Transformer,
    sync: Sync,
    retention: Retention,
    source_retention: SourceRetention,
    erasure: Erasure,
    pruning: Pruning,
) -> list[Schedule]:
    """The rows. What was missed or cut off while no leader ran is made up once."""

    async def core_models() -> Detail:
        return {"models": _built(await transformer.run_models(["tag:core"]))}

    async def sync_leaderboard() -> Detail:
        return await _synced(sync, "leaderboard")

    async def sync_time_series() -> Detail:
        return await _synced(sync, "social_profile_time_series")

    async def erasure_of_all() -> Detail:
        return await erasure(every=True)

    async def models_and_syncs() -> Detail:
        models = _built(await transformer.run_models())
        return {"models": models, "syncs": await _each_synced(sync)}

    return [
        Schedule("core_models", "*/15 * * * *", core_models, timeout_s=840, catch_up="one"),
        Schedule("sync_time_series", "5 * * * *", sync_time_series, timeout_s=1800, catch_up="one"),
        Schedule("sync_leaderboard", "15 20 * * *", sync_leaderboard, timeout_s=1800, catch_up="one"),
        Schedule("retention", "45 21 * * *", retention, timeout_s=3600, catch_up="one"),
        Schedule("erasure", "*/15 * * * *", erasure, timeout_s=840),
        Schedule("erasure_of_all", "45 22 * * *", erasure_of_all, timeout_s=7200, catch_up="one"),
        Schedule("source_retention", "5 22 * * *", source_retention, timeout_s=7200, catch_up="one"),
        Schedule("pruning", "35 * * * *", pruning, timeout_s=1800, catch_up="one"),
        Schedule("recount", "25 22 * * *", pruning.recount, timeout_s=600),
        # Everything in one go, by trigger: the first start runs it as soon as import and crawl are done.
        Schedule("models_and_syncs", None, models_and_syncs, timeout_s=1800, catch_up="one"),
    ]


def overridden(declared: Sequence[Schedule], crons: Mapping[str, str]) -> list[Schedule]:
    """The rows with the settings' cron lines. ConfigError for a name that no row has, and a bad line."""
    names = {schedule.name for schedule in declared}
    for name in crons:
        if name not in names:
            raise ConfigError(f"analytics.schedules.{name}: no such schedule; there are {', '.join(sorted(names))}")
    return [replace(schedule, cron=crons.get(schedule.name, schedule.cron)) for schedule in declared]


def _built(runs: Sequence[ModelRun]) -> list[Detail]:
    """The detail of a run of models. Raises when one failed; what was built stays built."""
    failed = [run for run in runs if not run.ok]
    if failed:
        skipped = [run.model for run in failed if run.skipped]
        reason = "; ".join(str(run.error) for run in failed if not run.skipped)
        reason += f"; not built because of that: {', '.join(skipped)}" if skipped else ""
        raise Transient(reason) if all(run.transient for run in failed) else Permanent(reason)
    return [{"model": run.model, "seconds": round(run.seconds, 3), "rows": run.rows} for run in runs]


async def _each_synced(sync: Sync) -> list[Detail]:
    """Every table, whatever became of the others. Raises when one was not synced; a bug as it is."""
    done: list[Detail] = []
    failures: list[Exception] = []
    for declared in SYNCED:
        try:
            done.append(await _synced(sync, declared.table))
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


async def _synced(sync: Sync, table: str) -> Detail:
    result = await sync.sync(table)
    return {
        "table": table,
        "rows": result.rows,
        "seconds": round(result.seconds, 3),
        "snapshot_id": str(result.snapshot_id),
    }
