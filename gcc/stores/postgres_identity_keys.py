"""API keys of a partner in PostgreSQL: their digests, whom they stand for, and when they end."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from gcc import statements
from gcc.clock import Clock
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_identity import Told, tell, whose
from gcc.stores.postgres_identity_people import Place, PostgresPeople, Refused, Row, found
from gcc.stores.tenant import Role, Tenant

SQL = statements.load("identity_keys")
KEYS_MAX = 50
ROTATION_S = 24 * 3600
"""So long the old key opens beside the new one."""


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """Who asks with a key."""

    id: UUID
    partner_id: int
    role: Role
    expires_at: dt.datetime | None
    cidrs: Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class NewKey:
    prefix: str
    digest: bytes


class PostgresKeys:
    def __init__(self, pool: Pool, platform: Pool, clock: Clock, people: PostgresPeople) -> None:
        """`platform`: of the role that sees all partners, for chores."""
        self._pool = pool
        self._platform = platform
        self._clock = clock
        self._people = people

    async def caller(self, key: NewKey) -> KeyCaller | None:
        """Whom a key stands for; None: it is unknown, or has ended."""
        asked = {"prefix": key.prefix, "hash": key.digest}
        partner_id = await whose(self._pool, SQL["partner"], asked)
        async with self._pool.tenant(partner_id) as conn, conn.cursor(row_factory=class_row(KeyCaller)) as cursor:
            await cursor.execute(SQL["caller"], asked | {"partner_id": partner_id})
            return await cursor.fetchone()

    async def used(self, ids: Collection[UUID]) -> None:
        async with self._platform.connection() as conn:
            await conn.execute(SQL["used"], {"ids": list(ids)})

    async def keys(self, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        row = {"partner_id": tenant.partner_id, "limit": limit, "before": place.before, "before_id": place.before_id}
        async with self._pool.tenant(tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL["keys"], row)).fetchall()

    async def add(self, tenant: Tenant, key: NewKey, about: dict[str, Any]) -> Row:
        """`about`: name, role, cidrs, expires_at. Raises Refused."""
        place = {"partner_id": tenant.partner_id}
        async with self._people.turn(tenant) as conn:
            await _have_room(conn, place)
            row = place | about | {"id": self._clock.new_id(), "prefix": key.prefix, "hash": key.digest}
            return await found(conn, SQL["add"], row, "partner")

    async def rotate(self, tenant: Tenant, old: UUID, key: NewKey) -> tuple[Row, list[Told]]:
        """A key with the same rights; the old one opens for ROTATION_S more, and has no other successor. Raises
        Refused."""
        place = {"partner_id": tenant.partner_id}
        async with self._people.turn(tenant) as conn:
            if (await found(conn, SQL["living"], place | {"id": old}, "key"))["rotated"]:
                raise Refused("TAKEN", "the key was rotated already; rotate or revoke the one that came after it")
            await _have_room(conn, place)
            row = place | {"id": self._clock.new_id(), "old": old, "prefix": key.prefix, "hash": key.digest}
            added = await found(conn, SQL["succeed"], row, "key")
            await conn.execute(SQL["expire"], place | {"id": old, "life_s": ROTATION_S})
            told: list[Told] = [("key", old)]
            await tell(conn, told)
            return added, told

    async def revoke(self, tenant: Tenant, key_id: UUID) -> list[Told]:
        """Raises Refused."""
        async with self._pool.tenant(tenant) as conn:
            await found(conn, SQL["revoke"], {"partner_id": tenant.partner_id, "id": key_id}, "key")
            told: list[Told] = [("key", key_id)]
            await tell(conn, told)
            return told


async def _have_room(conn: Connection, place: dict[str, Any]) -> None:
    """Within the partner's turn, before a key is added. Raises Refused."""
    if (await found(conn, SQL["count"], place, "partner"))["count"] >= KEYS_MAX:
        raise Refused("FULL", f"there are {KEYS_MAX} keys; revoke one first")
