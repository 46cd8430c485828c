"""Partners and their contracts in PostgreSQL: an operator's view of them. No data of theirs is read here."""

from typing import Any
from uuid import UUID

from psycopg.errors import CheckViolation
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.clock import Clock
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import Told, tell
from gcc.stores.postgres_identity_people import Place, PostgresPeople, Refused, Row, found
from gcc.stores.tenant import Tenant

SQL = statements.load("identity_partners")


class PostgresPartners:
    def __init__(self, pool: Pool, clock: Clock, people: PostgresPeople) -> None:
        """`pool`: of the role that sees all partners."""
        self._pool = pool
        self._clock = clock
        self._people = people

    async def partners(self, after: int, limit: int) -> list[Row]:
        """By id."""
        async with self._pool.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL["partners"], {"after": after, "limit": limit})).fetchall()

    async def partner(self, partner_id: int) -> Row:
        """Raises Refused."""
        async with self._pool.connection() as conn:
            return await found(conn, SQL["partner"], {"partner_id": partner_id}, "partner")

    async def add(self, name: str, owner_email: str, digest: bytes) -> Row:
        """With an account, and an invitation for its first owner."""
        async with self._pool.transaction() as conn:
            added = await found(conn, SQL["add"], {"name": name}, "partner")
            tenant = Tenant(added["id"], "FREE")
            await self._people.invite_within(conn, tenant, owner_email, "OWNER", None, digest)
            return added

    async def change(self, partner_id: int, name: str | None, disabled: bool | None) -> tuple[Row, list[Told]]:
        """None stays as it is. Raises Refused."""
        async with self._pool.transaction() as conn:
            changes = {"partner_id": partner_id, "name": name, "disabled": disabled}
            row = await found(conn, SQL["change"], changes, "partner")
            told: list[Told] = [("contract", partner_id)]
            await tell(conn, told)
            return row, told

    async def contracts(self, partner_id: int, place: Place, limit: int) -> list[Row]:
        """Raises Refused."""
        row = {"partner_id": partner_id, "limit": limit, "before": place.before, "before_id": place.before_id}
        async with self._pool.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
            await found(conn, SQL["partner"], {"partner_id": partner_id}, "partner")
            return await (await cursor.execute(SQL["contracts"], row)).fetchall()

    async def add_contract(self, partner_id: int, contract: dict[str, Any]) -> tuple[Row, list[Told]]:
        """Raises Refused."""
        row = contract | {"id": self._clock.new_id(), "partner_id": partner_id, "limits": Jsonb(contract["limits"])}
        return await self._contract("add_contract", row, "partner")

    async def change_contract(self, contract_id: UUID, changes: dict[str, Any]) -> tuple[Row, list[Told]]:
        """None stays as it is. Raises Refused."""
        limits = None if changes["limits"] is None else Jsonb(changes["limits"])
        return await self._contract("change_contract", changes | {"id": contract_id, "limits": limits}, "contract")

    async def set_limits(self, partner_id: int, limits: dict[str, int]) -> tuple[dict[str, int], list[Told]]:
        """In place of those that were set before. Raises Refused."""
        async with self._pool.transaction() as conn:
            row = await found(conn, SQL["set_limits"], {"partner_id": partner_id, "limits": Jsonb(limits)}, "partner")
            told: list[Told] = [("contract", partner_id)]
            await tell(conn, told)
            return row["limits"], told

    async def _contract(self, statement: str, row: dict[str, Any], what: str) -> tuple[Row, list[Told]]:
        try:
            async with self._pool.transaction() as conn:
                kept = await found(conn, SQL[statement], row, what)
                told: list[Told] = [("contract", kept["partner_id"])]
                await tell(conn, told)
                return kept, told
        except CheckViolation:
            raise Refused("ODD", "a contract begins before it ends", "ends_at") from None
