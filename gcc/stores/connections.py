"""Creators who let a partner in, in PostgreSQL: who is being asked, who has, what they gave until it is a credential.

In: tenants, digests of states, secrets (sealed here, in the transaction that tells of them). Out: rows, Started, Given.
A connection's credential is named by the connection's id: what ends one ends no other's. A lost database is Transient.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from gcc import statements
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.stores import activities, outbox
from gcc.stores.activities import Activity
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_identity_people import Place, Row, found, one
from gcc.stores.sealing import Keys
from gcc.stores.tenant import Tenant

SQL = statements.load("connections")
STATE_S = 600.0


@dataclass(frozen=True, slots=True)
class Started:
    """A creator who is being asked: for whom, and what the way back must know."""

    partner_id: int
    account_id: UUID
    user_id: UUID | None
    platform: str
    verifier: str = field(repr=False)
    redirect_uri: str
    return_to: str

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.partner_id, "FREE", "EDITOR", self.account_id, self.user_id)


@dataclass(frozen=True, slots=True)
class Given:
    """A grant. `secret` None: it was taken before, or its connection was ended."""

    connection_id: UUID
    partner_id: int
    secret: Mapping[str, Any] | None = field(repr=False)


class PostgresConnections:
    """`keys` seal what creators gave."""

    def __init__(self, pool: Pool, clock: Clock, keys: Keys) -> None:
        self._pool = pool
        self._clock = clock
        self._keys = keys

    async def ask(self, tenant: Tenant, hash: bytes, about: Mapping[str, Any]) -> Any:
        """Until when the answer may come. `about`: account_id, platform, verifier, redirect_uri, return_to. Raises
        Refused."""
        row = {
            **about,
            **_whose(tenant),
            "hash": hash,
            "user_id": tenant.user_id,
            "life_s": STATE_S,
        }
        async with self._pool.tenant(tenant) as conn:
            return (await found(conn, SQL["ask"], row, "account"))["expires_at"]

    async def answered(self, hash: bytes, platform: str) -> Started | None:
        """Whose the state is, which is good no more. None: it is not good, or who asked may not any more."""
        async with self._pool.connection() as conn, conn.cursor(row_factory=class_row(Started)) as cursor:
            started = await (await cursor.execute(SQL["answered"], {"hash": hash, "platform": platform})).fetchone()
        if started is None:
            return None
        async with self._pool.tenant(started.partner_id) as conn:
            return started if await _may(conn, started) else None

    async def connect(
        self,
        started: Started,
        about: Mapping[str, Any],
        grant_id: UUID,
        secret: Mapping[str, str],
        told: Frame,
        noted: Callable[[UUID], tuple[Activity, Sequence[Frame]]],
    ) -> UUID | None:
        """The connection's id; None: who asked may not any more. `about`: profile_id, handle, source, scopes. `told`
        tells of the grant, `noted` what is noted of a connection of that id."""
        row = {
            **about,
            "id": self._clock.new_id(),
            "partner_id": started.partner_id,
            "account_id": started.account_id,
            "platform": started.platform,
        }
        async with self._keys.turn, self._pool.tenant(started.partner_id) as conn:
            if not await _may(conn, started):
                return None
            connection_id: UUID = (await found(conn, SQL["connect"], row, "connection"))["id"]
            sealed = {"sealed": self._keys.seal(secret, grant_id.bytes), "key_id": self._keys.newest}
            grant = {"id": grant_id, "partner_id": started.partner_id, "connection_id": connection_id}
            await conn.execute(SQL["give"], grant | sealed)
            await outbox.put(conn, [told])
            await activities.add(conn, started.tenant, *noted(connection_id))
        return connection_id

    async def connections(self, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        row = _whose(tenant) | {"limit": limit, "before": place.before, "before_id": place.before_id}
        async with self._pool.tenant(tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL["list"], row)).fetchall()

    async def end(self, tenant: Tenant, connection_id: UUID) -> None:
        """With it nobody asks in the creator's name any more. Raises Refused."""
        place = _whose(tenant) | {"id": connection_id}
        async with self._pool.tenant(tenant) as conn:
            await found(conn, SQL["end"], place, "connection")
            await conn.execute(SQL["withdraw"], place)
            await conn.execute(SQL["end_credential"], place)


class PostgresGrants:
    """What listeners do with connections: they know of no tenant."""

    def __init__(self, pool: Pool, keys: Keys) -> None:
        self._pool = pool
        self._keys = keys

    async def given(self, grant_id: UUID) -> Given | None:
        """None: there is no such grant. Raises Unsealable."""
        async with self._pool.connection() as conn:
            row = await one(conn, SQL["granted"], {"id": grant_id})
        if row is None:
            return None
        sealed = row["sealed"]
        secret = None if sealed is None else self._keys.open(sealed, row["key_id"], grant_id.bytes)
        return Given(row["connection_id"], row["partner_id"], secret)

    async def taken(self, grant_id: UUID, given: Given) -> None:
        """The secret is a credential now, and lies nowhere else. Where its connection was ended, so is that."""
        async with self._pool.transaction() as conn:
            await conn.execute(SQL["taken"], {"id": grant_id, "partner_id": given.partner_id})
            await conn.execute(SQL["end_credential"], {"id": given.connection_id, "partner_id": given.partner_id})

    async def expire(self, ids: Sequence[UUID], told: Callable[[UUID, int, str], Frame]) -> int:
        """Those whose token has died, if they were active and have no other: how many. `told(id, partner_id, platform)`
        makes the frame by which their partner hears of it."""
        async with self._pool.transaction() as conn:
            await conn.execute(SQL["hold"], {"ids": list(ids)})
            rows = await (await conn.execute(SQL["expire"], {"ids": list(ids)})).fetchall()
            await outbox.put(conn, [told(*row) for row in rows])
            return len(rows)

    async def dead(self) -> list[UUID]:
        """Active ones whose credentials are dead: a few hundred at most."""
        async with self._pool.connection() as conn:
            return [id for id, _ in await (await conn.execute(SQL["dead"])).fetchall()]

    async def prune(self) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(SQL["prune"])


async def _may(conn: Connection, started: Started) -> bool:
    whose = {"partner_id": started.partner_id, "user_id": started.user_id}
    return await one(conn, SQL["may_connect"], whose) is not None


def _whose(tenant: Tenant) -> dict[str, Any]:
    """An owner sees its partner's, others their account's alone: a key, which has none, sees nothing."""
    return {"partner_id": tenant.partner_id, "whole": tenant.role == "OWNER", "own": tenant.account_id}
