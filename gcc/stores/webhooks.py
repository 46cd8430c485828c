"""Webhooks in PostgreSQL: who is told of an event, what is due, and what became of it.

What is claimed is leased for LEASE_S: who dies with it loses the lease, and another sends it again. A result counts
only for the claim that it came of. Of one endpoint two are under way at once, whoever claims.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from gcc import statements
from gcc.clock import Clock
from gcc.stores.postgres import Pool

EACH = 2
"""So many are under way to one endpoint at once."""
CLAIMED_MAX = 64
LEASE_S = 60.0
PATIENCE_S = 5 * 86_400.0
"""Who has taken nothing for so long is sent nothing more."""

_SQL = {name: text.replace("{each}", str(EACH)) for name, text in statements.load("webhooks").items()}


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event of a partner. `endpoint_id`: for that endpoint alone, whatever it is told of."""

    event_id: uuid.UUID
    partner_id: int
    type: str
    body: bytes
    endpoint_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed delivery. The URL may hold a secret."""

    id: uuid.UUID
    endpoint_id: uuid.UUID
    event_id: uuid.UUID
    body: bytes
    attempt: int
    failures: int
    url: str = field(repr=False)
    generation: int
    rotated_at: dt.datetime | None


class PostgresWebhooks:
    """All raise Transient."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def arrive(self, events: Sequence[Arrived]) -> int:
        """A delivery for each endpoint that an event is for: how many are new. The same event again adds none."""
        arguments = {
            "partners": [event.partner_id for event in events],
            "types": [event.type for event in events],
            "endpoints": [event.endpoint_id for event in events],
        }
        async with self._pool.transaction() as connection:
            rows = await (await connection.execute(_SQL["subscribed"], arguments)).fetchall()
            told = [(events[number - 1], partner, endpoint) for number, partner, endpoint in rows]
            inserted = await connection.execute(
                _SQL["arrive"],
                {
                    "ids": [self._clock.new_id() for _ in told],
                    "partners": [partner for _, partner, _ in told],
                    "endpoints": [endpoint for _, _, endpoint in told],
                    "events": [event.event_id for event, _, _ in told],
                    "types": [event.type for event, _, _ in told],
                    "bodies": [event.body for event, _, _ in told],
                },
            )
            return inserted.rowcount

    async def claim(self, room: int) -> list[Due]:
        """At most `room` of what is due, leased."""
        room = min(room, CLAIMED_MAX)
        lock, claim = (_SQL[name].replace("{room}", str(room)) for name in ("lock_ready", "claim"))
        async with self._pool.transaction() as connection:
            ready = [id for (id,) in await (await connection.execute(lock)).fetchall()]
            if not ready:
                return []
            rows = await (await connection.execute(claim, {"endpoints": ready, "lease_s": LEASE_S})).fetchall()
        return [Due(*row) for row in rows]

    async def end_leases(self) -> None:
        """Where nobody else can be at it: those of the last life."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["end_leases"])

    async def delivered(self, due: Due, answered: int) -> None:
        async with self._pool.connection() as connection:
            arguments = {"id": due.id, "attempt": due.attempt, "answered": answered}
            await connection.execute(_SQL["delivered"], arguments)

    async def failed(
        self, due: Due, error: str, *, answered: int | None, retry_s: float | None, gone: bool = False
    ) -> None:
        """`retry_s`: when it is tried again; None: never. `gone`: the endpoint wants nothing more."""
        arguments = {
            "id": due.id,
            "attempt": due.attempt,
            "error": error,
            "answered": answered,
            "retry_s": retry_s,
            "gone": gone,
            "patience_s": PATIENCE_S,
            "activity_id": self._clock.new_id(),
        }
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["failed"], arguments)
