"""The outbox in PostgreSQL: `put` writes frames inside a transaction that the caller owns.

`PostgresOutbox` is for a relay that hands frames to somebody else's broker. The PostgreSQL exchange needs none of it:
there relaying is one statement.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from gcc import statements
from gcc.channels.memory import Signal
from gcc.channels.message import Frame, Route
from gcc.channels.outbox import Emit, OutboxRow
from gcc.stores.leadership import hold
from gcc.stores.postgres import Connection, Pool

SQL = statements.load("jobs")
RELAYING = statements.load("exchange")


async def put(conn: Connection, frames: Sequence[Frame]) -> None:
    """Insert `frames`, in their order. Nothing is visible before the caller's commit."""
    if frames:
        await conn.execute(SQL["put_outbox"], columns(frames))


async def unrelayed(pool: Pool, routes: Sequence[Route]) -> int:
    """Events that no queue has yet, as where no relay runs; of many, how many at least. Raises Transient."""
    asked = {"exchanges": [route.exchange for route in routes], "keys": [route.key for route in routes]}
    async with pool.connection() as conn:
        ((events,),) = await (await conn.execute(RELAYING["unrelayed"], asked)).fetchall()
    return int(events)


def emitter(pool: Pool, written: Signal) -> Emit:
    """Who sets `written` after each commit."""

    async def emit(frames: Sequence[Frame]) -> None:
        async with pool.transaction() as conn:
            await put(conn, frames)
        written.set()

    return emit


def columns(frames: Sequence[Frame]) -> dict[str, Any]:
    """The frames, as statements that insert them take them."""
    return {
        "ids": [frame.id for frame in frames],
        "exchanges": [frame.route.exchange for frame in frames],
        "keys": [frame.route.key for frame in frames],
        "frame_events": [frame.events for frame in frames],
        "bodies": [frame.body for frame in frames],
        "counted": [frame.counted for frame in frames],
    }


def outbox_rows(rows: Iterable[tuple[Any, ...]]) -> list[OutboxRow]:
    """As statements select them, in their order."""
    return [
        OutboxRow(row_id, Frame(frame_id, Route(exchange, key), events, bytes(body), counted=counted), created_at)
        for row_id, frame_id, exchange, key, events, body, counted, created_at in rows
    ]


class PostgresOutbox:
    """See `gcc.channels.outbox.Outbox`. `leader` is the name of the term that fences the removal, and burials."""

    def __init__(self, pool: Pool, leader: str) -> None:
        self._pool = pool
        self.leader = leader

    async def oldest(self, frames_max: int, bytes_max: int, *, without: Sequence[Route]) -> list[OutboxRow]:
        statement = RELAYING["oldest"].replace("{frames_max}", str(frames_max)).replace("{bytes_max}", str(bytes_max))
        routes = {"exchanges": [route.exchange for route in without], "keys": [route.key for route in without]}
        async with self._pool.connection() as conn:
            return outbox_rows(await (await conn.execute(statement, routes, binary=True)).fetchall())

    async def remove(self, ids: Sequence[int], *, term: int) -> None:
        if ids:
            async with self._pool.transaction() as conn:
                await hold(conn, self.leader, term)
                await conn.execute(RELAYING["delete_outbox"], {"ids": ids})
