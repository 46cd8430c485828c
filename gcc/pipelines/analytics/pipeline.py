"""The analytics pipeline: events -> models -> synced tables, by schedule, under one leader.

In: event tables in ClickHouse, tables of PostgreSQL that are followed. Out: their replicas, `dbt.*` models, the synced
tables of PostgreSQL, schedule_run rows; what is old is dropped from the event tables, removed where its source lets
nobody keep it longer, and pruned where it has ended. What runs when is in gcc/pipelines/timetable.py; what other
pipelines declare as schedules is run, too.
Any number of processes may run it: one leads, the others wait. It finishes when the drain's intake stage
has begun: what runs is cancelled (its queries killed), the term is given back.
"""

import datetime as dt
import zoneinfo
from functools import partial

import trio

from gcc.actors.leader import Leader
from gcc.actors.replica import Replica
from gcc.actors.replica_repair import ReplicaRepair
from gcc.actors.scheduler import Scheduler
from gcc.actors.sync import Sync
from gcc.actors.transformer import Transformer
from gcc.clock import Clock
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.account_upserts import AccountUpserts
from gcc.pipelines.analytics.alerts import Alerts
from gcc.pipelines.analytics.chores import Chores
from gcc.pipelines.analytics.declarations import Call, Detail, Runs, detail_of
from gcc.pipelines.analytics.imported import AfterImports, Imported
from gcc.pipelines.analytics.lineage import Lineage
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.pipelines.analytics.modelling import Modelling
from gcc.pipelines.analytics.parity import ParityCheck
from gcc.pipelines.analytics.pruning import Pruning
from gcc.pipelines.analytics.quality import Quality
from gcc.pipelines.analytics.replica_erasure import ReplicaErasure
from gcc.pipelines.analytics.replicas import REPLICAS
from gcc.pipelines.analytics.synced import SYNCED
from gcc.pipelines.analytics.watching import Watching
from gcc.pipelines.declared import Context
from gcc.pipelines.events.audit import TABLES
from gcc.pipelines.events.erasure import Erasure
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.retention import Retention, kept_days
from gcc.pipelines.events.score_retention import ScoreRetention
from gcc.pipelines.events.source_retention import SourceRetention
from gcc.pipelines.scoring.push import FollowerPush
from gcc.pipelines.scraping import table as scraping
from gcc.pipelines.scraping.stale import StaleRows
from gcc.pipelines.scraping.upkeep import Renewals
from gcc.pipelines.timetable import SCHEDULER, overridden
from gcc.stores.connections import PostgresGrants
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.replicated_rows import PostgresRows
from gcc.stores.schedule_runs import PostgresScheduleRuns
from gcc.stores.synced_tables import SyncedTables

LEADER = "analytics"
REPLICA = "analytics/replica"


def open_from(clock: Clock, zone: dt.tzinfo) -> dt.date:
    """The first day of the oldest month that is not frozen: until day 3 it is the month before."""
    return (clock.now().astimezone(zone).date() - dt.timedelta(days=2)).replace(day=1)


