"""What goes wrong where the platform meets its stores and the outside; off once `healed`."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import psycopg
import trio
from clickhouse_connect.driver import exceptions as clickhouse
from psycopg import errors as postgres

from gcc.errors import Transient
from gcc.pipelines.scoring.workers import WorkerDied
from gcc.sources.table import SOURCES
from gcc.world.answer import Answer, answer
from tests.fakes.fetcher import Reply
from tests.simulation.mix import Mix
from tests.simulation.throttles import Throttles, Trouble, Use
from tests.simulation.world import Call, World, bug_in

DEPENDENCIES = (
    "database",
    "primary",
    "answers",
    "store",
    "columns",
    "objects",
    "graphapi",
    "ytapi",
    "broker",
    "scrapers",
)
"""What can be away: "primary" leaves a standby, which only reads; "answers" are those to commits, which are done;
without the "columns" the event store refuses every row; "scrapers" are all who read a platform without its consent."""
RETRY_AFTER_S = 2
CURSOR = "pageToken"  # how YouTube's APIs call it
CIRCLE = "circle"  # the cursor of a page without an item whose next one is it itself
SLOW_PACKETS = 0.1
ANSWER_S = (0.02, 0.02, 0.1, 0.3, 0.6)
"""From when a call arrived: those that take the shortest time tell how long others had been there at least."""
Raiser = Callable[[], Exception]  # each occasion gets one of its own: an exception that is raised again grows
BROKEN: tuple[Raiser, ...] = (
    lambda: psycopg.OperationalError("server closed the connection unexpectedly"),
    lambda: postgres.AdminShutdown("terminating connection due to administrator command"),
    lambda: postgres.CannotConnectNow("the database system is starting up"),
    lambda: postgres.ConnectionFailure("connection failure"),
    lambda: postgres.TooManyConnections("sorry, too many clients already"),
    lambda: postgres.IdleSessionTimeout("terminating connection due to idle-session timeout"),
    lambda: postgres.IdleInTransactionSessionTimeout("terminating connection due to idle-in-transaction timeout"),
    lambda: postgres.SerializationFailure("could not serialize access due to concurrent update"),
    lambda: psycopg.InterfaceError("the connection is closed"),
)
"""How psycopg says that it is the server or the moment, not what was asked."""
STORE_AWAY: tuple[Raiser, ...] = (
    lambda: clickhouse.OperationalError("Connection refused"),
    lambda: clickhouse.DatabaseError("DB::Exception: Memory limit exceeded", code=241),
    lambda: clickhouse.DatabaseError("DB::Exception: of a version to come", code=9999),
    lambda: clickhouse.DatabaseError("DB::Exception: Tables are loading asynchronously", code=722),
    lambda: clickhouse.DatabaseError("DB::Exception: Table is in readonly mode", code=242),
)
"""How ClickHouse's driver says the same; 9999 and 722 are on nobody's list."""


class Told(Protocol):
    """Who keeps books of what the outside tells the one that calls."""

    def refused(self, trouble: Trouble) -> None: ...

    def full(self, use: Use, delay_s: float) -> None: ...

    def throttled(self) -> None: ...


class Bug(Exception):
    """What no adapter knows. Whatever meets it must lose nothing."""


class Faults:
    """One run's troubles. `away` holds the dependencies that are gone altogether at the moment."""

    def __init__(self, mix: Mix, rng: random.Random, world: World) -> None:
        self.world = world
        self._mix = mix
        self._rng = rng
        self.throttles = Throttles(rng, mix.throttle_s)
        self.healed = False
        self.away: set[str] = set()

    def heal(self) -> None:
        self.healed = True
        self.away.clear()
        self.throttles.heal()

    @property
    def slow(self) -> bool:
        """Whether answers take so long, healed or not, that calls on their way fill a limit."""
        return self._mix.source_slow > 0

    def strikes(self, share: float) -> bool:
        return not self.healed and share > 0.0 and self._rng.random() < share

    async def _on_the_way(self) -> None:
        """A packet's time: mostly none that counts (each sleep is a leap of the virtual clock, which costs)."""
        chance = self._rng.random()
        if chance < SLOW_PACKETS:
            await trio.sleep(self._rng.expovariate(1 / self._mix.commit_s))
        elif chance < 0.5:
            await trio.lowlevel.checkpoint()

    async def before_commit(self) -> None:
        await self._on_the_way()
        if "database" in self.away or self.strikes(self._mix.break_before):
            raise self._rng.choice(BROKEN)()
        if self.strikes(self._mix.bug):
            raise Bug("simulated: before the commit")

    async def after_commit(self) -> None:
        await self._on_the_way()
        if "answers" in self.away or self.strikes(self._mix.break_after):
            raise self._rng.choice(BROKEN)()
        if self.strikes(self._mix.bug):
            raise Bug("simulated: after the commit")

    async def before_insert(self) -> None:
        await trio.sleep(self._rng.expovariate(1 / self._mix.store_s))
        if "columns" in self.away:
            raise clickhouse.DatabaseError("DB::Exception: Unknown field found while parsing", code=117)
        if "store" in self.away or self.strikes(self._mix.store_fails):
            raise self._rng.choice(STORE_AWAY)()

    async def after_insert(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.strikes(self._mix.store_answer_lost):
            raise self._rng.choice(STORE_AWAY)()

    async def before_scoring(self) -> None:
        await trio.sleep(self._rng.choice(ANSWER_S))
        if self.strikes(self._mix.workers_die):
            raise WorkerDied("simulated: the worker was killed")

    async def before_put(self) -> None:
        """Also when healed an object store may be slow."""
        await trio.sleep(self._mix.objects_s)
        if "objects" in self.away or self.strikes(self._mix.objects_fail):
            raise Transient("simulated: the object store is away")

    def read_only(self) -> bool:
        return "primary" in self.away

    def way_s(self) -> float:
        """Of one call, also when healed: half of the time that it may be on its way in a window of a second at most."""
        return self._rng.uniform(0.0, 0.5) if self._rng.random() < self._mix.source_far else 0.0

    def outside(self, call: Call, told: Told) -> Reply:
        """The world's answer, or trouble, of which the books are told; or what wrong code raises over this request."""
        request = call.request
        if (bug := bug_in(request)) is not None:
            raise bug
        slow = self._rng.random() < self._mix.source_slow  # also when healed: slowness is no fault
        delay_s = self._rng.uniform(5.0, 14.0) if slow else self._rng.choice(ANSWER_S)
        if request.source in self.away or ("scrapers" in self.away and SOURCES[request.source].unofficial):
            return self._rng.choice((Reply(503, b"gone", {}, delay_s), Reply(lost=True, delay_s=delay_s)))
        if self.strikes(self._mix.source_fails):
            kind = self._rng.choice(("429", "500", "silence", "lost", "garbage"))
            return {
                "429": Reply(429, b"{}", {"retry-after": str(RETRY_AFTER_S)}, delay_s),
                "500": Reply(500, b"oops", {}, delay_s),
                "silence": Reply(delay_s=1e6),
                "lost": Reply(lost=True, delay_s=delay_s),
                "garbage": Reply(200, b"<html>", {}, delay_s),
            }[kind]
        if trouble := self.throttles.trouble(call):
            told.refused(trouble)
            return reply(trouble.kind.refusal(call, trouble.until - trio.current_time()), delay_s)
        if request.params.get(CURSOR) == CIRCLE and not self.healed:
            empty = {"kind": "youtube#ListResponse", "items": [], "nextPageToken": CIRCLE}
            return reply(answer(200, empty), delay_s)
        found = self.world.answer(call)
        if b'ListResponse"' in found.body[:60] and self.strikes(self._mix.circles):
            found = replace(found, body=b'{"nextPageToken":"%b",' % CIRCLE.encode() + found.body[1:])
        if b'"THROTTLED"' in found.body:
            told.throttled()
        if found.status == 200 and (use := self.throttles.used(call)):
            if use.share >= 1:
                told.full(use, delay_s)
            found = replace(found, headers=(*found.headers, *use.told(call, trio.current_time())))
        return reply(found, delay_s)


def reply(found: Answer, delay_s: float) -> Reply:
    headers = {"content-type": found.content_type, **dict(found.headers)}
    if found.retry_after_s is not None:
        headers["retry-after"] = str(found.retry_after_s)
    return Reply(found.status, found.body, headers, delay_s)
