"""How often a caller may ask at all: a class of calls is at most so many in ANY minute, by the plan of who asks.

In: who calls, and what its route counts as. Out: what is left of the class, or an ApiError (RATE_LIMITED,
LOGIN_THROTTLED). A partner's calls count together, whoever of it asks; a token of staff or of a service has one window
for everything; who is not known yet counts by address. One process counts in its memory, several count in Redis
(blocks.py); but for "open" each counts for itself, as balancers ask each whether it is well.

While Redis is away, what costs calls outside or much work is refused (STORE_UNAVAILABLE); for all else each process
grants a quarter.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import trio

from gcc.addresses import network_of
from gcc.config import RateClass, RateNumbers
from gcc.errors import Transient
from gcc.stores.tenant import Plan, Tenant
from gcc.web.api.blocks import SharedWindows, Store
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.windows import Counted, Windows
from gcc.web.at_once import OVER, Pause

Rated = RateClass | Literal["staff"]

WINDOW_S = 60
CALLS: Mapping[Rated, tuple[int, int, int]] = {
    #          FREE SAAS  PAID
    "open": (60, 60, 60),
    "login": (20, 20, 20),
    "read": (60, 300, 1200),
    "search": (10, 120, 600),
    "write": (20, 120, 600),
    "heavy": (2, 10, 30),
    "scrape": (2, 20, 60),
    "staff": (600, 600, 600),
}
"""Calls a window."""
PLANS: tuple[Plan, Plan, Plan] = ("FREE", "SAAS", "PAID")
BY_ADDRESS = ("open", "login")
EACH_ITS_OWN = ("open",)
ALONE = 0.25
"""The share of a process that cannot ask the others."""
NOT_ALONE = ("heavy", "scrape")


class Rates:
    def __init__(self, settings: Mapping[Rated, RateNumbers], store: Store | None = None) -> None:
        """`settings`: calls a window in place of those of CALLS, of all plans or by plan. `store`: where the windows
        of several processes are; None: this is the only one."""
        self._calls = {
            (name, plan): _number(settings.get(name), plan, number)
            for name, numbers in CALLS.items()
            for plan, number in zip(PLANS, numbers, strict=True)
        }
        self._windows = {name: Windows(name, WINDOW_S) for name in CALLS}
        self._shared = {
            name: SharedWindows(name, WINDOW_S, store, 0.0 if name in NOT_ALONE else ALONE)
            for name in CALLS
            if store is not None and name not in EACH_ITS_OWN
        }

    async def take(
        self, counts_as: Rated, tenant: Tenant | None, scope: Mapping[str, Any], pause: Pause = OVER
    ) -> Counted:
        """Count one call. Raises ApiError where the window is full, or nobody knows whether it is."""
        name, caller, plan = _counted_as(counts_as, tenant, scope)
        calls = self._calls[name, plan]
        if (shared := self._shared.get(name)) is None:
            counted = self._windows[name].take(caller, calls, trio.current_time())
        else:
            try:
                counted = await shared.take(caller, calls, pause)
            except Transient as away:
                counted = Counted(name, calls, WINDOW_S, 0, away.retry_after_s or 1.0, granted=False)
                told = f"{name} calls are counted in Redis, which is away"
                raise ApiError(Code.STORE_UNAVAILABLE, told, counted=counted) from away
        if counted.granted:
            return counted
        code = Code.LOGIN_THROTTLED if name == "login" else Code.RATE_LIMITED
        whose = "from your address" if tenant is None or name in BY_ADDRESS else "of yours"
        told = f"{counted.calls} {name} calls {whose} in any {WINDOW_S} s are allowed"
        raise ApiError(code, told, counted=counted)

    def look(self, scope: Mapping[str, Any]) -> Counted:
        """What somebody unknown has left; nothing is counted."""
        return self._windows["open"].look(_address(scope), self._calls["open", "FREE"], trio.current_time())


def calls(settings: Mapping[Rated, RateNumbers], name: Rated) -> int:
    """Those a window of who is not known."""
    return _number(settings.get(name), PLANS[0], CALLS[name][0])


def _number(set_to: RateNumbers | None, plan: Plan, number: int) -> int:
    if isinstance(set_to, int):
        return set_to
    return (set_to or {}).get(plan, number)


def _counted_as(name: Rated, tenant: Tenant | None, scope: Mapping[str, Any]) -> tuple[Rated, Hashable, Plan]:
    if tenant is None or name in BY_ADDRESS:
        return name, _address(scope), "FREE"
    if tenant.role in ("OPERATOR", "SERVICE"):
        return "staff", tenant.service or tenant.user_id, tenant.plan
    return name, tenant.partner_id, tenant.plan


def _address(scope: Mapping[str, Any]) -> str:
    return network_of((scope.get("client") or ("",))[0])
