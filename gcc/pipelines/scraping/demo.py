"""A tenant to look at: collections, a campaign with prices, a group, links, of the creators that the world has.

In: a platform whose first crawl is stored. Out: rows of the tenant that the development token is of, by which every
mart of collections has something to tell. One transaction, and doing it again adds nothing. Only where setting `demo`
is on, and the world answers for the outside.
"""

from typing import Any

from gcc import statements
from gcc.stores.postgres import Pool

_SQL = statements.load("demo")
_FRAGMENT = "ours"


async def seed(pool: Pool) -> dict[str, Any]:
    """How many rows came to be, by table. Raises Transient."""
    added = {}
    async with pool.transaction() as connection:
        for table, statement in _SQL.items():
            if table != _FRAGMENT:
                cursor = await connection.execute(statement.replace("{ours}", _SQL[_FRAGMENT]))
                added[table] = cursor.rowcount
    return {"rows": sum(added.values()), **{table: rows for table, rows in added.items() if rows}}
