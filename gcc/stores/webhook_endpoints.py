"""A tenant's webhook endpoints and their deliveries in PostgreSQL, as their owner sees and changes them.

In: the tenant who asks. Out: rows, or Refused with its reason. Whoever asks for another partner's gets the answer for
what is not there. No secret is stored; see gcc/pipelines/webhooks/signing.py.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from gcc import statements
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.stores import outbox
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity_people import Place, Refused, Row, found
from gcc.stores.tenant import Tenant

ENDPOINTS_MAX = 10
REPLAY_MAX = 10_000
"""So many deliveries are replayed at once."""

_LOADED = statements.load("webhook_endpoints")
SQL = {
    name: text.replace("{columns}", _LOADED["columns"]).replace("{replay_max}", str(REPLAY_MAX))
    for name, text in _LOADED.items()
}


class WebhookEndpoints:
    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def all(self, tenant: Tenant) -> list[Row]:
        async with self._pool.tenant(tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL["all"], {"partner_id": tenant.partner_id})).fetchall()

    async def one(self, tenant: Tenant, id: UUID) -> Row:
        """Raises Refused."""
        async with self._pool.tenant(tenant) as conn:
            return await found(conn, SQL["one"], _of(tenant, id), "webhook")

    async def add(self, tenant: Tenant, url: str, events: Sequence[str]) -> Row:
        """Raises Refused."""
        row = {"id": self._clock.new_id(), "partner_id": tenant.partner_id, "url": url, "events": list(events)}
        async with self._pool.tenant(tenant) as conn:
            await conn.execute(SQL["turn"], row)
            if (await found(conn, SQL["count"], row, "partner"))["count"] >= ENDPOINTS_MAX:
                raise Refused("FULL", f"there are {ENDPOINTS_MAX} webhooks; delete one first")
            return await found(conn, SQL["add"], row, "partner")

    async def change(
        self, tenant: Tenant, id: UUID, *, url: str | None, events: Sequence[str] | None, disabled: bool | None
    ) -> Row:
        """None stays as it is. Raises Refused."""
        changes = {"url": url, "events": None if events is None else list(events), "disabled": disabled}
        return await self._changed(tenant, id, "change", changes)

    async def rotate(self, tenant: Tenant, id: UUID) -> Row:
        """The next generation of its secret. Raises Refused."""
        return await self._changed(tenant, id, "rotate", {})

    async def delete(self, tenant: Tenant, id: UUID) -> None:
        """Nothing is sent to it any more. Raises Refused."""
        await self._changed(tenant, id, "delete", {})

    async def test(self, tenant: Tenant, id: UUID, frame: Frame) -> None:
        """Put the frame on its way. Refused: it would come to nobody."""
        async with self._pool.tenant(tenant) as conn:
            row = await found(conn, SQL["one"], _of(tenant, id), "webhook")
            if row["disabled_at"] is not None:
                raise Refused("TAKEN", f"it is disabled: {row['disabled_because']}; enable it first")
            await outbox.put(conn, [frame])

    async def deliveries(self, tenant: Tenant, id: UUID, place: Place, limit: int) -> list[Row]:
        """The newest first. Raises Refused."""
        page = {"before": place.before, "before_id": place.before_id, "limit": limit}
        async with self._pool.tenant(tenant) as conn:
            await found(conn, SQL["one"], _of(tenant, id), "webhook")
            async with conn.cursor(row_factory=dict_row) as cursor:
                return await (await cursor.execute(SQL["deliveries"], _of(tenant, id) | page)).fetchall()

    async def replay(self, tenant: Tenant, id: UUID, *, ids: Sequence[UUID], since: dt.datetime | None) -> Row:
        """How many are due again, and when the last of them came. Of those named that are not there nothing is said.
        Raises Refused."""
        which = {"endpoint_id": id, "ids": list(ids), "since": since}
        async with self._pool.tenant(tenant) as conn:
            await found(conn, SQL["one"], _of(tenant, id), "webhook")
            return await found(conn, SQL["replay"], _of(tenant, id) | which, "delivery")

    async def _changed(self, tenant: Tenant, id: UUID, statement: str, changes: Mapping[str, Any]) -> Row:
        async with self._pool.tenant(tenant) as conn:
            return await found(conn, SQL[statement], {**_of(tenant, id), **changes}, "webhook")


def _of(tenant: Tenant, id: UUID) -> dict[str, Any]:
    return {"partner_id": tenant.partner_id, "id": id}
