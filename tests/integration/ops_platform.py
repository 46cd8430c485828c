"""A platform for the ops port's tests: the real board, channels, metrics and drain, filled with believable work."""

import math
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import httpx
import trio

from gcc.actors.gates import Gates
from gcc.actors.scheduler import Scheduler, ScheduleRun, shown
from gcc.channels.deadletters import Burial, letter_id
from gcc.channels.exchange import QueueDepth
from gcc.channels.jobs import JobDetail
from gcc.channels.letters import Letter
from gcc.channels.memory import Channels, ChannelUse, Signal
from gcc.channels.message import Frame, Route
from gcc.clock import SystemClock
from gcc.config import Bind, Settings
from gcc.errors import Permanent, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.check import CheckReport
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.events.types import (
    BINDINGS,
    EVENT_TYPES,
    POST_LOG,
    PROFILE_LOG,
    SCRAPE_REQUEST_LOG,
    TRACE_LOG,
)
from gcc.pipelines.roles import Roles
from gcc.pipelines.scraping.limiting import heard
from gcc.pipelines.scraping.table import Catalogue, limits
from gcc.sources.limits import InProcessLimiter
from gcc.sources.table import SOURCES
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.job_history import History, JobHistory
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.processes import Process
from gcc.stores.vault import Listed, Vault
from gcc.supervisor.lifecycle import Actor, Board, State
from gcc.tree import ALL
from gcc.web import serving
from gcc.web.ops.app import ops_app
from gcc.web.ops.credentials import CredentialActions
from gcc.web.ops.limits import Limits
from gcc.web.ops.operations import Operations
from gcc.web.ops.port import pausable
from gcc.web.ops.registry import MODULE
from gcc.web.ops.scorer import Scores
from gcc.web.ops.series import Series
from gcc.web.ops.snapshot import ApiJobs, Composer, Counts, Platform
from gcc.web.ops.sources import Sources
from gcc.web.ops.users import UserActions
from gcc.web.ops.verbs import CHECK, Verbs
from tests.fakes.controls import FakeControls
from tests.fakes.credentials import KEYS
from tests.fakes.database import Connection, Database
from tests.fakes.days import FakeDays
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.jobs import FakeJobs
from tests.fakes.letters import FakeLetters

TOKEN = "a-token-of-the-tests"
WORKING = (PROFILE_LOG, POST_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG)
"""What a crawl emits; the sinkers of all else are idle."""
IDLE_QUEUES = sorted({binding.queue for binding in BINDINGS} - {event_type.queue for event_type in WORKING})
INSTAGRAM, YOUTUBE = "refresh_profile_by_handle", "refresh_yt_profiles"
CATALOGUE = Catalogue()
IDLE_FLOWS = [name for name in CATALOGUE.flows if name not in (INSTAGRAM, YOUTUBE)]
ACTORS = {
    "stores/postgres": State.RUNNING,
    "stores/schema": State.FINISHED,
    "stores/clickhouse": State.RUNNING,
    "stores/notifications": State.RUNNING,
    "controls": State.RUNNING,
    "stores/processes": State.RUNNING,
    "first start": State.FINISHED,
    "scraping": State.RUNNING,
    "scraping/leases": State.RUNNING,
    "scraping/claimer": State.RUNNING,
    f"scraping/scraper {INSTAGRAM}": State.RUNNING,
    f"scraping/scraper {YOUTUBE}": State.RUNNING,
    **{f"scraping/scraper {flow}": State.RUNNING for flow in IDLE_FLOWS},
    "scraping/producer": State.WAITING,
    "scraping/maintenance": State.WAITING,
    "sources/graphapi": State.RUNNING,
    "sources/ytapi": State.RUNNING,
    "events/relay": State.RUNNING,
    "events/sinkers": State.RUNNING,
    **{f"events/sinker {event_type.name}": State.RUNNING for event_type in EVENT_TYPES},
    "events/sinker post_log": State.BACKOFF,
    "analytics": State.RUNNING,
    "analytics/leader": State.RUNNING,
    "analytics/scheduler": State.WAITING,
    "analytics/transformer": State.WAITING,
    "analytics/sync": State.WAITING,
    "web/gateway": State.RUNNING,
    "web/ops": State.RUNNING,
    "world": State.RUNNING,
}


