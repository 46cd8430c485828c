"""The analytics pipeline: events -> models -> synced tables, by schedule, under one leader.

In: event tables in ClickHouse. Out: `dbt.*` models, the synced tables of PostgreSQL, schedule_run rows; what is old is
dropped from the event tables, removed where its source lets nobody keep it longer, and pruned where it has ended. What
other pipelines declare as schedules is run, too.
Any number of processes may run it: one leads, the others wait. It finishes when the drain's intake stage
has begun: what runs is cancelled (its queries killed), the term is given back.
"""

from functools import partial

import trio

from gcc.actors.leader import Leader
from gcc.actors.scheduler import Scheduler
from gcc.actors.sync import Sync
from gcc.actors.transformer import Transformer
from gcc.pipelines.analytics import declarations, models
from gcc.pipelines.analytics.pruning import Pruning
from gcc.pipelines.declared import Context
from gcc.pipelines.events.erasure import Erasure
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.retention import Retention, kept_days
from gcc.pipelines.events.source_retention import SourceRetention
from gcc.pipelines.scraping import table as scraping
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.schedule_runs import PostgresScheduleRuns
from gcc.stores.synced_tables import SyncedTables

LEADER = "analytics"
SCHEDULER = "analytics/scheduler"


class AnalyticsPipeline:
    """Raises ConfigError when it is made: a bad model, an unknown schedule or event type, a bad cron line."""

    def __init__(self, context: Context) -> None:
        settings, real, clock, board = context.settings, context.real, context.clock, context.board
        graph = models.read(variables={"timezone": settings.reports.timezone})
        self._leader = Leader(LEADER, PostgresLeadership(real.terms_pool), board.actor("analytics/leader"), clock)
        transformer = Transformer(
            real.clickhouse,
            graph,
            board.actor("analytics/transformer"),
            clock,
            threads=settings.analytics.model_threads,
        )
        sync = Sync(
            real.clickhouse,
            context.parts.objects,
            SyncedTables(real.pool, leader=LEADER),
            declarations.SYNCED,
            self._leader,
            board.actor("analytics/sync"),
            clock,
        )
        turn = trio.Lock()
        retention = Retention(real.clickhouse, real.pool, self._leader, clock, kept_days(settings), turn)
        pruning = Pruning(real.pool, context.parts.objects, self._leader, settings.kept)
        removal = Removal(real.clickhouse, real.pool, self._leader, turn)
        rebuild = partial(transformer.run_models, whole=True)
        erasure = Erasure(real.erasures, removal, context.parts.objects, clock, rebuild)
        source_retention = SourceRetention(
            removal,
            real.pool,
            self._leader,
            clock,
            scraping.kept_days(settings, context.catalogue),
            scraping.states(context.catalogue),
            rebuild,
        )
        own = declarations.schedules(transformer, sync, retention, source_retention, erasure, pruning)
        others = [schedule for pipeline in context.pipelines for schedule in pipeline.schedules(context)]
        self.scheduler = Scheduler(
            declarations.overridden([*own, *others], settings.analytics.schedules),
            PostgresScheduleRuns(real.pool, leader=LEADER),
            self._leader,
            context.drain.stage("intake"),
            board.actor(SCHEDULER),
            clock,
            gate=context.gates.gate(SCHEDULER),
        )
        context.schedulers.append(self.scheduler)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained. Started once the database has answered who leads."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._leader.run)
            task_status.started()
            await self.scheduler.run()
            nursery.cancel_scope.cancel()  # the leader resigns
