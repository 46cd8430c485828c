"""Jobs of the API in PostgreSQL, for those who run them; api_jobs_asked.py has what a tenant sees of them.

See gcc/channels/api_jobs.py. Leases are decided by the database's clock.
Partners take turns, whoever claims: fifty jobs of one do not hold up another's.
"""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.channels.api_jobs import ApiJob, Batch, Stream, Told
from gcc.channels.objects import Objects
from gcc.errors import LeaseLost
from gcc.stores import outbox
from gcc.stores.postgres import Connection, Pool, named_rows
from gcc.stores.tenant import Tenant

LEASE_S = 60.0
LOST_MAX = 5
KEPT_S = 7 * 86_400.0
"""So long a file and a report are there."""
LIMIT = 100  # rows that one statement of housekeeping moves
CLAIMED_MAX = 16

_LOADED = statements.load("api_jobs")
SQL = {name: text.replace("{limit}", str(LIMIT)) for name, text in _LOADED.items()}
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Begun:
    """A batch under way: what is done by `connection` is committed with `told`, or not at all.

    `tenant` is who asked for the job, as it was then: role and plan are those of that moment.
    """

    def __init__(self, connection: Connection, job: ApiJob) -> None:
        self.connection = connection
        self.tenant = Tenant(job.partner_id, job.plan, job.role, job.account_id, job.user_id)
        self.told = Batch()
        self.place: Any = None  # where the next one begins
        self.last = False  # there is no next one

    def after(self, job: ApiJob) -> ApiJob:
        """The job with this batch committed, as whoever goes on will find it."""
        place = msgspec.json.decode(msgspec.json.encode(self.place))
        return replace(job, place=place, made=self.last, batches=job.batches + 1, failures=0)