def process(host: str, pid: int, *, calls: int = 50, **changes: Any) -> Process:
    limits = {name: {"calls": calls, "per_s": 1.0} for name in ("graphapi", "ytapi")}
    limits["beat_server_refresh_profile_insta_per_minute"] = {"calls": 60, "per_s": 60.0}
    known = Process(
        SystemClock().new_id(), host, pid, "0.2.0", "ready", [*dict.fromkeys(row.role for row in ALL)], [], [], limits,
        "/srv/of-a-machine-of-theirs/config/services.toml, --set gateway.port, --set ops.port", SystemClock().now(),
    )  # fmt: skip
    return replace(known, **changes)


ASKED = ("graphapi", "ytapi")


class ToldHistory(JobHistory):
    """What a test tells of every job."""

    def __init__(self) -> None:
        super().__init__(None)
        self.told: History | None = None

    async def of(self, job: JobDetail) -> History:
        await trio.lowlevel.checkpoint()
        return self.told or await super().of(job)


LIMITS = limits(Settings(), CATALOGUE)


class AskedRoles(Roles):
    """Those of a whole process, which tell the world what they were asked."""

    def __init__(self, world: "World") -> None:
        super().__init__(ALL, None, 20.0)
        self._world = world

    def request_drain(self, role: str | None, reason: str) -> None:
        self._world.asked.append((role, reason))
        if role is None:
            self._world.state = "draining"
        super().request_drain(role, reason)

    def resume(self, role: str) -> None:
        self._world.resumed.append(role)
        if self.here[role].state == "drained":
            super().resume(role)


class AtOnce:
    """A scheduler whose runs end well at once."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def overview(self) -> list[dict[str, Any]]:
        return self._world.schedules

    async def standing(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return self._world.schedules

    def named(self, name: str) -> None:
        if name not in {line["name"] for line in self._world.schedules}:
            raise Permanent(f"no schedule is called {name!r}")

    async def past(self, name: str, limit: int) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        self.named(name)
        return self._world.past_runs[:limit]

    async def trigger(self, name: str) -> ScheduleRun:
        await trio.lowlevel.checkpoint()
        now = SystemClock().now()
        run = ScheduleRun(SystemClock().new_id(), name, "COMPLETE", now, now, self._world.ends_with)
        for line in self._world.schedules:
            line["last_run"] = shown(run) if line["name"] == name else line["last_run"]
        return run


class Swapped:
    """A sync of these tables, one of which a guard has refused until somebody accepts it."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    async def overview(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return self.lines

    async def accept(self, table: str, who: str) -> None:
        await trio.lowlevel.checkpoint()
        (line,) = [line for line in self.lines if line["table"] == table]
        if not line["refused"]:
            raise Permanent(f"nothing of {table} was refused: there is nothing to accept")
        line["accepted_by"] = who


