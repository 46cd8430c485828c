"""What the analytics pipeline does, declared: the synced tables, and which schedule runs what when (UTC).

Later work adds rows here. `analytics.schedules` of the settings replaces the cron line of any row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import trio

from gcc.actors.replica import Replica
from gcc.actors.replica_repair import ReplicaRepair
from gcc.actors.scheduler import Schedule
from gcc.actors.sync import Sync, SyncedTable
from gcc.actors.transformer import ModelRun, Transformer
from gcc.errors import ConfigError, GccError, LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.imported import Imported
from gcc.pipelines.analytics.modelling import told
from gcc.pipelines.analytics.pruning import Pruning
from gcc.pipelines.events.erasure import Erasure
from gcc.pipelines.events.retention import Retention
from gcc.pipelines.events.source_retention import SourceRetention

SYNCED: Sequence[SyncedTable] = (
    SyncedTable("leaderboard", mart="mart_leaderboard"),
    SyncedTable("social_profile_time_series", mart="mart_time_series"),
)

CATCH_UP_S = 10.0

Detail = dict[str, Any]


def schedules(
    transformer: Transformer,
    sync: Sync,
    retention: Retention,
    source_retention: SourceRetention,
    erasure: Erasure,
    pruning: Pruning,
    imported: Imported,
    replica: Replica,
    replica_repair: ReplicaRepair,
) -> list[Schedule]:
    """The rows. What was missed or cut off while no leader ran is made up once."""

    async def core_models() -> Detail:
        await _caught_up(replica)
        return {"models": _built([*await imported.build(), *await transformer.run_models(["tag:core"])])}

    async def sync_leaderboard() -> Detail:
        return await _synced(sync, "leaderboard")

    async def sync_time_series() -> Detail:
        return await _synced(sync, "social_profile_time_series")

    async def erasure_of_all() -> Detail:
        return await erasure(every=True)

    async def source_retention_of_all() -> Detail:
        told = await source_retention()
        if not told["removed"]:
            return told
        return told | {"replicas": (await replica_repair())["mended"]}  # what is gone is not kept there either

    async def models_and_syncs() -> Detail:
        await _caught_up(replica)
        runs = [*await imported.build(), *await transformer.run_models()]
        syncs = await _each_synced(sync, but={run.model for run in runs if not run.ok})
        return {"models": _built(runs), "syncs": syncs}

    return [
        Schedule("core_models", "*/15 * * * *", core_models, timeout_s=840, catch_up="one"),
        Schedule("sync_time_series", "5 * * * *", sync_time_series, timeout_s=1800, catch_up="one"),
        Schedule("sync_leaderboard", "15 20 * * *", sync_leaderboard, timeout_s=1800, catch_up="one"),
        Schedule("retention", "45 21 * * *", retention, timeout_s=3600, catch_up="one"),
        Schedule("erasure", "*/15 * * * *", erasure, timeout_s=840),
        Schedule("erasure_of_all", "45 22 * * *", erasure_of_all, timeout_s=7200, catch_up="one"),
        Schedule("source_retention", "5 22 * * *", source_retention_of_all, timeout_s=7200, catch_up="one"),
        Schedule("pruning", "35 * * * *", pruning, timeout_s=1800, catch_up="one"),
        Schedule("replica_repair", "0 22 * * *", replica_repair, timeout_s=3600, catch_up="one"),
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


async def _caught_up(replica: Replica) -> None:
    """Models read what has changed until now, if that is there soon."""
    with trio.move_on_after(CATCH_UP_S):
        await replica.catch_up()


def _built(runs: Sequence[ModelRun]) -> list[Detail]:
    """The detail of a run of models. Raises when one failed; what was built stays built."""
    failed = [run for run in runs if not run.ok]
    if failed:
        skipped = [run.model for run in failed if run.skipped]
        reason = "; ".join(str(run.error) for run in failed if not run.skipped)
        reason += f"; not built because of that: {', '.join(skipped)}" if skipped else ""
        raise Transient(reason) if all(run.transient for run in failed) else Permanent(reason)
    return [told(run) for run in runs]


async def _each_synced(sync: Sync, *, but: Collection[str]) -> list[Detail]:
    """Every table, whatever became of the others, `but` of marts that could not be built. Raises when one was not
    synced; a bug as it is."""
    done: list[Detail] = []
    failures: list[Exception] = []
    for declared in SYNCED:
        if declared.mart in but:
            continue
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
