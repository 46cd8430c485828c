"""What every process holds of a broker's queues, as it tells: a row each in PostgreSQL's table `queue_holding`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from gcc import statements
from gcc.channels.exchange import Held
from gcc.stores.postgres import Pool

SQL = statements.load("holdings")
ALIVE_S = 10.0  # who has not told for so long is dead, or does not get through: nothing is known of it


@dataclass(frozen=True, slots=True)
class Holding:
    """What `process` held of one queue when it told for the `beat`-th time."""

    process: uuid.UUID
    beat: int
    held: Held


async def tell(pool: Pool, process: uuid.UUID, held: Sequence[Held]) -> None:
    """Transient: the database is away, and soon nobody knows what this process holds."""
    arguments = {
        "process": process,
        "queues": [each.queue for each in held],
        "consumers": [each.consumers for each in held],
        "messages": [each.messages for each in held],
        "received": [each.received for each in held],
    }
    async with pool.connection() as conn:
        await conn.execute(SQL["tell"], arguments)


async def told(pool: Pool) -> list[Holding]:
    """By all who are alive."""
    async with pool.connection() as conn:
        rows = await (await conn.execute(SQL["told"], {"within_s": ALIVE_S})).fetchall()
    return [Holding(process, beat, Held(*held)) for process, beat, *held in rows]
