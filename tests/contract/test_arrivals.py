"""Calls that arrive later than they were let through, and bunched: no window is exceeded where they arrive.

One suite for the limiter of a process, under a virtual clock, and for two that share Redis, in real time. A call waits
for its connection, is written, is on its way, and is answered, is not, or is given up; each takes any time.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis as redis_py
import trio
import trio.testing

from gcc.sources.calls import ANSWERS_MIN
from gcc.sources.limits import KEPT_FREE, InProcessLimiter, Limit, Limiter, LimitRefused, Take
from gcc.sources.turns import URGENT
from gcc.sources.window import way_s
from gcc.stores.limits import RedisLimiter, late_s
from gcc.stores.redis import Redis, Script

PER_S = 0.4
LIMITS = {"x": Limit(8, PER_S), "x.slow": Limit(3, PER_S)}
STACK = [Take("x"), Take("x.slow")]
Arrivals = list[float]
Chance = Callable[[], float]


async def arrive(limiter: Limiter, takes: Sequence[Take], **how: Any) -> None:
    """Be there at once when let through."""
    async with await limiter.take(takes, **how):
        pass


class LostError(Exception):
    """As a connection is lost."""


async def call(
    limiter: Limiter, takes: Sequence[Take], arrivals: Arrivals, waits: Chance, way: Chance, answer: Chance
) -> None:
    """One that waits so long for its connection, is on its way so long, and is answered after, or lost (negative)."""
    let_through = await limiter.take(takes, wait_s_max=1000.0)
    async with let_through:
        await trio.sleep(waits())
        await let_through.sending()
        await trio.sleep(way())
        arrivals.append(trio.current_time())
        answer_s = answer()
        await trio.sleep(abs(answer_s))
        if answer_s < 0:
            raise LostError
        let_through.answered()


async def storm(limiters: Sequence[Limiter], rng: random.Random, span_s: float, callers: int) -> list[Arrivals]:
    """What arrived of each limit of LIMITS, from callers who ask on and on."""
    all_, slow = list[float](), list[float]()
    until = trio.current_time() + span_s

    def waits() -> float:
        return rng.choice((0.0, 0.001, rng.uniform(0, 0.1), rng.uniform(0, 2 * PER_S)))

    def way() -> float:
        return rng.choice((0.001, rng.uniform(0.001, 0.9 * way_s(PER_S))))

    def answer() -> float:
        return rng.choice((0.02, 0.02, rng.uniform(0.02, PER_S / 2), rng.uniform(PER_S, 2 * PER_S), -0.03))

    async def caller() -> None:
        while trio.current_time() < until:
            takes, arrivals = rng.choice(((STACK, slow), (STACK[:1], all_)))
            with trio.move_on_after(rng.choice((PER_S / 2, 1000.0))), suppress(LostError, LimitRefused):
                await call(rng.choice(limiters), takes, arrivals, waits, way, answer)
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(caller)
    return [sorted(all_ + slow), slow]


def assert_kept(arrived: Sequence[Arrivals]) -> None:
    for (name, limit), arrivals in zip(LIMITS.items(), arrived, strict=True):
        for earlier, later in zip(sorted(arrivals), sorted(arrivals)[limit.calls :], strict=False):
            assert later - earlier >= limit.per_s - 1e-6, f"{name}: more than {limit}"


@pytest.mark.parametrize("seed", range(30))
def test_no_window_is_exceeded_where_the_calls_arrive(seed: int) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    arrived = trio.run(storm, [InProcessLimiter(LIMITS)], random.Random(seed), 20.0, 12, clock=clock)
    assert len(arrived[0]) > 100
    assert_kept(arrived)


@pytest.mark.parametrize("seed", range(2))
async def test_two_that_share_redis_exceed_no_window_where_the_calls_arrive(old_redis: str, seed: int) -> None:
    stores = [Redis(old_redis) for _ in range(2)]
    arrived = await storm([RedisLimiter(store, LIMITS) for store in stores], random.Random(seed), 4.0, 24)
    assert len(arrived[0]) > 30
    assert_kept(arrived)
    for store in stores:
        store.close()


@pytest.fixture(params=["in process", "redis"])
def limiter(request: pytest.FixtureRequest) -> Iterator[Limiter]:
    """One call at a time."""
    limits = {"x": Limit(1, PER_S)}
    if request.param == "in process":
        yield InProcessLimiter(limits)
        return
    store = Redis(request.getfixturevalue("old_redis"))
    yield RedisLimiter(store, limits)
    store.close()


async def test_a_call_counts_from_its_arrival_also_while_nothing_answers_it(limiter: Limiter) -> None:
    """Nor does where its process is killed meanwhile."""
    arrivals = list[float]()

    async def ask(way_s: float) -> None:
        await call(limiter, STACK[:1], arrivals, lambda: 0.0, lambda: way_s, lambda: 1000.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0.9 * way_s(PER_S))
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.start_soon(ask, 0.0)
        with trio.fail_after(10):
            while len(arrivals) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert arrivals[1] - arrivals[0] >= PER_S - 1e-6


async def test_what_was_answered_counts_for_as_long_as_the_narrowed_limit_says(old_redis: str) -> None:
    """One in four windows: what its answer moves back is not forgotten after one."""
    store = Redis(old_redis)
    limiter = RedisLimiter(store, {"x": Limit(1, PER_S)})
    await limiter.narrow(Take("x"), 0.25, 60.0, "near")
    async with await limiter.take(STACK[:1], wait_s_max=0) as let_through:
        await let_through.sending()
        let_through.answered()
    with redis_py.Redis.from_url(old_redis) as client:
        left_ms = client.pttl("gcc:{limit}:x")
    assert left_ms > 2 * PER_S * 1000, "it ends with the narrowed window"
    store.close()


@pytest.mark.parametrize("answer_s", [0.001, 0.2])
@pytest.mark.parametrize("calls", [1, 5, 50])
async def test_what_answers_take_costs_no_rate(
    autojump_clock: trio.testing.MockClock, calls: int, answer_s: float
) -> None:
    limiter, arrivals = InProcessLimiter({"x": Limit(calls, 1.0)}), list[float]()

    async def caller() -> None:
        while trio.current_time() < 4 * ANSWERS_MIN:
            await call(limiter, STACK[:1], arrivals, lambda: 0.002, lambda: 0.001, lambda: answer_s)

    async with trio.open_nursery() as nursery:
        for _ in range(3 * calls):
            nursery.start_soon(caller)
    learnt = [at for at in arrivals if at > arrivals[0] + 2 * ANSWERS_MIN]
    assert len(learnt) / (learnt[-1] - learnt[0]) > 0.98 * (calls - calls // KEPT_FREE)


async def test_who_was_let_through_and_waited_too_long_to_be_sent_takes_its_turn_again(old_redis: str) -> None:
    store = Redis(old_redis)
    limiter = RedisLimiter(store, {"x": Limit(1, PER_S)})
    late = await limiter.take(STACK[:1], wait_s_max=0)
    await trio.sleep(late_s(PER_S) + PER_S)
    await limiter.take(STACK[:1], wait_s_max=0)
    async with late:
        with pytest.raises(LimitRefused, match="x: our limit of 1 calls"):
            await late.sending()
    store.close()


class SlowRedis(Redis):
    runs = 0

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        self.runs += 1
        answer = await super().run(script, keys, arguments)
        await trio.sleep(0.05)
        return answer


async def test_a_redis_that_takes_half_a_window_to_answer_lets_calls_be_sent(old_redis: str) -> None:
    store = SlowRedis(old_redis)
    limiter = RedisLimiter(store, {"x": Limit(2, 0.1)})
    with trio.fail_after(10):
        async with await limiter.take(STACK[:1], wait_s_max=0) as call:
            await call.sending()
            moved = store.runs - 1
            await limiter.take(STACK[:1], wait_s_max=10)  # and what it moved is no clock that was set back
            with redis_py.Redis.from_url(old_redis) as client:
                assert client.llen("gcc:{limit}:x") == 2
    assert 1 <= moved <= 3
    store.close()


async def test_an_urgent_call_finds_room_where_a_burst_has_spent_the_window(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limiter = InProcessLimiter({"x": Limit(2 * KEPT_FREE, 10.0)})
    for _ in range(2 * KEPT_FREE - 2):
        await limiter.take(STACK[:1], wait_s_max=0)
    with pytest.raises(LimitRefused) as caught:
        await limiter.take(STACK[:1], wait_s_max=0)
    assert caught.value.retry_after_s == pytest.approx(10)
    for _ in range(2):
        await limiter.take(STACK[:1], priority=URGENT, wait_s_max=0)
    with pytest.raises(LimitRefused):
        await limiter.take(STACK[:1], priority=URGENT, wait_s_max=0)


async def test_what_takes_a_whole_limit_at_once_is_let_through(autojump_clock: trio.testing.MockClock) -> None:
    limiter = InProcessLimiter({"x": Limit(4 * KEPT_FREE, 10.0)})
    await limiter.take([Take("x", 4 * KEPT_FREE)], wait_s_max=0)
    await limiter.narrow(Take("x"), 0.02, 1000.0, "a share of which there is nothing to keep")
    for _ in range(4):
        await limiter.take(STACK[:1], wait_s_max=1000.0)
