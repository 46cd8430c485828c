"""The ops port: the dashboard, and what the verbs of the command line ask.

In: requests. Out: the page with its feed, what people do, `check` and imports; and DATA/supervisor.json, by which the
verbs find this process.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial

import trio

from gcc.errors import Permanent
from gcc.pipelines.analytics.parity import ParityReport, parity
from gcc.pipelines.declared import BROKER, CLICKHOUSE, SCHEMA, Context, Pipeline, Real
from gcc.pipelines.events.check import CheckReport, check
from gcc.pipelines.roles import Roles
from gcc.pipelines.scraping.producers import import_and_crawl
from gcc.pipelines.scraping.table import Catalogue, asked, limits, overview
from gcc.sources.limits import AnyLimit
from gcc.stores.job_history import JobHistory
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.web.ops.app import ops_app
from gcc.web.ops.counts import PlatformCounts
from gcc.web.ops.credentials import CredentialActions
from gcc.web.ops.limits import Limits
from gcc.web.ops.operations import Operations
from gcc.web.ops.registry import REGISTRY, command, remove_registry, write_registry
from gcc.web.ops.scorer import Scores
from gcc.web.ops.snapshot import Composer, Counts, Platform
from gcc.web.ops.sources import Sources
from gcc.web.ops.users import UserActions
from gcc.web.ops.verbs import CHECK, PARITY, Verbs
from gcc.web.port import keep_open
from gcc.web.serving import serve


class OpsPort:
    """`opened`: the children of the tree that are there. `stood(name)` returns when one has been started."""

    def __init__(
        self,
        context: Context,
        roles: Roles,
        opened: Collection[str],
        stood: Callable[[str], Awaitable[None]],
    ) -> None:
        real = context.real
        self.token = secrets.token_urlsafe(24)
        self._command = command(context.settings.data_dir)  # now: later the process may stand elsewhere for a moment
        self._context = context
        self._roles = roles
        self._opened = opened
        self._stood = stood
        self.counts = PlatformCounts(real.pool, context.parts.exchange if self._knows_queues else None, real.letters)

    @property
    def _knows_queues(self) -> bool:
        """False: the queues are a broker's, and no role of this process speaks to it."""
        return self._context.parts.broker is None or BROKER in self._opened

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until the stage "ports" of the drain has begun and the requests in hand are answered."""
        context, real, ports = self._context, self._context.real, self._context.drain.stage("ports")
        platform = self._platform()
        composer = Composer(platform)
        configured = limits(context.settings, context.catalogue)
        operations = self._operations(configured, platform.pausable)
        app = Verbs(
            ops_app(
                composer,
                operations,
                history=JobHistory(real.clickhouse if CLICKHOUSE in self._opened else None),
                sources=Sources(
                    context.catalogue,
                    asked(context.settings, context.catalogue),
                    context.parts.limiter,
                    real.vault.listed,
                ),
                limits=Limits(configured, context.parts.limiter, context.gates, context.clock),
                credentials=self._credentials(),
                users=self._users(),
                scores=Scores(context.tallies, real.clickhouse if CLICKHOUSE in self._opened else None),
                models=context.modelling,
                token=self.token,
                command=self._command,
                draining=ports.begun,
            ),
            token=self.token,
            host=context.settings.ops.host,
            checks={CHECK: self._check, PARITY: self._parity},
            check_s=context.settings.ops.check_s,
            import_history=operations.import_history,
            add_jobs=operations.add_jobs,
        )
        registry = context.settings.data_dir / REGISTRY

        def opened(url: str) -> None:
            context.urls["ops"] = url
            config, overrides = context.settings.start
            write_registry(registry, url=url, token=self.token, config=config, overrides=overrides)

        async with trio.open_nursery() as nursery:
            await nursery.start(composer.run)
            try:
                listen = partial(serve, app, context.settings.ops, key="ops.port")
                await keep_open("web/ops", listen, ports, opened, task_status)
            finally:
                remove_registry(registry)
            nursery.cancel_scope.cancel()

    def _operations(self, configured: Mapping[str, AnyLimit], pausable: Mapping[str, str]) -> Operations:
        context, real = self._context, self._context.real
        return Operations(
            context.parts.controls,
            context.parts.jobs,
            real.letters,
            context.gates,
            context.clock,
            roles=self._roles,
            flows=context.catalogue.flows,
            pausable=pausable,
            limits=configured,
            schedulers=context.schedulers,
            syncs=context.syncs,
            import_history=partial(
                import_and_crawl, real.history, real.pool, context.parts.jobs, context.catalogue.refreshing
            ),
            erasures=real.erasures,
            imported=context.imported.set,
        )

    def _credentials(self) -> CredentialActions:
        context, parts = self._context, self._context.parts
        sources = context.catalogue.sources
        return CredentialActions(
            context.real.vault, parts.credentials, parts.jobs, parts.controls, context.clock, sources
        )

    def _users(self) -> UserActions:
        context = self._context
        url = context.settings.auth.public_url
        people = PostgresPeople(context.real.web_pool, context.clock)
        return UserActions(
            people, context.parts.controls, context.clock, lambda: url or context.urls.get("gateway", "")
        )

    def _platform(self) -> Platform:
        context = self._context
        return Platform(
            board=context.board,
            channels=context.channels.uses,
            counts=self._counted,
            metrics=context.metrics,
            state=context.state,
            drain=self._roles.whole,
            clock=context.clock,
            urls=context.urls,
            roles=self._roles.here,
            gates=context.gates,
            pausable=pausable(context.pipelines, context.catalogue),
            schedules=lambda: [line for scheduler in context.schedulers for line in scheduler.overview()],
            replicas=lambda: [line for replica in context.replicas for line in replica.overview()],
            flows=lambda: overview(context.settings, context.catalogue),
            told_by=context.settings.told_by,
            kept=context.settings.kept,
            processes=context.real.processes.known,
        )

    async def _counted(self) -> Counts:
        await self._stood(SCHEMA)  # until then nothing is known, which is no error
        return await self.counts.read()

    async def _check(self) -> CheckReport:
        """Permanent: no role of this process has opened what must be read."""
        real = self._readable()
        return await check(real.pool, real.clickhouse, real.rabbitmq)

    async def _parity(self) -> ParityReport:
        """Permanent as `_check`, and where nothing is audited."""
        real, context = self._readable(), self._context
        return await parity(real.pool, real.clickhouse, real.rabbitmq, context.clock, context.settings.reports.timezone)

    def _readable(self) -> Real:
        stores = {"ClickHouse": CLICKHOUSE in self._opened, "RabbitMQ": self._knows_queues}
        if missing := " and ".join(name for name, opened in stores.items() if not opened):
            with_roles = f"this process (roles: {', '.join(self._roles.here)})"
            raise Permanent(f"check reads {missing}, which {with_roles} has not open; ask one with the role sinker")
        return self._context.real


def pausable(pipelines: Iterable[Pipeline], catalogue: Catalogue) -> dict[str, str]:
    """What people may name (a flow, a queue, an actor) -> the actor that is paused, of all processes."""
    named = {name: actor for row in pipelines for name, actor in row.pausable(catalogue).items()}
    return named | {actor: actor for actor in named.values()}