class Modelled:
    """What answers as Modelling does, with what a test has set; it tells what it was asked to do."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.more: dict[str, Any] = {}  # what one of them tells beside its row
        self.origins: list[dict[str, Any]] = []
        none = {"looked": 0, "failed": 0, "warned": 0}
        self.told: dict[str, Any] = {"promises": [], "tests": none, "tested_at": None, "wrong": []}  # of quality
        self.volumes_told: list[dict[str, Any]] = []
        self.asked: list[tuple[str, Sequence[str], bool]] = []

    async def listed(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return self.rows

    async def shown(self, name: str) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        found = [row for row in self.rows if row["name"] == name]
        if not found:
            raise Permanent(f"there is no model {name!r}; there are {', '.join(row['name'] for row in self.rows)}")
        children = [row["name"] for row in self.rows if name in row["parents"]]
        return found[0] | {"children": children} | self.more

    async def lineage(self, name: str, column: str | None, depth_max: int | None = None) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return [row for row in self.origins if row["depth"] <= (depth_max or row["depth"])]

    async def quality(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return self.told

    async def volumes(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        return self.volumes_told

    def refuse_unknown(self, select: Sequence[str]) -> None:
        """It knows all."""

    async def run(self, select: Sequence[str], *, whole: bool) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        self.asked.append(("run", select, whole))
        return {"name": "models_run", "status": "COMPLETE", "detail": {"models": []}}

    async def test(self, names: Sequence[str]) -> list[Any]:
        await trio.lowlevel.checkpoint()
        self.asked.append(("test", names, False))
        return []


@dataclass
class World:
    """What the tests turn: everything that the port reports has its handle here."""

    board: Board = field(default_factory=lambda: Board(SystemClock().now))
    metrics: Metrics = field(default_factory=Metrics)
    state: str = "ready"
    asked: list[tuple[str | None, str]] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    controls: FakeControls = field(default_factory=FakeControls)
    counts_down: bool = False
    database_hangs: bool = False
    """Whoever asks for the credentials gets no answer."""
    checked: list[str] = field(default_factory=list)
    imported: list[tuple[str, bytes]] = field(default_factory=list)
    stuck: bool = False
    """The stores answer neither a check nor an import."""
    schedules: list[dict[str, Any]] = field(default_factory=list)
    past_runs: list[dict[str, Any]] = field(default_factory=list)  # of each of them
    ends_with: dict[str, Any] | None = None  # the detail of a run that is triggered
    replicas: list[dict[str, Any]] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)  # Modelling, or what answers as it does
    syncs: list[Any] = field(default_factory=list)  # Sync, or what answers as it does
    scores: Scores = field(default_factory=lambda: Scores([], None))
    processes: list[Process] = field(default_factory=lambda: [process("alpha", 4211)])
    history: "ToldHistory" = field(default_factory=lambda: ToldHistory())
    credentials: list[Listed] = field(default_factory=list)
    database: str = "host=127.0.0.1 port=1 dbname=none"
    """Of the credentials that people change; there is none where a test changes none."""
    urls: dict[str, str] = field(default_factory=lambda: {"gateway": "http://127.0.0.1:8009"})
    counts: Counts = field(
        default_factory=lambda: Counts(
            jobs_by_flow={
                INSTAGRAM: {"PENDING": 412, "PROCESSING": 16, "COMPLETE": 571, "FAILED": 1},
                YOUTUBE: {"PENDING": 240, "PROCESSING": 8, "COMPLETE": 752},
            },
            queues=[
                QueueDepth("post_log_events_q", 48_210, 2_000, 41.0),
                QueueDepth("profile_log_events_q", 1_350, 1_000, 2.4),
                QueueDepth("scrape_request_log_events_q", 0, 0, 0.0),
                QueueDepth("trace_log", 734, 0, 0.8),
                *(QueueDepth(queue, 0, 0, 0.0) for queue in IDLE_QUEUES),
            ],
            first_crawl=(1_324, 2_000),
            failures_last_hour=3,
            stored_lag_s=2.4,
            api_jobs=[ApiJobs("leaderboard_export", "PENDING", 3, 12.04)],
        )
    )

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.connection = Connection(Database(clock))
        self.limiter = InProcessLimiter(LIMITS, FakeDays(clock))
        self.letters = FakeLetters(self.connection, Signal())
        self.jobs = FakeJobs(self.connection, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
        self.gates = Gates(self.controls, Board(clock.now).actor("controls"), clock)
        self.gates.follow(partial(heard, self.limiter, LIMITS))
        self.controls.told = self.gates.woken
        self.gates.concurrency(INSTAGRAM, 16)
        self.gates.concurrency(YOUTUBE, 8)
        for flow in IDLE_FLOWS:
            self.gates.concurrency(flow, 5)
        self.roles = AskedRoles(self)
        self.drain = self.roles.whole
        for name, state in ACTORS.items():
            self.board.actor(name).state = state
        self.channels = Channels()
        self._ends = [self.channels.open(f"jobs {INSTAGRAM}", 32), self.channels.open(f"jobs {YOUTUBE}", 16)]
        for _ in range(27):
            self._ends[0][0].send_nowait("job")
        self.channels.watch("pool actors", lambda: ChannelUse("pool actors", 9, 12))
        self.channels.watch("pool web", lambda: ChannelUse("pool web", 1, 8))
        scraper = self.board.actor(f"scraping/scraper {INSTAGRAM}")
        scraper.in_flight, scraper.lag_s = 16, 3.2
        self.board.actor(f"scraping/scraper {YOUTUBE}").in_flight = 8
        for flow in IDLE_FLOWS:
            use = ChannelUse(f"slots {flow}", 0, 5, f"scraping/scraper {flow}")
            self.channels.watch(use.name, partial(replace, use))
        for name in ("graphapi", "ytapi"):
            self.board.actor(f"sources/{name}").done = 1_000
        for event_type in EVENT_TYPES:
            self._ends.append(self.channels.open(event_type.queue, 200))
        for event_type in WORKING:
            self.board.actor(f"events/sinker {event_type.name}").done = 100_000
        sinker = self.board.actor("events/sinker post_log")
        sinker.restarts, sinker.in_flight, sinker.lag_s = 2, 2000, 41.0
        sinker.erred(Transient("ClickHouse: Code 241, memory limit (total) exceeded: would use 921.40 MiB"))
        self.board.actor("scraping/producer").erred(Transient("source instagram answered 429; Retry-After 12 s"))

    def close(self) -> None:
        for send, receive in self._ends:
            send.close()
            receive.close()

    async def work(self) -> None:
        """What the actors and roles do by themselves: wait at their gates, drain and work again."""

        async def pass_gate(actor: Actor) -> None:
            gate = self.gates.gate(actor.name)
            while True:
                await gate.passed(self.drain.stage("intake"), actor)
                await gate.changed.wait()

        async def drain_role(name: str) -> None:
            while True:
                resumed = self.roles.resumed(name)
                await self.roles.here[name].run()
                await resumed.wait()

        async with trio.open_nursery() as nursery:
            for name in set(pausable(ALL, CATALOGUE).values()) & set(ACTORS):
                nursery.start_soon(pass_gate, self.board.actor(name))
            for role in self.roles.here:
                nursery.start_soon(drain_role, role)

    async def gates_read(self) -> None:
        """As if the process had heard of what was changed."""
        self.gates._overrides = await self.controls.read()
        self.gates._apply()

    def operations(self) -> Operations:
        return Operations(
            self.controls, self.jobs, self.letters, self.gates, SystemClock(), roles=self.roles,
            flows=CATALOGUE.flows, pausable=pausable(ALL, CATALOGUE), limits=LIMITS,
            schedulers=[cast(Scheduler, AtOnce(self))] if self.schedules else [], syncs=self.syncs,
        )  # fmt: skip

    async def check(self) -> CheckReport:
        self.checked.append("check")
        if self.stuck:
            try:
                await trio.sleep_forever()
            finally:
                self.checked.append("ended")
        return CheckReport(**dict.fromkeys(CheckReport.__dataclass_fields__, 0) | {"settled": True})

    async def import_history(self, name: str, chunks: AsyncIterable[bytes], *_how: object) -> ImportReport:
        self.imported.append((name, b"".join([chunk async for chunk in chunks])))
        return ImportReport()

    async def listed(self) -> list[Listed]:
        await trio.lowlevel.checkpoint()
        if self.counts_down:
            raise Transient("PostgreSQL does not answer: connection refused")
        if self.database_hangs:
            await trio.sleep_forever()
        return self.credentials

    async def count(self) -> Counts:
        await trio.lowlevel.checkpoint()
        if self.counts_down:
            raise Transient("PostgreSQL does not answer: connection refused")
        return replace(self.counts, dead_letters=await self.letters.recent())

    async def bury(self, queue: str, body: bytes, reason: str, **headers: str) -> Letter:
        """A dead letter, of as many events as lines."""
        route = Route("beat.dx", queue.removesuffix("_q"))
        frame = Frame(SystemClock().new_id(), route, body.count(b"\n") + 1, body, headers)
        await FakeDeadLetters(self.connection).bury([Burial(queue, frame, body, frame.events, reason)])
        return self.connection.database.letters[letter_id(queue, frame.id, body)]

    def store(self, events: int, seconds: float) -> None:
        """One insert, as a sinker counts it."""
        self.metrics.stored_events.labels("profile_log_events").inc(events)
        self.metrics.flush_seconds.labels("profile_log_events").observe(seconds)
        self.board.actor("events/sinker profile_log").processed(events)

    def remember(self, series: Series, seconds: int) -> None:
        """Live through the past `seconds` at once: a day's rhythm of inserts, with half a minute of nothing in it."""
        now_s, unix_s = trio.current_time(), SystemClock().now().timestamp()
        for ago in range(seconds, 0, -1):
            if not 300 < ago < 330:
                self.metrics.stored_events.labels("post_log_events").inc(int(1400 + 500 * math.sin(ago / 70)))
                self.metrics.flush_seconds.labels("post_log_events").observe(0.024 + 0.006 * math.sin(ago / 31))
                series.sample(now_s - ago, unix_s - ago)

    def platform(self) -> Platform:
        return Platform(
            board=self.board,
            channels=self.channels.uses,
            counts=self.count,
            metrics=self.metrics,
            state=lambda: self.state,
            drain=self.drain,
            clock=SystemClock(),
            urls=self.urls,
            roles=self.roles.here,
            pausable=pausable(ALL, CATALOGUE),
            gates=self.gates,
            processes=lambda: self.processes,
            schedules=lambda: self.schedules,
            replicas=lambda: self.replicas,
        )

    def set_counts(self, **changes: object) -> None:
        self.counts = replace(self.counts, **changes)  # type: ignore[arg-type]


