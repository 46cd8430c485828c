"""No run of a seed hangs: however it does not end, it is stopped, and tells where its tasks stand."""

import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from tests.simulation import watch as watching
from tests.simulation.runs import Order, simulate, simulate_all
from tests.simulation.seeded import run
from tests.simulation.watch import Overrun, Watch

Program = Callable[[random.Random], Awaitable[str]]


async def all_wait_for_each_other(_: random.Random) -> str:
    await trio.Event().wait()
    return "ended"


async def asks_again_at_once(_: random.Random) -> str:
    while True:
        with suppress(ValueError):
            await trio.lowlevel.checkpoint()
            raise ValueError


async def asks_again_after_no_time(_: random.Random) -> str:
    while True:  # noqa: ASYNC110
        await trio.sleep(1e-9)


async def waits_for_what_never_comes(_: random.Random) -> str:
    while True:  # noqa: ASYNC110
        await trio.sleep(30)


async def lets_nobody_run(_: random.Random) -> str:
    while True:
        with suppress(Exception):
            sum(range(1000))


WAYS: list[tuple[Program, str]] = [
    (all_wait_for_each_other, "virtual time stands still"),
    (asks_again_at_once, "virtual time stands still"),
    (asks_again_after_no_time, "virtual time stands still"),
    (waits_for_what_never_comes, "not done within 1000 s of virtual time"),
    (lets_nobody_run, "not done within 1 s"),
]


@pytest.mark.parametrize(("way", "why"), WAYS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_run_that_would_not_end_is_stopped_and_tells_where_its_tasks_stand(
    way: Program, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def program(rng: random.Random) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            return await way(rng)

    monkeypatch.setattr(watching, "TURNS_MAX", 1000)
    watch = Watch(1.0 if way is lets_nobody_run else 60.0, 1000.0)
    began = time.monotonic()
    with pytest.raises((Overrun, BaseExceptionGroup)):
        watch.run(program, 1)
    assert time.monotonic() - began < 50
    assert watch.why.startswith(why)
    assert f" {way.__name__}" in watch.why, "the task that does it"
    assert "sleep_forever" in watch.why, "and all others"


def test_a_run_that_ends_is_left_alone() -> None:
    async def program(rng: random.Random) -> float:
        await trio.sleep(999)
        return rng.random()

    watch = Watch(60.0, 1000.0)
    assert watch.run(program, 1) == run(program, 1)
    assert watch.why == ""
    assert [signal.getitimer(timer) for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF)] == [(0.0, 0.0)] * 2


def test_a_seed_over_its_limit_fails_with_all_stacks_and_others_go_on() -> None:
    short, other = simulate_all([Order(3, hours=0.3, jobs=60, limit_s=0.01), Order(4, hours=0.3, jobs=60)])
    (complaint,) = short.complaints
    assert complaint.startswith("not done within 0.01 s")
    assert "tests/simulation/platform.py" in complaint
    assert "--seed 3 " in short.order.command()
    assert not other.complaints


def test_a_run_has_the_same_steps_whatever_its_limit() -> None:
    orders = [Order(3, hours=0.1, jobs=20, limit_s=limit_s) for limit_s in (30.0, 60.0)]
    assert simulate(orders[0]).digest == simulate(orders[1]).digest
