"""Classes of rate on a virtual clock: never more than so many in any window, and headers that tell it beforehand."""

import random
import re
import uuid
from typing import Any

import pytest
import trio
import trio.testing

from gcc.config import Limits, RateClass, load
from gcc.errors import ConfigError
from gcc.stores.tenant import Plan, Tenant
from gcc.web.api import windows
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.rates import Rates
from gcc.web.api.windows import Counted, Windows

HOME: dict[str, Any] = {"client": ("192.0.2.1", 4711)}
NUMBERS: dict[RateClass, dict[Plan, int]] = {
    "read": {"FREE": 60, "SAAS": 300, "PAID": 1200},
    "search": {"FREE": 10, "SAAS": 120, "PAID": 600},
    "write": {"FREE": 20, "SAAS": 120, "PAID": 600},
    "heavy": {"FREE": 2, "SAAS": 10, "PAID": 30},
    "scrape": {"FREE": 2, "SAAS": 20, "PAID": 60},
}


async def refusal(rates: Rates, name: RateClass, tenant: Tenant | None, scope: dict[str, Any] = HOME) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await rates.take(name, tenant, scope)
    return caught.value


def told(counted: Counted) -> tuple[int, int]:
    """(r, t) as a client reads them."""
    found = re.fullmatch(r'"\w+";r=(\d+);t=(\d+)', windows.headers([counted])["ratelimit"])
    assert found
    return int(found[1]), int(found[2])


async def let_in(rates: Rates, name: RateClass, tenant: Tenant | None, scope: dict[str, Any] = HOME) -> int:
    """How many calls are granted at once; what is told before each foretells whether it is."""
    left = None
    for number in range(10_000):
        try:
            counted = await rates.take(name, tenant, scope)
        except ApiError as error:
            assert left in (0, None) and error.counted is not None and told(error.counted) == (0, error.retry_after_s)
            return number
        assert left is None or left == counted.left + 1
        left = counted.left
    raise AssertionError


@pytest.mark.parametrize("name", NUMBERS)
async def test_a_partner_may_call_as_often_as_its_plan_says(
    name: RateClass, autojump_clock: trio.testing.MockClock
) -> None:
    rates = Rates({})
    for partner_id, (plan, number) in enumerate(NUMBERS[name].items()):
        assert await let_in(rates, name, Tenant(partner_id, plan)) == number
        other = Tenant(partner_id, plan, "VIEWER", user_id=uuid.UUID(int=9), key_id=uuid.UUID(int=8))
        assert (await refusal(rates, name, other, {"client": ("192.0.2.9", 1)})).code is Code.RATE_LIMITED


async def test_who_is_not_known_counts_by_address(autojump_clock: trio.testing.MockClock) -> None:
    rates = Rates({})
    assert await let_in(rates, "open", None) == 60
    assert await let_in(rates, "login", None) == 20
    assert (await refusal(rates, "login", Tenant(1, "PAID"))).code is Code.LOGIN_THROTTLED, "whoever it is"
    assert "from your address" in (await refusal(rates, "open", None)).detail
    assert await let_in(rates, "open", None, {"client": ("192.0.2.2", 1)}) == 60
    assert await let_in(rates, "login", None, {"client": ("2001:db8::1", 1)}) == 20
    assert await let_in(rates, "login", None, {"client": ("2001:db8::ffff:2", 1)}) == 0, "one network, one caller"
    assert await let_in(rates, "login", None, {"client": ("2001:db8:0:1::1", 1)}) == 20
    assert await let_in(rates, "login", None, {"client": ("::ffff:192.0.2.3", 1)}) == 20
    assert await let_in(rates, "login", None, {"client": ("::ffff:192.0.2.4", 1)}) == 20, "IPv4 is no network"
    assert await let_in(rates, "login", None, {"client": ("192.0.2.4", 1)}) == 0
    assert await let_in(rates, "login", None, {"client": None}) == 20


