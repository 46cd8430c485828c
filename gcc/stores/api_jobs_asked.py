"""A tenant's jobs of the API in PostgreSQL, as it asks for them, looks at them and cancels them.

In: the tenant who asks. Out: rows, or Refused with its reason. An owner sees its partner's jobs, others those of their
account; whoever asks for another's gets the answer for what is not there.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.channels.api_jobs import State
from gcc.clock import Clock
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity_people import Place, Refused, Row, found, one
from gcc.stores.tenant import Tenant

UNFINISHED_MAX = 100
"""So many jobs of a partner may wait or run."""

_LOADED = statements.load("api_jobs_asked")
SQL = {name: text.replace("{columns}", _LOADED["columns"]) for name, text in _LOADED.items()}


class TenantsApiJobs:
    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def add(self, tenant: Tenant, kind: str, params: Mapping[str, Any]) -> Row:
        """Raises Refused."""
        row = _whose(tenant) | {
            "id": self._clock.new_id(), "user_id": tenant.user_id, "role": tenant.role, "plan": tenant.plan,
            "kind": kind, "params": Jsonb(dict(params)),
        }  # fmt: skip
        async with self._pool.tenant(tenant) as conn:
            await conn.execute(SQL["turn"], row)
            if (await found(conn, SQL["unfinished"], row, "partner"))["count"] >= UNFINISHED_MAX:
                raise Refused("FULL", f"{UNFINISHED_MAX} jobs wait or run; let one end, or cancel it, first")
            return await found(conn, SQL["add"], row, "partner")

    async def all(
        self, tenant: Tenant, place: Place, limit: int, *, state: State | None, kind: str | None
    ) -> list[Row]:
        """The newest first."""
        wanted = {"state": state, "kind": kind, "before": place.before, "before_id": place.before_id, "limit": limit}
        async with self._pool.tenant(tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL["all"], _whose(tenant) | wanted)).fetchall()

    async def one(self, tenant: Tenant, id: UUID) -> Row:
        """Raises Refused."""
        async with self._pool.tenant(tenant) as conn:
            return await found(conn, SQL["one"], _whose(tenant) | {"id": id}, "job")

    async def cancel(self, tenant: Tenant, id: UUID) -> Row:
        """Refused TAKEN: it has ended."""
        which = _whose(tenant) | {"id": id}
        async with self._pool.tenant(tenant) as conn:
            cancelled = await one(conn, SQL["cancel"], which)
            if cancelled is None:
                ended = await found(conn, SQL["one"], which, "job")
                raise Refused("TAKEN", f"it is {ended['state']}")
            return cancelled


def _whose(tenant: Tenant) -> dict[str, Any]:
    return {
        "partner_id": tenant.partner_id,
        "account_id": tenant.account_id,
        "whole": tenant.role == "OWNER",
    }
