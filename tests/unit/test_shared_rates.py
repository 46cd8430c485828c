"""Classes of rate over four processes on a virtual clock: together never more than so many in any window.

The store they share is far away, each question takes some time there and back; tests/contract/test_call_windows.py
holds it against Redis.
"""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest
import trio
import trio.testing

from gcc.config import RateClass
from gcc.stores.tenant import Plan, Tenant
from gcc.web.api import blocks
from gcc.web.api.blocks import SPENT_S
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.rates import Rated, Rates
from gcc.web.api.windows import Counted, Windows
from tests.fakes.call_windows import FakeCallWindows

NODES = 4
HOME = {"client": ("192.0.2.1", 4711)}
WINDOW_S = 60
WAY_S = 0.02
CLASSES: list[tuple[RateClass, Plan, int]] = [
    ("heavy", "FREE", 2), ("search", "FREE", 10), ("read", "FREE", 60), ("search", "SAAS", 120),
    ("read", "SAAS", 300), ("read", "PAID", 1200),
]  # fmt: skip


class Cluster:
    """Four processes, and who asks them."""

    def __init__(self, seed: int, name: Rated, plan: Plan) -> None:
        self.rng = random.Random(seed)
        self.store = FakeCallWindows(lambda: self.rng.random() * WAY_S)
        self.nodes = [Rates({}, self.store) for _ in range(NODES)]
        self.name, self.tenant = name, Tenant(1, plan)
        self.granted: list[float] = []
        self.refused = 0

    async def call(self, node: int | None = None) -> Counted:
        """At any node, unless it is told."""
        rates = self.nodes[self.rng.randrange(NODES) if node is None else node]
        try:
            counted = await rates.take(self.name, self.tenant, HOME)
        except ApiError as refusal:
            assert refusal.code is Code.RATE_LIMITED and refusal.counted is not None
            assert refusal.retry_after_s == refusal.counted.wait_s <= WINDOW_S + 2
            self.refused += 1
            return refusal.counted
        self.granted.append(trio.current_time())
        return counted

    async def play(self, times: Iterable[tuple[float, int | None]]) -> None:
        """Calls at these times, at these nodes."""
        async with trio.open_nursery() as nursery:
            for at, node in times:
                await trio.sleep_until(at)
                nursery.start_soon(self.call, node)

    def assert_never_more_than(self, calls: int, per_s: float = WINDOW_S) -> None:
        self.granted.sort()
        for first, last in zip(self.granted, self.granted[calls:], strict=False):
            assert last - first >= per_s - 1e-6


def evenly(rng: random.Random, calls: int, windows: int) -> Iterator[tuple[float, int | None]]:
    for number in range(calls * windows):
        yield number * (WINDOW_S + SPENT_S + 0.1) / calls, None


def at_random(rng: random.Random, calls: int, windows: int) -> Iterator[tuple[float, int | None]]:
    for at in sorted(rng.uniform(0, windows * (WINDOW_S + SPENT_S)) for _ in range(calls * windows)):
        yield at, None


