"""Who is there: every process of the platform tells the others every few seconds that it lives, and what it does.

In: what this process is and does. Out: a row of the table process; what the others told, as of the last beat. A row
that was not renewed for SILENT_S is of a process that stands still or is gone; after FORGET_S it is forgotten. A
database that is away makes what is known older (`seen_s` grows), nothing else.
"""

import datetime as dt
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import trio
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import gcc
from gcc import statements
from gcc.clock import Clock
from gcc.errors import GccError
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board, State

SQL = statements.load("processes")
BEAT_S = 5.0
SILENT_S = 20.0
FORGET_S = 900.0
LEAVE_S = 1.0
OUTSIDE = ("stores/", "sources/")
NUMBER_MAX = 2**53  # more is no limit, and no number to everybody who is shown it


@dataclass(frozen=True, slots=True)
class Process:
    """One life of a process. `away`: which servers and sources it misses; `limits`: source -> {"calls", "per_s"};
    `seen_s`: how long ago it told of itself."""

    id: uuid.UUID
    host: str
    pid: int
    version: str
    state: str
    roles: list[str]
    drained: list[str]
    away: list[str]
    limits: Any  # of our own a mapping; a row may hold any JSON
    settings: str
    started_at: dt.datetime
    seen_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        return self.seen_s > SILENT_S

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        at = self.started_at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"id": str(self.id), "started_at": at, "seen_s": round(self.seen_s, 1), "silent": self.is_silent}
        return {**asdict(self), **shown, "limits": self.known_limits()}

    def known_limits(self) -> dict[str, dict[str, float]]:
        """Of `limits` what can be one."""
        given = self.limits if isinstance(self.limits, dict) else {}
        return {
            source: {"calls": limit["calls"], "per_s": limit["per_s"]}
            for source, limit in given.items()
            if _is_limit(limit)
        }


class Processes:
    """This process among the others. `state()`: starting, ready or draining; `roles`: those of this process."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        *,
        state: Callable[[], str],
        away: Callable[[], list[str]],
        roles: Mapping[str, Drain],
        limits: Mapping[str, Any],
        settings: str,
    ) -> None:
        self._pool = pool
        self._state = state
        self._away = away
        self._roles = roles
        self._own = Process(
            clock.new_id(), socket.gethostname(), os.getpid(), gcc.__version__, "starting", list(roles), [], [],
            {name: asdict(limit) for name, limit in limits.items()}, settings, clock.now(),
        )  # fmt: skip
        self._others: list[Process] = []
        self._read_at = 0.0

    async def beat(self) -> int:
        """Tell that this process lives, and learn who else does: one statement. Transient: the database is away."""
        own = self._as_now()
        values = {**asdict(own), "limits": Jsonb(own.limits), "forget_s": FORGET_S}
        async with self._pool.connection() as conn, conn.cursor(row_factory=class_row(Process)) as cursor:
            await cursor.execute(SQL["beat"], values)
            self._others = await cursor.fetchall()
        self._read_at = trio.current_time()
        return 1

    async def leave(self, drain: Drain) -> None:
        """Tell the others at once that `drain` was asked for; its stage "ports" waits for that, but not long."""
        with drain.stage("ports").member("processes"):
            await drain.requested.wait()
            with trio.move_on_after(LEAVE_S), suppress(GccError):
                await self.beat()

    def known(self) -> list[Process]:
        """This process first, then the others in the order of their starts, silent ones too."""
        since_s = trio.current_time() - self._read_at
        others = [replace(other, seen_s=other.seen_s + since_s) for other in self._others]
        return [self._as_now(), *(other for other in others if other.seen_s < FORGET_S)]

    def anybody(self, role: str) -> bool:
        """Whether any process takes work of this role, as far as is known."""
        return not self._read_at or any(
            role in process.roles
            and role not in process.drained
            and process.state != "draining"
            and not process.is_silent
            for process in self.known()
        )

    def _as_now(self) -> Process:
        drained = [name for name, drain in self._roles.items() if drain.state != "running"]
        return replace(self._own, state=self._state(), drained=drained, away=self._away())


def missed(board: Board) -> list[str]:
    """The parts outside this process that are away: stores and sources. What does not need them goes on."""
    return [actor.name for actor in board.actors() if actor.name.startswith(OUTSIDE) and actor.state is State.BACKOFF]


def differing(processes: Iterable[Process]) -> list[str]:
    """The limits on which processes that scrape do not agree, a sentence a source. What is silent has no say."""
    said: dict[str, dict[str, list[str]]] = {}
    for process in processes:
        if "scraper" in process.roles and not process.is_silent:
            for source, limit in process.known_limits().items():
                words = f"{limit['calls']:,} calls per {limit['per_s']:g} s"
                said.setdefault(source, {}).setdefault(words, []).append(f"{process.host}:{process.pid}")
    return [
        f"{source}: " + ", but ".join(f"{words} in {', '.join(who)}" for words, who in by_words.items())
        for source, by_words in sorted(said.items())
        if len(by_words) > 1
    ]


def _is_limit(value: Any) -> bool:
    match value:
        case {"calls": int(calls), "per_s": int(per_s) | float(per_s)}:
            return 0 < calls < NUMBER_MAX and 0 < per_s < NUMBER_MAX
    return False
