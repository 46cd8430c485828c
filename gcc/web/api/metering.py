"""What is counted of whom who asks: profiles looked at, refreshes, by the contract of the moment.

In: who asks, and what is used: a module and its subject. Out: nothing, or an ApiError (QUOTA_SPENT), which says when
there is more. What was counted once in a period is counted: a process remembers it, so that asking again costs no
database.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from functools import partial
from weakref import WeakValueDictionary

from cachetools import LRUCache

from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.pipelines.webhooks import events
from gcc.stores import unit
from gcc.stores.plans import Module, Period, Uses, limit_of, period_of
from gcc.stores.postgres import Pool
from gcc.stores.tenant import FOR_EVER, Contract, Tenant
from gcc.stores.usage import PostgresUsage, Spent, Threshold, Use
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.holding import Held
from gcc.web.at_once import OVER, Pause

REMEMBERED_MAX = 50_000
"""Subjects: some 18 MB."""

Release = Callable[[], Awaitable[None]]
What = tuple[int, Module, str]
When = tuple[dt.datetime, dt.datetime]
"""From when on the contract holds, and when the period ends: without the period itself, which costs more to tell."""
NEVER: When = FOR_EVER, FOR_EVER


class Meter:
    def __init__(self, pool: Pool, clock: Clock) -> None:
        self.usage = PostgresUsage(pool, clock, partial(_frame, clock))
        self._clock = clock
        self._held: WeakValueDictionary[int, Held] = WeakValueDictionary()  # by partner
        self._counted: LRUCache[What, When] = LRUCache(REMEMBERED_MAX)

    async def count(self, tenant: Tenant, uses: Uses, pause: Pause) -> None:
        """All of it, once a period, or nothing; what was counted before, without a wait. Raises QUOTA_SPENT."""
        if tenant.contract is not None:
            await self.count_of(tenant.partner_id, tenant.contract, uses, pause=pause)

    async def count_of(
        self, partner_id: int, contract: Contract, uses: Uses, number: int = 1, *, pause: Pause = OVER
    ) -> None:
        now = self._clock.now()
        whats: list[What] = [(partner_id, module, subject) for module, subject in uses.items()]
        for what in whats:
            since, until = self._when(what)
            if since != contract.starts_at or until <= now:
                break
        else:
            return
        await pause
        period = period_of(contract, now)
        try:
            await self.usage.count(partner_id, contract.plan, period, _listed(contract, uses, number))
        except Spent as spent:
            raise self._refusal(spent, period) from None
        await unit.after_commit(partial(self._remember, whats, (contract.starts_at, period.ends)))

    def _when(self, what: What) -> When:
        try:  # not by `get`, which looks twice
            return self._counted[what]
        except KeyError:
            return NEVER

    async def admit(self, tenant: Tenant, uses: Uses, name: str = "") -> Release:
        """Before what costs us: it is held, under a name, until the release is called. Where others hold what is left
        this waits for them. Raises QUOTA_SPENT where it could not be counted."""
        if tenant.contract is None:
            return _nothing
        period = period_of(tenant.contract, self._clock.now())
        held = self._held.setdefault(tenant.partner_id, Held())
        while True:
            freed = held.freed
            try:
                left = await self.usage.admit(tenant.partner_id, period, _listed(tenant.contract, uses, 1))
            except Spent as spent:
                raise self._refusal(spent, period) from None
            if freed.is_set():  # what is left may be of before: what was given back may have been counted
                continue
            if held.leaves(left, name):
                break
            await freed.wait()
        held.take(uses, name)

        async def release() -> None:
            held.give_back(uses, name)

        return release

    async def _remember(self, whats: list[What], when: When) -> None:
        for what in whats:
            self._counted[what] = when

    def _refusal(self, spent: Spent, period: Period) -> ApiError:
        use, ends = spent.use, f"{period.ends:%Y-%m-%dT%H:%M:%SZ}"
        told = f"not as many {use.module} are left of the {use.limit} of this period, which ends at {ends}"
        wait_s = (period.ends - self._clock.now()).total_seconds()
        return ApiError(
            Code.QUOTA_SPENT, told, errors=[{"path": use.module, "reason": f"renews at {ends}"}], retry_after_s=wait_s
        )


async def _nothing() -> None:
    pass


def _listed(contract: Contract, uses: Uses, number: int) -> list[Use]:
    return [Use(module, subject, limit_of(contract, module), number) for module, subject in uses.items()]


def _frame(clock: Clock, reached: Threshold) -> Frame:
    data = {
        "module": reached.module,
        "percent": reached.percent,
        "used": reached.used,
        "limit": reached.limit,
        "valid_to": reached.ends.isoformat(),
    }
    return events.framed(clock, events.USAGE_THRESHOLD, reached.partner_id, data)[1]
