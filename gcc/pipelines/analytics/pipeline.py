"""The analytics pipeline: events -> models -> synced tables, by schedule, under one leader.

In: event tables in ClickHouse. Out: `dbt.*` models, the synced tables of PostgreSQL, schedule_run rows; what is old is
dropped from the event tables.
Any number of processes may run it: one leads, the others wait. It finishes when the drain's intake stage
has begun: what runs is cancelled (its queries killed), the term is given back.
"""

from collections.abc import Sequence
from typing import Any

import trio

from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leader import Leader
from gcc.actors.scheduler import Schedule, Scheduler, ScheduleRun
from gcc.actors.sync import Sync
from gcc.actors.transformer import Transformer
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.analytics import declarations, models
from gcc.pipelines.events.retention import Retention, kept_days
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.stores.schedule_runs import PostgresScheduleRuns
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board

LEADER = "analytics"


class AnalyticsPipeline:
    """Raises ConfigError when it is made: a bad model, an unknown schedule or event type, a bad cron line."""

    def __init__(
        self,
        settings: Settings,
        *,
        clickhouse: ClickHouse,
        objects: Objects,
        pool: Pool,
        terms_pool: Pool,
        board: Board,
        clock: Clock,
        drain_stage: Stage,
        gate: Gate = ALWAYS_OPEN,
        extra_schedules: Sequence[Schedule] = (),
    ) -> None:
        """`extra_schedules` are run like the declared ones: producers of scrape jobs, maintenance."""
        graph = models.read(variables={"timezone": settings.reports.timezone})
        self.leader = Leader(LEADER, PostgresLeadership(terms_pool), board.actor("analytics/leader"), clock)
        self.transformer = Transformer(
            clickhouse, graph, board.actor("analytics/transformer"), clock, threads=settings.analytics.model_threads
        )
        self.sync = Sync(
            clickhouse,
            objects,
            SyncedTables(pool, leader=LEADER),
            declarations.SYNCED,
            self.leader,
            board.actor("analytics/sync"),
            clock,
        )
        retention = Retention(clickhouse, pool, self.leader, clock, kept_days(settings))
        declared = [*declarations.schedules(self.transformer, self.sync, retention), *extra_schedules]
        self.scheduler = Scheduler(
            declarations.overridden(declared, settings.analytics.schedules),
            PostgresScheduleRuns(pool, leader=LEADER),
            self.leader,
            drain_stage,
            board.actor("analytics/scheduler"),
            clock,
            gate=gate,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained. Started once the database has answered who leads."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.leader.run)
            task_status.started()
            await self.scheduler.run()
            nursery.cancel_scope.cancel()  # the leader resigns

    async def trigger(self, schedule: str) -> ScheduleRun:
        """Run a schedule now; see Scheduler.trigger. Raises Transient, too, when the run did not end COMPLETE."""
        run = await self.scheduler.trigger(schedule)
        if run.status != "COMPLETE":
            raise Transient(f"schedule {schedule} ended {run.status}: {(run.detail or {}).get('error')}")
        return run

    def overview(self) -> list[dict[str, Any]]:
        """A line a schedule, with its last and next run; see Scheduler.overview."""
        return self.scheduler.overview()

    def due(self, schedule: str) -> str | None:
        """When it runs next (RFC 3339); None: by hand, or another process leads."""
        return next((line["next_run"] for line in self.overview() if line["name"] == schedule), None)
