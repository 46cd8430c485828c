"""THE CENTRE: settings in, the whole platform out.

    stores      PostgreSQL and its schema; ClickHouse, Redis and the broker, where a pipeline here names them
    web/ops     the dashboard, which is there whatever is not
    controls    what people have paused and changed
    world       a stand-in for the outside
    pipelines   as gcc/pipelines lists them, in the order of the data's way, and the gateway: those of the chosen roles

One root supervisor starts the children, each as soon as what it needs stands, and stops them in reverse order; each
child restarts alone. A server that is away is waited for, at the start as later: what does not need it runs. A child
that keeps failing does not tear the others down: it asks for the drain, what can finish does, and the process exits
non-zero with the cause.

The drain has stages, each waiting for the one before: "intake" (nobody takes new work), "scrapers" (jobs in
hand), "relay" (the outbox), "sinkers" (what they hold), "ports" (requests in hand); then the stores stop.
"""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial

import trio

from gcc.actors.connection import Connection
from gcc.actors.gates import Gates
from gcc.channels.memory import ChannelUse
from gcc.clock import Clock
from gcc.config import Settings
from gcc.keeping import Keeping, Rules
from gcc.parts import EMBEDDED, NOTIFICATIONS, PROCESSES, Stores, refuse_what_is_not_here
from gcc.pipelines.declared import (
    BROKER,
    CLICKHOUSE,
    CONTROLS,
    REDIS,
    SCHEMA,
    WORLD,
    Context,
    Parts,
    Pipeline,
    refuse_odd,
)
from gcc.pipelines.listed import PIPELINES
from gcc.pipelines.roles import Roles
from gcc.pipelines.scraping.limiting import heard
from gcc.pipelines.scraping.table import Catalogue, catalogue_of, limits
from gcc.stores import data_folder
from gcc.stores.controls import CONTROLS_CHANNEL
from gcc.stores.postgres import Pool
from gcc.stores.processes import missed
from gcc.supervisor.lifecycle import Board
from gcc.supervisor.policy import Intensity
from gcc.supervisor.supervisor import Child
from gcc.supervisor.told import Told
from gcc.web.gateway import GATEWAY
from gcc.web.ops.port import OpsPort
from gcc.web.port import keep_open
from gcc.world.history import history
from gcc.world.server import apps, serve_world, tokens

OPS = "web/ops"
ALL: tuple[Pipeline, ...] = (*PIPELINES, GATEWAY)
NEEDS = {SCHEMA: (EMBEDDED,), NOTIFICATIONS: (SCHEMA,), CONTROLS: (SCHEMA,), PROCESSES: (SCHEMA,)}
GROUND = {name: NEEDS.get(name, ()) for name in (EMBEDDED, CLICKHOUSE, REDIS, BROKER, WORLD, OPS, *NEEDS)}
RULES = Rules(
    NEEDS,
    intensity={EMBEDDED: Intensity(sys.maxsize, 60.0)},  # killed or without disk: for as long as it lasts
    unawaited=[EMBEDDED],  # that it does not start is the fault of what is here
)


