"""Windows that processes share: one suite for the fake and for Redis, which keeps real time; then Redis's own."""

from collections.abc import Iterator
from typing import Protocol

import pytest
import redis as redis_py
import trio

from gcc.errors import Transient
from gcc.stores.call_windows import CallWindows, Taken
from gcc.stores.redis import Redis
from tests.fakes.call_windows import FakeCallWindows
from tests.services.redis import RedisNode

PER_S = 0.3
LONG_S = 1.5  # a Redis is old enough for it soon
PATIENT_S = 30.0


class Windows(Protocol):
    async def take(self, window: str, calls: int, per_s: float, wanted: int) -> Taken: ...


@pytest.fixture(params=["fake", "redis"])
def windows(request: pytest.FixtureRequest) -> Iterator[Windows]:
    if request.param == "fake":
        yield FakeCallWindows()
        return
    redis = Redis(request.getfixturevalue("old_redis"))
    yield CallWindows(redis)
    redis.close()


async def until_more(taken: Taken) -> None:
    await trio.sleep(taken.more_in_s)


async def test_a_block_is_a_twentieth_of_what_is_left_at_most(windows: Windows) -> None:
    left, blocks = 400, []
    while left:
        taken = await windows.take("a", 400, LONG_S, 400)
        assert taken.calls == max(1, left // 20) and taken.left == left - taken.calls
        left = taken.left
        blocks.append(taken.calls)
    assert max(blocks) == 20 and blocks[-20:] == [1] * 20
    taken = await windows.take("a", 400, LONG_S, 400)
    assert taken[:2] == (0, 0) and 0 < taken.more_in_s <= LONG_S


async def test_nobody_gets_more_than_it_wants_nor_what_is_anothers(windows: Windows) -> None:
    assert (await windows.take("a", 100, LONG_S, 3))[:2] == (3, 97)
    assert (await windows.take("b", 100, LONG_S, 1))[:2] == (1, 99)
    assert (await windows.take("a", 100, LONG_S, 1))[:2] == (1, 96)


async def test_who_waits_as_told_gets_one(windows: Windows) -> None:
    for _ in range(3):
        taken = await windows.take("a", 3, PER_S, 1)
    assert taken[:2] == (1, 0)
    for _ in range(4):
        taken = await windows.take("a", 3, PER_S, 1)
        while not taken.calls:
            assert 0 < taken.more_in_s <= PER_S
            await until_more(taken)
            taken = await windows.take("a", 3, PER_S, 1)


async def test_of_a_lower_limit_nothing_is_left_until_enough_have_left(windows: Windows) -> None:
    for _ in range(10):
        await windows.take("a", 10, LONG_S, 1)
    first = await windows.take("a", 10, LONG_S, 1)
    lowered = await windows.take("a", 2, LONG_S, 1)
    assert first[:2] == lowered[:2] == (0, 0)
    assert lowered.more_in_s >= first.more_in_s, "not one must leave but nine"


async def test_there_are_never_more_in_any_window(old_redis: str) -> None:
    """As four processes fill it, whose clocks know only that it was between question and answer."""
    calls, grants = 40, list[tuple[float, float]]()

    async def hammer() -> None:
        redis = Redis(old_redis, connections=1)
        windows = CallWindows(redis)
        while len(grants) < 5 * calls:
            asked_at = trio.current_time()
            taken = await windows.take("a", calls, PER_S, 3)
            grants.extend([(asked_at, trio.current_time())] * taken.calls)
            if not taken.calls:
                await until_more(taken)
        redis.close()

    with trio.fail_after(PATIENT_S):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(hammer)
    asked, answered = sorted(grants), sorted(grants, key=lambda each: each[1])
    for (early, _), (_, late) in zip(asked, answered[calls:], strict=False):
        assert late - early >= PER_S - 1e-3


async def test_a_clock_that_was_set_back_lets_nobody_call_more(old_redis: str) -> None:
    redis, ahead_us = Redis(old_redis), 3600 * 10**6
    windows = CallWindows(redis)
    for _ in range(3):
        taken = await windows.take("a", 3, PER_S, 1)
    with redis_py.Redis.from_url(old_redis) as client:
        for place, at in enumerate(client.lrange("gcc:calls:a", 0, -1)):
            client.lset("gcc:calls:a", place, int(at) + ahead_us)
        taken = await windows.take("a", 3, PER_S, 1)
        assert taken[:2] == (0, 0) and 0 < taken.more_in_s <= PER_S, "as if all had been now, and no later"
        await until_more(taken)
        assert (await windows.take("a", 3, PER_S, 1)).calls == 1
        assert 0 < client.pttl("gcc:calls:a") <= PER_S * 1000 + 1, "whoever calls no more is forgotten"
    redis.close()


async def test_one_that_was_just_started_is_not_asked_for_a_window(redis_node: RedisNode) -> None:
    await redis_node.heal()
    redis_node.kill()
    await redis_node.start()
    redis = Redis(redis_node.url)
    windows = CallWindows(redis)
    with pytest.raises(Transient, match="may have forgotten calls") as caught:
        await windows.take("a", 3, 60.0, 1)
    wait_s = caught.value.retry_after_s
    assert wait_s is not None and 50 < wait_s <= 61
    redis_node.kill()
    with pytest.raises(Transient, match="may have forgotten calls"):
        await windows.take("a", 3, 60.0, 1)
    assert redis.lost is None, "it was not asked"
    redis.close()


async def test_one_that_is_away_is_said_at_once_and_found_again(redis_node: RedisNode, old_redis: str) -> None:
    redis = Redis(redis_node.url)
    windows = CallWindows(redis)
    await windows.take("a", 3, LONG_S, 1)
    redis_node.pause()
    began = trio.current_time()
    for _ in range(20):
        with pytest.raises(Transient, match="does not answer within"):
            await windows.take("a", 3, LONG_S, 1)
    assert trio.current_time() - began < 2.0, "only the first waited"
    redis_node.resume()
    with trio.fail_after(PATIENT_S):
        while True:
            try:
                assert (await windows.take("a", 3, LONG_S, 1)).calls == 1
                break
            except Transient as away:
                await trio.sleep(away.retry_after_s or 0.0)
    redis.close()
