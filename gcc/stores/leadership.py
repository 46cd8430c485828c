"""Who leads: terms in PostgreSQL's table `leader`, one row a name, decided by the database's clock.

In: campaigns of candidates. Out: a term (it grows with every new leader) or None. A term is a fence:
`hold` inside a transaction proves that it still runs and keeps it from being taken until the commit.
Raises Transient when the database is away: then nobody knows, and the caller's trust runs out.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.errors import LeaseLost, Transient
from gcc.stores.postgres import Connection, Pool

HELD_S = 4.0  # nobody can take over meanwhile, however dead we are

_SQL = statements.load("leadership")


class PostgresLeadership:
    """See `gcc.actors.leader.Leadership`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def campaign(self, name: str, holder: str, *, ttl_s: float) -> int | None:
        async with self._pool.connection() as connection:
            values = {"name": name, "holder": holder, "ttl_s": ttl_s}
            row = await (await connection.execute(_SQL["campaign"], values)).fetchone()
        return int(row[0]) if row else None

    async def resign(self, name: str, holder: str, term: int) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["resign"], {"name": name, "holder": holder, "term": term})

    async def end_terms(self) -> None:
        """End every term now: for a process that has the database for itself, so that whoever led is dead."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["end_terms"])


async def hold(connection: Connection, name: str, term: int) -> None:
    """Keep the term from changing hands until the connection's transaction ends. LeaseLost: it is over."""
    row = await (await connection.execute(_SQL["hold"], {"name": name, "term": term})).fetchone()
    if row is None:
        raise LeaseLost(f"term {term} of leader {name!r} is over")


@asynccontextmanager
async def as_leader(pool: Pool, leader: Leader) -> AsyncIterator[Connection]:
    """A transaction: until its end nobody else can lead (we renew our term all the same), so it is cut after HELD_S.

    LeaseLost: this process does not lead. Transient: it was cut short.
    """
    term = leader.term
    if term is None:
        raise LeaseLost(f"this process does not lead {leader.name!r}")
    with trio.move_on_after(HELD_S) as patience:
        async with pool.transaction() as connection:
            await hold(connection, leader.name, term)
            yield connection
    if patience.cancelled_caught:
        raise Transient(f"what the leader {leader.name!r} does was not done within {HELD_S:g} s")
