"""A limit for each tenant, so that one cannot use up what all share.

In: a tenant that wants something. Out: leave, or an ApiError (RATE_LIMITED) with the wait. Each process counts for
itself: several let through as many times as much.
"""

from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused, Take
from gcc.sources.turns import URGENT
from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code

TENANTS_MAX = 10_000  # counted at once; beyond them those with nothing in their window are forgotten


class TenantLimits:
    def __init__(self, what: str, limit: Limit) -> None:
        """`what`: so many of them are allowed, for people."""
        self._what = what
        self._limit = limit
        self._limiters: dict[int, InProcessLimiter] = {}  # by partner_id

    async def take(self, tenant: Tenant) -> None:
        """Spend one; refused at once, without a checkpoint, where none is left."""
        if tenant.partner_id not in self._limiters:
            self._forget()
            self._limiters[tenant.partner_id] = InProcessLimiter({self._what: self._limit})
        try:
            await self._limiters[tenant.partner_id].take([Take(self._what)], priority=URGENT, wait_s_max=0.0)
        except LimitRefused as refused:
            limit = f"{self._limit.calls} {self._what} per {self._limit.per_s:g} s"
            raise ApiError(
                Code.RATE_LIMITED, f"your limit of {limit} is used up", retry_after_s=refused.retry_after_s
            ) from refused

    def _forget(self) -> None:
        if len(self._limiters) >= TENANTS_MAX:
            used = {tenant: limiter for tenant, limiter in self._limiters.items() if limiter.usage()[0].used}
            self._limiters = used
