"""Sessions in PostgreSQL: who logs in, who asks, and whose session ends.

In: e-mails, digests of secrets (never the secrets), ids. Out: users and callers. What ends a session is told to every
process as it is committed (NOTIFY gcc_invalidate, "session ID" and the like; see gcc/web/identity/bus.py).
A lost database is Transient.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row, dict_row

from gcc import statements
from gcc.addresses import network_of
from gcc.stores.login_throttle import address_wait_s, email_wait_s
from gcc.stores.postgres import Connection, Pool
from gcc.stores.tenant import Contract, Role, free

SQL = statements.load("identity")
INVALIDATE_CHANNEL = "gcc_invalidate"
SESSION_S, REFRESH_S = 90 * 86_400, 30 * 86_400
AGAIN_S = 10.0
"""So long a used refresh token gives its successor once more: two tabs refresh with the same."""

DEVICES = 5_000
"""So many are dropped in one transaction."""

Kind = Literal["session", "user", "contract", "key"]
Told = tuple[Kind, UUID | int]
"""What is no more as it was."""


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    partner_id: int
    account_id: UUID
    email: str
    name: str
    role: Role
    password_hash: str = field(repr=False)
    account: str
    partner: str
    disabled: bool
    suspended: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks with a session."""

    id: UUID
    partner_id: int
    user_id: UUID
    account_id: UUID
    role: Role
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Partner:
    """`contracts`: of the type SAAS, also those that have ended; `free`: what holds where none does. Limits that
    operators have set are in all of them."""

    name: str
    suspended: bool
    contracts: tuple[Contract, ...]
    free: Contract


