"""Live overrides and the action log in PostgreSQL: each change is committed together with the action that made it.

Every process is told of it (NOTIFY gcc_controls).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.actors.controls import Action
from gcc.stores.postgres import Connection, Pool

SQL = statements.load("controls")
CONTROLS_CHANNEL = "gcc_controls"


class PostgresControls:
    """See `gcc.actors.controls.Controls`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self) -> Mapping[str, Any]:
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(SQL["read"])).fetchall()
        return {name: _value(text) for name, text in rows}

    async def write(self, name: str, value: Any | None, action: Action) -> None:
        async with self._pool.transaction() as conn:
            if value is None:
                await conn.execute(SQL["remove"], {"name": name})
            else:
                arguments = {"name": name, "value": Jsonb(value), "who": action.who, "why": action.why, "at": action.at}
                await conn.execute(SQL["set"], arguments)
            await _record(conn, action)

    async def record(self, action: Action) -> None:
        async with self._pool.transaction() as conn:
            await _record(conn, action)

    async def actions(self, limit: int) -> list[Action]:
        async with self._pool.connection() as conn, conn.cursor(row_factory=class_row(Action)) as cursor:
            await cursor.execute(SQL["actions"], {"limit": limit})
            return await cursor.fetchall()


def _value(text: str) -> Any:
    """What a row says; a row that nobody can read (a number of 5,000 digits, say) is there, and says its text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


async def _record(conn: Connection, action: Action) -> None:
    detail = None if action.detail is None else Jsonb(action.detail)
    await conn.execute(SQL["record"], {**asdict(action), "detail": detail})
    await conn.execute(SQL["notify"], {"channel": CONTROLS_CHANNEL})
