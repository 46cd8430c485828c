"""A limit for each tenant, so that one cannot use up what all share.

In: a tenant that wants something. Out: leave, or an ApiError (RATE_LIMITED) with the wait. Each process counts for
itself: several let through as many times as much.
"""

import trio

from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.windows import Windows


class TenantLimits:
    def __init__(self, policy: str, what: str, calls: int, per_s: int) -> None:
        """`calls` of `what` are allowed in any `per_s`; `policy`: what headers call it."""
        self._what = what
        self._calls = calls
        self._windows = Windows(policy, per_s)

    def take(self, tenant: Tenant) -> None:
        """Spend one, or refuse at once where none is left."""
        counted = self._windows.take(tenant.partner_id, self._calls, trio.current_time())
        if not counted.granted:
            limit = f"{counted.calls} {self._what} per {counted.per_s} s"
            raise ApiError(Code.RATE_LIMITED, f"your limit of {limit} is used up", counted=counted)