@dataclass(frozen=True, slots=True)
class Attempt:
    """To log in. `wait_s`: how long nobody may try; else it is counted as a failure until it is taken back."""

    wait_s: float
    ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`place`: the successor that holds now, of those that were offered."""

    user: User
    session_id: UUID
    place: int


@dataclass(frozen=True, slots=True)
class Reused:
    """A refresh token was used twice: its session has ended."""

    session_id: UUID


@dataclass(frozen=True, slots=True)
class NewSession:
    """`refresh`: the digest of its first refresh token."""

    id: UUID
    refresh: bytes
    device_id: UUID | None = None
    ip: str | None = None
    agent: str | None = None


class PostgresIdentity:
    def __init__(self, pool: Pool, platform: Pool) -> None:
        """`platform`: of the role that sees all partners, for chores."""
        self.pool = pool
        self.platform = platform

    async def attempt(self, email: str, ip: str) -> Attempt:
        """Count an attempt to log in, unless there were too many. Of many at once no more are let through."""
        address = f"ip {network_of(ip)}"
        async with self.pool.transaction() as conn:
            person = await _email_key(conn, email)
            await conn.execute(SQL["throttle_lock"], {"keys": sorted([address, person])})
            ages: dict[str, list[float]] = {address: [], person: []}
            found = await conn.execute(SQL["throttle_ages"], {"address": address, "person": person})
            for key, age_s in await found.fetchall():
                ages[key].append(age_s)
            if wait_s := max(email_wait_s(ages[person]), address_wait_s(ages[address])):
                return Attempt(wait_s)
            ids = await (await conn.execute(SQL["throttle_count"], {"keys": [*ages]})).fetchall()
            return Attempt(0.0, [number for (number,) in ids])

    async def take_back(self, attempt: Attempt, email: str | None = None) -> None:
        """It was no failure. `email`: its password was right, so those before it are forgotten, too."""
        async with self.pool.connection() as conn:
            key = "" if email is None else await _email_key(conn, email)
            await conn.execute(SQL["throttle_forget"], {"ids": list(attempt.ids), "key": key})

    async def user_by_email(self, email: str) -> User | None:
        partner_id = await whose(self.pool, SQL["partner_of_email"], {"email": email})
        async with self.pool.tenant(partner_id) as conn, conn.cursor(row_factory=class_row(User)) as cursor:
            found = {"partner_id": partner_id, "email": email}
            return await (await cursor.execute(SQL["user_by_email"], found)).fetchone()

    async def user(self, partner_id: int, user_id: UUID) -> User | None:
        async with self.pool.tenant(partner_id) as conn, conn.cursor(row_factory=class_row(User)) as cursor:
            found = {"partner_id": partner_id, "user_id": user_id}
            return await (await cursor.execute(SQL["user"], found)).fetchone()

    async def rehash(self, user: User, new: str) -> bool:
        async with self.pool.tenant(user.partner_id) as conn:
            return (await conn.execute(SQL["rehash"], _of(user) | {"old": user.password_hash, "new": new})).rowcount > 0

    async def begin(self, user: User, new: NewSession) -> bool:
        """A session of theirs. False: they were disabled, or have another password than was looked at."""
        async with self.pool.tenant(user.partner_id) as conn:
            return await begin_session(conn, user, user.password_hash, new)

    async def refresh(self, used: bytes, successors: Sequence[bytes]) -> Refreshed | Reused | None:
        """Exchange a refresh token. None: it is unknown, or has ended with its session. All are digests."""
        partner_id = await whose(self.pool, SQL["partner_of_refresh_token"], {"hash": used})
        async with self.pool.tenant(partner_id) as conn:
            row = await _one(conn, "lock_refresh", {"partner_id": partner_id, "hash": used})
            if row is None:
                return None
            place = {"partner_id": partner_id, "session_id": row["session_id"]}
            found = await _one(conn, "refreshing", place)
            if found is None:
                return None
            user = User(**{name: value for name, value in found.items() if name != "session_id"})
            if not row["used"]:
                if not row["lives"]:
                    return None
                if user.suspended:  # the token is kept for when they are let in again
                    return Refreshed(user, row["session_id"], 0)
                await conn.execute(SQL["use_refresh"], place | {"hash": used})
                await conn.execute(SQL["add_refresh"], place | {"hash": successors[0], "life_s": REFRESH_S})
                return Refreshed(user, row["session_id"], 0)
            known: dict[bytes, bool] = dict(
                await (await conn.execute(SQL["successors"], place | {"hashes": [*successors]})).fetchall()
            )
            fresh = [number for number, each in enumerate(successors) if known.get(each) is False]
            if fresh and row["used_ago_s"] <= AGAIN_S:
                return Refreshed(user, row["session_id"], fresh[0])
            await conn.execute(SQL["revoke_session"], place | {"of": None})
            await tell(conn, [("session", row["session_id"])])
            return Reused(row["session_id"])

    async def session(self, partner_id: int, session_id: UUID) -> Caller | None:
        """Who asks with it; None: it has ended."""
        async with self.pool.tenant(partner_id) as conn, conn.cursor(row_factory=class_row(Caller)) as cursor:
            found = {"partner_id": partner_id, "session_id": session_id}
            return await (await cursor.execute(SQL["session"], found)).fetchone()

    async def sessions(self, partner_id: int, user_id: UUID) -> list[dict[str, Any]]:
        async with self.pool.tenant(partner_id) as conn, conn.cursor(row_factory=dict_row) as cursor:
            found = {"partner_id": partner_id, "user_id": user_id}
            return await (await cursor.execute(SQL["sessions"], found)).fetchall()

    async def revoke(self, partner_id: int, session_id: UUID, of: UUID | None = None) -> list[Told]:
        """What ended: the session, if it lived (and is `of` that user)."""
        async with self.pool.tenant(partner_id) as conn:
            return await _revoked(
                conn, "revoke_session", {"partner_id": partner_id, "session_id": session_id, "of": of}
            )

    async def revoke_all(self, partner_id: int, user_id: UUID, but: UUID | None = None) -> list[Told]:
        async with self.pool.tenant(partner_id) as conn:
            return await revoke_sessions(conn, partner_id, user_id, but)

    async def set_password(self, user: User, new: str, but: UUID | None) -> list[Told] | None:
        """With it the user's sessions end, but one, and the links for a new one. None: the old one was changed
        meanwhile, or they were disabled."""
        async with self.pool.tenant(user.partner_id) as conn:
            await conn.execute(SQL["drop_resets"], _of(user))  # first, as a link that is used locks it before the user
            if await _one(conn, "set_password", _of(user) | {"old": user.password_hash, "new": new}) is None:
                return None
            return await revoke_sessions(conn, user.partner_id, user.id, but)

    async def partner(self, partner_id: int) -> Partner | None:
        async with self.pool.tenant(partner_id) as conn:
            rows = await (await conn.execute(SQL["contracts"], {"partner_id": partner_id})).fetchall()
        if not rows:
            return None
        name, suspended, own, *_ = rows[0]
        contracts = [
            Contract(
                "PAID" if plan == "PRO" else plan, starts.astimezone(dt.UTC), ends.astimezone(dt.UTC), limits | own
            )
            for _, _, _, plan, starts, ends, limits in rows
            if plan is not None
        ]
        return Partner(name, suspended, tuple(contracts), free(own))

    async def seen(self, session_ids: Collection[UUID]) -> None:
        async with self.platform.connection() as conn:
            await conn.execute(SQL["seen"], {"session_ids": list(session_ids)})

    async def prune(self) -> None:
        """Drop what nobody needs any more."""
        for name in ("throttle_prune", "prune_expired", "prune_revoked"):
            async with self.platform.connection() as conn:
                await conn.execute(SQL[name])
        dropped = DEVICES
        while dropped == DEVICES:
            async with self.platform.connection() as conn:
                dropped = (await conn.execute(SQL["prune_devices"], {"limit": DEVICES})).rowcount

    async def add_device(self, device_id: UUID, client_id: str) -> None:
        async with self.pool.connection() as conn:
            await conn.execute(SQL["add_device"], {"id": device_id, "client_id": client_id})


async def whose(pool: Pool, statement: str, arguments: dict[str, Any]) -> int:
    """The partner that an e-mail or a secret is of; -1, which is none's, where nobody has it."""
    async with pool.connection() as conn:
        ((partner_id,),) = await (await conn.execute(statement, arguments)).fetchall()
    return int(partner_id)