@dataclass
class Port:
    """An ops port that answers: `url` without a slash at its end; `stop()` lets it end as a drain does."""

    url: str
    composer: Composer
    draining: trio.Event
    returned: trio.Event

    @property
    def number(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    async def stop(self) -> None:
        self.draining.set()
        with trio.fail_after(10):
            await self.returned.wait()


@asynccontextmanager
async def ops_port(
    world: World, *, port: int = 0, token: str = TOKEN, past_s: int = 0, check_s: float = 0.5, command: str = MODULE
) -> AsyncIterator[Port]:
    """The real app behind the real server; stopped when the block ends. `past_s`: how much the charts remember."""
    composer = Composer(world.platform())
    world.remember(composer.series, past_s)
    draining, returned = trio.Event(), trio.Event()
    pool, clock = Pool(world.database, 2, name="test"), SystemClock()
    credentials = CredentialActions(
        Vault(pool, KEYS), PostgresCredentials(pool, clock, KEYS), world.jobs, world.controls, clock, SOURCES
    )
    page = ops_app(
        composer, world.operations(), history=world.history,
        sources=Sources(CATALOGUE, ASKED, world.limiter, world.listed),
        limits=Limits(LIMITS, world.limiter, world.gates, SystemClock()),
        credentials=credentials, models=world.models, scores=world.scores,
        users=UserActions(PostgresPeople(pool, clock), world.controls, clock, lambda: "http://127.0.0.1:8009"),
        token=token, command=command, draining=draining,
    )  # fmt: skip
    app = Verbs(
        page, token=token, host="127.0.0.1", checks={CHECK: world.check}, check_s=check_s,
        import_history=world.import_history, add_jobs=world.operations().add_jobs,
    )  # fmt: skip

    async def run(*, task_status: trio.TaskStatus[str]) -> None:
        await serving.serve(app, Bind(port=port), key="ops.port", draining=draining, grace_s=5, task_status=task_status)
        returned.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(world.gates.run)
        nursery.start_soon(world.work)
        await nursery.start(composer.run)
        url = await nursery.start(run)
        world.urls["ops"] = url
        opened = Port(url, composer, draining, returned)
        yield opened
        await opened.stop()
        nursery.cancel_scope.cancel()
    await pool.aclose()


def client(port: Port, *, token: str | None = TOKEN) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=port.url, headers=headers, timeout=5, verify=False)
