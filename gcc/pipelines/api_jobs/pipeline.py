"""Jobs of the API, run: the runner, the keeper of its leases, and who takes over what dead processes left."""

import trio

from gcc.actors.leases import Leases
from gcc.actors.maintenance import Maintenance
from gcc.channels.api_jobs import ApiJob
from gcc.pipelines.api_jobs.runner import Runner
from gcc.pipelines.api_jobs.table import KINDS
from gcc.pipelines.api_jobs.told import told_of
from gcc.pipelines.declared import Context
from gcc.stores.api_jobs import LEASE_S, PostgresApiJobs

RUNNER, MAINTENANCE = "api_jobs/runner", "api_jobs/maintenance"
MAINTAINED_EVERY_S = 30.0


class ApiJobsPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "intake" of the drain has begun and the batches in hand are done."""
        context, board, clock = self._context, self._context.board, self._context.clock
        jobs = PostgresApiJobs(
            context.real.pool, context.parts.objects, told_of(clock), leases_pool=context.real.terms_pool
        )
        leases: Leases[ApiJob] = Leases(jobs, board.actor("api_jobs/leases"), lease_s=LEASE_S)
        maintenance = Maintenance(
            [jobs.rescue, jobs.free],
            board.actor(MAINTENANCE),
            clock.rng,
            every_s=MAINTAINED_EVERY_S,
            gate=context.gates.gate(MAINTENANCE),
        )
        runner = Runner(
            KINDS,
            jobs,
            context.parts.objects,
            leases,
            clock,
            actor=board.actor(RUNNER),
            stage=context.drain.stage("intake"),
            metrics=context.metrics,
            channels=context.channels,
            gate=context.gates.gate(RUNNER),
        )
        async with trio.open_nursery() as keepers:
            await keepers.start(leases.run)
            await keepers.start(maintenance.run)
            await runner.run(task_status=task_status)
            keepers.cancel_scope.cancel()
