"""What a pipeline declares of itself, and what it is given to run with.

A `Pipeline` is a row: gcc/pipelines/NAME/__init__.py holds it, gcc/pipelines/listed.py lists them all, and the tree
starts what the list says. Roles, the drain's stages, the order of the dashboard, what people can pause and which
stores are opened derive from the list. Each gets one `Context`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from gcc.actors.connection import Connect
from gcc.actors.controls import Controls
from gcc.actors.gates import Gates
from gcc.actors.leader import Leadership
from gcc.actors.replica import Replica
from gcc.actors.scheduler import Schedule, Scheduler
from gcc.actors.sync import Sync
from gcc.channels.deadletters import DeadLetters
from gcc.channels.exchange import Exchange
from gcc.channels.jobs import Jobs
from gcc.channels.letters import Letters
from gcc.channels.memory import Channels, Signal
from gcc.channels.objects import Objects
from gcc.channels.outbox import Emit
from gcc.channels.referrals import Referrals
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import ConfigError
from gcc.metrics import Metrics
from gcc.sources.consents import App
from gcc.sources.credentials import Credentials
from gcc.sources.http import Fetcher
from gcc.sources.limits import Limiter
from gcc.sources.precedence import Precedence
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.erasures import PostgresErasures
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from gcc.stores.processes import Processes
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.redis import Redis
from gcc.stores.sealing import Keys
from gcc.stores.vault import Vault
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from gcc.supervisor.policy import Restart

if TYPE_CHECKING:  # of the pipelines' own folders, which import this
    from gcc.pipelines.analytics.modelling import Modelling
    from gcc.pipelines.events.history import HistoryImport
    from gcc.pipelines.events.sinks import EventStore
    from gcc.pipelines.events.stillness import Telling
    from gcc.pipelines.scoring.tally import Tally
    from gcc.pipelines.scoring.workers import Scorers
    from gcc.pipelines.scraping.table import Catalogue
    from gcc.pipelines.scraping.work import Erasures

SCHEMA, CLICKHOUSE, REDIS, BROKER = "stores/schema", "stores/clickhouse", "stores/redis", "stores/rabbitmq"
CONTROLS, WORLD = "controls", "world"
"""What pipelines may need, by its name in the tree."""

Run = Callable[..., Awaitable[None]]
Past = Callable[[], Mapping[str, AsyncIterator[bytes]]]


@dataclass(frozen=True)
class Real:
    """What only real stores have: marts, imports and what answers people need it, a simulation has none of it.

    `terms_pool` is for what must come in time, whoever crowds the other pools. `keys` seal secrets. `rabbitmq`: the
    exchange, where it is the broker's. `redis`: where it is set.
    """

    pool: Pool
    web_pool: Pool
    terms_pool: Pool
    clickhouse: ClickHouse
    letters: Letters
    history: "HistoryImport"
    notifications: Notifications
    vault: Vault
    keys: Keys
    processes: Processes
    erasures: PostgresErasures
    rabbitmq: RabbitMQExchange | None
    redis: Redis | None


@dataclass(frozen=True)
class Parts:
    """The ports of the scraping, scoring and events pipelines. `fetcher()` opens the way to the outside, `scorers()`
    the one to the processes that score.

    `broker` keeps the exchange connected where it is not the database (see gcc/actors/connection.py), and
    `leadership` lets one process at a time relay to it; `telling` tells `check` what this process holds of it.

    The limiter outlives a pipeline that restarts: the calls of its last life still count.
    """

    jobs: Jobs
    exchange: Exchange
    events: "EventStore"
    dead_letters: DeadLetters
    referrals: Referrals
    credentials: Credentials
    controls: Controls
    limiter: Limiter
    objects: Objects
    erasures: "Erasures"
    fetcher: Callable[[], AbstractAsyncContextManager[Fetcher]]
    emit: Emit
    scorers: "Callable[[], AbstractAsyncContextManager[Scorers]]"
    broker: Connect | None = None
    leadership: Leadership | None = None
    telling: "Telling | None" = None
    real: Real | None = None


@dataclass(frozen=True)
class Context:
    """One process, as its pipelines see it.

    `drain` is that of the pipeline's role. `pipelines` are all that are declared, whoever runs them; `catalogue` is
    what they scrape. `urls` tells where what listens here answers, by name, `schedulers` who runs schedules here,
    `replicas` who keeps them, `modelling` who models, `syncs` who syncs and `tallies` what was scored: they fill as the
    process is built and starts. `imported`: an import brought past snapshots.
    `apps`: what the world's platforms have registered us as.
    `past()`: snapshots that the outside has of earlier times, by name.
    """

    settings: Settings
    clock: Clock
    board: Board
    parts: Parts
    gates: Gates
    drain: Drain
    catalogue: "Catalogue"
    pipelines: "Sequence[Pipeline]" = ()
    metrics: Metrics = field(default_factory=Metrics)
    channels: Channels = field(default_factory=Channels)
    precedence: Precedence = field(default_factory=Precedence)
    urls: MutableMapping[str, str] = field(default_factory=dict)
    schedulers: list[Scheduler] = field(default_factory=list)
    modelling: "list[Modelling]" = field(default_factory=list)
    imported: Signal = field(default_factory=Signal)
    replicas: list[Replica] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    tallies: "list[Tally]" = field(default_factory=list)
    past: Past = dict
    apps: Mapping[str, App] = field(default_factory=dict)
    state: Callable[[], str] = lambda: "ready"  # starting | ready | draining

    @property
    def real(self) -> Real:
        assert self.parts.real is not None, "only a pipeline that is declared `real` asks for it"
        return self.parts.real


@dataclass(frozen=True)
class Pipeline:
    """One row: a child of the tree, and what the tree must know of it.

    `role` is by what a process chooses it. `stages` are the drain's in which its actors are members, in their order.
    `needs`: children of the tree that must have stood before its first start; `uses`: what it speaks to beside, and
    waits for by itself; `ready_without`: the same, but a process is ready while it is away. All are opened only where a
    chosen pipeline names them. `build(context)` opens nothing, may raise ConfigError, and gives what the supervisor
    runs. `rooms`: the first words of its actors' names, if not its
    own. `pausable(catalogue)`: what people may name to pause -> the actor. `schedules(context)`: what a leader runs
    for it, in whichever process. `real`: it is left out where there are no real stores.
    """

    name: str
    role: str
    stages: Sequence[str]
    build: Callable[[Context], Run]
    needs: Collection[str] = (CONTROLS,)
    uses: Collection[str] = ()
    ready_without: Collection[str] = ()
    rooms: Sequence[str] = ()
    pausable: "Callable[[Catalogue], Mapping[str, str]]" = lambda _: {}
    schedules: Callable[[Context], Sequence[Schedule]] = lambda _: ()
    restart: Restart = Restart.PERMANENT
    real: bool = False


def refuse_odd(pipelines: Sequence[Pipeline], ground: Mapping[str, Collection[str]]) -> None:
    """ConfigError: two have one name; or one needs what nothing is called, and would begin without it, or itself.

    `ground`: what else there may be in the tree, whether it is or not, and what that needs.
    """
    needs = {**ground, **{row.name: row.needs for row in pipelines}}
    if len(needs) < len(ground) + len(pipelines):
        raise ConfigError(f"two have one name: {', '.join(sorted([*ground, *(row.name for row in pipelines)]))}")
    for row in pipelines:
        if odd := [name for name in (*row.needs, *row.uses, *row.ready_without) if name not in needs]:
            raise ConfigError(f"pipeline {row.name} needs {odd[0]!r}, which is none of {', '.join(needs)}")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise ConfigError(f"these need each other, and none could begin: {', '.join(error.args[1])}") from None