async def _email_key(conn: Connection, email: str) -> str:
    """What failures of an e-mail are counted by: the table holds no addresses of strangers. The database lowers it, as
    it does where it looks for the user: letters that it alone folds would give further tries."""
    row = await _one(conn, "throttle_key", {"email": email})
    assert row is not None
    return str(row["key"])


async def begin_session(conn: Connection, user: User, password_hash: str, new: NewSession) -> bool:
    """Within a transaction: see `PostgresIdentity.begin`."""
    place = _of(user) | {"session_id": new.id}
    row = place | {
        "device_id": new.device_id,
        "ip": new.ip,
        "agent": new.agent,
        "life_s": SESSION_S,
        "password_hash": password_hash,
    }
    if await _one(conn, "begin_session", row) is None:
        return False
    await conn.execute(SQL["add_refresh"], place | {"hash": new.refresh, "life_s": REFRESH_S})
    return True


async def revoke_sessions(conn: Connection, partner_id: int, user_id: UUID, but: UUID | None = None) -> list[Told]:
    """Within the transaction that has changed the user."""
    return await _revoked(conn, "revoke_sessions", {"partner_id": partner_id, "user_id": user_id, "but": but})


async def tell(conn: Connection, told: Iterable[Told]) -> None:
    """Every process hears of it once the transaction is committed."""
    await conn.execute(SQL["invalidate"], {"told": [f"{kind} {each}" for kind, each in told]})


async def _revoked(conn: Connection, statement: str, arguments: dict[str, Any]) -> list[Told]:
    told: list[Told] = [
        ("session", each) for (each,) in await (await conn.execute(SQL[statement], arguments)).fetchall()
    ]
    await tell(conn, told)
    return told


async def _one(conn: Connection, statement: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    async with conn.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL[statement], arguments)).fetchone()


def _of(user: User) -> dict[str, Any]:
    return {"partner_id": user.partner_id, "user_id": user.id}
