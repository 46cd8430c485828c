"""The limiter under a virtual clock: the window holds whatever comes, and who waits is served in order."""

from dataclasses import dataclass

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import ConfigError
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused, Take


@dataclass(frozen=True)
class Caller:
    arrives_s: float
    priority: int
    wait_s_max: float
    gives_up_s: float  # cancelled this long after arriving


CALLERS = st.lists(
    st.builds(
        Caller,
        arrives_s=st.floats(0, 5),
        priority=st.integers(0, 2),
        wait_s_max=st.sampled_from([0.0, 0.5, 3.0, 1000.0]),
        gives_up_s=st.sampled_from([0.0, 0.3, 1000.0]),
    ),
    max_size=30,
)


@given(CALLERS, st.integers(1, 4), st.sampled_from([0.1, 1.0, 2.5]))
def test_the_window_is_never_exceeded(callers: list[Caller], calls: int, per_s: float) -> None:
    granted: list[float] = []
    limiter = InProcessLimiter({"x": Limit(calls, per_s)})

    async def call(caller: Caller) -> None:
        await trio.sleep(caller.arrives_s)
        begun = trio.current_time()
        with trio.move_on_after(caller.gives_up_s):
            try:
                await limiter.take([Take("x")], priority=caller.priority, wait_s_max=caller.wait_s_max)
            except LimitRefused as refusal:
                assert refusal.retry_after_s is not None
                assert refusal.retry_after_s >= 0
            else:
                granted.append(trio.current_time())
            assert trio.current_time() <= begun + caller.wait_s_max + 1e-9

    async def everybody() -> None:
        async with trio.open_nursery() as nursery:
            for caller in callers:
                nursery.start_soon(call, caller)
        assert limiter.usage()[0].waiting == 0

    trio.run(everybody, clock=trio.testing.MockClock(autojump_threshold=0))
    for earlier, later in zip(granted, granted[calls:], strict=False):
        assert later >= earlier + per_s
    patient = sum(caller.wait_s_max == caller.gives_up_s == 1000.0 for caller in callers)
    assert len(granted) >= patient


async def test_a_burst_then_the_pace_of_the_window(autojump_clock: trio.testing.MockClock) -> None:
    limiter, begun = InProcessLimiter({"x": Limit(3, 2.0)}), trio.current_time()
    times = []
    for _ in range(7):
        await limiter.take([Take("x")], wait_s_max=10)
        times.append(round(trio.current_time() - begun, 6))
    assert times == [0, 0, 0, 2, 2, 2, 4]


async def test_higher_priority_first_then_order_of_arrival(autojump_clock: trio.testing.MockClock) -> None:
    limiter = InProcessLimiter({"x": Limit(1, 1.0)})
    served: list[str] = []

    async def call(name: str, priority: int) -> None:
        await limiter.take([Take("x")], priority=priority, wait_s_max=100)
        served.append(name)

    await limiter.take([Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:
        for name, priority in (("low 1", 0), ("low 2", 0), ("high 1", 5), ("high 2", 5)):
            nursery.start_soon(call, name, priority)
            await trio.testing.wait_all_tasks_blocked()
    assert served == ["high 1", "high 2", "low 1", "low 2"]


async def test_who_cannot_be_served_in_time_is_refused_at_once(autojump_clock: trio.testing.MockClock) -> None:
    limiter, begun = InProcessLimiter({"x": Limit(2, 10.0)}), trio.current_time()
    await limiter.take([Take("x")], wait_s_max=0)
    await trio.sleep(4)
    await limiter.take([Take("x")], wait_s_max=0)
    with pytest.raises(LimitRefused) as caught:
        await limiter.take([Take("x")], wait_s_max=5.9)
    assert trio.current_time() - begun == pytest.approx(4)
    assert caught.value.retry_after_s == pytest.approx(6)
    await limiter.take([Take("x")], wait_s_max=6.0)


async def test_the_refusal_counts_those_who_wait_ahead(autojump_clock: trio.testing.MockClock) -> None:
    limiter = InProcessLimiter({"x": Limit(1, 1.0)})
    await limiter.take([Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: limiter.take([Take("x")], priority=1, wait_s_max=100))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(LimitRefused) as caught:
            await limiter.take([Take("x")], wait_s_max=3.9)
        assert caught.value.retry_after_s == pytest.approx(4)
        assert limiter.usage()[0].waiting == 3
        await limiter.take([Take("x")], priority=2, wait_s_max=1.5)  # overtakes them all


async def test_who_is_overtaken_is_refused_when_the_time_is_up(autojump_clock: trio.testing.MockClock) -> None:
    limiter, begun = InProcessLimiter({"x": Limit(1, 1.0)}), trio.current_time()
    await limiter.take([Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:

        async def patient() -> None:
            with pytest.raises(LimitRefused):
                await limiter.take([Take("x")], wait_s_max=1.5)
            assert trio.current_time() - begun == pytest.approx(1.5)

        nursery.start_soon(patient)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(lambda: limiter.take([Take("x")], priority=1, wait_s_max=100))


async def test_a_cancelled_waiter_leaves_its_place_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    limiter, begun = InProcessLimiter({"x": Limit(1, 5.0)}), trio.current_time()
    await limiter.take([Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def impatient() -> None:
            with first:
                await limiter.take([Take("x")], wait_s_max=100)

        nursery.start_soon(impatient)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: limiter.take([Take("x")], wait_s_max=100))
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
    assert trio.current_time() - begun == pytest.approx(5)
    assert limiter.usage()[0].used == 1


async def test_a_cancelled_caller_spends_nothing() -> None:
    limiter = InProcessLimiter({"x": Limit(1, 5.0)})
    with trio.CancelScope() as scope:
        scope.cancel()
        await limiter.take([Take("x")], wait_s_max=0)
    assert limiter.usage()[0].used == 0


async def test_on_a_clock_that_runs() -> None:
    """Between two looks at a real clock time passes; a free window must not look full because of that."""
    limiter = InProcessLimiter({"x": Limit(2000, 0.01)})
    for _ in range(2000):
        await limiter.take([Take("x")], wait_s_max=0)
    paced, begun = InProcessLimiter({"x": Limit(1, 0.002)}), trio.current_time()
    for _ in range(10):
        await paced.take([Take("x")], wait_s_max=1.0)
    assert trio.current_time() - begun >= 0.018


async def test_usage_and_unknown_names(autojump_clock: trio.testing.MockClock) -> None:
    limiter = InProcessLimiter({"b": Limit(2, 5.0), "a": Limit(1, 1.0)})
    await limiter.take([Take("b")], wait_s_max=0)
    assert [(use.name, use.used, use.calls, use.waiting) for use in limiter.usage()] == [("a", 0, 1, 0), ("b", 1, 2, 0)]
    await trio.sleep(5)
    assert limiter.usage()[1].used == 0
    with pytest.raises(ConfigError, match=r"sources\.c\."):
        await limiter.take([Take("c")], wait_s_max=0)
    with pytest.raises(ValueError, match="at least 1 call"):
        Limit(0, 1.0)
