"""What the platform is doing, composed twice a second and shown by the dashboard, `status` and /api/status.

In: `Platform`, the questions that tree.py answers (actors, channels, counts from the database, metrics).
Out: the status object, whole, to a hub of websocket clients. The counts come from a task of their own: a slow or dead
database makes them older (`counts_age_s`, `counts_error`), never the rest.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec
import trio

from gcc.actors import bugs
from gcc.actors.gates import Gates
from gcc.channels.exchange import QueueDepth
from gcc.channels.letters import RECENT_LETTERS, Waiting
from gcc.channels.memory import ChannelUse
from gcc.clock import Clock
from gcc.config import Kept
from gcc.errors import GccError, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.pipeline import CONSUMERS, ERROR_QUEUES
from gcc.pipelines.events.routes import ERROR
from gcc.stores.postgres import is_unreachable
from gcc.stores.processes import Process, differing, missed
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Actor, Board, State, one_line
from gcc.web.ops.hub import Hub
from gcc.web.ops.series import Series
from gcc.web.ops.shown_letters import shown_waiting

TICKS_PER_S = 2
COUNTS_EVERY_S = 1.0
COUNTS_DEADLINE_S = 10.0  # a count that takes longer is given up and asked again
CLIENTS_MAX = 50
LETTER_GROUPS = 8
KINDS = {
    "credentials/listener ": "listeners",
    "announced/listener ": "listeners",
    "scraping/scraper ": "scrapers",
    "sources/": "sources",
    "events/sinker ": "sinkers",
}
"""How the names of actors begin of which there are many: those that are idle share a line."""
STACK_CHARS_MAX = 4096  # of each actor's, in every message: its end, where the innermost calls are


@dataclass(frozen=True, slots=True)
class ApiJobs:
    """Those of a kind in a state that is none of their ends; `oldest_s`: since the first of them was asked for."""

    kind: str
    state: str
    jobs: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What only the database knows. `first_crawl` is (done, total) while it runs, else None."""

    jobs_by_flow: Mapping[str, Mapping[str, int]]  # flow -> state -> jobs
    queues: list[QueueDepth]
    first_crawl: tuple[int, int] | None
    failures_last_hour: int
    stored_lag_s: float | None  # age of the oldest event that is not stored yet; 0 when all are
    dead_letters: Waiting | None = field(default_factory=Waiting)  # of the newest RECENT_LETTERS; None: not known
    queues_error: str | None = None  # why the queues could not be counted; then the lag is not known either
    bug: Exception | None = None  # why something else is not known: nobody expects it
    api_jobs: Sequence[ApiJobs] = ()


@dataclass(frozen=True)
class Platform:
    """The running tree as the ops port sees it; filled by tree.py."""

    board: Board
    channels: Callable[[], list[ChannelUse]]
    counts: Callable[[], Awaitable[Counts]]  # Transient when the database is away
    metrics: Metrics
    state: Callable[[], str]  # starting | ready | draining
    drain: Drain
    clock: Clock
    urls: MutableMapping[str, str]  # gateway, docs, ops, world; filled as they open
    roles: Mapping[str, Drain] = field(default_factory=dict)  # of this process, each with its own drain
    gates: Gates | None = None
    schedules: Callable[[], list[dict[str, Any]]] = list  # see `Scheduler.overview`
    replicas: Callable[[], list[dict[str, Any]]] = list  # see `Replica.overview`
    pausable: Mapping[str, str] = field(default_factory=dict)  # what people may name -> the actor that is paused
    flows: Callable[[], list[dict[str, Any]]] = list  # as configured; see `overview` of the flow table
    processes: Callable[[], list[Process]] = list
    told_by: str = "the defaults"  # where its settings come from
    kept: Kept = field(default_factory=Kept)
    started_s: float = field(default_factory=trio.current_time)