class PostgresApiJobs:
    """All raise Transient. `leases_pool`: for the heartbeat, which must come in time however many wait for others."""

    def __init__(self, pool: Pool, objects: Objects, told: Told, *, leases_pool: Pool | None = None) -> None:
        self._pool = pool
        self._leases_pool = leases_pool or pool
        self._objects = objects
        self._told = told

    async def claim(self, kinds: Collection[str], room: int) -> list[ApiJob]:
        """At most `room` of these kinds, leased."""
        statement = SQL["claim"].replace("{room}", str(min(room, CLAIMED_MAX)))
        async with self._pool.connection() as conn:
            rows = await named_rows(conn, statement, {"kinds": list(kinds), "lease_s": LEASE_S})
        return [ApiJob(**row) for row in rows]

    @asynccontextmanager
    async def batch(self, job: ApiJob) -> AsyncIterator[Begun]:
        """A batch of the attempt, committed at the end of the block. LeaseLost: nothing was."""
        async with self._pool.tenant(job.partner_id) as conn:
            begun = Begun(conn, job)
            yield begun
            told, after = begun.told, begun.after(job)
            moved = {
                "place": Jsonb(after.place), "made": after.made, "batches": job.batches, "anew": told.anew,
                "done": told.done, "failed": told.failed, "total": told.total,
            }  # fmt: skip
            await self._written(conn, "batch", job, moved)
            if told.anew:
                await conn.execute(SQL["drop_parts"], _of(job))
            report = [(each.line, each.status, each.code, each.reason, each.input) for each in told.report]
            streams: tuple[tuple[Stream, Sequence[Sequence[Any]]], ...] = (("rows", told.rows), ("report", report))
            for stream, lines in streams:
                if lines:
                    part = {"stream": stream, "batch": after.batches, "lines": b"\n".join(map(_encode, lines))}
                    await conn.execute(SQL["part"], _of(job) | part)

    async def complete(self, job: ApiJob, result: Mapping[str, Any], object_key: str | None) -> None:
        """LeaseLost: nothing was written. The rows stay: where the answer is lost, the same file is made again."""
        async with self._pool.tenant(job.partner_id) as conn:
            await self._written(conn, "complete", job, {"result": Jsonb(dict(result)), "object_key": object_key})
            await outbox.put(conn, self._told(job.partner_id, job.id, job.kind, "COMPLETE"))

    async def fail(
        self, job: ApiJob, code: str, reason: str, *, after_s: float | None, traceback: str | None = None
    ) -> None:
        """`after_s`: it is tried again then; None: it has FAILED. LeaseLost: nothing was written."""
        told = {"result": Jsonb({"code": code, "reason": reason}), "traceback": traceback, "after_s": after_s}
        async with self._pool.tenant(job.partner_id) as conn:
            await self._written(conn, "fail", job, told)
            if after_s is None:
                await outbox.put(conn, self._told(job.partner_id, job.id, job.kind, "FAILED"))

    async def release(self, jobs: Sequence[ApiJob], *, after_s: float = 0.0) -> None:
        """Back to PENDING at no cost, to be claimed after so long; those that are not ours any more are left alone."""
        async with self._pool.connection() as conn:
            await conn.execute(SQL["release"], _held(jobs) | {"after_s": after_s})

    async def extend(self, jobs: Sequence[ApiJob]) -> set[uuid.UUID]:
        """Prolong the leases; answers the ids that are still ours."""
        async with self._leases_pool.connection() as conn:
            rows = await named_rows(conn, SQL["extend"], _held(jobs) | {"lease_s": LEASE_S})
        return {row["id"] for row in rows}

    async def rescue(self) -> int:
        """Those whose lease ended back to PENDING, or FAILED where they lost LOST_MAX workers without a batch."""
        async with self._pool.transaction() as conn:
            rows = await named_rows(conn, SQL["rescue"], {"lost_max": LOST_MAX})
            ended = [row for row in rows if row["state"] == "FAILED"]
            frames = [each for row in ended for each in self._told(row["partner_id"], row["id"], row["kind"], "FAILED")]
            await outbox.put(conn, frames)
        return len(rows)

    async def free(self) -> int:
        """Delete what is kept no longer: the file first, so that a death in between leaves none behind."""
        async with self._pool.connection() as conn:
            due = await named_rows(conn, SQL["due_to_be_freed"], {"kept_s": KEPT_S})
        if not due:
            return 0
        for row in due:
            await self._objects.delete(object_key(row["partner_id"], row["id"]))
        async with self._pool.connection() as conn:
            which = {"ids": [row["id"] for row in due], "partner_ids": [row["partner_id"] for row in due]}
            return len(await named_rows(conn, SQL["freed"], which))

    async def lines(self, partner_id: int, job_id: uuid.UUID, stream: Stream) -> AsyncGenerator[list[Any], None]:
        """What its batches left, in order, a list a batch of lists of values."""
        place = {"partner_id": partner_id, "id": job_id, "stream": stream, "after": 0}
        while True:
            async with self._pool.tenant(partner_id) as conn:
                rows = await named_rows(conn, SQL["next_part"], place)
            if not rows:
                return
            place["after"] = rows[0]["batch"]
            yield [msgspec.json.decode(line) for line in rows[0]["lines"].split(b"\n")]

    async def _written(self, conn: Connection, statement: str, job: ApiJob, values: Mapping[str, Any]) -> Any:
        rows = await named_rows(conn, SQL[statement], _of(job) | {"attempt": job.attempt} | dict(values))
        if not rows:
            raise LeaseLost(f"job {job.id} attempt {job.attempt} is over: {statement} wrote nothing")
        return rows[0]


async def end_leases(pool: Pool) -> None:
    """Where nobody else can be at it: those of the last life."""
    async with pool.connection() as conn:
        await conn.execute(SQL["end_leases"])


def object_key(partner_id: int, job_id: uuid.UUID) -> str:
    """Of the file that a job leaves, if it leaves one."""
    return f"exports/{partner_id}/{job_id}"


def _of(job: ApiJob) -> dict[str, Any]:
    return {"partner_id": job.partner_id, "id": job.id}


def _held(jobs: Sequence[ApiJob]) -> dict[str, Any]:
    return {"ids": [job.id for job in jobs], "attempts": [job.attempt for job in jobs]}
