"""Each tenant has a limit of its own, and the memory of them is bounded."""

import uuid

import pytest
import trio
import trio.testing

from gcc.stores.tenant import Tenant
from gcc.web.api import windows
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.tenant_limits import TenantLimits


def refused(limits: TenantLimits, partner_id: int) -> ApiError:
    with pytest.raises(ApiError) as caught:
        limits.take(Tenant(partner_id, "FREE"))
    return caught.value


async def test_one_tenant_takes_nothing_from_another(autojump_clock: trio.testing.MockClock) -> None:
    limits = TenantLimits("things", "good things", 2, 60)
    for _ in range(2):
        limits.take(Tenant(1, "FREE", user_id=uuid.UUID(int=7)))
    await trio.sleep(20)
    error = refused(limits, 1)
    assert (error.code, error.retry_after_s, error.detail) == (
        Code.RATE_LIMITED,
        40,
        "your limit of 2 good things per 60 s is used up",
    )
    limits.take(Tenant(2, "FREE"))
    await trio.sleep(40)
    limits.take(Tenant(1, "PAID"))


async def test_tenants_that_ask_no_more_are_forgotten(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "CALLERS_MAX", 6)
    limits = TenantLimits("things", "things", 1, 60)
    for partner_id in range(10):
        limits.take(Tenant(partner_id, "FREE"))
        await trio.sleep(10)
    limits.take(Tenant(10, "FREE"))
    assert list(limits._windows._windows) == [5, 6, 7, 8, 9, 10]
    refused(limits, 9)
    assert refused(limits, 11).retry_after_s == 60, "there is no room for the window of one more"
    await trio.sleep(10)
    limits.take(Tenant(11, "FREE"))