class Tree:
    """One process's platform. Construction opens nothing; `run` does all, and returns when it has drained.

    It runs those of `pipelines` whose roles the settings choose, on the real stores; or on the `parts` given (a
    simulation): then there is nothing else, no port, no mart and no first start, since these need the real ones.
    ConfigError: the settings name what there is not.
    """

    keeping: Keeping | None = None  # as long as it runs

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        parts: Parts | None = None,
        *,
        pipelines: Sequence[Pipeline] = ALL,
        catalogue: Catalogue | None = None,
    ) -> None:
        refuse_what_is_not_here(settings)
        refuse_odd(pipelines, GROUND)
        catalogue = catalogue or catalogue_of(settings)
        self.settings = settings
        self.ready = trio.Event()
        self.roles = Roles(pipelines, settings.roles, settings.grace_s)
        self.drain = self.roles.whole
        self.stores = (
            Stores(settings, clock, catalogue, tokens(settings.world), self.roles, self.state, self.missed)
            if parts is None
            else None
        )
        parts = parts or self.real.parts
        rooms = [room for row in pipelines for room in row.rooms or (row.name.partition("/")[0],)]
        board = Board(clock.now, list(dict.fromkeys(["stores", CONTROLS, WORLD, *rooms])))
        gates = Gates(parts.controls, board.actor(CONTROLS), clock)
        gates.follow(partial(heard, parts.limiter, limits(settings, catalogue)))
        self.context = Context(
            settings, clock, board, parts, gates, self.drain, catalogue, pipelines, past=self._past, state=self.state,
            apps=apps(settings.world),
        )  # fmt: skip
        self.chosen = [row for row in pipelines if row.role in self.roles.here and (self.stores or not row.real)]
        self.runs = {row.name: row.build(replace(self.context, drain=self.roles.here[row.role])) for row in self.chosen}
        self.needed = {need for row in self.chosen for need in row.needs}
        used = self.needed | {use for row in self.chosen for use in row.uses}
        self.opened = used | {name for row in self.chosen for name in row.ready_without}
        self.optional = self.opened - used
        if self.stores is not None:
            self.ops = OpsPort(self.context, self.roles, self.opened, self.stood)
            self.stores.notifications.on(CONTROLS_CHANNEL, gates.woken)
            for pool in (self.stores.pool, self.stores.web_pool, self.stores.terms_pool):
                self.context.channels.watch(f"{pool.name} pool", partial(_use, pool))

    @property
    def real(self) -> Stores:
        """The stores, where they are real."""
        assert self.stores is not None, "only a tree on real stores has this"
        return self.stores

    def missed(self) -> list[str]:
        """The servers and sources that are away."""
        return missed(self.context.board)

    def state(self) -> str:
        """starting, ready or draining."""
        if self.drain.draining:
            return "draining"
        return "ready" if self.ready.is_set() else "starting"

    def children(self) -> Iterator[tuple[Child, str | None]]:
        """Everything that runs, in the order of the picture (stores, ports, then the way of the data), by role."""
        yield from ((child, None) for child in self._ground())
        for row in self.chosen:
            yield Child(row.name, self.runs[row.name], restart=row.restart), row.role

    def _ground(self) -> Iterator[Child]:
        """What the pipelines stand on."""
        context, broker = self.context, self.context.parts.broker
        if self.stores is not None:
            yield from self.stores.servers()
            yield Child(OPS, self.ops.run)
            yield from self.stores.clients(context.board, self.opened)
        if broker is not None and BROKER in self.opened:
            yield Child(BROKER, Connection(broker, context.board.actor(BROKER), context.clock.rng).run)
        yield Child(CONTROLS, context.gates.run)
        if self.settings.world.enabled:
            yield Child(WORLD, self._world)

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
        needs = {**NEEDS, **{row.name: row.needs for row in self.chosen}}

        def stands(_: object) -> None:
            self.ready.set()
            task_status.started()

        self.keeping = Keeping(
            children,
            replace(RULES, needs=needs),
            roles=self.roles,
            board=self.context.board,
            rng=self.context.clock.rng,
        )
        await self.keeping.run(
            [child.name for child, _ in children if child.name not in self.optional], task_status=Told(stands)
        )

    async def stood(self, name: str) -> None:
        """Return when this child has been started, at least once; asked while all runs."""
        assert self.keeping is not None, "it runs, or nobody could ask"
        await self.keeping.stood(name)

    async def _world(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        serve = partial(serve_world, self.settings.world, self.context.clock)
        opened = partial(self.context.urls.__setitem__, "world")
        await keep_open(WORLD, serve, self.drain.stage("ports"), opened, task_status)

    def _past(self) -> Mapping[str, AsyncIterator[bytes]]:
        world = self.settings.world
        return history(self.context.urls["world"], world.history_days) if world.enabled else {}


def _use(pool: Pool) -> ChannelUse:
    return ChannelUse(f"{pool.name} pool", pool.used, pool.size)
