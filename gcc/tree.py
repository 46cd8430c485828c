"""THE CENTRE: settings in, the whole platform out. Read it top to bottom in the order of the data's way.

One root supervisor starts the children, each as soon as what it needs stands (NEEDS), and stops them in reverse
order; each child restarts alone. A server that is away is waited for, at the start as later: what does not need it
runs. A child that keeps failing does not tear the others down: it asks for the drain, what can finish does, and the
process exits non-zero with the cause.

The drain has stages, each waiting for the one before: "intake" (nobody takes new work), "scrapers" (jobs in
hand), "relay" (the outbox), "sinkers" (what they hold), "ports" (requests in hand); then the stores stop.
A role of the process drains by the stages that are its own, and may be resumed.
"""

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import trio

from gcc.actors.connection import Connection
from gcc.actors.gates import Gates
from gcc.actors.maintenance import Maintenance
from gcc.channels.memory import Channels, ChannelUse
from gcc.clock import Clock
from gcc.config import Role, Settings
from gcc.errors import Permanent
from gcc.keeping import Keeping, Rules, Told
from gcc.metrics import Metrics
from gcc.parts import CLICKHOUSE, EMBEDDED, SCHEMA, Parts, Stores, refuse_what_is_not_here
from gcc.pipelines.analytics.pipeline import AnalyticsPipeline
from gcc.pipelines.events.check import CheckReport, check
from gcc.pipelines.events.pipeline import RelayPipeline, SinkPipeline
from gcc.pipelines.scraping.outside import apis
from gcc.pipelines.scraping.pipeline import ScrapingPipeline
from gcc.pipelines.scraping.producers import OnDemand, import_and_crawl
from gcc.pipelines.scraping.start import FirstStart, stale_profiles_schedule
from gcc.pipelines.scraping.table import limits, overview
from gcc.stores import data_folder
from gcc.stores.controls import CONTROLS_CHANNEL
from gcc.stores.job_history import JobHistory
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import DONE_CHANNEL
from gcc.stores.processes import BEAT_S, Processes
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from gcc.supervisor.policy import Intensity, Restart
from gcc.supervisor.supervisor import Child
from gcc.web.gateway.app import gateway_app
from gcc.web.ops.app import ops_app
from gcc.web.ops.counts import PlatformCounts
from gcc.web.ops.operations import Operations
from gcc.web.ops.registry import REGISTRY, remove_registry, write_registry
from gcc.web.ops.snapshot import Composer, Counts, Platform
from gcc.web.ops.sources import Sources
from gcc.web.ops.verbs import Verbs
from gcc.web.serving import serve
from gcc.world.graph import TOKENS as GRAPH_TOKENS
from gcc.world.history import history
from gcc.world.server import serve_world
from gcc.world.youtube import KEYS as YOUTUBE_KEYS

STAGES = ("intake", "scrapers", "relay", "sinkers", "ports")
ROLE_STAGES: dict[Role, tuple[str, ...]] = {
    "scraper": ("intake", "scrapers"),
    "relay": ("relay",),
    "sinker": ("sinkers",),
    "analytics": ("intake",),
    "web": ("ports",),
}
ORDER = (
    "stores",
    "controls",
    "processes",
    "world",
    "first start",
    "scraping",
    "sources",
    "events",
    "analytics",
    "web",
)  # as shown
PORTS_S = 3.0  # how long a request in hand may last when its port closes
BROKER = "stores/rabbitmq"
NEEDS = {
    SCHEMA: (EMBEDDED,),
    "stores/notifications": (SCHEMA,),
    "controls": (SCHEMA,),
    "processes": (SCHEMA,),
    "scraping": ("controls", "world"),  # controls first: a pause outlives restarts
    "events/relay": ("controls",),
    "events/sinkers": ("controls", CLICKHOUSE),
    "analytics": ("controls", CLICKHOUSE),
    "web/gateway": ("controls",),  # of ClickHouse it has a few answers: it says so where that is away
    "first start": ("controls", "world"),
}
"""What each child waits for at its first start. A broker that is away is waited for by who speaks to it."""
RULES = Rules(
    NEEDS,
    intensity={EMBEDDED: Intensity(sys.maxsize, 60.0)},  # killed or without disk: for as long as it lasts
    unawaited=[EMBEDDED],  # that it does not start is the fault of what is here
)
WORLD_USER = "17841400000000000"  # in whose name the world's Graph tokens ask