class AnalyticsPipeline:
    """Raises ConfigError when it is made: a bad model, an unknown schedule or event type, a bad cron line."""

    def __init__(self, context: Context) -> None:
        settings, real, clock, board = context.settings, context.real, context.clock, context.board
        graph = models.read(variables={"timezone": settings.reports.timezone})
        self._leader = Leader(LEADER, PostgresLeadership(real.terms_pool), board.actor("analytics/leader"), clock)
        tests = ModelTests(real.clickhouse.builders, graph, clock, zone=settings.reports.timezone)
        transformer = Transformer(
            real.clickhouse.builders,
            graph,
            board.actor("analytics/transformer"),
            clock,
            zone=settings.reports.timezone,
            threads=settings.analytics.model_threads,
            tests=tests,
        )
        sync = Sync(
            real.clickhouse,
            context.parts.objects,
            SyncedTables(real.pool, leader=LEADER),
            SYNCED,
            self._leader,
            board.actor("analytics/sync"),
            clock,
            models=graph,
            require_well=tests.require_well,
        )
        context.syncs.append(sync)
        repair = self._follow(context)
        lineage = Lineage(real.clickhouse, graph)

        async def lineage_read() -> Detail:
            return {"lineage": await lineage.refresh()}

        alerts = Alerts(real.pool, self._leader, clock, settings.alerts)
        calls: dict[str, Call] = {
            **self._calls(context),
            **Watching(real.clickhouse.builders, transformer, tests, clock, alerts.tell).by_name(),
            **self._cleaning(context, transformer, sync, repair),
            "replica_repair": repair,
            "lineage": lineage_read,
        }
        producers = StaleRows(real.clickhouse, real.pool, context.parts.jobs, clock, settings, context.catalogue)
        imported = Imported(real.clickhouse.builders, transformer, clock, zone=settings.reports.timezone)
        since = partial(open_from, clock, zoneinfo.ZoneInfo(settings.reports.timezone))
        runs = Runs(real.clickhouse.builders, transformer, imported, self._replica, sync, producers, since, calls)
        others = [schedule for pipeline in context.pipelines for schedule in pipeline.schedules(context)]
        self.scheduler = Scheduler(
            overridden([*runs.schedules(), *others], settings.analytics.schedules),
            PostgresScheduleRuns(real.pool, leader=LEADER),
            self._leader,
            context.drain.stage("intake"),
            board.actor(SCHEDULER),
            clock,
            gate=context.gates.gate(SCHEDULER),
            trouble=alerts.tell,
        )
        context.schedulers.append(self.scheduler)
        quality = Quality(real.clickhouse, graph, tests, clock)
        context.modelling.append(Modelling(transformer, tests, lineage, quality, self.scheduler))
        self._imported = AfterImports(context, self.scheduler)

    def _follow(self, context: Context) -> ReplicaRepair:
        real, clock = context.real, context.clock
        followed = PostgresRows(real.pool, leader=LEADER)
        self._replica = Replica(
            REPLICAS,
            followed,
            real.clickhouse,
            self._leader,
            context.board.actor(REPLICA),
            clock,
            gate=context.gates.gate(REPLICA),
        )
        context.replicas.append(self._replica)
        return ReplicaRepair(REPLICAS, followed, real.clickhouse.builders, self._replica, self._leader, clock)

    def _cleaning(
        self, context: Context, transformer: Transformer, sync: Sync, repair: ReplicaRepair
    ) -> dict[str, Call]:
        """What removes rows from event tables, one at a time."""
        settings, real, clock, turn = context.settings, context.real, context.clock, trio.Lock()
        removal = Removal(real.clickhouse, real.pool, self._leader, turn)

        async def rebuild() -> None:
            """Raises where a model still holds what was removed; its next build is whole, too."""
            detail_of(await transformer.run_models(whole=True))

        async def settle() -> None:
            """A row of the board of persons is shown by one of their accounts, and holds no id of it."""
            await sync.sync("cross_platform_leaderboard")
            await sync.settle()

        forget = ReplicaErasure(real.clickhouse.builders, REPLICAS)
        erasure = Erasure(
            real.erasures,
            removal,
            context.parts.objects,
            clock,
            rebuild,
            forget,
            settle,
            transformer.drop_spares,
        )
        source_retention = SourceRetention(
            removal,
            real.pool,
            self._leader,
            clock,
            scraping.kept_days(settings, context.catalogue),
            [*scraping.states(context.catalogue), *TABLES.values()],
            rebuild,
        )

        retention = Retention(real.clickhouse, real.pool, self._leader, clock, kept_days(settings), turn)
        scores = ScoreRetention(removal, clock, settings)

        async def retention_of_all() -> Detail:
            return {**await retention(), "scores": await scores()}

        async def source_retention_of_all() -> Detail:
            told = await source_retention()
            if not told["removed"]:
                return told
            return {**told, "replicas": (await repair())["mended"]}  # what is gone is not kept there either

        return {
            "retention": retention_of_all,
            "erasure": erasure,
            "erasure_of_all": partial(erasure, every=True),
            "source_retention": source_retention_of_all,
        }

    def _calls(self, context: Context) -> dict[str, Call]:
        """What schedules do by themselves."""
        real, parts, clock = context.real, context.parts, context.clock
        pruning = Pruning(real.pool, parts.objects, self._leader, context.settings.kept)
        push = FollowerPush(
            real.clickhouse.builders, real.pool, self._leader, parts.exchange, clock, context.settings.scorer
        )
        chores = Chores(real.pool, parts.jobs, real.letters, parts.objects, self._leader, clock)
        return {
            **chores.by_name(),
            "sync_account_upserts": AccountUpserts(real.clickhouse, real.pool, self._leader, clock),
            "credential_renewals": Renewals(real.vault, parts.jobs, PostgresGrants(real.pool, real.keys), clock),
            "parity_check": ParityCheck(real, clock, context.settings),
            "pruning": pruning,
            "recount": pruning.recount,
            "fake_follower_push": push.unscored,
            "score_again": push.again,
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained. Started once the database has answered who leads."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._leader.run)
            task_status.started()
            nursery.start_soon(self._imported.run)
            nursery.start_soon(self._replica.run)
            await self.scheduler.run()
            nursery.cancel_scope.cancel()  # the replica stops, the leader resigns
