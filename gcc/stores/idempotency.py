"""Calls with an Idempotency-Key in PostgreSQL: who is at it, and what was answered, for a day.

All of it belongs to the unit of work (gcc/stores/unit.py) of the call: the lock goes with its transaction, however that
ends, and the answer is there if and only if what the call did is.
"""

from dataclasses import dataclass
from typing import Literal

from gcc import statements
from gcc.stores.postgres import Pool

SQL = statements.load("idempotency")
LIFE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Call:
    """One that may be sent again: `scope` is whose key it has, and at which route; `fingerprint` what it asks for."""

    partner_id: int
    scope: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was answered to a call of that fingerprint; no `body`: it told of somebody who has been erased."""

    fingerprint: bytes
    status: int
    location: str | None
    body: bytes


async def claim(pool: Pool, call: Call) -> Earlier | Literal["TAKEN"] | None:
    """None: it is the caller's to do. TAKEN: somebody is at it."""
    whose = {"partner_id": call.partner_id, "scope": call.scope}
    lock = {"lock": int.from_bytes(call.scope[:8], signed=True)}
    async with pool.connection() as conn:
        ((locked,), kept) = await conn.rows_of([(SQL["lock"], lock), (SQL["kept"], whose)])
    if not locked["is_ours"]:
        return "TAKEN"
    return Earlier(**kept[0]) if kept else None


async def keep(pool: Pool, call: Call, *, status: int, location: str | None, body: bytes) -> None:
    """After `claim` has answered None; with the commit: whoever keeps an answer has the lock of its scope."""
    row = {
        "scope": call.scope,
        "partner_id": call.partner_id,
        "fingerprint": call.fingerprint,
        "status": status,
        "location": location,
        "body": body,
        "life_s": LIFE_S,
    }
    async with pool.connection() as conn:
        conn.last.append((SQL["keep"], row))
