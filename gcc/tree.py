"""THE CENTRE: settings in, the whole platform out. Read it top to bottom in the order of the data's way.

One root supervisor starts the children in order and stops them in reverse; each child restarts alone.
A child that keeps failing does not tear the others down: it asks for the drain, what can finish does,
and the process exits non-zero with the cause.

The drain has stages, each waiting for the one before: "intake" (nobody takes new work), "scrapers" (jobs in
hand), "relay" (the outbox), "sinkers" (what they hold), "ports" (requests in hand); then the stores stop.
"""

import json
import os
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
import trio

from gcc.channels.deadletters import StoredDeadLetters
from gcc.channels.memory import Channels, ChannelUse, Signal
from gcc.channels.postgres_exchange import QUEUE_CHANNEL, PostgresExchange
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import ConfigError, Permanent
from gcc.metrics import Metrics
from gcc.pipelines.analytics.pipeline import AnalyticsPipeline
from gcc.pipelines.events.check import CheckReport, check
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.history import HistoryImport, ImportReport
from gcc.pipelines.events.pipeline import EventsPipeline
from gcc.pipelines.scraping.outside import apis, seed_credentials
from gcc.pipelines.scraping.pipeline import ScrapingPipeline
from gcc.pipelines.scraping.producers import OnDemand, enqueue_first_crawl
from gcc.pipelines.scraping.start import FirstStart, stale_profiles_schedule
from gcc.sources.http import HttpFetcher
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.migrations import migrate_postgres
from gcc.stores.notifications import Notifications
from gcc.stores.objects import FolderObjects
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import DONE_CHANNEL, JOBS_CHANNEL, PostgresJobs
from gcc.stores.statements import SQL as SQL_FOLDER
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board, one_line
from gcc.supervisor.policy import Intensity, Restart
from gcc.supervisor.supervisor import Child, RestartsExceeded, Supervisor
from gcc.web.gateway.app import gateway_app
from gcc.web.ops.app import ops_app
from gcc.web.ops.counts import PlatformCounts
from gcc.web.ops.snapshot import Composer, Platform
from gcc.web.ops.verbs import Verbs
from gcc.web.serving import serve
from gcc.world.graph import TOKENS as GRAPH_TOKENS
from gcc.world.history import history
from gcc.world.server import serve_world
from gcc.world.youtube import KEYS as YOUTUBE_KEYS

STAGES = ("intake", "scrapers", "relay", "sinkers", "ports")
ORDER = ("stores", "world", "first start", "scraping", "events", "analytics", "web")  # on the board
PORTS_S = 3.0  # how long a request in hand may last when its port closes
REGISTRY = "supervisor.json"
INTENSITY = Intensity(max_restarts=5, window_s=60.0)
WORLD_USER = "17841400000000000"  # in whose name the world's Graph tokens ask

log = structlog.get_logger()
Run = Callable[..., Awaitable[None]]


