"""Who leads: terms in PostgreSQL's table `leader`, one row a name, decided by the database's clock.

In: campaigns of candidates. Out: a term (it grows with every new leader) or None. A term is a fence:
`hold` inside a transaction proves that it still runs and keeps it from being taken until the commit.
Raises Transient when the database is away: then nobody knows, and the caller's trust runs out.
"""

from gcc import statements
from gcc.errors import LeaseLost
from gcc.stores.postgres import Connection, Pool

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
