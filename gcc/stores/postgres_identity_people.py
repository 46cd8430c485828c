"""Users, accounts and invitations of a partner in PostgreSQL: an owner's view of them.

In: the tenant who asks, ids, digests of links. Out: rows, or Refused with its reason; whoever asks for another
partner's gets the answer for what is not there. What a change ends is told to every process as it is committed.
"""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import dict_row

from gcc import statements
from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_identity import SQL as IDENTITY
from gcc.stores.postgres_identity import NewSession, Told, User, begin_session, revoke_sessions, tell, whose
from gcc.stores.tenant import Role, Tenant

SQL = statements.load("identity_people")
INVITATION_S, RESET_S = 7 * 86_400, 86_400

Reason = Literal["ABSENT", "TAKEN", "LAST_OWNER", "FULL", "ODD"]
Row = dict[str, Any]


class Refused(Permanent):
    """It makes no sense as things are: `reason` says why, the text in words; `path`, if one thing asked for is wrong,
    which."""

    def __init__(self, reason: Reason, message: str, path: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.path = path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins, the newest first: after the row of that time and id; None: at the beginning."""

    before: dt.datetime | None = None
    before_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom a link is for."""

    partner_id: int
    email: str


class PostgresPeople:
    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def users(self, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        return await self._page("users", tenant, place, limit)

    async def change_user(
        self, tenant: Tenant, user_id: UUID, *, role: Role | None, name: str | None, disabled: bool | None
    ) -> tuple[Row, list[Told]]:
        """None stays as it is. With another role, or disabled, the user's sessions end. Raises Refused."""
        async with self.turn(tenant) as conn:
            place = {"partner_id": tenant.partner_id, "user_id": user_id}
            changes = {"role": role, "name": name, "disabled": disabled}
            row = await found(conn, SQL["change_user"], place | changes, "user")
            told: list[Told] = []
            if role is not None or disabled is not None:
                told = [("user", user_id), *await revoke_sessions(conn, tenant.partner_id, user_id)]
                await tell(conn, told[:1])
            return row, told

    async def delete_user(self, tenant: Tenant, user_id: UUID) -> list[Told]:
        """Raises Refused."""
        async with self.turn(tenant) as conn:
            await found(conn, SQL["delete_user"], {"partner_id": tenant.partner_id, "user_id": user_id}, "user")
            told: list[Told] = [("user", user_id)]
            await tell(conn, told)
            return told

    async def accounts(self, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        return await self._page("accounts", tenant, place, limit)

    async def add_account(self, tenant: Tenant, name: str) -> Row:
        """Raises Refused."""
        row = {"id": self._clock.new_id(), "partner_id": tenant.partner_id, "name": name}
        async with self._changing(tenant.partner_id, f"account {name!r}") as conn:
            return await found(conn, SQL["add_account"], row, "account")

    async def rename_account(self, tenant: Tenant, account_id: UUID, name: str) -> Row:
        """Raises Refused."""
        row = {"id": account_id, "partner_id": tenant.partner_id, "name": name}
        async with self._changing(tenant.partner_id, f"account {name!r}") as conn:
            return await found(conn, SQL["rename_account"], row, "account")

    async def invitations(self, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        return await self._page("invitations", tenant, place, limit)

    async def invite(
        self, tenant: Tenant, email: str, role: Role, account_id: UUID | None, digest: bytes, *, anew: bool = False
    ) -> Row:
        """`account_id` None: the inviter's, or the partner's first. `anew`: in the place of one that waits. Raises
        Refused."""
        async with self._changing(tenant.partner_id, f"an invitation of {email}") as conn:
            if anew:
                await conn.execute(SQL["drop_invitations"], {"partner_id": tenant.partner_id, "email": email})
            return await self.invite_within(conn, tenant, email, role, account_id or tenant.account_id, digest)

    async def invite_within(
        self, conn: Connection, tenant: Tenant, email: str, role: Role, account_id: UUID | None, digest: bytes
    ) -> Row:
        """Within the transaction of something larger: see `invite`."""
        whom = {"partner_id": tenant.partner_id, "email": email}
        if await one(conn, SQL["user_with_email"], whom) is not None:
            raise Refused("TAKEN", f"{email} is a user already")
        await conn.execute(SQL["drop_old_invitations"], whom)
        account = await self._account(conn, tenant.partner_id, account_id)
        row = whom | {"id": self._clock.new_id(), "account_id": account, "role": role, "hash": digest}
        return await found(conn, SQL["invite"], row | {"life_s": INVITATION_S}, "account")

    async def delete_invitation(self, tenant: Tenant, invitation_id: UUID) -> None:
        """Raises Refused."""
        async with self._pool.tenant(tenant) as conn:
            row = {"partner_id": tenant.partner_id, "id": invitation_id}
            await found(conn, SQL["delete_invitation"], row, "invitation")

    async def invited(self, digest: bytes) -> Invited | None:
        """Whom the link is for; None: it is unknown, was used, or has ended."""
        partner_id = await whose(self._pool, SQL["partner_of_invitation"], {"hash": digest})
        async with self._pool.tenant(partner_id) as conn:
            row = await one(conn, SQL["invitation"], {"partner_id": partner_id, "hash": digest})
        return None if row is None else Invited(row["partner_id"], row["email"])

    async def accept(
        self, digest: bytes, invited: Invited, name: str, password_hash: str, new: NewSession
    ) -> UUID | None:
        """The new user's id, with a session; None: the link was used meanwhile. Raises Refused: the e-mail is taken."""
        user_id, place = self._clock.new_id(), {"partner_id": invited.partner_id}
        async with self._changing(invited.partner_id, f"user {invited.email}") as conn:
            row = await one(conn, SQL["use_invitation"], place | {"hash": digest})
            if row is None:
                return None
            user = {"id": user_id, "name": name, "password_hash": password_hash}
            await conn.execute(SQL["add_user"], place | row | user)
            await self._begin(conn, invited.partner_id, user_id, new)
            return user_id

    async def reset_link(self, tenant: Tenant, user_id: UUID, digest: bytes) -> Row:
        """Those before it open nothing any more. Raises Refused."""
        async with self._pool.tenant(tenant) as conn:
            whose = {"partner_id": tenant.partner_id, "user_id": user_id}
            await conn.execute(IDENTITY["drop_resets"], whose)
            row = whose | {"id": self._clock.new_id(), "hash": digest, "life_s": RESET_S}
            return await found(conn, SQL["add_reset"], row, "user")

    async def resetting(self, digest: bytes) -> tuple[int, UUID] | None:
        """(partner, user) of a link; None: it is unknown, was used, or has ended."""
        partner_id = await whose(self._pool, SQL["partner_of_reset"], {"hash": digest})
        async with self._pool.tenant(partner_id) as conn:
            row = await one(conn, SQL["reset"], {"partner_id": partner_id, "hash": digest})
        return None if row is None else (row["partner_id"], row["user_id"])

    async def reset(self, digest: bytes, partner_id: int, password_hash: str, new: NewSession) -> list[Told] | None:
        """A new password: the user's sessions end, and `new` begins. None: the link was used meanwhile."""
        place = {"partner_id": partner_id}
        async with self._pool.tenant(partner_id) as conn:
            row = await one(conn, SQL["use_reset"], place | {"hash": digest})
            if row is None or not await one(
                conn, SQL["reset_password"], place | row | {"password_hash": password_hash}
            ):
                return None
            await conn.execute(IDENTITY["drop_resets"], place | row)
            told = await revoke_sessions(conn, partner_id, row["user_id"])
            await self._begin(conn, partner_id, row["user_id"], new)
            return told

    async def _account(self, conn: Connection, partner_id: int, account_id: UUID | None) -> UUID:
        """An account of the partner's, its first one made where there is none yet. Raises Refused."""
        row = await one(conn, SQL["own_account"], {"partner_id": partner_id, "account_id": account_id})
        if row is None and account_id is None:
            first = {"id": self._clock.new_id(), "partner_id": partner_id, "name": "Main"}
            row = await one(conn, SQL["add_account"], first)
        if row is None:
            raise Refused("ABSENT", "there is no such account")
        return UUID(str(row["id"]))

    async def _begin(self, conn: Connection, partner_id: int, user_id: UUID, new: NewSession) -> None:
        user = await one(conn, IDENTITY["user"], {"partner_id": partner_id, "user_id": user_id})
        assert user is not None, "it was written in this transaction"
        await begin_session(conn, User(**user), user["password_hash"], new)

    async def _page(self, statement: str, tenant: Tenant, place: Place, limit: int) -> list[Row]:
        row = {"partner_id": tenant.partner_id, "limit": limit, "before": place.before, "before_id": place.before_id}
        async with self._pool.tenant(tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(SQL[statement], row)).fetchall()

    @asynccontextmanager
    async def turn(self, tenant: Tenant) -> AsyncIterator[Connection]:
        """A transaction that no other changes the partner's people beside. Refused: it would take the last owner."""
        place = {"partner_id": tenant.partner_id}
        async with self._pool.tenant(tenant) as conn:
            await conn.execute(SQL["turn"], place)
            had = await found(conn, SQL["owners"], place, "partner")
            yield conn
            if had["count"] and not (await found(conn, SQL["owners"], place, "partner"))["count"]:
                raise Refused("LAST_OWNER", "it is the partner's last owner; make another user an owner first")

    @asynccontextmanager
    async def _changing(self, partner_id: int, what: str) -> AsyncIterator[Connection]:
        """A partner's transaction in which `what` may turn out to be there already: Refused."""
        try:
            async with self._pool.tenant(partner_id) as conn:
                yield conn
        except UniqueViolation:
            raise Refused("TAKEN", f"{what} is there already") from None
        except ForeignKeyViolation:
            raise Refused("ABSENT", "there is no such partner") from None


async def found(conn: Connection, statement: str, arguments: Mapping[str, Any], what: str) -> Row:
    """The row that the statement tells of. Refused: there is none."""
    row = await one(conn, statement, arguments)
    if row is None:
        raise Refused("ABSENT", f"there is no such {what}")
    return row


async def one(conn: Connection, statement: str, arguments: Mapping[str, Any]) -> Row | None:
    async with conn.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(statement, arguments)).fetchone()
