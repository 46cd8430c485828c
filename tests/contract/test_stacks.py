"""Stacks of limits: one suite for the limiter of a process and for several that share Redis.

What was granted is told by whoever grants, in its own time: no window of any limit is ever exceeded, with weights,
priorities, callers who leave, limits that are narrowed and changed meanwhile, and a Redis that dies.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis as redis_py
import trio
import trio.testing

from gcc.sources.limits import (
    AnyLimit,
    InProcessLimiter,
    Limit,
    Limiter,
    LimitRefused,
    Take,
    paced,
)
from gcc.sources.turns import Lacking
from gcc.stores.limits import TAKE, RedisLimiter
from gcc.stores.redis import Redis, Script
from tests.contract.test_arrivals import arrive
from tests.services.redis import RedisNode

PER_S = 0.3
PATIENT_S = 30.0
Grants = dict[str, list[tuple[float, int]]]
"""By limit: when, and how many units."""


class RecordedLimiter(InProcessLimiter):
    def __init__(self, limits: Mapping[str, AnyLimit], grants: Grants) -> None:
        super().__init__(limits)
        self._grants = grants

    async def _ask(self, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        lacking = await super()._ask(takes, ahead)
        for take in () if lacking else takes:
            self._grants[take.name].append((trio.current_time(), take.units))
        return lacking


class RecordedRedis(Redis):
    def __init__(self, url: str, grants: Grants) -> None:
        super().__init__(url)
        self._grants = grants

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        answer = await super().run(script, keys, arguments)
        if script is TAKE and answer[0]:
            for number, key in enumerate(keys[::2]):
                self._grants[key.rpartition(":")[2]].append((answer[3] / 1e6, arguments[6 * number + 2]))
        return answer


Make = Callable[[Mapping[str, AnyLimit]], Limiter]


@pytest.fixture
def grants() -> Grants:
    return defaultdict(list)


@pytest.fixture(params=["in process", "redis"])
def make(request: pytest.FixtureRequest, grants: Grants, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    if request.param == "in process":
        yield lambda limits: RecordedLimiter(limits, grants)
        return
    monkeypatch.setattr("gcc.stores.limits.FORGOTTEN_S", 1.0)  # the server is young, and nothing was forgotten
    url, stores = request.getfixturevalue("old_redis"), list[Redis]()

    def made(limits: Mapping[str, AnyLimit]) -> Limiter:
        stores.append(RecordedRedis(url, grants))
        return RedisLimiter(stores[-1], limits)

    yield made
    for store in stores:
        store.close()


def assert_kept(grants: Grants, limits: Mapping[str, Limit]) -> None:
    for name, limit in limits.items():
        spent = sorted(grants[name])
        for number, (end, _) in enumerate(spent):
            window = [units for at, units in spent[: number + 1] if end - at < limit.per_s - 1e-6]
            assert sum(window) <= limit.calls, f"{name}: {sum(window)} units within {limit}"


async def until_waiting_for(limiter: Limiter, name: str, count: int) -> None:
    with trio.fail_after(PATIENT_S):
        while {use.name: use.waiting for use in limiter.usage()}[name] != count:  # noqa: ASYNC110
            await trio.sleep(0.001)


def stack(*names: str, units: int = 1) -> list[Take]:
    return [Take(name, units) for name in names]


async def test_all_of_a_stack_is_spent_or_none(make: Make, grants: Grants) -> None:
    limiter = make({"a": Limit(10, 60.0), "b": Limit(2, 60.0)})
    for _ in range(2):
        await arrive(limiter, stack("a", "b"), wait_s_max=0)
    for _ in range(3):
        with pytest.raises(LimitRefused, match="b: our limit of 2 calls per 60 s is used up") as caught:
            await arrive(limiter, stack("a", "b"), wait_s_max=1.0)
        assert caught.value.name == "b"
    assert [(use.name, use.used) for use in limiter.usage()] == [("a", 2), ("b", 2)]
    await arrive(limiter, [Take("a", 8)], wait_s_max=0)
    assert {name: sum(units for _, units in spent) for name, spent in grants.items()} == {"a": 10, "b": 2}


async def test_units_count_and_more_than_the_limit_never_fit(make: Make, grants: Grants) -> None:
    limits = {"a": Limit(10, PER_S)}
    limiter = make(limits)
    async with trio.open_nursery() as nursery:
        for units in (7, 4, 3, 9, 1, 10, 2):
            nursery.start_soon(lambda units=units: arrive(limiter, [Take("a", units)], wait_s_max=PATIENT_S))
    assert sorted(units for _, units in grants["a"]) == [1, 2, 3, 4, 7, 9, 10]
    assert_kept(grants, limits)
    with pytest.raises(LimitRefused, match="11 units at once are more than our limit of 10 calls"):
        await arrive(limiter, [Take("a", 11)], wait_s_max=PATIENT_S)


async def test_one_of_the_hurried_is_not_waited_for(make: Make) -> None:
    limiter = make({"src": Limit(1, PER_S), "src@*": Limit(1, 60.0)})

    def of(key: str) -> list[Take]:
        return [Take("src"), Take(f"src@{key}", rule="src@*")]

    await arrive(limiter, of("a"), wait_s_max=0)
    begun = trio.current_time()
    with pytest.raises(LimitRefused) as caught:
        await arrive(limiter, of("a"), wait_s_max=PATIENT_S, hurried=["src@a"])
    assert (caught.value.name, trio.current_time() - begun < PER_S) == ("src@a", True)
    await arrive(limiter, of("b"), wait_s_max=PATIENT_S, hurried=["src@b"])
    with pytest.raises(LimitRefused) as caught:
        await arrive(limiter, of("c"), wait_s_max=0, hurried=["src@c"])
    assert caught.value.name == "src"


async def test_flows_have_turns_and_priority_goes_before(make: Make) -> None:
    limiter = make({"a": Limit(1, 0.05)})
    served: list[str] = []

    async def call(flow: str, priority: int) -> None:
        await arrive(limiter, stack("a"), flow=flow, priority=priority, wait_s_max=PATIENT_S)
        served.append(flow)

    await arrive(limiter, stack("a"), wait_s_max=0)
    async with trio.open_nursery() as nursery:
        waiting = 0
        for flow, priority, count in (("many", 0, 8), ("few", 0, 2), ("on demand", 5, 1)):
            for _ in range(count):
                nursery.start_soon(call, flow, priority)
                await trio.testing.wait_all_tasks_blocked(0.002)
                waiting += 1
    assert "on demand" in served[:4]
    assert max(place for place, flow in enumerate(served) if flow == "few") <= 6, served


async def test_who_lacks_a_slow_limit_holds_nobody_else_up(make: Make, grants: Grants) -> None:
    limits = {"shared": Limit(20, PER_S), "slow": Limit(1, 60.0)}
    limiter = make(limits)
    await arrive(limiter, stack("shared", "slow"), wait_s_max=0)
    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(lambda: arrive(limiter, stack("shared", "slow"), wait_s_max=10_000.0))
        await until_waiting_for(limiter, "slow", 40)
        begun = trio.current_time()
        for _ in range(59):
            await arrive(limiter, stack("shared"), wait_s_max=PATIENT_S)
        assert trio.current_time() - begun < 6 * PER_S, "the shared one goes on at its own rate"
        nursery.cancel_scope.cancel()
    assert_kept(grants, limits)


async def test_nobody_is_overtaken_for_ever_between_two_full_limits(make: Make, grants: Grants) -> None:
    limits = {"a": Limit(2, PER_S), "b": Limit(3, PER_S)}
    limiter, begun = make(limits), trio.current_time()

    async def others(name: str) -> None:
        while True:
            await arrive(limiter, stack(name), flow=name, wait_s_max=PATIENT_S)

    with trio.fail_after(PATIENT_S):
        async with trio.open_nursery() as nursery:
            for name in "aaabbbb":
                nursery.start_soon(others, name)
            await trio.sleep(PER_S)
            for _ in range(3):
                await arrive(limiter, stack("a", "b"), flow="both", wait_s_max=PATIENT_S)
            nursery.cancel_scope.cancel()
    assert trio.current_time() - begun < 20 * PER_S
    assert_kept(grants, limits)


async def test_a_closed_limit_opens_by_itself_and_nothing_opens_it_sooner(make: Make, grants: Grants) -> None:
    limiter = make({"a": Limit(10, PER_S)})
    begun = trio.current_time()
    await limiter.narrow(Take("a"), 0.0, 2 * PER_S, "refused")
    await limiter.narrow(Take("a"), 0.5, 60.0, "a good answer that was on its way")
    await limiter.narrow(Take("a"), 1.0, 60.0, "another one")
    with pytest.raises(LimitRefused, match=r"of which 0% is allowed \(refused\)"):
        await arrive(limiter, stack("a"), wait_s_max=PER_S)
    await arrive(limiter, stack("a"), wait_s_max=PATIENT_S)
    assert trio.current_time() - begun >= 2 * PER_S - 0.01
    for _ in range(9):
        await arrive(limiter, stack("a"), wait_s_max=0)


@pytest.mark.parametrize(("share", "calls", "per_s"), [(0.5, 5, PER_S), (0.05, 1, 2 * PER_S)])
async def test_a_narrowed_limit_is_kept_and_the_whole_one_comes_back(
    make: Make, grants: Grants, share: float, calls: int, per_s: float
) -> None:
    limiter = make({"a": Limit(10, PER_S)})
    assert paced(Limit(10, PER_S), share) == (calls, pytest.approx(per_s))
    await limiter.narrow(Take("a"), share, 60.0, "near")
    for _ in range(2 * calls + 1):
        await arrive(limiter, stack("a"), wait_s_max=PATIENT_S)
    assert_kept(grants, {"a": Limit(calls, per_s * 0.999)})
    (use,) = limiter.usage()
    assert (use.share, use.why, 0 < use.narrowed_s <= 60.0) == (share, "near", True)
    await limiter.narrow(Take("a"), 1.0, 60.0, "far from it")
    for _ in range(9 - calls):
        await arrive(limiter, stack("a"), wait_s_max=0)


async def test_who_waits_for_more_units_than_a_lowered_limit_has_is_refused(make: Make, grants: Grants) -> None:
    limiter = make({"a": Limit(10, PER_S)})
    await arrive(limiter, [Take("a", 10)], wait_s_max=0)
    refused: list[LimitRefused] = []

    async def call() -> None:
        with pytest.raises(LimitRefused, match="8 units at once are more than our limit of 5 calls") as caught:
            await arrive(limiter, [Take("a", 8)], wait_s_max=PATIENT_S)
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await until_waiting_for(limiter, "a", 1)
        limiter.override({"a": Limit(5, PER_S)})
    assert refused[0].name == "a" and refused[0].retry_after_s == PER_S
    assert grants["a"] == [(grants["a"][0][0], 10)], "nothing was spent"
    await arrive(limiter, [Take("a", 5)], wait_s_max=PATIENT_S)


async def test_more_units_than_a_narrowed_limit_has_wait_until_it_is_whole_again(make: Make, grants: Grants) -> None:
    limiter = make({"a": Limit(10, PER_S)})
    await limiter.narrow(Take("a"), 0.5, 3 * PER_S, "near")
    with pytest.raises(LimitRefused, match=r"of which 50% is allowed \(near\)") as caught:
        await arrive(limiter, [Take("a", 8)], wait_s_max=0)
    assert caught.value.retry_after_s == pytest.approx(3 * PER_S, abs=0.2)
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: arrive(limiter, [Take("a", 8)], wait_s_max=PATIENT_S))
    assert trio.current_time() - begun > 2 * PER_S
    await arrive(limiter, [Take("a", 2)], wait_s_max=0)


async def test_what_people_set_holds_at_once_also_for_those_who_wait(make: Make, grants: Grants) -> None:
    limiter = make({"a@*": Limit(1, 600.0)})
    take = [Take("a@x", rule="a@*")]
    await arrive(limiter, take, wait_s_max=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: arrive(limiter, take, wait_s_max=900.0))
        await until_waiting_for(limiter, "a@x", 1)
        limiter.override({"a@*": Limit(3, 600.0)})
        await until_waiting_for(limiter, "a@x", 0)
    await arrive(limiter, take, wait_s_max=0)
    with pytest.raises(LimitRefused, match="3 calls per 600 s"):
        await arrive(limiter, take, wait_s_max=0)
    limiter.override({"a@x": Limit(4, 600.0), "a@*": Limit(2, 600.0)})
    await arrive(limiter, take, wait_s_max=0)
    limiter.override({})
    with pytest.raises(LimitRefused, match="1 calls per 600 s"):
        await arrive(limiter, take, wait_s_max=0)
    assert len(grants["a@x"]) == 4, "what was spent counted on"


LIMITS = {"src": Limit(9, PER_S), "src.x": Limit(4, PER_S / 2), "src@*": Limit(5, 2 * PER_S)}
ALL = {**LIMITS, "src@a": LIMITS["src@*"], "src@b": LIMITS["src@*"]}


async def storm(limiters: Sequence[Limiter], seed: int, callers: int, span_s: float) -> int:
    """Callers of all kinds come within `span_s`, while limits are narrowed and changed; how many were served."""
    rng, served = random.Random(seed), 0

    async def call() -> None:
        nonlocal served
        await trio.sleep(rng.uniform(0, span_s))
        key = rng.choice("ab")
        takes = [Take("src", rng.choice((1, 1, 2))), Take(f"src@{key}", rng.choice((1, 2, 3)), rule="src@*")]
        takes += [Take("src.x")] * rng.choice((0, 1))
        hurried = [f"src@{key}"] if rng.random() < 0.3 else []
        with trio.move_on_after(rng.choice((0.01, PER_S, PATIENT_S))), suppress(LimitRefused):
            wait_s_max = rng.choice((0.0, PER_S, PATIENT_S))
            priority, flow = rng.choice((0, 0, 5)), rng.choice("fgh")
            await arrive(
                rng.choice(limiters), takes, priority=priority, flow=flow, wait_s_max=wait_s_max, hurried=hurried
            )
            served += 1

    async def meddle() -> None:
        with suppress(LimitRefused):
            for _ in range(6):
                await trio.sleep(rng.uniform(0, span_s / 6))
                what = rng.choice((Take("src"), Take("src.x"), Take("src@a", rule="src@*")))
                await rng.choice(limiters).narrow(what, rng.choice((0.0, 0.3, 1.0)), rng.uniform(0, PER_S), "seeded")
                lower = {"src": Limit(rng.choice((3, 9)), PER_S)}
                for limiter in limiters:
                    limiter.override(lower)

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(call)
        nursery.start_soon(meddle)
    return served


@pytest.mark.parametrize("seed", range(40))
def test_no_window_is_ever_exceeded(seed: int) -> None:
    grants: Grants = defaultdict(list)
    limiter = RecordedLimiter(LIMITS, grants)
    clock = trio.testing.MockClock(autojump_threshold=0)
    assert trio.run(storm, [limiter], seed, 120, 10.0, clock=clock) > 20
    assert_kept(grants, ALL)
    assert not limiter._turns._lines and not limiter._turns._rounds, "nobody is left in a line"


@pytest.mark.parametrize("seed", range(3))
async def test_no_window_is_ever_exceeded_by_two_that_share_redis(
    old_redis: str,
    grants: Grants,
    seed: int,
) -> None:
    stores = [RecordedRedis(old_redis, grants) for _ in range(2)]
    limiters = [RedisLimiter(store, LIMITS) for store in stores]
    assert await storm(limiters, seed, 80, 1.5) > 10
    assert_kept(grants, ALL)
    for store in stores:
        store.close()


async def test_what_narrows_a_limit_is_shared_by_processes(old_redis: str, grants: Grants) -> None:
    stores = [RecordedRedis(old_redis, grants) for _ in range(2)]
    one, two = (RedisLimiter(store, LIMITS) for store in stores)
    await one.narrow(Take("src@a", rule="src@*"), 0.0, 60.0, "é: HTTP 429")
    with pytest.raises(LimitRefused, match=r"src@a: .*of which 0% is allowed \(é: HTTP 429\)") as caught:
        await arrive(two, [Take("src"), Take("src@a", rule="src@*")], wait_s_max=PER_S)
    assert caught.value.retry_after_s == pytest.approx(60.0, abs=2.0)
    await arrive(two, [Take("src"), Take("src@b", rule="src@*")], wait_s_max=0)
    with redis_py.Redis.from_url(old_redis) as client:
        assert sorted(client.keys()) == [b"gcc:{limit}:src", b"gcc:{limit}:src@a:narrowed", b"gcc:{limit}:src@b"]
        assert 0 < client.pttl(b"gcc:{limit}:src@a:narrowed") <= 60_000, "it ends by itself"
    for store in stores:
        store.close()


async def test_no_window_is_exceeded_while_redis_dies_and_comes_back(
    old_redis: str,
    redis_node: RedisNode,
    grants: Grants,
) -> None:
    stores = [RecordedRedis(old_redis, grants) for _ in range(2)]
    limiters = [RedisLimiter(store, LIMITS) for store in stores]

    async def restart() -> None:
        await trio.sleep(0.5)
        redis_node.kill()
        await redis_node.start()
        for store in stores:
            await store.look()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(storm, limiters, 7, 120, 3.0)
        nursery.start_soon(restart)
    assert_kept(grants, ALL)
    assert max(at for at, _ in grants["src"]) - min(at for at, _ in grants["src"]) > 1.0, "it was served afterwards"
    for store in stores:
        store.close()


async def test_limits_that_nobody_uses_are_forgotten(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcc.sources.limits.LANES_MAX", 50)
    limiter = InProcessLimiter({"x@*": Limit(1, 10.0)})
    for number in range(50):
        await arrive(limiter, [Take(f"x@{number}", rule="x@*")], wait_s_max=0)
    with pytest.raises(LimitRefused, match="50 limits are in use at once"):
        await arrive(limiter, [Take("x@new", rule="x@*")], wait_s_max=0)
    await trio.sleep(10.0)
    for number in range(500):
        await arrive(limiter, [Take(f"x@more {number}", rule="x@*")], wait_s_max=0)
        await trio.sleep(0.5)
    assert len(limiter.usage()) <= 51
