"""The limiter: one suite for the one in the process and the one in Redis, which keeps real time; then Redis's own.

Windows are kept by the times at which calls were granted, as whoever granted them has them, not by our stopwatch.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
import trio
import trio.testing

from gcc.errors import ConfigError, Transient
from gcc.sources.limits import InProcessLimiter, Limit, Limiter, LimitRefused, LimitsAway, Take
from gcc.sources.turns import Lacking
from gcc.sources.window import way_s
from gcc.stores.call_windows import CallWindows
from gcc.stores.limits import SLACK, TAKE, RedisLimiter, late_s
from gcc.stores.redis import Redis, Script
from tests.contract.test_arrivals import arrive
from tests.services.redis import RedisNode

PER_S = 0.5
REDIS_S = PER_S * (1 + SLACK)
"""How long a unit counts from its arrival, at most: in Redis."""
KEY = "gcc:{limit}:x"
PATIENT_S = 30.0


class RecordedRedis(Redis):
    """Keeps Redis's own time of every call that it granted to this client."""

    def __init__(self, url: str, grants: list[float]) -> None:
        super().__init__(url)
        self.grants = grants

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        answer = await super().run(script, keys, arguments)
        if script is TAKE and answer[0]:
            self.grants.append(answer[3] / 1e6)
        return answer


