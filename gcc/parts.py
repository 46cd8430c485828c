"""What the tree stands on: the real stores of one process, opened from its settings, behind its pipelines' ports.

Here are servers to keep alive, schemas to migrate, connections to keep. `Stores.parts` is all that a pipeline knows.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import trio

from gcc.actors import bugs
from gcc.actors.connection import Connect, Connection, Troubled
from gcc.actors.patience import Patience
from gcc.channels.deadletters import OutboxDeadLetters
from gcc.channels.memory import Signal
from gcc.channels.objects import Objects
from gcc.channels.outbox import Outbox
from gcc.clock import Clock
from gcc.config import OBJECTS_URL, Settings
from gcc.errors import ConfigError, Transient
from gcc.pipelines.declared import CLICKHOUSE, REDIS, SCHEMA, Parts, Real
from gcc.pipelines.events.audit import audited, unaudited
from gcc.pipelines.events.check import QUEUES
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.history import HistoryImport
from gcc.pipelines.events.pipeline import RELAY_LEADER, refuse_unknown_types
from gcc.pipelines.events.routes import EXCHANGES
from gcc.pipelines.events.stillness import Telling
from gcc.pipelines.roles import Roles
from gcc.pipelines.scoring.pipeline import processes_of
from gcc.pipelines.scoring.workers import open_workers
from gcc.pipelines.scraping.outside import seed_credentials
from gcc.pipelines.scraping.start import keep_apart
from gcc.pipelines.scraping.table import SHARED_STATES, Catalogue, limits, states_by_platform
from gcc.sources.http import HttpFetcher
from gcc.sources.limits import InProcessLimiter, Limiter
from gcc.statements import SQL as SQL_FOLDER
from gcc.stores.api_jobs import end_leases as end_leases_of_api_jobs
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.clickhouse_clients import Builds
from gcc.stores.controls import CONTROLS_CHANNEL, PostgresControls
from gcc.stores.credentials import CREDENTIALS_CHANNEL, PostgresCredentials
from gcc.stores.days import PostgresDays
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.erasures import ERASED_CHANNEL, PostgresErasures
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.letters import PostgresLetters
from gcc.stores.limits import RedisLimiter
from gcc.stores.migrations import migrate_postgres
from gcc.stores.notifications import Notifications
from gcc.stores.outbox import PostgresOutbox, emitter
from gcc.stores.postgres import Pool, takes_nothing
from gcc.stores.postgres_exchange import QUEUE_CHANNEL, PostgresExchange
from gcc.stores.postgres_identity import INVALIDATE_CHANNEL
from gcc.stores.postgres_jobs import DONE_CHANNEL, JOBS_CHANNEL, PostgresJobs
from gcc.stores.processes import BEAT_S, Processes
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import QUORUM, Topology
from gcc.stores.redis import Redis
from gcc.stores.referrals import PostgresReferrals
from gcc.stores.s3_objects import S3Objects
from gcc.stores.sealing import KEY_FILE, Keys
from gcc.stores.tenancy import settle
from gcc.stores.vault import Vault
from gcc.stores.webhooks import PostgresWebhooks
from gcc.supervisor.lifecycle import Actor, Board
from gcc.supervisor.policy import Restart
from gcc.supervisor.supervisor import Child

EMBEDDED, NOTIFICATIONS, PROCESSES = "stores/postgres", "stores/notifications", "stores/processes"
TERMS_POOL = 3  # what must come in time, whoever crowds the other pools: leaders' campaigns, the leases' heartbeat
CLICKHOUSE_LOOK_S = 5.0
REDIS_LOOK_S = 1.0  # how long a failure may close Redis to everybody at least; see gcc/stores/redis.py


class Stores:
    """Construction opens nothing; the children do, in order.

    `tokens` (source -> "USER:TOKEN" or "TOKEN") are put beside those of the environment. The other processes are
    told of `roles`, `state()` and what is `away()`.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        catalogue: Catalogue,
        tokens: Mapping[str, Sequence[str]],
        roles: Roles,
        state: Callable[[], str],
        away: Callable[[], list[str]],
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._catalogue = catalogue
        self._tokens = tokens
        self._limits = limits(settings, catalogue)
        self.embedded = (
            EmbeddedPostgres(settings.data_dir, fsync=settings.postgres.fsync)
            if settings.postgres.url == "embedded"
            else None
        )
        self.conninfo = self.embedded.conninfo if self.embedded else settings.postgres.url
        self.pool = Pool(self.conninfo, settings.postgres.actor_pool, name="actors")
        self.web_conninfo = self.embedded.web_conninfo if self.embedded else settings.postgres.web_url
        web = self.web_conninfo or self.conninfo
        self.web_pool = Pool(web, settings.postgres.web_pool, name="web", key="postgres.web_url")
        self.terms_pool = Pool(self.conninfo, TERMS_POOL, name="terms")
        self.processes = Processes(
            self.terms_pool,
            clock,
            state=state,
            away=away,
            roles=roles.here,
            limits=self._limits,
            settings=settings.told_by,
        )
        self.clickhouse = open_clickhouse(settings)
        self.redis = Redis(settings.redis.url, connections=settings.redis.connections) if settings.redis.url else None
        self.queues: PostgresExchange | None = None
        shares = {row.name: row.shares for row in catalogue.sources.values() if row.shares}
        keys = Keys(settings.credentials.keys, settings.data_dir / KEY_FILE)
        self.credentials = PostgresCredentials(self.pool, clock, keys, shares)
        self.vault, self.keys = Vault(self.pool, keys), keys
        channels = [JOBS_CHANNEL, DONE_CHANNEL, QUEUE_CHANNEL, CONTROLS_CHANNEL, CREDENTIALS_CHANNEL, ERASED_CHANNEL]
        self.notifications = Notifications(self.conninfo, [*channels, INVALIDATE_CHANNEL])
        self.notifications.on(CREDENTIALS_CHANNEL, self.credentials.woken)
        self.erasures = PostgresErasures(self.pool, catalogue.platforms, states_by_platform(catalogue), SHARED_STATES)
        self.notifications.on(ERASED_CHANNEL, self.erasures.woken)
        self._clock = clock
        outbox_written = Signal()
        self.jobs = PostgresJobs(
            self.pool,
            clock,
            StatusEvents(clock),
            lease_s=settings.scraper.lease_s,
            lost_max=settings.scraper.lost_max,
            outbox_written=outbox_written,
            leases_pool=self.terms_pool,
        )
        self.notifications.on(JOBS_CHANNEL, self.jobs.woken)
        self.parts = self._parts(open_objects(settings), outbox_written)

    def _parts(self, objects: Objects, outbox_written: Signal) -> Parts:
        settings, clock = self._settings, self._clock
        dead_letters = StoredDeadLetters(self.pool, objects, clock)
        rabbitmq = None
        if settings.exchange.url == "postgres":
            held_bytes_max = settings.exchange.held_bytes_max
            self.queues = PostgresExchange(self.pool, dead_letters, outbox_written, held_bytes_max=held_bytes_max)
            self.notifications.on(QUEUE_CHANNEL, self.queues.woken)
        else:
            outbox = PostgresOutbox(self.pool, RELAY_LEADER)
            rabbitmq = open_rabbitmq(settings, outbox, dead_letters, clock, outbox_written)
        exchange = rabbitmq or self.queues
        assert exchange is not None, "one of both"
        return Parts(
            jobs=self.jobs,
            exchange=exchange,
            events=self.clickhouse,
            dead_letters=dead_letters,
            referrals=PostgresReferrals(self.pool),
            credentials=self.credentials,
            controls=PostgresControls(self.pool),
            limiter=self._limiter(),
            objects=objects,
            erasures=self.erasures,
            fetcher=HttpFetcher,
            emit=emitter(self.pool, outbox_written),
            scorers=partial(
                open_workers,
                processes_of(settings.scorer.workers),
                idle_s=settings.scorer.idle_s,
                slow_s=settings.scorer.slow_s,
            ),
            broker=rabbitmq.connected if rabbitmq else None,
            leadership=PostgresLeadership(self.terms_pool) if rabbitmq else None,
            telling=Telling(self.terms_pool, rabbitmq, clock, sorted(QUEUES)) if rabbitmq else None,
            real=Real(
                self.pool,
                self.web_pool,
                self.terms_pool,
                self.clickhouse,
                PostgresLetters(self.web_pool, objects, outbox_written),
                HistoryImport(
                    self.pool,
                    clock,
                    outbox_written,
                    tuple(self._catalogue.platforms.values()),
                    audited if settings.postgres.audit else unaudited,
                ),
                self.notifications,
                self.vault,
                self.keys,
                self.processes,
                self.erasures,
                rabbitmq,
                self.redis,
            ),
        )

    def servers(self) -> list[Child]:
        """What must stand before anything else: the database and its schema. The caller owns the data folder."""
        servers = [Child(EMBEDDED, self.embedded.serve)] if self.embedded else []
        return [*servers, Child(SCHEMA, self._schema, restart=Restart.TRANSIENT)]

    def clients(self, board: Board, opened: Collection[str]) -> list[Child]:
        """What keeps listening to the database, tells it that we live, and of the others those in `opened`."""
        clients = [
            self._kept_connected(NOTIFICATIONS, self.notifications.connected, board),
            Child(PROCESSES, partial(self._tell, board.actor(PROCESSES))),
        ]
        if CLICKHOUSE in opened:
            clients.append(Child(CLICKHOUSE, partial(self._clickhouse, board.actor(CLICKHOUSE))))
        if self.redis and REDIS in opened:
            clients.append(self._kept_connected(REDIS, self._redis, board))
        return clients

    async def _tell(self, actor: Actor, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Beat after beat. It writes, so here a database shows that answers and takes nothing (read-only, full); of one
        that is away the notifications tell."""

        async def beats(stands: Callable[[], None], troubled: Troubled) -> None:
            while True:
                try:
                    await self.processes.beat()
                    stands()
                except Transient as error:
                    if takes_nothing(error):
                        raise
                except Exception as error:  # what stands there is no reason to end
                    bugs.told(actor, error)
                await trio.sleep(BEAT_S)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.processes.leave, self._roles.whole)
            await nursery.start(Connection(beats, actor, self._clock.rng).run)
            task_status.started()

    def _kept_connected(self, name: str, connect: Connect, board: Board) -> Child:
        return Child(name, Connection(connect, board.actor(name), self._clock.rng).run)

    def _limiter(self) -> Limiter:
        days = PostgresDays(self.pool)
        if self.redis:
            return RedisLimiter(self.redis, self._limits, days)
        return InProcessLimiter(self._limits, days)

    async def _schema(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Migrations, who sees whose rows, whom we ask, credentials; where the database is ours alone, leases and
        terms of the last life."""
        await migrate_postgres(self.conninfo, SQL_FOLDER / "postgres")
        await settle(self.conninfo, self.web_conninfo)
        if self._settings.has_role("scraper"):
            await keep_apart(self.pool, world=self._settings.world.enabled, mix=self._settings.world.mix)
        await self.vault.unlock()
        sources = self._catalogue.sources
        await seed_credentials(self._settings, sources, self.credentials, self.vault, self._tokens)
        if self.embedded:
            await self.jobs.end_leases()
            await PostgresLeadership(self.terms_pool).end_terms()
            await PostgresWebhooks(self.pool, self._clock).end_leases()
            await end_leases_of_api_jobs(self.pool)
            if self.queues:
                await self.queues.end_leases()
        task_status.started()

    async def _redis(self, stands: Callable[[], None], troubled: Troubled) -> None:
        assert self.redis is not None, "only where it is set"
        while True:
            await self.redis.look()
            stands()
            await trio.sleep(REDIS_LOOK_S)

    async def _clickhouse(self, actor: Actor, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.clickhouse.open()
        try:
            await self.clickhouse.migrate(SQL_FOLDER / "clickhouse")
            task_status.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.clickhouse.keep_room)
                if self.clickhouse.is_server:
                    nursery.start_soon(self._look_at_clickhouse, actor)
        finally:
            await self.clickhouse.aclose()  # bounded and shielded by itself

    async def _look_at_clickhouse(self, actor: Actor) -> None:
        """Show that it is away also while nobody has anything to ask it."""
        patience = Patience(actor, self._clock.rng)
        while True:
            try:
                await self.clickhouse.look()
            except Transient as error:
                await patience.wait_after(error)
            else:
                patience.reset()
                await trio.sleep(CLICKHOUSE_LOOK_S)


def refuse_what_is_not_here(settings: Settings) -> None:
    """Settings that name what there is not refuse to start, rather than being passed over."""
    refuse_unknown_types(settings)
    place = OBJECTS_URL.fullmatch(settings.objects.url)
    if place and place["folder"]:
        folder = Path(place["folder"])
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not os.path.isdir(there):
            raise ConfigError(f"objects.url names {folder}, but {there} is no folder; name another, or remove that")


def open_clickhouse(settings: Settings) -> ClickHouse:
    chosen, models = settings.clickhouse, settings.analytics
    return ClickHouse(
        settings.data_dir / "clickhouse" if chosen.url == "chdb" else chosen.url,
        writers=chosen.writers,
        readers=chosen.readers,
        query_s_max=chosen.query_s_max,
        fsync=chosen.fsync,
        builds=Builds(
            at_once=models.model_threads,
            threads=models.query_threads,
            memory_mb=models.model_memory_mb,
            spill_mb=models.model_spill_mb,
            query_s_max=models.model_s_max,
        ),
    )


def open_rabbitmq(
    settings: Settings, outbox: Outbox, dead_letters: OutboxDeadLetters, clock: Clock, outbox_written: Signal
) -> RabbitMQExchange:
    chosen = settings.exchange
    topology = rabbitmq_topology(settings)
    return RabbitMQExchange(
        chosen.url, outbox, dead_letters, clock, outbox_written, topology, held_bytes_max=chosen.held_bytes_max
    )


def rabbitmq_topology(settings: Settings) -> Topology:
    return Topology(EXCHANGES, QUORUM if settings.exchange.quorum else {})


def open_objects(settings: Settings) -> Objects:
    chosen = settings.objects
    place = OBJECTS_URL.fullmatch(chosen.url)
    if place is None:
        return FolderObjects(settings.data_dir / "objects")
    if place["folder"]:
        return FolderObjects(Path(place["folder"]))
    return S3Objects(
        place["bucket"],
        place["prefix"] or "",
        endpoint_url=chosen.endpoint_url,
        region=chosen.region,
        access_key=chosen.access_key,
        secret_key=chosen.secret_key,
    )
