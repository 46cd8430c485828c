"""The scraping pipeline: one scraper for each flow, the lease keeper and maintenance, in one nursery.

In: jobs. Out: current state, events in the outbox. It owns its channels, so it restarts whole.
"""

from collections.abc import Mapping
from functools import partial

import trio

from gcc.actors.gates import Gates
from gcc.actors.leases import Leases
from gcc.actors.maintenance import Maintenance
from gcc.actors.scraper import Retries, Scraper
from gcc.channels.jobs import Jobs
from gcc.channels.memory import Channels
from gcc.clock import Clock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.pipelines.scraping.flows import FlowWork
from gcc.pipelines.scraping.table import FLOWS, Apis, Flow, concurrency
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain, Stage
from gcc.supervisor.lifecycle import Board

RESCUE_EVERY_S = 30.0


class ScrapingPipeline:
    def __init__(
        self,
        settings: Settings,
        *,
        jobs: Jobs,
        apis: Apis,
        channels: Channels,
        board: Board,
        drain: Drain,
        metrics: Metrics,
        clock: Clock,
        gates: Gates,
        flows: Mapping[str, Flow] = FLOWS,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._apis = apis
        self._channels = channels
        self._board = board
        self._drain = drain
        self._metrics = metrics
        self._clock = clock
        self._gates = gates
        self._flows = flows

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained: claims end with stage "intake", jobs in hand with stage "scrapers"."""
        leases = Leases(self._jobs, self._board.actor("scraping/leases"), lease_s=self._settings.scraper.lease_s)
        maintenance = Maintenance(
            [self._jobs.rescue, self._jobs.expire],
            self._board.actor("scraping/maintenance"),
            self._clock.rng,
            every_s=RESCUE_EVERY_S,
            gate=self._gates.gate("scraping/maintenance"),
        )
        finishing = self._drain.stage("scrapers")
        async with trio.open_nursery() as keepers:
            await keepers.start(leases.run)
            await keepers.start(maintenance.run)
            async with trio.open_nursery() as scrapers:
                for flow in self._flows.values():
                    await scrapers.start(self._scraper(flow, leases, finishing).run)
                task_status.started()
            keepers.cancel_scope.cancel()

    def _scraper(self, flow: Flow, leases: Leases, finishing: Stage) -> Scraper:
        actor = self._board.actor(f"scraping/scraper {flow.name}")
        settings = self._settings.scraper
        retries = Retries(settings.attempts_max, Backoff(settings.backoff_s, settings.backoff_s_max))
        return Scraper(
            flow.name,
            self._jobs,
            FlowWork(flow, self._apis, self._clock, retries, self._clock.rng),
            retries=retries,
            concurrency=self._gates.concurrency(flow.name, concurrency(self._settings, flow)),
            leases=leases,
            channels=self._channels,
            actor=actor,
            intake=self._drain.stage("intake"),
            finishing=finishing,
            metrics=self._metrics,
            rng=self._clock.rng,
            poll_s=self._settings.scraper.poll_s,
            gate=self._gates.gate(actor.name),
            askable=partial(self._apis.askable, tuple(flow.chain)),
        )
