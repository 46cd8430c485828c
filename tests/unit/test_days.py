"""Limits per day: no day is ever exceeded, whoever restarts, dies or waits, and what was refused costs nothing."""

import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gcc.clock import VirtualClock
from gcc.errors import ConfigError, Transient
from gcc.metrics import Metrics
from gcc.sources.breakers import Breakers
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.days import EDGE_S, WAY_S
from gcc.sources.http import Request, decode
from gcc.sources.limits import Daily, InProcessLimiter, Limit, LimitRefused, LimitsAway, Take
from gcc.sources.table import SOURCES
from gcc.supervisor.lifecycle import Board
from tests.fakes.credentials import FakeCredentials
from tests.fakes.days import FakeDays
from tests.fakes.fetcher import FakeFetcher, Reply

PACIFIC = "America/Los_Angeles"
H = 3600.0


def until_midnight_s(clock: VirtualClock, zone: str = PACIFIC) -> float:
    now = clock.now().astimezone(ZoneInfo(zone))
    end = dt.datetime.combine(now.date() + dt.timedelta(1), dt.time(), now.tzinfo)
    return end.timestamp() - now.timestamp()


async def refused(limiter: InProcessLimiter, take: Take) -> float:
    with pytest.raises(LimitRefused) as caught:
        await limiter.take([take], wait_s_max=5.0)
    assert caught.value.name == take.name
    assert caught.value.retry_after_s is not None
    return caught.value.retry_after_s


async def test_a_day_is_spent_and_begins_anew_at_midnight_there(autojump_clock: trio.testing.MockClock) -> None:
    clock = VirtualClock(seed=1)
    limiter = InProcessLimiter({"x@*": Daily(100, PACIFIC)}, FakeDays(clock))
    for _ in range(100):
        await limiter.take([Take("x@a", rule="x@*")], wait_s_max=0)
    wait_s = await refused(limiter, Take("x@a", rule="x@*"))
    assert wait_s == pytest.approx(until_midnight_s(clock) + EDGE_S)
    await limiter.take([Take("x@b", 7, rule="x@*")], wait_s_max=0)  # each has its own
    assert [(use.name, use.used) for use in limiter.usage()] == [("x@*", 0), ("x@a", 100), ("x@b", 7)]
    await trio.sleep(wait_s)
    await limiter.take([Take("x@a", rule="x@*")], wait_s_max=0)


async def test_around_midnight_nobody_gets_any(autojump_clock: trio.testing.MockClock) -> None:
    clock = VirtualClock(seed=1)
    limiter = InProcessLimiter({"x": Daily(100_000, PACIFIC)}, FakeDays(clock))
    await limiter.take([Take("x")], wait_s_max=0)
    await trio.sleep(until_midnight_s(clock) - 0.5)
    assert await refused(limiter, Take("x")) == pytest.approx(0.5 + EDGE_S)
    await trio.sleep(1.0)
    assert await refused(limiter, Take("x")) == pytest.approx(EDGE_S - 0.5)
    await trio.sleep(EDGE_S)
    await limiter.take([Take("x")], wait_s_max=0)


async def test_nobody_takes_what_is_left_of_a_day_into_the_next_one(autojump_clock: trio.testing.MockClock) -> None:
    """By waiting for another limit over midnight, or by giving back then what was taken before."""
    clock = VirtualClock(seed=1)
    days, limits = FakeDays(clock), {"day": Daily(100, PACIFIC), "slow": Limit(1, 3600.0)}
    limiter = InProcessLimiter(limits, days)
    stack = [Take("day"), Take("slow")]
    async with await limiter.take([Take("slow")], wait_s_max=0):
        pass
    await trio.sleep(until_midnight_s(clock) - WAY_S - 1.0)
    async with await limiter.take([Take("slow")], wait_s_max=0):
        pass
    asked_at = trio.current_time()
    with pytest.raises(LimitRefused, match="slow"):
        await limiter.take(stack, wait_s_max=7200.0)
    assert trio.current_time() - asked_at <= 1.0
    await trio.sleep(WAY_S + 2 * EDGE_S)
    for _ in range(100):
        await limiter.take([Take("day")], wait_s_max=0)
    await refused(limiter, Take("day"))
    assert days.reserved["day"][1] == 100


