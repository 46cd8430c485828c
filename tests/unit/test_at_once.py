"""Work that begins in the task that finds it: where it goes on, and what it must not do before its pause."""

from collections.abc import Awaitable

import pytest
import trio

from gcc.web.at_once import OVER, Pause, at_once, begin, go_on


async def test_what_waits_for_nothing_ends_at_once() -> None:
    async def seven() -> int:
        return 7

    assert begin(seven()) == (True, 7)


async def test_what_must_wait_goes_on_in_the_task_that_it_is_given_to() -> None:
    pause, tasks = Pause(), [trio.lowlevel.current_task()]

    async def work() -> None:
        tasks.append(trio.lowlevel.current_task())
        await pause
        await pause  # once is enough
        tasks.append(trio.lowlevel.current_task())
        await trio.lowlevel.checkpoint()

    begun = work()
    assert begin(begun) == (False, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_on, begun)
    here, first, then = tasks
    assert first is here and then is not here


async def test_what_it_raises_leaves_at_once_or_from_its_task() -> None:
    pause = Pause()

    async def fails() -> None:
        if pause.is_over:
            raise ValueError
        await pause
        raise KeyError

    begun = fails()
    assert begin(begun) == (False, None)
    with pytest.raises(KeyError):
        await go_on(begun)
    with pytest.raises(ValueError):
        begin(fails())


async def test_a_wait_without_a_pause_is_told_and_harms_nobody() -> None:
    async def work() -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError, match="waits without a pause"):
        begin(work())
    await trio.lowlevel.checkpoint()


async def test_cancelled_in_its_task_it_unwinds() -> None:
    pause, ended = Pause(), []

    async def work() -> None:
        try:
            await pause
            await trio.sleep_forever()
        finally:
            ended.append(True)

    begun = work()
    begin(begun)
    with trio.CancelScope() as scope:
        scope.cancel()
        await go_on(begun)
    assert scope.cancelled_caught and ended


@pytest.mark.parametrize(("begins_over", "waits"), [(False, False), (False, True), (True, False), (True, True)])
async def test_patience_is_for_what_must_wait(begins_over: bool, waits: bool) -> None:
    pause, patient = OVER if begins_over else Pause(), []

    async def work() -> int:
        if waits:
            await pause
            await trio.lowlevel.checkpoint()
        return 7

    async def patiently(rest: Awaitable[int]) -> int:
        patient.append(True)
        return await rest

    whole = at_once(pause, work(), patiently)
    has_ended, result = (False, None) if begins_over else begin(whole)
    assert has_ended is not (begins_over or waits)
    assert (result if has_ended else await go_on(whole)) == 7
    assert bool(patient) is (begins_over or waits)
