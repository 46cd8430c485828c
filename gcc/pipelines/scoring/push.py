"""Whom the scorer is asked about: followers without a score, and those whom an older version has scored.

In: edges and scores of ClickHouse. Out: frames of the outbox for creator_follower_in. The queue is bounded: no more
than `waiting_max` wait. `unscored` goes once through all edges, as they lie, a range of followers after the other, or
for PUSH_S, so nobody is asked about twice in a run, whatever a broker shows of its queues; it begins when what was
asked before is stored, as far as looks can tell: who is asked about twice all the same is one row. `again` asks about a
few at each due time, and about a handful where nothing tells that a scorer of this version is at work. Raises
Transient; LeaseLost when another process leads.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec
import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.actors.warehouse import Queries
from gcc.channels.exchange import Exchange
from gcc.channels.message import frames
from gcc.clock import Clock
from gcc.config.sections import Scorer
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN
from gcc.pipelines.events.types import CREATOR_FOLLOWER_SCORE, encode, timestamp
from gcc.pipelines.scoring.asked import PLATFORMS
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.stores import outbox
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

ROUTES = (CREATOR_FOLLOWER_IN, CREATOR_FOLLOWER_SCORE.route)
QUEUES = (CREATOR_FOLLOWER_IN.key, CREATOR_FOLLOWER_SCORE.queue)
RANGE_EDGES = 100_000  # of one query
COMMIT_ROWS = 5000
PUSH_S = 45 * 60.0  # its schedule may take an hour
LOOK_S = 2.0
STORED_LOOKS = 4  # one after the other at which nothing waits
SETTLE_S = 10 * 60.0  # for these; others may ask without end
PROBE = 100
ANSWERED_WITHIN_S = 3600  # by this version, or newer: then it is at work

_SQL = statements.load("scoring", statements.SQL / "clickhouse" / "queries")


class FollowerPush:
    def __init__(
        self, queries: Queries, pool: Pool, leader: Leader, exchange: Exchange, clock: Clock, settings: Scorer
    ) -> None:
        self._queries = queries
        self._pool = pool
        self._leader = leader
        self._exchange = exchange
        self._clock = clock
        self._settings = settings

    async def unscored(self) -> Mapping[str, Any]:
        """How many had no score and were asked about; `left`: there may be more, for which there was no time."""
        asked = 0
        with trio.move_on_after(PUSH_S):
            with trio.move_on_after(SETTLE_S):
                await self._all_stored()
            async with aclosing(self._ranges()) as ranges:
                async for values in ranges:
                    rows = await self._queries.rows(_SQL["unscored"], values)
                    await self._room_for(len(rows))
                    await self._ask(_seen(row) for row in rows)
                    asked += len(rows)
            return {"asked": asked}
        return {"asked": asked, "left": True}

    async def again(self) -> Mapping[str, Any]:
        """How many of those whose score is an older version's were asked about now; none while others wait."""
        if waiting := await self._waiting():
            return {"asked": 0, "waiting": waiting}
        values = {"version": SCORER_VERSION, "within_s": ANSWERED_WITHIN_S}
        ((older, at_work),) = [row.values() for row in await self._queries.rows(_SQL["versions"], values)]
        if not older:  # of the many rows no more is read
            return {"asked": 0}
        limit = self._settings.again_max if at_work else min(PROBE, self._settings.again_max)
        rows = await self._queries.rows(_SQL["scored_before"], {"version": SCORER_VERSION, "limit": limit})
        await self._ask(
            row | {"account": msgspec.json.decode(row["account"]), "again_for": int(SCORER_VERSION)} for row in rows
        )
        return {"asked": len(rows)}

    async def _ranges(self) -> AsyncGenerator[dict[str, Any], None]:
        """What `unscored` takes, of all edges, each of RANGE_EDGES or not many more."""
        size = min(self._settings.waiting_max, RANGE_EDGES)
        for platform in PLATFORMS:
            since = ""
            while True:
                values = {"platform": platform, "since": since, "limit": size}
                ((until, edges),) = [row.values() for row in await self._queries.rows(_SQL["range"], values)]
                if not edges:
                    break
                parts = edges // (2 * size) + 1
                for part in range(parts):
                    yield {"platform": platform, "since": since, "until": until, "parts": parts, "part": part}
                since = f"{until}\x01"  # what is between these has a zero byte, and cannot be asked about

    async def _room_for(self, rows: int) -> None:
        """Where nobody waits there is room for any number."""
        while rows:
            waiting = await self._waiting()
            if not waiting or waiting + rows <= self._settings.waiting_max:
                return
            await trio.sleep(LOOK_S)

    async def _all_stored(self) -> None:
        """Wait until nobody waits for a score, nor a score for its table, which several looks tell: a broker does not
        show what other processes have in hand."""
        empty = STORED_LOOKS - 1  # where nobody waits from the start, one look is enough
        while empty < STORED_LOOKS:
            if await self._waiting():
                empty = 0
            else:
                empty += 1
            if empty < STORED_LOOKS:
                await trio.sleep(LOOK_S)

    async def _waiting(self) -> int:
        """In the outbox or a queue: where nothing is relayed, queues stay empty whatever is asked."""
        queued = sum(depth.events for depth in await self._exchange.depths() if depth.queue in QUEUES)
        return queued + await outbox.unrelayed(self._pool, ROUTES)

    async def _ask(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """In transactions of a bounded size."""
        told: list[bytes] = []
        for row in rows:
            told.append(self._message(row))
            if len(told) == COMMIT_ROWS:
                await self._commit(told)
                told = []
        await self._commit(told)

    def _message(self, row: Mapping[str, Any]) -> bytes:
        named = {"event_id": str(self._clock.new_id()), "event_timestamp": timestamp(self._clock.now())}
        return encode(named | {name: value for name, value in row.items() if value not in (None, "")})

    async def _commit(self, told: Sequence[bytes]) -> None:
        if told:
            packed = frames(CREATOR_FOLLOWER_IN, told, self._clock.new_id)
            async with as_leader(self._pool, self._leader) as connection:
                await outbox.put(connection, [replace(frame, counted=0) for frame in packed])


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `unscored` as a message."""
    figures = ("followers", "following", "posts", "picture", "private")
    account = {name: row[name] for name in figures if row[name] is not None}
    return {**{name: value for name, value in row.items() if name not in figures}, "account": account}
