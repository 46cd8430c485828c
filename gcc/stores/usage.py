"""What partners use of what they may, in PostgreSQL: each subject counts once in a period, never beyond the limit.

In: whose, the period, and uses: a module (PROFILE_VIEW), a subject (which profile), how many. Out: nothing, or `Spent`
and then nothing of it is counted. Counting inserts the subject and adds to the period's row in one transaction: who
counts the same subject at once waits for the other and counts nothing; who would exceed the limit changes no row.
Raises Transient.
"""

import datetime as dt
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcc import statements
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.stores import outbox
from gcc.stores.plans import Module, Period
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_identity_people import Place, Row
from gcc.stores.tenant import Plan

THRESHOLDS = (80, 100)
"""Percentages of a limit of which its partner is told, once each a period."""

SQL = statements.load("usage")


@dataclass(frozen=True, slots=True)
class Use:
    """`subject`: '' where it is not known yet, which can be admitted only. `limit`: of the module in the period."""

    module: Module
    subject: str
    limit: int
    number: int = 1


@dataclass(frozen=True, slots=True)
class Threshold:
    partner_id: int
    module: Module
    percent: int
    used: int
    limit: int
    ends: dt.datetime


class Spent(Exception):
    def __init__(self, use: Use) -> None:
        super().__init__(f"{use.module}: {use.number} more than are left of {use.limit}")
        self.use = use


class PostgresUsage:
    def __init__(self, pool: Pool, clock: Clock, frame: Callable[[Threshold], Frame]) -> None:
        """`frame`: how a partner is told that it has reached a threshold."""
        self._pool = pool
        self._clock = clock
        self._frame = frame

    async def count(self, partner_id: int, plan: Plan, period: Period, uses: Sequence[Use]) -> None:
        """All of them, or none. Raises Spent."""
        async with self._pool.tenant(partner_id) as conn:
            for use in sorted(uses, key=lambda use: use.module):  # in one order, so that no two wait for each other
                await self._count(conn, partner_id, plan, period, use)

    async def used(self, partner_id: int, period: Period) -> Mapping[str, int]:
        """By module; where nothing is, nothing is used."""
        async with self._pool.tenant(partner_id) as conn:
            return await _used(conn, partner_id, period)

    async def admit(self, partner_id: int, period: Period, uses: Sequence[Use]) -> Mapping[Module, float]:
        """What is left of each module; no end of it where the last was taken by that subject. Raises Spent where one of
        them could not be counted now. Nothing is counted."""
        async with self._pool.tenant(partner_id) as conn:
            used = await _used(conn, partner_id, period)
            left: dict[Module, float] = {use.module: use.limit - used.get(use.module, 0) for use in uses}
            for use in uses:
                if left[use.module] < use.number:
                    ((counted,),) = await (
                        await conn.execute(SQL["is_counted"], _of(partner_id, period, use))
                    ).fetchall()
                    if not counted:
                        raise Spent(use)
                    left[use.module] = math.inf
            return left

    async def _count(self, conn: Connection, partner_id: int, plan: Plan, period: Period, use: Use) -> None:
        row = _of(partner_id, period, use) | {
            "id": self._clock.new_id(),
            "ends": period.ends,
            "plan": plan,
            "limit": use.limit,
            "number": use.number,
        }
        if not (await conn.execute(SQL["count_event"], row)).rowcount:
            return
        await conn.execute(SQL["open_period"], row)
        added = await (await conn.execute(SQL["use"], row)).fetchone()
        if added is None:
            raise Spent(use)
        used, told = added
        if reached := [each for each in THRESHOLDS if told < each <= used * 100 / use.limit]:
            await conn.execute(SQL["tell"], row | {"told": reached[-1]})
            thresholds = [Threshold(partner_id, use.module, each, used, use.limit, period.ends) for each in reached]
            await outbox.put(conn, [self._frame(each) for each in thresholds])

    async def track_page(self, partner_id: int, platform: str, profile_id: str, day: dt.date) -> Row:
        """How often it was looked at on that day, this time included."""
        row = {"id": self._clock.new_id(), "platform": platform, "profile_id": profile_id, "day": day}
        (tracked,) = await self._pool.rows(SQL["track_page"], row | {"partner_id": partner_id}, whose=partner_id)
        return tracked

    async def pages(self, partner_id: int, place: Place, limit: int) -> list[Row]:
        """The newest first."""
        where = {"partner_id": partner_id, "before": place.before, "before_id": place.before_id, "limit": limit}
        return await self._pool.rows(SQL["pages"], where, whose=partner_id)


async def _used(conn: Connection, partner_id: int, period: Period) -> dict[str, int]:
    rows = await (await conn.execute(SQL["used"], {"partner_id": partner_id, "begins": period.begins})).fetchall()
    return dict(rows)


def _of(partner_id: int, period: Period, use: Use) -> dict[str, Any]:
    digest = hashlib.blake2b(use.subject.encode(), digest_size=16).digest()
    return {"partner_id": partner_id, "module": use.module, "begins": period.begins, "subject": digest}
