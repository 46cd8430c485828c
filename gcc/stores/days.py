"""Days in PostgreSQL: what all processes reserved of limits per day. Its clock says which day it is, and where."""

from gcc import statements
from gcc.sources.days import Block
from gcc.stores.postgres import Pool

SQL = statements.load("limits")


class PostgresDays:
    """See `gcc.sources.days.Days`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def reserve(self, name: str, *, units: int, calls: int, zone: str) -> Block:
        async with self._pool.connection() as conn:
            values = {"name": name, "wanted": units, "calls": calls, "zone": zone}
            row = await (await conn.execute(SQL["reserve"], values)).fetchone()
        assert row is not None, "it returns what it wrote"
        return Block(*row)
