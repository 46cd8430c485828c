"""Writes frames into the outbox, inside a transaction that the caller owns.

Committed together with the state they describe; the relay carries them on.
"""

from collections.abc import Sequence

from gcc.channels.message import Frame
from gcc.stores import statements
from gcc.stores.postgres import Connection

SQL = statements.load("jobs")


async def put(conn: Connection, frames: Sequence[Frame]) -> None:
    """Insert `frames`, in their order. Nothing is visible before the caller's commit."""
    if frames:
        await conn.execute(
            SQL["put_outbox"],
            {
                "ids": [frame.id for frame in frames],
                "exchanges": [frame.route.exchange for frame in frames],
                "keys": [frame.route.key for frame in frames],
                "events": [frame.events for frame in frames],
                "bodies": [frame.body for frame in frames],
            },
        )
