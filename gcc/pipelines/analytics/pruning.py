"""Pruning: what ended long ago is deleted: jobs, replayed dead letters, actions of people, runs of schedules,
deliveries of webhooks, jobs of the API, what was counted of partners, and answers to Idempotency-Keys (which nobody is
given after a day).

In: rows that ended longer ago than section `kept` of the settings says (0: they stay for ever). Out: they are gone,
BATCH rows a transaction, each under the leader's term. A batch of jobs moves what `check` counts of them to
`counted_total` in the same statement, so `check` is exact at every moment, whatever dies. A letter's object goes before
its row: cut short in between, the next round does both again, and no object is left behind.
"""

from typing import Any

import structlog

from gcc import statements
from gcc.actors.leader import Leader
from gcc.channels.objects import Objects
from gcc.config import Kept
from gcc.errors import Permanent
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Connection, Pool

BATCH = 1000
ROWS_MAX = 1_000_000  # of each kind in a round, so that every kind has its turn

_SQL = {name: text.replace("{limit}", str(BATCH)) for name, text in statements.load("pruning").items()}
_BY_AGE = {
    "jobs": _SQL["jobs"].replace("{ended}", _SQL["finished"]),
    "failed_jobs": _SQL["jobs"].replace("{ended}", _SQL["failed"]),
    "actions": _SQL["actions"],
    "schedule_runs": _SQL["schedule_runs"],
    "webhook_deliveries": _SQL["webhook_deliveries"],
    "idempotency_keys": _SQL["idempotency_keys"],
    "api_jobs": _SQL["api_jobs"],
    "usage_events": _SQL["usage_events"],
}

FIXED = {"idempotency_keys": 1, "usage_events": 62}
"""Days of what no setting is for. What was counted of partners is of use for a month, from when its period began."""

log = structlog.get_logger()


class Pruning:
    """A round is `await pruning()`; see Schedule. Raises Transient, LeaseLost when another process leads."""

    def __init__(self, pool: Pool, objects: Objects, leader: Leader, kept: Kept) -> None:
        self._pool = pool
        self._objects = objects
        self._leader = leader
        self._kept = kept

    async def __call__(self) -> dict[str, Any]:
        """Delete what is due, and answer how much, by kind."""
        due = {kind: days for kind, days in self._kept.days.items() if days} | FIXED
        return {"pruned": {kind: await self._prune(kind, days) for kind, days in due.items()}}

    async def recount(self) -> dict[str, Any]:
        """Mend the kept counts where somebody wrote past their triggers; answers how many were wrong."""
        arguments = {"leader": self._leader.name, "term": self._leader.term}
        async with self._pool.connection() as connection:
            mended = (await connection.execute(_SQL["recount"], arguments)).rowcount
        if mended:
            log.warning("counts of jobs or queues were wrong, and are right again", counts=mended)
        return {"mended": mended}

    async def _prune(self, kind: str, days: int) -> int:
        pruned, batch = 0, BATCH
        while batch == BATCH and pruned < ROWS_MAX:
            batch = await (self._letters(days) if kind == "letters" else self._by_age(kind, days))
            pruned += batch
        return pruned

    async def _by_age(self, kind: str, days: int) -> int:
        async with as_leader(self._pool, self._leader) as connection:
            return await _count(connection, _BY_AGE[kind], days=days)

    async def _letters(self, days: int) -> int:
        async with as_leader(self._pool, self._leader) as connection:
            ((ids, keys),) = await (await connection.execute(_SQL["due_letters"], {"days": days})).fetchall()
        for key in keys:
            try:
                await self._objects.delete(key)
            except Permanent as error:  # its key is none, or it must not be deleted: that holds up no other
                log.warning("the object of pruned dead letters stays", reason=str(error))
        async with as_leader(self._pool, self._leader) as connection:
            return await _count(connection, _SQL["letters"], ids=ids, days=days)


async def _count(connection: Connection, statement: str, **arguments: Any) -> int:
    ((count,),) = await (await connection.execute(statement, arguments)).fetchall()
    return int(count)
