"""Live overrides and the action log: what people changed while the platform runs, who and why.

An override is a row by name: `pause:<actor>` is true, `concurrency:<flow>` a number; no row, no override.
Each change is committed together with the action that made it and tells every process (NOTIFY gcc_controls).
Losing the store is Transient.
"""

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.stores.postgres import Connection, Pool

SQL = statements.load("controls")
CONTROLS_CHANNEL = "gcc_controls"
PAUSE = "pause:"
CONCURRENCY = "concurrency:"
CONCURRENCY_MAX = 1000


@dataclass(frozen=True, slots=True)
class Action:
    """What a person did: `verb` ("pause", "retry", ...) to `target` (an actor, a flow, a filter in words).

    `things` counts what it was done to; None where that is not counted, or not known because it was cut off.
    """

    id: uuid.UUID
    at: dt.datetime
    who: str
    why: str
    verb: str
    target: str
    things: int | None = None
    detail: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        at = self.at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {**asdict(self), "id": str(self.id), "at": at}


class Controls(Protocol):
    async def read(self) -> Mapping[str, Any]:
        """Every override: name -> value."""

    async def write(self, name: str, value: Any | None, action: Action) -> None:
        """Set an override, or remove it (None), and note `action`, in one transaction."""

    async def record(self, action: Action) -> None:
        """Note an action without an override. The same id again replaces its `things` and `detail`."""

    async def actions(self, limit: int) -> list[Action]:
        """The last ones, newest first."""


class PostgresControls:
    """See `Controls`."""

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