def in_bursts_of_a_node(rng: random.Random, calls: int, windows: int) -> Iterator[tuple[float, int | None]]:
    """Of one each, a quarter of the calls, within three seconds."""
    for number in range(windows * NODES):
        began = number * (WINDOW_S + SPENT_S) / NODES
        for at in sorted(rng.uniform(0, 3) for _ in range(calls // NODES)):
            yield began + at, number % NODES


def of_one_node_mostly(rng: random.Random, calls: int, windows: int) -> Iterator[tuple[float, int | None]]:
    for at, _ in at_random(rng, calls, windows):
        yield at, 0 if rng.random() < 0.9 else None


def three_times_as_many(rng: random.Random, calls: int, windows: int) -> Iterator[tuple[float, int | None]]:
    yield from at_random(rng, 3 * calls, windows)


Rhythm = Callable[[random.Random, int, int], Iterator[tuple[float, int | None]]]
RHYTHMS: list[Rhythm] = [evenly, at_random, in_bursts_of_a_node, of_one_node_mostly, three_times_as_many]


@pytest.mark.parametrize("rhythm", RHYTHMS, ids=lambda rhythm: rhythm.__name__)
@pytest.mark.parametrize(("name", "plan", "calls"), CLASSES)
async def test_four_processes_never_grant_more_and_hardly_less(
    name: RateClass, plan: Plan, calls: int, rhythm: Rhythm, autojump_clock: trio.testing.MockClock
) -> None:
    """Hardly less than one process would, which knows them all."""
    cluster, alone, granted_alone = Cluster(calls, name, plan), Windows("alone", WINDOW_S), 0
    times = list(rhythm(cluster.rng, calls, 4 + 200 // calls))
    for at, _ in times:
        granted_alone += alone.take("me", calls, at).granted
    await cluster.play(times)
    cluster.assert_never_more_than(calls)
    assert len(cluster.granted) + cluster.refused == len(times)
    assert len(cluster.granted) >= 0.9 * granted_alone
    if calls == 1200 and rhythm is in_bursts_of_a_node:
        assert cluster.store.asked < 0.5 * len(times), "not a question for each call"


@pytest.mark.parametrize(("name", "plan", "calls"), CLASSES)
async def test_headers_foretell_refusals(
    name: RateClass, plan: Plan, calls: int, autojump_clock: trio.testing.MockClock
) -> None:
    """To who asks one process after the other, now fast, now slowly: nothing is refused that was said to be left, and
    who comes back when it was told to is let in."""
    cluster = Cluster(calls, name, plan)
    told, waited, ended = await cluster.call(), False, False
    for number in range(5 * calls + 20):
        before, told = told, await cluster.call()
        assert told.granted or (before.left == 0 and not waited)
        ended = ended or not told.granted
        waited = not told.granted or (told.left == 0 and cluster.rng.random() < 0.5)
        if waited:
            await trio.sleep(told.wait_s)
        else:
            await trio.sleep(cluster.rng.expovariate(1 / (0.001, 30 / calls)[number // calls % 2]))
    assert ended
    cluster.assert_never_more_than(calls)


async def test_a_plan_that_ends_leaves_what_was_called_counted(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster(1, "search", "SAAS")
    for _ in range(30):
        await trio.sleep(1)
        await cluster.call()
    cluster.tenant = Tenant(1, "FREE")
    assert not (await cluster.call()).granted
    await trio.sleep(53)
    assert (await cluster.call()).granted


async def test_callers_and_classes_are_told_apart(autojump_clock: trio.testing.MockClock) -> None:
    store = FakeCallWindows()
    one, other = Rates({"login": 3}, store), Rates({"login": 3}, store)
    for _ in range(3):
        await one.take("login", None, HOME)
    with pytest.raises(ApiError) as caught:
        await other.take("login", None, HOME)
    assert caught.value.code is Code.LOGIN_THROTTLED
    await other.take("login", None, {"client": ("192.0.2.2", 1)})
    await other.take("search", Tenant(1, "FREE"), HOME)
    asked = store.asked
    for rates in (one, other):
        for _ in range(60):
            await rates.take("open", None, HOME)
    assert store.asked == asked, "each tells balancers for itself whether it is well"


@pytest.mark.parametrize(("name", "calls"), [("read", 300), ("search", 120), ("write", 120), ("staff", 600)])
async def test_while_nobody_counts_each_process_grants_a_quarter(
    name: Rated, calls: int, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(1, name, "SAAS")
    if name == "staff":
        cluster.tenant = Tenant(1, "FREE", "OPERATOR", user_id=uuid.UUID(int=1))
    for node in (0, 0, 1):  # what was granted before counts for who did
        await cluster.call(node)
    cluster.store.away = True
    for node in range(NODES):
        told = await cluster.call(node)
        while told.granted:
            assert told.calls == calls // 4
            told = await cluster.call(node)
        assert (told.left, told.calls) == (0, calls // 4)
    assert len(cluster.granted) == calls
    for _ in range(300):
        await trio.sleep(1)
        await cluster.call()
    cluster.assert_never_more_than(calls)


@pytest.mark.parametrize("name", ["heavy", "scrape"])
async def test_what_costs_others_is_refused_while_nobody_counts(
    name: RateClass, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(1, name, "PAID")
    await cluster.call(0)
    cluster.store.away = True
    for rates in cluster.nodes:
        with pytest.raises(ApiError) as caught:
            await rates.take(name, cluster.tenant, HOME)
        assert caught.value.code is Code.STORE_UNAVAILABLE
        assert caught.value.counted is not None and (caught.value.counted.left, caught.value.retry_after_s) == (0, 1)
    cluster.store.away = False
    assert (await cluster.call(0)).granted


@pytest.mark.parametrize("seed", range(5))
async def test_as_it_is_lost_and_comes_back_there_are_twice_as_many_at_most(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(seed, "search", "SAAS")

    async def comes_and_goes() -> None:
        while True:
            await trio.sleep(cluster.rng.expovariate(1 / 100))
            cluster.store.away = not cluster.store.away

    async with trio.open_nursery() as nursery:
        nursery.start_soon(comes_and_goes)
        await cluster.play(three_times_as_many(cluster.rng, 120, 20))
        nursery.cancel_scope.cancel()
    cluster.assert_never_more_than(2 * 120)


async def test_who_hangs_up_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster(1, "read", "SAAS")
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(WAY_S / 4):
            nursery.start_soon(cluster.call, 0)
            await cluster.call(0)
        for _ in range(50):
            nursery.start_soon(cluster.call, 0)
    assert len(cluster.granted) >= 50 and not cluster.refused


async def test_memory_is_that_of_the_calls_of_a_window(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CALLERS_MAX", 10)
    rates, read = Rates({}, FakeCallWindows()), Tenant(0, "FREE")
    for partner_id in range(20):
        await rates.take("read", Tenant(partner_id, "FREE"), HOME)
    windows = rates._shared["read"]
    assert len(windows._blocks) == 10 and not windows._asking, "the others have a share of their own"
    with pytest.raises(ApiError, match="STORE_UNAVAILABLE"):
        for partner_id in range(20):
            await rates.take("heavy", Tenant(partner_id, "FREE"), HOME)
    await trio.sleep(WINDOW_S + 2)
    await rates.take("read", read, HOME)
    assert len(windows._blocks) == len(windows._granted) == 1
    for _ in range(10_000):
        await trio.sleep(0.5)
        await rates.take("read", Tenant(0, "PAID"), HOME)
    assert len(windows._granted._windows[0][0]._spent) <= 121
