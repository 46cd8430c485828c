"""The scraping pipeline: one scraper for each flow, the claimer for all, lease keeper and maintenance, in one nursery.

In: jobs. Out: current state, events in the outbox. It owns its channels, so it restarts whole.
"""

from functools import partial

import trio

from gcc.actors.claimer import Claimer
from gcc.actors.leases import Leases
from gcc.actors.maintenance import Maintenance
from gcc.actors.scraper import Retries, Scraper
from gcc.channels.jobs import Job
from gcc.pipelines.declared import Context
from gcc.pipelines.events.audit import audited, unaudited
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.outside import apis
from gcc.pipelines.scraping.table import Apis, concurrency
from gcc.pipelines.scraping.work import FlowWork
from gcc.supervisor.backoff import Backoff

RESCUE_EVERY_S = 30.0
MAINTENANCE = "scraping/maintenance"


def scraper(flow: str) -> str:
    """The name of the actor that works off this flow's jobs."""
    return f"scraping/scraper {flow}"


class ScrapingPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until drained: claims end with stage "intake", jobs in hand with stage "scrapers"."""
        context, jobs = self._context, self._context.parts.jobs
        leases: Leases[Job] = Leases(
            jobs, context.board.actor("scraping/leases"), lease_s=context.settings.scraper.lease_s
        )
        maintenance = Maintenance(
            [jobs.rescue, jobs.expire],
            context.board.actor(MAINTENANCE),
            context.clock.rng,
            every_s=RESCUE_EVERY_S,
            gate=context.gates.gate(MAINTENANCE),
        )
        async with context.parts.fetcher() as fetcher, trio.open_nursery() as keepers:
            outside = apis(context, fetcher)
            await keepers.start(leases.run)
            await keepers.start(maintenance.run)
            claimer = self._claimer(outside, leases)
            async with trio.open_nursery() as scrapers:
                for flow in context.catalogue.flows.values():
                    await scrapers.start(self._scraper(flow, outside, leases, claimer).run)
                await scrapers.start(claimer.run)
                task_status.started()
            keepers.cancel_scope.cancel()

    def _claimer(self, outside: Apis, leases: Leases[Job]) -> Claimer:
        context = self._context
        return Claimer(
            context.parts.jobs,
            leases,
            actor=context.board.actor("scraping/claimer"),
            intake=context.drain.stage("intake"),
            rng=context.clock.rng,
            poll_s=context.settings.scraper.poll_s,
            sources_changed=outside.breakers.changed,
        )

    def _scraper(self, flow: Flow, outside: Apis, leases: Leases[Job], claimer: Claimer) -> Scraper:
        context, parts, settings = self._context, self._context.parts, self._context.settings.scraper
        actor = context.board.actor(scraper(flow.name))
        retries = Retries(settings.attempts_max, Backoff(settings.backoff_s, settings.backoff_s_max))
        return Scraper(
            flow.name,
            parts.jobs,
            FlowWork(
                flow,
                outside,
                parts.objects,
                parts.erasures,
                context.clock,
                retries,
                context.clock.rng,
                audited if context.settings.postgres.audit else unaudited,
            ),
            claimer,
            retries=retries,
            concurrency=context.gates.concurrency(flow.name, concurrency(context.settings, flow)),
            leases=leases,
            channels=context.channels,
            actor=actor,
            intake=context.drain.stage("intake"),
            finishing=context.drain.stage("scrapers"),
            metrics=context.metrics,
            rng=context.clock.rng,
            precedence=context.precedence,
            gate=context.gates.gate(actor.name),
            out=partial(outside.out, tuple(flow.chain)),
        )
