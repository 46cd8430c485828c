"""Each tenant has a limit of its own, and the memory of them is bounded."""

import pytest
import trio
import trio.testing

from gcc.sources.limits import Limit
from gcc.stores.tenant import Tenant
from gcc.web.api import tenant_limits
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.tenant_limits import TenantLimits


async def refused(limits: TenantLimits, partner_id: int) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await limits.take(Tenant(partner_id, "FREE"))
    return caught.value


async def test_one_tenant_takes_nothing_from_another(autojump_clock: trio.testing.MockClock) -> None:
    limits = TenantLimits("things", Limit(2, 60.0))
    for _ in range(2):
        await limits.take(Tenant(1, "FREE", "someone"))
    await trio.sleep(20)
    error = await refused(limits, 1)
    assert (error.code, error.retry_after_s, error.detail) == (
        Code.RATE_LIMITED,
        40.0,
        "your limit of 2 things per 60 s is used up",
    )
    await limits.take(Tenant(2, "FREE"))
    await trio.sleep(40)
    await limits.take(Tenant(1, "PAID"))


async def test_a_refusal_lets_nobody_else_run() -> None:
    limits = TenantLimits("things", Limit(1, 60.0))
    await limits.take(Tenant(1, "FREE"))
    others: list[int] = []

    async def other() -> None:
        others.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await refused(limits, 1)
        assert others == []


async def test_tenants_that_ask_no_more_are_forgotten(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_limits, "TENANTS_MAX", 10)
    limits = TenantLimits("things", Limit(1, 60.0))
    for partner_id in range(10):
        await limits.take(Tenant(partner_id, "FREE"))
        await trio.sleep(10)
    await limits.take(Tenant(10, "FREE"))
    assert sorted(limits._limiters) == [5, 6, 7, 8, 9, 10]
    await refused(limits, 9)