class Composer:
    """Composes the status object and publishes it to `hub`."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.hub = Hub(CLIENTS_MAX)
        self.series = Series(platform.metrics)
        self._counts: Counts | None = None
        self._counted_s = 0.0
        self._counts_error: str | None = None
        self.away: str | None = None  # why the database could not be reached when it was asked last
        self._bug = ""  # the last one that was told

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Actor: TICKS_PER_S messages a second until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count)
            next_s = trio.current_time()
            for tick in range(2**63):
                if tick % TICKS_PER_S == 0:
                    self.series.sample(trio.current_time(), self.platform.clock.now().timestamp())
                self.hub.publish(self.encoded())
                if tick == 0:
                    task_status.started()
                next_s = max(next_s + 1 / TICKS_PER_S, trio.current_time())
                await trio.sleep_until(next_s)

    async def _count(self) -> None:
        while True:
            try:
                with trio.fail_after(COUNTS_DEADLINE_S):
                    self._counts = await self.platform.counts()
            except GccError as error:
                self._counts_error = str(error)
                self.away = self._counts_error if isinstance(error, Transient) and is_unreachable(error) else None
            except trio.TooSlowError:
                self._counts_error = f"no answer within {COUNTS_DEADLINE_S:g} s"
            except Exception as error:  # a row that cannot be read must not take the page away
                self._counts_error = self._told(error)
            else:
                self.away = None
                self._counted_s, bug = trio.current_time(), self._counts.bug
                self._counts_error = self._counts.queues_error if bug is None else self._told(bug)
                if bug is None:
                    self._bug = ""
            await trio.sleep(COUNTS_EVERY_S)

    def state(self) -> str:
        """starting, ready, draining, or unready: the database is away."""
        state = self.platform.state()
        return "unready" if state == "ready" and self.away is not None else state

    def degraded(self) -> list[str]:
        """The parts outside this process that are away: stores and sources. What does not need them goes on."""
        return missed(self.platform.board)

    def _told(self, error: Exception) -> str:
        """Tell of a bug once, however often the count meets it; answers it in one line."""
        if (line := one_line(error)) != self._bug:
            self._bug = bugs.told(self.platform.board.actor("web/ops"), error)
        return line

    def encoded(self) -> str:
        """The websocket message, as it is now."""
        return msgspec.json.encode(self.message()).decode()

    def message(self) -> dict[str, Any]:
        """The status object with `series`, the last `errors` and the last `actions`: one websocket message."""
        gates = self.platform.gates
        return self.status() | {
            "series": {"events_per_s": list(self.series.events_per_s), "flush_ms": list(self.series.flush_ms)},
            "errors": list(self.platform.board.errors),
            # without `detail`: the target has the words of a filter, and its ids may be many
            "actions": [action.as_dict() | {"detail": None} for action in gates.actions] if gates else [],
        }

    def status(self) -> dict[str, Any]:
        """The status object as it is now. None stands for "not known", never for zero."""
        platform, now_s = self.platform, trio.current_time()
        gates, processes = platform.gates, platform.processes()
        paused = gates.paused() if gates else []
        return {
            "settings": platform.told_by,
            "processes": [process.as_dict() for process in processes],
            "differing_limits": differing(processes),
            "at": platform.clock.now().isoformat(timespec="milliseconds"),
            "state": self.state(),
            "degraded": self.degraded(),
            "uptime_s": round(now_s - platform.started_s, 1),
            "actors": [_actor(actor, platform.pausable, paused) for actor in platform.board.actors()],
            "events_per_s": self.series.events_per_s_now,
            "drain": platform.drain.snapshot() if platform.drain.draining else None,
            "roles": [_role(name, drain) for name, drain in platform.roles.items()],
            "paused": paused,
            "concurrency": gates.levels() if gates else {},
            "schedules": [_schedule(line) for line in platform.schedules()],
            "replicas": platform.replicas(),
            "urls": dict(platform.urls),
            "counts_age_s": None if self._counts is None else round(now_s - self._counted_s, 1),
            "counts_error": self._counts_error,
            **_counted(self._counts),
            "channels": _channels(platform.channels(), self._counts.queues if self._counts else []),
        }


def _actor(actor: Actor, pausable: Mapping[str, str], paused: Sequence[str]) -> dict[str, Any]:
    kind = next((kind for start, kind in KINDS.items() if actor.name.startswith(start)), None)
    return {
        "name": actor.name,
        "kind": kind,
        "idle": kind is not None and actor.name not in paused and _is_idle(actor),
        "state": str(actor.state),
        "restarts": actor.restarts,
        "rate_per_s": round(actor.rate_per_s, 1),
        "in_flight": actor.in_flight,
        "lag_s": None if actor.lag_s is None else round(actor.lag_s, 1),
        "last_error": actor.last_error,
        "done": actor.done,
        "failed": actor.failed,
        "bugs": actor.bugs,
        "stuck": actor.stuck,
        "storm": actor.storm,
        "breaker": actor.breaker,
        "retry_in_s": None if actor.retry_at is None else round(max(0.0, actor.retry_at - trio.current_time()), 1),
        "stack": None if actor.last_stack is None else actor.last_stack[-STACK_CHARS_MAX:],
        "can_pause": actor.name in pausable,
    }


def _is_idle(actor: Actor) -> bool:
    """It had nothing to do since the start, and nothing is wrong with it."""
    moved = actor.done or actor.failed or actor.in_flight or actor.restarts or actor.lag_s
    wrong = actor.last_error or actor.stuck or actor.storm or actor.breaker not in (None, "closed")
    return actor.state is State.RUNNING and not moved and not wrong


def _schedule(line: dict[str, Any]) -> dict[str, Any]:
    """Without the detail of its last run, which may be long."""
    last = line["last_run"]
    return line | {"last_run": last and {name: last[name] for name in ("status", "started_at", "ended_at")}}


def _role(name: str, drain: Drain) -> dict[str, Any]:
    return {"name": name, "state": drain.state, "drain": drain.snapshot() if drain.draining else None}


def _channels(uses: list[ChannelUse], queues: list[QueueDepth]) -> list[dict[str, Any]]:
    """Channels and pools (whose name has the word pool) have a size; a queue in the database has none.

    `consumer` is the actor that takes from it; of a queue without one nobody takes yet, it keeps what it has.
    """
    held = [
        {
            "name": use.name,
            "consumer": use.consumer or CONSUMERS.get(use.name),
            "used": use.used,
            "size": use.size,
            "kind": "pool" if "pool" in use.name else "channel",
        }
        for use in uses
    ]
    return held + [
        {
            "name": queue.queue,
            "consumer": CONSUMERS.get(queue.queue),
            "used": queue.events,
            "size": None,
            "kind": "queue",
            "in_flight": queue.in_flight,
            "oldest_s": round(queue.oldest_s, 1),
        }
        for queue in _as_shown(queues)
    ]


def _as_shown(queues: Iterable[QueueDepth]) -> Iterator[QueueDepth]:
    """The error queues are as many as all others, and mostly empty: they are one line."""
    errors = []
    for queue in queues:
        if queue.queue.startswith(ERROR):
            errors.append(queue)
        else:
            yield queue
    if errors:
        yield QueueDepth(
            ERROR_QUEUES,
            sum(queue.events for queue in errors),
            sum(queue.in_flight for queue in errors),
            max(queue.oldest_s for queue in errors),
        )


def _counted(counts: Counts | None) -> dict[str, Any]:
    if counts is None:
        return {
            "jobs": {},
            "jobs_by_flow": {},
            "in_flight": None,
            "failures_per_hour": None,
            "stored_lag_s": None,
            "first_crawl": None,
            "dead_letters": None,
            "api_jobs": [],
        }
    jobs: Counter[str] = Counter()
    for states in counts.jobs_by_flow.values():
        jobs.update(states)
    crawl = counts.first_crawl
    return {
        "jobs": dict(jobs),
        "jobs_by_flow": {flow: dict(states) for flow, states in counts.jobs_by_flow.items()},
        "in_flight": jobs["PROCESSING"],
        "failures_per_hour": counts.failures_last_hour,
        "stored_lag_s": None if counts.stored_lag_s is None else round(counts.stored_lag_s, 1),
        "first_crawl": {"done": crawl[0], "total": crawl[1]} if crawl else None,
        "dead_letters": _dead_letters(counts.dead_letters),
        "api_jobs": [asdict(jobs) | {"oldest_s": round(jobs.oldest_s, 1)} for jobs in counts.api_jobs],
    }


def _dead_letters(waiting: Waiting | None) -> dict[str, Any] | None:
    """The groups with the newest letters, few: this is sent twice a second. `more`: there are older letters too."""
    if waiting is None:
        return None
    few = replace(waiting, groups=waiting.groups[:LETTER_GROUPS])
    return {**shown_waiting(few), "more": waiting.letters >= RECENT_LETTERS}
