"""What schedules ran: PostgreSQL's table `schedule_run`, written by the leader, read by people.

Writes that begin something are fenced by the leader's term. Raises Transient when the database is away.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.actors.scheduler import ScheduleRun
from gcc.errors import LeaseLost
from gcc.stores.postgres import Pool

_SQL = statements.load("schedules")


class PostgresScheduleRuns:
    """See `gcc.actors.scheduler.ScheduleRuns`."""

    def __init__(self, pool: Pool, *, leader: str) -> None:
        """`leader` is the name whose term fences the writes."""
        self._pool = pool
        self._leader = leader

    async def begin(self, run: ScheduleRun, term: int) -> None:
        values = {"id": run.id, "schedule": run.schedule, "started_at": run.started_at}
        if await self._write("begin_run", {**values, "leader": self._leader, "term": term}) == 0:
            raise LeaseLost(f"term {term} of leader {self._leader!r} is over, or another one has closed its run")

    async def end(self, run: ScheduleRun) -> None:
        detail = Jsonb(dict(run.detail or {}))
        await self._write("end_run", {"id": run.id, "status": run.status, "ended_at": run.ended_at, "detail": detail})

    async def close_stale(self, term: int, now: dt.datetime) -> int:
        return await self._write("close_stale", {"leader": self._leader, "term": term, "ended_at": now})

    async def last(self) -> dict[str, ScheduleRun]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(ScheduleRun))
            await cursor.execute(_SQL["last_runs"])
            return {run.schedule: run for run in await cursor.fetchall()}

    async def past(self, schedule: str, limit: int) -> list[ScheduleRun]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(ScheduleRun))
            await cursor.execute(_SQL["past_runs"], {"schedule": schedule, "limit": limit})
            return await cursor.fetchall()

    async def succeeded(self) -> dict[str, dt.datetime]:
        async with self._pool.connection() as connection:
            return dict(await (await connection.execute(_SQL["last_successes"])).fetchall())

    async def _write(self, statement: str, values: Mapping[str, Any]) -> int:
        async with self._pool.connection() as connection:
            return (await connection.execute(_SQL[statement], values)).rowcount