async def test_staff_and_services_have_one_window_a_token(autojump_clock: trio.testing.MockClock) -> None:
    rates = Rates({})
    staff = [Tenant(1, "FREE", "OPERATOR", user_id=uuid.UUID(int=number)) for number in (1, 2)]
    service = Tenant(0, "PAID", "SERVICE", service="coffee")
    for _ in range(300):
        await rates.take("read", staff[0], HOME)
    assert await let_in(rates, "heavy", staff[0]) == 300
    for other in (staff[1], service):
        assert await let_in(rates, "write", other) == 600
    assert await let_in(rates, "read", Tenant(1, "FREE")) == 60


async def test_a_plan_that_ends_leaves_what_was_called_counted(autojump_clock: trio.testing.MockClock) -> None:
    rates = Rates({})
    for second in range(30):
        await trio.sleep(1)
        await rates.take("search", Tenant(1, "SAAS"), HOME)
        assert second < 29 or (await refusal(rates, "search", Tenant(1, "FREE"))).retry_after_s == 51
    await trio.sleep(51)
    await rates.take("search", Tenant(1, "FREE"), HOME)


async def test_settings_change_any_number(autojump_clock: trio.testing.MockClock) -> None:
    words = ["limits.classes.read=7", "limits.classes.search.FREE=3", "limits.classes.open=2", "limits.classes.staff=4"]
    rates = Rates(load(None, overrides=words, environ={}).limits.classes)
    plans: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
    for partner_id, plan in enumerate(plans):
        assert await let_in(rates, "read", Tenant(partner_id, plan)) == 7
    assert await let_in(rates, "search", Tenant(1, "FREE")) == 3
    assert await let_in(rates, "search", Tenant(2, "SAAS")) == 120
    assert await let_in(rates, "open", None) == 2
    assert await let_in(rates, "read", Tenant(1, "FREE", "SERVICE")) == 4
    for wrong in ("limits.classes.none=1", "limits.classes.read=0", "limits.classes.read.GOLD=1"):
        with pytest.raises(ConfigError, match=r"limits\.classes"):
            load(None, overrides=[wrong], environ={})
    assert Limits().classes == {}


@pytest.mark.parametrize("seed", range(10))
def test_never_more_than_so_many_in_any_window(seed: int) -> None:
    """Whatever the rhythm; and who comes back when it was told to is let in."""
    rng = random.Random(seed)
    calls, per_s = rng.choice([(1, 1), (5, 60), (60, 60), (17, 7)])
    counted = Windows("read", per_s)
    now, granted, refused, comes_back = 1000.0 * rng.random(), [], 0, None
    foretold: tuple[int, float] | None = None
    rhythm = 0.0
    for number in range(3000):
        if number % 100 == 0:
            rhythm = (0.001, 0.3 * per_s / calls, per_s / calls, per_s / 3)[number // 100 % 4]
        now += rng.choice([rhythm, rng.expovariate(1 / rhythm), 0.0])
        comes = comes_back is not None and rng.random() < 0.5
        if comes and comes_back is not None and comes_back > now:
            now = comes_back
        one = counted.take("me", calls, now)
        if one.granted:
            granted.append(now)
        else:
            refused += 1
            assert not comes, "it waited as it was told"
        if foretold is not None:
            left, more_at = foretold
            assert one.granted or left == 0, "what was left was refused"
            assert not one.granted or left > 0 or now >= more_at, "what was not left was granted"
        r, t = told(one)
        assert (r, t) == (one.left, one.wait_s) and t <= per_s + 1
        foretold = r, now + one.more_in_s - 1e-6
        comes_back = None if one.granted else now + t
    assert refused > 100
    for first, last in zip(granted, granted[calls:], strict=False):
        assert last - first >= per_s - 1e-6


def test_the_tightest_policy_stands_first() -> None:
    counted = [Counted("read", 1200, 60, 900, 3.2, granted=True), Counted("scrape", 60, 60, 7, 12.1, granted=True)]
    assert windows.headers(counted) == {
        "ratelimit-policy": '"scrape";q=60;w=60, "read";q=1200;w=60',
        "ratelimit": '"scrape";r=7;t=13, "read";r=900;t=4',
    }
