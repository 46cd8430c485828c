"""Who sees whose rows in PostgreSQL: row-level security, and the role of requests, which it holds.

In: two conninfos of one database, the owner's (postgres.url) and the web pool's (postgres.web_url). Out: what both may,
given as far as it is missing: after a migration, and after a restore under other names. What policies say is in the
migration 0043_row_level_security; what a partner's transaction is, in `Pool.tenant`.
"""

import psycopg
from psycopg import sql

from gcc import statements
from gcc.errors import ConfigError
from gcc.stores.migrations import refused
from gcc.stores.postgres import Connection

SQL = statements.load("tenancy")
LOCK = statements.load("migrations")["lock"]
ROLE = "gcc_web"
"""What the role of requests is called where the name is ours to choose."""


async def settle(owner: str, web: str) -> None:
    """`web` empty: requests are the owner's. Idempotent.

    Raises ConfigError where row-level security would not hold the role of `web`, and where a server refuses us;
    Transient when it is away.
    """
    if not web:
        await _give(owner, None)
        return
    with refused(web, "postgres.web_url"):
        async with await Connection.connect(web) as requests:
            ((role, free),) = await (await requests.execute(SQL["who"])).fetchall()
            if free:
                raise ConfigError(
                    f"postgres.web_url: role {role} is {free}, so row-level security would not hold requests;"
                    " name a role that may only log in, see docs/servers.md"
                )
            await _give(owner, role)
            ((same,),) = await (await requests.execute(SQL["is_in"])).fetchall()
    if not same:
        raise ConfigError(
            "postgres.web_url names another database than postgres.url; name the same server and database"
        )


async def _give(owner: str, role: str | None) -> None:
    with refused(owner, "postgres.url"):
        async with await Connection.connect(owner) as connection, connection.transaction():
            await connection.execute(LOCK)  # two processes may not change the rights to one table at once
            due = await (await connection.execute(SQL["due_to_owner"])).fetchall()
            if role:
                due += await _due_to(connection, role)
            for (statement,) in due:
                await connection.execute(sql.SQL(statement))


async def _due_to(connection: Connection, role: str) -> list[tuple[str]]:
    try:
        ((seen,),) = await (await connection.execute(SQL["is_seen"], {"role": role})).fetchall()
    except psycopg.errors.UndefinedObject:
        raise ConfigError(
            f"postgres.web_url: the server of postgres.url has no role {role}; name the same server"
        ) from None
    if not seen:
        us = connection.info.user
        raise ConfigError(
            f"postgres.url: {us} does not see since when transactions of {role} are open, which replicas must know;"
            f" have the server's administrator say: grant {role} to {us}"
        )
    return await (await connection.execute(SQL["due"], {"role": role})).fetchall()