class Tree:
    """One process's platform. Construction opens nothing; `run` does all, and returns when it has drained.

    The pipelines run on the real stores, or on the `parts` given (a simulation): then there is nothing else,
    no port, no mart and no first start, since these need the real ones.
    """

    # only on real stores
    on_demand: OnDemand
    counts: PlatformCounts
    processes: Processes
    analytics: AnalyticsPipeline

    def __init__(self, settings: Settings, clock: Clock, parts: Parts | None = None) -> None:
        refuse_what_is_not_here(settings)
        self.settings = settings
        self.clock = clock
        self.board = Board(clock.now, ORDER)
        self.metrics = Metrics()
        self.channels = Channels()
        self.drain = Drain(STAGES, settings.grace_s)
        self.roles: dict[str, Drain] = {
            role: Drain(ROLE_STAGES[role], settings.grace_s, within=self.drain) for role in settings.roles
        }
        self.ready = trio.Event()
        self.ops_token = secrets.token_urlsafe(24)
        self.urls: dict[str, str] = {}
        self.keeping: Keeping | None = None  # as long as it runs
        self.stores = Stores(settings, clock, _world_tokens(settings)) if parts is None else None
        self.parts = parts or self.real.parts
        self.gates = Gates(self.parts.controls, self.board.actor("controls"), clock)
        if self.stores is not None:
            self._on_real_stores(self.stores)

    @property
    def real(self) -> Stores:
        """The stores, where they are real."""
        assert self.stores is not None, "only a tree on real stores has this"
        return self.stores

    def _on_real_stores(self, stores: Stores) -> None:
        """Marts, and what answers people."""
        self.on_demand = OnDemand(stores.web_pool, stores.jobs, self._drain_of("web").stage("ports"))
        self.counts = PlatformCounts(stores.pool, stores.exchange if self._knows_queues else None, stores.letters)
        self.processes = Processes(
            stores.terms_pool, self.clock, state=self.state, roles=self.roles, limits=limits(self.settings),
            settings=self.settings.told_by,
        )  # fmt: skip
        stores.notifications.on(DONE_CHANNEL, self.on_demand.job_done)
        stores.notifications.on(CONTROLS_CHANNEL, self.gates.woken)
        if "analytics" in self.roles:
            self.analytics = AnalyticsPipeline(
                self.settings,
                clickhouse=stores.clickhouse,
                objects=stores.objects,
                pool=stores.pool,
                terms_pool=stores.terms_pool,
                board=self.board,
                clock=self.clock,
                drain_stage=self._drain_of("analytics").stage("intake"),
                gate=self.gates.gate("analytics/scheduler"),
                extra_schedules=[stale_profiles_schedule(self.settings, stores.pool, stores.jobs)],
            )
        for pool in (stores.pool, stores.web_pool, stores.terms_pool):
            self.channels.watch(f"{pool.name} pool", _pool_use(pool))

    def state(self) -> str:
        """starting, ready or draining."""
        if self.drain.draining:
            return "draining"
        return "ready" if self.ready.is_set() else "starting"

    def _drain_of(self, role: Role) -> Drain:
        """The role's drain, or the whole process's where it has no such role."""
        return self.roles.get(role, self.drain)

    def role(self, name: str) -> Drain:
        """The drain of one role of this process. Permanent: it has no such role."""
        if name not in self.roles:
            raise Permanent(f"this process has no role {name!r}; it has {', '.join(self.roles)}")
        return self.roles[name]

    def request_drain(self, role: str | None, reason: str) -> None:
        """Ask the whole process, or one role of it, to finish. Permanent: it has no such role."""
        (self.drain if role is None else self.role(role)).request(reason)

    def resume(self, role: str) -> None:
        """Let a drained role work again. Permanent: it has no such role, or it has not drained."""
        drain = self.role(role)
        if drain.state != "drained" or self.drain.draining:
            raise Permanent(f"role {role} cannot be resumed: it is {drain.state}")
        assert self.keeping is not None, "it runs, or nobody could ask"
        self.keeping.reopen(role)

    @property
    def _knows_queues(self) -> bool:
        """False: the queues are a broker's, and no role of this process speaks to it."""
        return not self.parts.broker or not {"relay", "sinker"}.isdisjoint(self.roles)

    async def check(self) -> CheckReport:
        """Permanent: no role of this process has opened what must be read."""
        stores = {"ClickHouse": self.real.has_clickhouse, "RabbitMQ": self._knows_queues}
        if missing := " and ".join(name for name, opened in stores.items() if not opened):
            with_roles = f"this process (roles: {', '.join(self.roles)})"
            raise Permanent(f"check reads {missing}, which {with_roles} has not open; ask one with the role sinker")
        return await check(self.real.pool, self.real.clickhouse, self.real.rabbitmq)

    def children(self) -> Iterator[tuple[Child, Role | None]]:
        """Everything that runs, in the order of the picture (stores, ports, then the way of the data), by role."""
        stores, roles = self.stores, self.roles
        if stores:
            yield from ((child, None) for child in stores.servers())
            yield Child("web/ops", self._ops), None
            yield from ((child, None) for child in stores.clients(self.board))
        if self.parts.broker and self._knows_queues:
            yield Child(BROKER, self._broker), None
        yield Child("controls", self.gates.run), None
        if stores:
            beating = Maintenance([self.processes.beat], self.board.actor("processes"), self.clock.rng, every_s=BEAT_S)
            yield Child("processes", beating.run), None
        if self.settings.world.enabled:
            yield Child("world", self._world), None
        if "scraper" in roles:
            yield Child("scraping", self._scraping), "scraper"
        if "relay" in roles:
            yield Child("events/relay", self._relay), "relay"
        if "sinker" in roles:
            yield Child("events/sinkers", self._sinkers), "sinker"
        if "analytics" in roles:
            yield Child("analytics", self.analytics.run), "analytics"
        if "web" in roles:
            yield Child("web/gateway", self._gateway), "web"
        if stores and "scraper" in roles:
            yield Child("first start", self._first_start, restart=Restart.TRANSIENT), "scraper"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything, `started()` when ready; return when a requested drain has ended.

        Raises ConfigError when something cannot start (what had started is stopped), RestartsExceeded
        after the drain when a child kept failing. Cancelled: everything is stopped at once.
        """
        async with self._folder():
            await self._run(task_status)

    def _folder(self) -> AbstractAsyncContextManager[None]:
        """The data folder, ours before any store opens, and until all have closed."""
        return nullcontext() if self.stores is None else data_folder.owned(self.settings.data_dir)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        children = list(self.children())
        optional = {CLICKHOUSE} if {"sinker", "analytics"}.isdisjoint(self.roles) else set()  # see the gateway's needs

        def stands() -> None:
            self.ready.set()
            task_status.started()

        self.keeping = Keeping(
            children, RULES, drain=self.drain, roles=self.roles, board=self.board, rng=self.clock.rng
        )
        await self.keeping.run(
            [child.name for child, _ in children if child.name not in optional],
            task_status=Told(lambda _: stands()),
        )

    # ports

    async def _ops(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The dashboard, and the file by which the other verbs find it."""
        composer = Composer(self._platform())
        ports = self.drain.stage("ports")
        operations = Operations(
            self.parts.controls,
            self.parts.jobs,
            self.real.letters,
            self.gates,
            self.clock,
            request_drain=self.request_drain,
            resume_role=self.resume,
            scheduler=self.analytics.scheduler if "analytics" in self.roles else None,
            import_history=partial(import_and_crawl, self.real.history, self.real.pool, self.real.jobs),
        )
        page = ops_app(
            composer,
            operations,
            history=JobHistory(self.real.clickhouse if self.real.has_clickhouse else None),
            sources=Sources(self.parts.limiter, self.real.credentials.listed),
            token=self.ops_token,
            draining=ports.begun,
        )
        app = Verbs(
            page,
            token=self.ops_token,
            host=self.settings.ops.host,
            check=self.check,
            check_s=self.settings.ops.check_s,
            import_history=operations.import_history,
        )
        registry = self.settings.data_dir / REGISTRY

        def opened(url: str) -> None:
            self.urls["ops"] = url
            config, overrides = self.settings.start
            write_registry(registry, url=url, token=self.ops_token, config=config, overrides=overrides)
            task_status.started()

        async with trio.open_nursery() as nursery:
            await nursery.start(composer.run)
            try:
                with ports.member("web/ops"):
                    await serve(
                        app, self.settings.ops, key="ops.port", draining=ports.begun, grace_s=PORTS_S,
                        task_status=Told(opened),
                    )  # fmt: skip
            finally:
                remove_registry(registry)
            nursery.cancel_scope.cancel()

    def _platform(self) -> Platform:
        return Platform(
            board=self.board,
            channels=self.channels.uses,
            counts=self._counted,
            metrics=self.metrics,
            state=self.state,
            drain=self.drain,
            clock=self.clock,
            urls=self.urls,
            roles=self.roles,
            gates=self.gates,
            schedules=self.analytics.overview if "analytics" in self.roles else list,
            flows=lambda: overview(self.settings),
            told_by=self.settings.told_by,
            processes=self.processes.known,
        )

    async def _counted(self) -> Counts:
        assert self.keeping is not None, "it runs, or nobody could ask"
        await self.keeping.stood(SCHEMA)  # until then nothing is known, which is no error
        return await self.counts.read()

    async def _gateway(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        app = gateway_app(
            self.settings,
            pool=self.real.web_pool,
            clickhouse=self.real.clickhouse,
            refresher=self.on_demand,
            clock=self.clock,
            metrics=self.metrics,
            state=self.state,
            due=self.analytics.due if "analytics" in self.roles else lambda schedule: None,
        )
        ports = self.roles["web"].stage("ports")

        def opened(url: str) -> None:
            self.urls.update(gateway=url, docs=url + "/docs")
            task_status.started()

        with ports.member("web/gateway"):
            await serve(
                app, self.settings.gateway, key="gateway.port", draining=ports.begun, grace_s=PORTS_S,
                task_status=Told(opened),
            )  # fmt: skip

    async def _world(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        ports = self.drain.stage("ports")

        def opened(url: str) -> None:
            self.urls["world"] = url
            task_status.started()

        with ports.member("world"):
            await serve_world(
                self.settings.world, self.clock, draining=ports.begun, grace_s=PORTS_S, task_status=Told(opened)
            )

    # pipelines

    async def _broker(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        assert self.parts.broker is not None, "only where the exchange has one"
        connection = Connection(self.parts.broker, self.board.actor(BROKER), self.clock.rng)
        await connection.run(task_status=task_status)

    async def _scraping(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        drain = self.roles["scraper"]
        async with self.parts.fetcher() as fetcher:
            outside = apis(
                self.settings,
                fetcher=fetcher,
                limiter=self.parts.limiter,
                credentials=self.parts.credentials,
                clock=self.clock,
                board=self.board,
                metrics=self.metrics,
                intake=drain.stage("intake"),
                world_url=self.urls.get("world"),
            )
            pipeline = ScrapingPipeline(
                self.settings,
                jobs=self.parts.jobs,
                apis=outside,
                channels=self.channels,
                board=self.board,
                drain=drain,
                metrics=self.metrics,
                clock=self.clock,
                gates=self.gates,
            )
            await pipeline.run(task_status=task_status)

    async def _relay(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        pipeline = RelayPipeline(
            exchange=self.parts.exchange,
            foreign=self.parts.broker is not None,
            board=self.board,
            drain=self.roles["relay"],
            metrics=self.metrics,
            clock=self.clock,
            gates=self.gates,
            leadership=self.parts.leadership,
        )
        await pipeline.run(task_status=task_status)

    async def _sinkers(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        pipeline = SinkPipeline(
            self.settings,
            exchange=self.parts.exchange,
            foreign=self.parts.broker is not None,
            store=self.parts.events,
            dead_letters=self.parts.dead_letters,
            referrals=self.parts.referrals,
            channels=self.channels,
            board=self.board,
            drain=self.roles["sinker"],
            metrics=self.metrics,
            clock=self.clock,
            gates=self.gates,
            telling=self.parts.telling,
        )
        await pipeline.run(task_status=task_status)

    async def _first_start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        world = self.settings.world
        first = FirstStart(
            self.real.pool,
            self.real.jobs,
            self.real.history,
            actor=self.board.actor("first start"),
            intake=self.roles["scraper"].stage("intake"),
            rng=self.clock.rng,
            past=lambda: history(self.urls["world"], world.history_days) if world.enabled else {},
            then=self._models_and_syncs if "analytics" in self.settings.roles else None,
        )
        await first.run(task_status=task_status)

    async def _models_and_syncs(self) -> None:
        await self.analytics.trigger("models_and_syncs")


def _pool_use(pool: Pool) -> Callable[[], ChannelUse]:
    return lambda: ChannelUse(f"{pool.name} pool", pool.used, pool.size)


def _world_tokens(settings: Settings) -> dict[str, Sequence[str]]:
    if not settings.world.enabled:
        return {}
    return {"graphapi": [f"{WORLD_USER}:{token}" for token in GRAPH_TOKENS], "ytapi": YOUTUBE_KEYS}
