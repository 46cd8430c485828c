"""Batch work steps aside for what somebody waits for."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock as Clock

from gcc.sources.precedence import HELD_S_MAX, Precedence
from gcc.sources.turns import URGENT


class Steps:
    def __init__(self) -> None:
        self.precedence = Precedence()
        self.done: list[str] = []

    async def batch(self, name: str) -> None:
        async with self.precedence.step(0):
            self.done.append(name)


@pytest.fixture
def steps() -> Steps:
    return Steps()


async def test_nobody_waits_for_nobody(steps: Steps, autojump_clock: Clock) -> None:
    began = trio.current_time()
    await steps.batch("a")
    assert steps.done == ["a"]
    assert trio.current_time() == began


async def test_batch_work_waits_for_a_step_of_a_lookup_and_goes_on_one_by_one(
    steps: Steps, autojump_clock: Clock
) -> None:
    async with trio.open_nursery() as nursery:
        async with steps.precedence.step(URGENT):
            for name in "abc":
                nursery.start_soon(steps.batch, name)
                await trio.testing.wait_all_tasks_blocked()
            assert steps.done == []
            began = trio.current_time()
        seen = []
        while len(steps.done) < 3:
            seen.append(len(steps.done))
            await trio.lowlevel.checkpoint()
        assert seen[0] == 0 and all(after - before <= 2 for before, after in pairwise(seen)), seen
    assert steps.done == ["a", "b", "c"]
    assert trio.current_time() == began


async def test_a_slow_lookup_holds_nobody_for_long(steps: Steps, autojump_clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        async with steps.precedence.step(URGENT):
            began = trio.current_time()
            nursery.start_soon(steps.batch, "a")
            await trio.sleep(HELD_S_MAX / 2)
            assert steps.done == []
            await trio.sleep(HELD_S_MAX)
            assert steps.done == ["a"]
            await steps.batch("b")
            assert trio.current_time() == pytest.approx(began + 1.5 * HELD_S_MAX)


async def test_lookups_do_not_wait_for_each_other_and_the_last_of_them_lets_the_others_go(
    steps: Steps, autojump_clock: Clock
) -> None:
    async with trio.open_nursery() as nursery:
        async with steps.precedence.step(URGENT):
            async with steps.precedence.step(URGENT):
                nursery.start_soon(steps.batch, "a")
                await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            assert steps.done == []
        await trio.testing.wait_all_tasks_blocked()
        assert steps.done == ["a"]


async def test_one_that_is_cancelled_while_it_steps_aside_does_not_begin_and_lets_the_next_go(
    steps: Steps, autojump_clock: Clock
) -> None:
    async with trio.open_nursery() as nursery:
        cancelled = trio.CancelScope()

        async def first() -> None:
            with cancelled:
                await steps.batch("a")

        async with steps.precedence.step(URGENT):
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(steps.batch, "b")
            await trio.testing.wait_all_tasks_blocked()
        cancelled.cancel()  # its turn has come, and it has not run yet
        with trio.fail_after(HELD_S_MAX / 2):
            await trio.testing.wait_all_tasks_blocked()
        assert steps.done in (["b"], ["a", "b"])


async def test_a_request_goes_first_again_after_each_of_its_steps(steps: Steps, autojump_clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        async with steps.precedence.step(URGENT):
            await trio.sleep(HELD_S_MAX)  # a slow source
            async with steps.precedence.step(URGENT):
                pass
            nursery.start_soon(steps.batch, "a")
            await trio.sleep(HELD_S_MAX / 2)
            assert steps.done == []
        await trio.testing.wait_all_tasks_blocked()
        assert steps.done == ["a"]