class Tree:
    """One process's platform. Construction opens nothing; `run` does all, and returns when it has drained."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        refuse_what_is_not_here(settings)
        self.settings = settings
        self.clock = clock
        self.board = Board(clock.now, ORDER)
        self.metrics = Metrics()
        self.channels = Channels()
        self.drain = Drain(STAGES, settings.grace_s)
        self.ready = trio.Event()
        self.ops_token = secrets.token_urlsafe(24)
        self.urls: dict[str, str] = {}
        self.failure: Exception | None = None

        # stores
        self.embedded = (
            EmbeddedPostgres(settings.data_dir, fsync=settings.postgres.fsync)
            if settings.postgres.url == "embedded"
            else None
        )
        self.conninfo = self.embedded.conninfo if self.embedded else settings.postgres.url
        self.pool = Pool(self.conninfo, settings.postgres.actor_pool, name="actors")
        self.web_pool = Pool(self.conninfo, settings.postgres.web_pool, name="web")
        self.notifications = Notifications(self.conninfo, [JOBS_CHANNEL, DONE_CHANNEL, QUEUE_CHANNEL])
        self.clickhouse = open_clickhouse(settings)
        self.objects = open_objects(settings)

        # scraper -> outbox -> exchange
        outbox_written = Signal()
        self.jobs = PostgresJobs(
            self.pool,
            clock,
            StatusEvents(clock),
            lease_s=settings.scraper.lease_s,
            attempts_max=settings.scraper.attempts_max * 2,
            outbox_written=outbox_written,
        )
        self.on_demand = OnDemand(self.web_pool, self.jobs, self.drain.stage("ports"))
        self.dead_letters = StoredDeadLetters(self.pool, self.objects, clock)
        self.exchange = PostgresExchange(self.pool, self.dead_letters, outbox_written)
        self.history = HistoryImport(self.pool, clock, outbox_written)
        self.credentials = PostgresCredentials(self.pool, clock)
        self.counts = PlatformCounts(self.pool, self.exchange)
        self.notifications.on(JOBS_CHANNEL, self.jobs.woken)
        self.notifications.on(DONE_CHANNEL, self.on_demand.job_done)
        self.notifications.on(QUEUE_CHANNEL, self.exchange.woken)

        # exchange -> ClickHouse -> marts -> PostgreSQL
        self.analytics = AnalyticsPipeline(
            settings,
            clickhouse=self.clickhouse,
            objects=self.objects,
            pool=self.pool,
            board=self.board,
            clock=clock,
            drain_stage=self.drain.stage("intake"),
            extra_schedules=[stale_profiles_schedule(settings, self.pool, self.jobs)],
        )
        for pool in (self.pool, self.web_pool):
            self.channels.watch(f"{pool.name} pool", _pool_use(pool))

    def state(self) -> str:
        """starting, ready or draining."""
        if self.drain.draining:
            return "draining"
        return "ready" if self.ready.is_set() else "starting"

    def request_drain(self, role: str | None, reason: str) -> None:
        """Ask the whole process to finish. Of one role: Permanent, this release cannot."""
        if role is not None:
            raise Permanent(f"draining one role ({role}) is not available in this release; drain the whole process")
        self.drain.request(reason)

    async def check(self) -> CheckReport:
        return await check(self.pool, self.clickhouse)

    async def import_history(self, name: str, chunks: AsyncIterable[bytes]) -> ImportReport:
        """Import a file, and crawl for the first time whom it brought. Transient: part of it may be in."""
        report = await self.history.run(name, chunks)
        await enqueue_first_crawl(self.pool, self.jobs)
        return report

    def children(self) -> list[Child]:
        """Everything that runs, in the order of the picture: stores, ports, then the way of the data."""
        settings = self.settings
        children: list[Child] = []
        if self.embedded:
            children.append(Child("stores/postgres", self.embedded.run))
        children += [
            Child("stores/schema", self._schema, restart=Restart.TRANSIENT),
            Child("web/ops", self._ops),
            Child("stores/notifications", self.notifications.run),
            Child("stores/clickhouse", self._clickhouse),
        ]
        if settings.world.enabled:
            children.append(Child("world", self._world))
        if "scraper" in settings.roles:
            children.append(Child("scraping", self._scraping))
        if {"relay", "sinker"} & set(settings.roles):
            children.append(Child("events", self._events().run))
        if "analytics" in settings.roles:
            children.append(Child("analytics", self.analytics.run))
        if "web" in settings.roles:
            children.append(Child("web/gateway", self._gateway))
        if "scraper" in settings.roles:
            children.append(Child("first start", self._first_start, restart=Restart.TRANSIENT))
        return children

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything, `started()` when ready; return when a requested drain has ended.

        Raises ConfigError when something cannot start (what had started is stopped), RestartsExceeded
        after the drain when a child kept failing. Cancelled: everything is stopped at once.
        """
        make_folder(self.settings.data_dir)
        root = Supervisor(
            "gcc",
            [Child(child.name, self._kept_alive(child), child.restart) for child in self.children()],
            board=self.board,
            rng=self.clock.rng,
            stopping=lambda: self.drain.draining,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._finish, nursery.cancel_scope)
            try:
                await nursery.start(root.run)
            except Exception as error:
                self.failure = self.failure or error
                nursery.cancel_scope.cancel()
            else:
                self.ready.set()
                task_status.started()
        if self.failure is not None:
            raise self.failure

    async def _finish(self, everything: trio.CancelScope) -> None:
        """The drain, then the end of the stores: by cancelling, in reverse order."""
        for report in await self.drain.run():
            log.info("drained", stage=report.name, waited_s=round(report.waited_s, 2), waited_for=report.waited_for)
            if report.left_behind:
                log.warning("grace is over", stage=report.name, cancelled=report.left_behind)
        everything.cancel()

    def _kept_alive(self, child: Child) -> Run:
        """The child under a supervisor of its own; when that gives up, the process drains with its failure."""

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            keeper = Supervisor(
                child.name,
                [child],
                board=self.board,
                rng=self.clock.rng,
                intensity=INTENSITY,
                stopping=lambda: self.drain.draining,
            )
            began = trio.current_time()

            def started() -> None:
                log.info("started", part=child.name, seconds=round(trio.current_time() - began, 2))
                task_status.started()

            try:
                await keeper.run(task_status=_Told(lambda _: started()))
            except RestartsExceeded as error:
                log.error("gave up", part=child.name, error=one_line(error))
                self.failure = self.failure or error
                self.drain.request(f"{child.name} keeps failing")

        return run

    # stores

    async def _schema(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Migrations, credentials, and, where the database is ours alone, the leases of our predecessor."""
        await migrate_postgres(self.conninfo, SQL_FOLDER / "postgres")
        tokens = {"graphapi": [f"{WORLD_USER}:{token}" for token in GRAPH_TOKENS], "ytapi": YOUTUBE_KEYS}
        await seed_credentials(self.settings, self.credentials, tokens if self.settings.world.enabled else {})
        if self.embedded:
            await self.jobs.end_leases()
            await self.exchange.end_leases()
        task_status.started()

    async def _clickhouse(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.clickhouse.open()
        try:
            await self.clickhouse.migrate(SQL_FOLDER / "clickhouse")
            task_status.started()
            await trio.sleep_forever()
        finally:
            await self.clickhouse.aclose()  # bounded and shielded by itself

    # ports

    async def _ops(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The dashboard, and the file by which the other verbs find it."""
        composer = Composer(self._platform())
        ports = self.drain.stage("ports")
        page = ops_app(composer, token=self.ops_token, draining=ports.begun)
        app = Verbs(page, token=self.ops_token, check=self.check, import_history=self.import_history)
        registry = self.settings.data_dir / REGISTRY

        def opened(url: str) -> None:
            self.urls["ops"] = url
            write_registry(registry, url=url, token=self.ops_token)
            task_status.started()

        async with trio.open_nursery() as nursery:
            await nursery.start(composer.run)
            try:
                with ports.member("web/ops"):
                    await serve(
                        app, self.settings.ops, key="ops.port", draining=ports.begun, grace_s=PORTS_S,
                        task_status=_Told(opened),
                    )  # fmt: skip
            finally:
                registry.unlink(missing_ok=True)
            nursery.cancel_scope.cancel()

    def _platform(self) -> Platform:
        return Platform(
            board=self.board,
            channels=self.channels.uses,
            counts=self.counts.read,
            metrics=self.metrics,
            state=self.state,
            request_drain=self.request_drain,
            drain=self.drain,
            clock=self.clock,
            urls=self.urls,
        )

    async def _gateway(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        app = gateway_app(
            self.settings,
            pool=self.web_pool,
            clickhouse=self.clickhouse,
            refresher=self.on_demand,
            clock=self.clock,
            metrics=self.metrics,
            state=self.state,
        )
        ports = self.drain.stage("ports")

        def opened(url: str) -> None:
            self.urls.update(gateway=url, docs=url + "/docs")
            task_status.started()

        with ports.member("web/gateway"):
            await serve(
                app, self.settings.gateway, key="gateway.port", draining=ports.begun, grace_s=PORTS_S,
                task_status=_Told(opened),
            )  # fmt: skip

    async def _world(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        ports = self.drain.stage("ports")

        def opened(url: str) -> None:
            self.urls["world"] = url
            task_status.started()

        with ports.member("world"):
            await serve_world(
                self.settings.world, self.clock, draining=ports.begun, grace_s=PORTS_S, task_status=_Told(opened)
            )

    # pipelines

    async def _scraping(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with HttpFetcher() as fetcher:
            pipeline = ScrapingPipeline(
                self.settings,
                jobs=self.jobs,
                apis=apis(
                    self.settings,
                    fetcher=fetcher,
                    credentials=self.credentials,
                    clock=self.clock,
                    metrics=self.metrics,
                    intake=self.drain.stage("intake"),
                    world_url=self.urls.get("world"),
                ),
                channels=self.channels,
                board=self.board,
                drain=self.drain,
                metrics=self.metrics,
                clock=self.clock,
            )
            await pipeline.run(task_status=task_status)

    def _events(self) -> EventsPipeline:
        return EventsPipeline(
            self.settings,
            exchange=self.exchange,
            store=self.clickhouse,
            dead_letters=self.dead_letters,
            channels=self.channels,
            board=self.board,
            drain=self.drain,
            metrics=self.metrics,
            clock=self.clock,
        )

    async def _first_start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        world = self.settings.world
        first = FirstStart(
            self.pool,
            self.jobs,
            self.history,
            actor=self.board.actor("first start"),
            intake=self.drain.stage("intake"),
            rng=self.clock.rng,
            past=lambda: history(self.urls["world"], world.history_days) if world.enabled else {},
            then=self._models_and_syncs if "analytics" in self.settings.roles else None,
        )
        await first.run(task_status=task_status)

    async def _models_and_syncs(self) -> None:
        await self.analytics.trigger("models_and_syncs")


class _Told:
    """A task status that hands the value to a callback: who waits gets no value, who starts gets told."""

    def __init__(self, callback: Callable[[Any], None]) -> None:
        self._callback = callback

    def started(self, value: Any = None) -> None:
        self._callback(value)


def _pool_use(pool: Pool) -> Callable[[], ChannelUse]:
    return lambda: ChannelUse(f"{pool.name} pool", pool.used, pool.size)


def refuse_what_is_not_here(settings: Settings) -> None:
    """Settings that name parts of a later release refuse to start, rather than being passed over."""
    if settings.exchange.url != "postgres":
        raise ConfigError("exchange.url: this release carries messages in PostgreSQL only; use 'postgres'")
    if settings.redis.url:
        raise ConfigError("redis.url: this release keeps its limits in the process; leave it empty")
    if settings.objects.url and not settings.objects.url.startswith("file://"):
        raise ConfigError(
            f"objects.url: this release stores in a folder, not in {settings.objects.url!r}; use file:///"
        )


def open_clickhouse(settings: Settings) -> ClickHouse:
    chosen = settings.clickhouse
    return ClickHouse(
        settings.data_dir / "clickhouse" if chosen.url == "chdb" else chosen.url,
        writers=chosen.writers,
        readers=chosen.readers,
        query_s_max=chosen.query_s_max,
        fsync=chosen.fsync,
    )


def open_objects(settings: Settings) -> FolderObjects:
    url = settings.objects.url
    return FolderObjects(Path(url.removeprefix("file://")) if url else settings.data_dir / "objects")


def make_folder(folder: Path) -> None:
    """Create the data folder, or say why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir {folder} cannot be made: {error.strerror}; choose another with --data") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"data_dir {folder} is not writable; choose another with --data")


def write_registry(file: Path, *, url: str, token: str) -> None:
    """DATA/supervisor.json, readable by its owner alone: how the other verbs find this process."""
    text = json.dumps({"pid": os.getpid(), "url": url, "token": token})
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.replace(file)