async def test_what_another_limit_refuses_or_a_caller_leaves_is_given_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    days = FakeDays(VirtualClock(seed=1))
    limiter = InProcessLimiter({"day": Daily(3, PACIFIC), "second": Limit(1, 10.0)}, days)
    stack = [Take("day"), Take("second")]
    await limiter.take(stack, wait_s_max=0)
    for _ in range(5):
        with pytest.raises(LimitRefused, match="second"):
            await limiter.take(stack, wait_s_max=0)
        with trio.move_on_after(1):
            await limiter.take(stack, wait_s_max=100)
    assert {use.name: use.used for use in limiter.usage()}["day"] == 1
    for _ in range(2):
        await limiter.take(stack, wait_s_max=100)
    with pytest.raises(LimitRefused, match="3 calls per day of America/Los_Angeles is used up"):
        await limiter.take(stack, wait_s_max=100)


async def test_where_days_are_away_nobody_knows_and_without_them_it_is_said(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = FakeDays(VirtualClock(seed=1))
    limiter = InProcessLimiter({"x": Daily(100, PACIFIC)}, days)

    async def lost(*_: object, **__: object) -> None:
        raise Transient("postgres is away")

    with monkeypatch.context() as patch:
        patch.setattr(days, "reserve", lost)
        with pytest.raises(LimitsAway, match="x: our limits are away: postgres is away"):
            await limiter.take([Take("x")], wait_s_max=5)
    await limiter.take([Take("x")], wait_s_max=0)
    with pytest.raises(ConfigError, match="per day"):
        await InProcessLimiter({"x": Daily(100, PACIFIC)}).take([Take("x")], wait_s_max=0)
    with pytest.raises(ValueError, match="at least 1"):
        Daily(0, PACIFIC)


async def test_a_spent_bucket_leaves_the_other_questions_at_full_rate(autojump_clock: trio.testing.MockClock) -> None:
    clock = VirtualClock(seed=1)
    rules = SOURCES["ytapi"].limits
    limiter = InProcessLimiter(SOURCES["ytapi"].rules, FakeDays(clock))
    credentials, breakers = FakeCredentials(clock), Breakers(Board(clock.now), clock.rng)
    for key in "ab":
        await credentials.put("ytapi", key, {"token": key})
    fetcher = FakeFetcher(lambda _: Reply(200, b"{}"))
    outside = Outside(fetcher, limiter, credentials, clock, Metrics(), {}, breakers, {"ytapi": rules})
    api = SourceApi("ytapi", lambda answer, _: decode(answer, "ytapi"))

    async def ask(bucket: str) -> None:
        def build(credential: Credential) -> Request:
            return Request("ytapi", "GET", "http://x", {"key": credential.secret["token"]})

        await outside.ask(api, Question("q", build, bucket=bucket), Visit(wait_s_max=2.0))

    for _ in range(200):
        await ask("search")
    assert Counter(request.params["key"] for request in fetcher.requests) == {"a": 100, "b": 100}
    begun = trio.current_time()
    with pytest.raises(LimitRefused, match=r"ytapi\.search@[ab]: our limit of 100 calls per day") as caught:
        await ask("search")
    assert caught.value.retry_after_s == pytest.approx(until_midnight_s(clock) + EDGE_S)
    assert trio.current_time() == begun, "refused at once"
    assert breakers.out(["ytapi"]) is None, "jobs that ask other things are claimed"
    for bucket in ("units", "stats") * 50:
        await ask(bucket)
    assert trio.current_time() - begun <= 2.0, "50 a second"


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # which process
        st.integers(1, 3),  # units
        st.sampled_from([0.0, 0.0, 1.0, 600.0, 5 * H]),  # pause before
        st.booleans(),  # it is killed afterwards
        st.booleans(),  # the caller leaves while it asks
    ),
    max_size=60,
)


@given(STEPS, st.integers(3, 12), st.sampled_from([PACIFIC, "Asia/Kolkata"]))
def test_no_day_is_ever_exceeded(steps: list[tuple[int, int, float, bool, bool]], calls: int, zone: str) -> None:
    spent: dict[dt.date, int] = {}

    async def run() -> None:
        clock = VirtualClock(seed=1)
        days = FakeDays(clock)
        processes = [InProcessLimiter({"x": Daily(calls, zone)}, days) for _ in range(3)]
        for number, units, pause_s, killed, leaves in steps:
            await trio.sleep(pause_s)
            with trio.CancelScope() as scope:
                if leaves:
                    scope.cancel()
                try:
                    await processes[number].take([Take("x", units)], wait_s_max=0)
                except LimitRefused as refusal:
                    assert refusal.retry_after_s is not None
                    assert 0 <= refusal.retry_after_s <= 25 * H + EDGE_S
                else:
                    day = clock.now().astimezone(ZoneInfo(zone)).date()
                    spent[day] = spent.get(day, 0) + units
            if killed:
                processes[number] = InProcessLimiter({"x": Daily(calls, zone)}, days)

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    assert all(units <= calls for units in spent.values()), spent
