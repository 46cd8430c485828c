"""Where refused events go: the body into the object store, a row with the reason into PostgreSQL.

Idempotent: the same events of the same frame get the same id, so a burial that was cut short is done
again without a second row. The object is written first; a row always has its object.
"""

import hashlib
import uuid
from typing import Protocol

from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.stores import statements
from gcc.stores.objects import Objects
from gcc.stores.postgres import Pool

SQL = statements.load("exchange")


class DeadLetters(Protocol):
    async def bury(self, queue: str, frame: Frame, *, body: bytes, events: int, reason: str) -> None:
        """Keep `events` events of `frame` (their lines in `body`) with the reason. Transient: not kept."""


class StoredDeadLetters:
    """Dead letters in the object store under dlq/{date}/{queue}/{id}.json, and in table `dead_letter`."""

    def __init__(self, pool: Pool, objects: Objects, clock: Clock) -> None:
        self._pool = pool
        self._objects = objects
        self._clock = clock

    async def bury(self, queue: str, frame: Frame, *, body: bytes, events: int, reason: str) -> None:
        letter_id = uuid.uuid5(frame.id, f"{queue}:{hashlib.sha256(body).hexdigest()}")
        key = f"dlq/{self._clock.now():%Y-%m-%d}/{queue}/{letter_id}.json"
        await self._objects.put(key, body)
        async with self._pool.connection() as conn:
            await conn.execute(
                SQL["bury"],
                {
                    "id": letter_id,
                    "queue": queue,
                    "exchange": frame.route.exchange,
                    "key": frame.route.key,
                    "frame_id": frame.id,
                    "events": events,
                    "reason": reason[:2000],
                    "object_key": key,
                },
            )