class RecordedLimiter(InProcessLimiter):
    def __init__(self, limit: Limit, grants: list[float]) -> None:
        super().__init__({"x": limit})
        self._grants = grants

    async def _ask(self, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        lacking = await super()._ask(takes, ahead)
        if not lacking:
            self._grants.append(trio.current_time())
        return lacking


Make = Callable[[Limit], Limiter]


@pytest.fixture
def grants() -> list[float]:
    return []


@pytest.fixture(params=["in process", "redis"])
def make(request: pytest.FixtureRequest, grants: list[float]) -> Iterator[Make]:
    """Makes limiters with one limit, "x"; those in Redis share it."""
    if request.param == "in process":
        yield lambda limit: RecordedLimiter(limit, grants)
        return
    store = RecordedRedis(request.getfixturevalue("old_redis"), grants)
    yield lambda limit: RedisLimiter(store, {"x": limit})
    store.close()


def assert_window_kept(grants: list[float], limit: Limit) -> None:
    for earlier, later in zip(sorted(grants), sorted(grants)[limit.calls :], strict=False):
        assert later - earlier >= limit.per_s - 1e-6  # seconds as floats lose the last microsecond


def waiting(limiter: Limiter) -> int:
    return limiter.usage()[0].waiting


async def until_waiting(limiter: Limiter, count: int) -> None:
    with trio.fail_after(PATIENT_S):
        while waiting(limiter) != count:  # noqa: ASYNC110
            await trio.sleep(0.001)


async def test_a_burst_is_let_through_and_the_window_is_kept(make: Make, grants: list[float]) -> None:
    limit = Limit(3, PER_S)
    limiter = make(limit)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(lambda: arrive(limiter, [Take("x")], wait_s_max=PATIENT_S))
    assert len(grants) == 10
    assert max(grants[:3]) - min(grants[:3]) < PER_S  # a burst is not spread out
    assert_window_kept(grants, limit)
    assert waiting(limiter) == 0


async def test_higher_priority_first_then_order_of_arrival(make: Make) -> None:
    limiter = make(Limit(1, PER_S))
    served: list[str] = []

    async def call(name: str, priority: int) -> None:
        await arrive(limiter, [Take("x")], priority=priority, wait_s_max=PATIENT_S)
        served.append(name)

    await arrive(limiter, [Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:
        for count, (name, priority) in enumerate((("low 1", 0), ("low 2", 0), ("high 1", 5), ("high 2", 5)), start=1):
            nursery.start_soon(call, name, priority)
            await until_waiting(limiter, count)
    assert served == ["high 1", "high 2", "low 1", "low 2"]


async def test_who_cannot_be_served_in_time_is_refused_at_once(make: Make) -> None:
    limiter = make(Limit(2, PER_S))
    await arrive(limiter, [Take("x")], wait_s_max=0)
    await arrive(limiter, [Take("x")], wait_s_max=0)
    for wait_s_max in (0.0, PER_S / 100):
        begun = trio.current_time()
        with pytest.raises(LimitRefused, match=r"2 calls per 0\.5 s is used up") as caught:
            await arrive(limiter, [Take("x")], wait_s_max=wait_s_max)
        assert trio.current_time() - begun < PER_S / 2
        assert caught.value.retry_after_s is not None
        assert 0 < caught.value.retry_after_s <= REDIS_S
    await arrive(limiter, [Take("x")], wait_s_max=REDIS_S)


async def test_the_refusal_counts_those_who_wait_ahead(make: Make) -> None:
    limiter = make(Limit(1, PER_S))
    await arrive(limiter, [Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:
        for count in range(3):
            nursery.start_soon(lambda: arrive(limiter, [Take("x")], priority=1, wait_s_max=PATIENT_S))
            await until_waiting(limiter, count + 1)
        with pytest.raises(LimitRefused) as caught:
            await arrive(limiter, [Take("x")], wait_s_max=2.9 * PER_S)
        assert caught.value.retry_after_s is not None
        assert 2.9 * PER_S < caught.value.retry_after_s <= 4 * REDIS_S
        await arrive(limiter, [Take("x")], priority=2, wait_s_max=1.5 * PER_S)  # overtakes those that are left


async def test_who_is_overtaken_is_refused_when_the_time_is_up(make: Make) -> None:
    limiter, refused = make(Limit(1, PER_S)), trio.Event()
    await arrive(limiter, [Take("x")], wait_s_max=0)
    async with trio.open_nursery() as nursery:

        async def overtaken() -> None:
            begun = trio.current_time()
            with pytest.raises(LimitRefused) as caught:
                await arrive(limiter, [Take("x")], wait_s_max=1.5 * PER_S)
            assert trio.current_time() - begun >= 1.5 * PER_S - 0.01
            assert caught.value.retry_after_s is not None
            assert caught.value.retry_after_s > 0
            refused.set()

        nursery.start_soon(overtaken)
        await until_waiting(limiter, 1)
        for count in range(3):
            nursery.start_soon(lambda: arrive(limiter, [Take("x")], priority=1, wait_s_max=PATIENT_S))
            await until_waiting(limiter, count + 2)
    assert refused.is_set()


async def test_a_cancelled_waiter_leaves_its_place_to_the_next(make: Make, grants: list[float]) -> None:
    limiter, first = make(Limit(1, PER_S)), trio.CancelScope()
    await arrive(limiter, [Take("x")], wait_s_max=0)

    async def impatient() -> None:
        with first:
            await arrive(limiter, [Take("x")], wait_s_max=PATIENT_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        await until_waiting(limiter, 1)
        nursery.start_soon(lambda: arrive(limiter, [Take("x")], wait_s_max=PATIENT_S))
        await until_waiting(limiter, 2)
        first.cancel()
    assert first.cancelled_caught
    assert len(grants) == 2
    assert grants[1] - grants[0] < 2 * PER_S  # the next one had not to wait for the cancelled one's turn


async def test_a_cancelled_caller_spends_nothing(make: Make) -> None:
    limiter = make(Limit(1, PER_S))
    with trio.CancelScope() as scope:
        scope.cancel()
        await arrive(limiter, [Take("x")], wait_s_max=0)
    assert scope.cancelled_caught
    await arrive(limiter, [Take("x")], wait_s_max=0)


async def test_usage_and_unknown_names(make: Make) -> None:
    limiter = make(Limit(2, PER_S))
    await arrive(limiter, [Take("x")], wait_s_max=0)
    (use,) = limiter.usage()
    assert (use.name, use.used, use.calls, use.per_s, use.waiting) == ("x", 1, 2, PER_S, 0)
    await trio.sleep(PER_S)
    assert limiter.usage()[0].used == 0
    with pytest.raises(ConfigError, match=r"sources\.c\."):
        await arrive(limiter, [Take("c")], wait_s_max=0)
    assert limiter.away() is None


# Redis


async def test_processes_share_a_limit(old_redis: str) -> None:
    limit, grants = Limit(7, PER_S), list[float]()
    stores = [RecordedRedis(old_redis, grants) for _ in range(2)]
    async with trio.open_nursery() as nursery:
        for store in stores:
            limiter = RedisLimiter(store, {"x": limit})
            for _ in range(20):
                nursery.start_soon(lambda limiter=limiter: arrive(limiter, [Take("x")], wait_s_max=PATIENT_S))
    assert len(grants) == 40
    assert_window_kept(grants, limit)
    assert max(grants) - min(grants) < 8 * PER_S  # 5 windows are needed: nobody sleeps through the end of one
    for store in stores:
        store.close()


async def test_a_grant_whose_caller_left_is_spent(old_redis: str) -> None:
    """The script runs and its answer is lost: that may cost a call, never let one through too many."""
    limit, grants = Limit(3, 0.05), list[float]()
    store = RecordedRedis(old_redis, grants)
    limiter = RedisLimiter(store, {"x": limit})
    kept = redis_py.Redis.from_url(old_redis, decode_responses=True)
    spent: set[int] = set()
    left = 0
    for number in range(300):
        with trio.move_on_after(0.0002 * (number % 10)) as patience, suppress(LimitRefused):
            await limiter.take([Take("x")], wait_s_max=0.01 * (number % 3))
        left += patience.cancelled_caught
        spent.update(int(entry.partition(":")[0]) for entry in kept.lrange(KEY, 0, -1))
    await limiter.take([Take("x")], wait_s_max=PATIENT_S)  # the client is whole
    spent.update(int(entry.partition(":")[0]) for entry in kept.lrange(KEY, 0, -1))
    assert left > 0
    assert {round((at + late_s(limit.per_s)) * 1e6) for at in grants} <= spent
    assert_window_kept([at / 1e6 for at in spent], limit)
    store.close()
    kept.close()


async def test_a_clock_that_is_set_back_closes_for_a_window_at_most(old_redis: str) -> None:
    store = Redis(old_redis)
    limiter = RedisLimiter(store, {"x": Limit(2, PER_S)})
    client = redis_py.Redis.from_url(old_redis, decode_responses=True)
    seconds, micros = client.time()
    hour_ahead = (seconds + 3600) * 1_000_000 + micros
    client.rpush(KEY, f"{hour_ahead - 1000}:1:1", f"{hour_ahead}:1:2")
    with pytest.raises(LimitRefused):
        await arrive(limiter, [Take("x")], wait_s_max=PER_S / 10)
    seconds, micros = client.time()
    assert all(int(entry.partition(":")[0]) <= seconds * 1_000_000 + micros for entry in client.lrange(KEY, 0, -1))
    await arrive(
        limiter, [Take("x")], wait_s_max=20 * PER_S
    )  # of which a window should be enough, on a machine that is not busy
    store.close()
    client.close()


async def test_keys_expire_and_lie_together(old_redis: str) -> None:
    store = Redis(old_redis)
    await arrive(RedisLimiter(store, {"x": Limit(2, PER_S)}), [Take("x")], wait_s_max=0)
    client = redis_py.Redis.from_url(old_redis, decode_responses=True)
    assert client.keys() == [KEY]
    late_s = REDIS_S + way_s(PER_S)  # as late as it may have arrived, where Redis was slow to hear of it
    assert REDIS_S * 1000 - 200 < client.pttl(KEY) <= late_s * 1000 + 2
    store.close()
    client.close()


async def test_killed_and_started_again_it_grants_nothing_for_a_window(old_redis: str, redis_node: RedisNode) -> None:
    limit, grants = Limit(4, 1.0), list[float]()
    store = RecordedRedis(old_redis, grants)
    limiter = RedisLimiter(store, {"x": limit})
    for _ in range(limit.calls):
        await arrive(limiter, [Take("x")], wait_s_max=0)
    redis_node.kill()
    for _ in range(3):  # the first finds it out, the others are told at once; all at no cost to a job
        with pytest.raises(LimitsAway, match=r"limits are away: redis at 127\.0\.0\.1") as caught:
            await arrive(limiter, [Take("x")], wait_s_max=PATIENT_S)
        assert caught.value.retry_after_s is not None
    with pytest.raises(Transient):
        await store.look()
    assert "redis at 127.0.0.1" in (limiter.away() or "")
    await redis_node.start()  # it has forgotten everything
    await store.look()
    assert limiter.away() is None
    for _ in range(limit.calls + 1):
        await arrive(limiter, [Take("x")], wait_s_max=PATIENT_S)
    assert len(grants) == 2 * limit.calls + 1
    assert_window_kept(grants, limit)
    store.close()


async def test_one_that_hangs_is_lost_too_and_its_waiters_are_let_go(old_redis: str, redis_node: RedisNode) -> None:
    store = Redis(old_redis)
    limiter = RedisLimiter(store, {"x": Limit(100, PER_S)})
    await arrive(limiter, [Take("x")], wait_s_max=0)
    redis_node.pause()
    begun = trio.current_time()
    with pytest.raises(LimitRefused):
        await arrive(limiter, [Take("x")], wait_s_max=0)
    assert trio.current_time() - begun < 10
    begun = trio.current_time()
    with pytest.raises(LimitRefused):
        await arrive(limiter, [Take("x")], wait_s_max=0)
    assert trio.current_time() - begun < 1  # nobody waits for a timeout of their own
    redis_node.resume()
    await store.look()
    await arrive(limiter, [Take("x")], wait_s_max=PATIENT_S)
    store.close()


async def test_waiters_are_refused_when_it_is_lost_under_them(old_redis: str, redis_node: RedisNode) -> None:
    store, refused = Redis(old_redis), []
    limiter = RedisLimiter(store, {"x": Limit(1, PER_S)})
    await arrive(limiter, [Take("x")], wait_s_max=0)

    async def wait(number: int) -> None:
        with pytest.raises(LimitRefused):
            await arrive(limiter, [Take("x")], wait_s_max=PATIENT_S)
        refused.append(number)

    with trio.fail_after(PATIENT_S / 2):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(wait, number)
                await until_waiting(limiter, number + 1)
            redis_node.kill()
    assert sorted(refused) == [0, 1, 2, 3, 4]
    assert waiting(limiter) == 0
    store.close()


async def test_a_full_or_read_only_server_is_found_out(old_redis: str) -> None:
    store = Redis(old_redis)
    client = redis_py.Redis.from_url(old_redis)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(Transient, match="maxmemory"):
            await store.look()
        with pytest.raises(LimitRefused, match="maxmemory"):
            await arrive(RedisLimiter(store, {"x": Limit(1, PER_S)}), [Take("x")], wait_s_max=0)
    finally:
        client.config_set("maxmemory", 0)
    await store.look()
    store.close()
    client.close()


async def test_the_rights_that_our_documents_name_are_enough(old_redis: str) -> None:
    (told,) = re.findall(
        r"The user needs `(.*)` on keys `(.*)`", (Path(__file__).parents[2] / "docs" / "servers.md").read_text()
    )
    with redis_py.Redis.from_url(old_redis) as client:
        client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secret", *told[0].split(), told[1])
    store = Redis(old_redis.replace("//", "//limited:secret@"))
    await store.look()
    limiter = RedisLimiter(store, {"x": Limit(1, PER_S)})
    for _ in range(2):
        async with await limiter.take([Take("x")], wait_s_max=PATIENT_S) as call:
            await call.sending()
    await limiter.narrow(Take("x"), 0.5, PER_S, "near")
    assert (await CallWindows(store).take("x", 1, PER_S, 1)).calls == 1
    store.close()


@pytest.mark.parametrize("query", ["client_name=a@b", "username=a&password=b@c", "client_name=a%40b"])
def test_an_option_of_redis_may_hold_an_at(query: str) -> None:
    store = Redis(f"redis://h/0?{query}")
    assert store.place == "redis at h:6379/0"
    store.close()


async def test_a_password_is_never_told(old_redis: str) -> None:
    secret = str(uuid.uuid4())
    store = Redis(old_redis.replace("//", f"//somebody:{secret}@"))
    with pytest.raises(Transient) as caught:
        await store.run(TAKE, [KEY, KEY + ":narrowed"], [1, 1, 1, 0, 0, 0])
    told = [
        str(caught.value),
        repr(caught.value),
        repr(store),
        str(caught.value.__cause__),
        repr(caught.value.__cause__),
    ]
    assert "redis at 127.0.0.1" in told[0]
    assert not any(secret in text for text in told)
    odd = (f"redis://u:12/{secret}@h:6379/0", f"redis://h/0;password={secret}", f"redis://u:12/{secret}",
           f"redis://u:1#{secret}@h", f"redis://h;{secret}/0", f"redis://{secret}..b/0", f"redis://u:1?{secret}@h",
           f"redis://u:1?client_name=x&{secret}@h", f"redis://u:1#a={secret}@h")  # fmt: skip
    for url in (*odd, f"redis://:{secret}/x@h:1", f"http://:{secret}@h", f"redis://:{secret}@h?{secret}=1", secret):
        with pytest.raises(ConfigError, match=r"redis\.url") as refused:
            Redis(url)
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None and refused.value.__suppress_context__
