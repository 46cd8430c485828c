"""How supervision ends: cancelled in reverse order, by a drain, by KeyboardInterrupt."""

from contextlib import nullcontext

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import State
from gcc.supervisor.policy import Strategy
from gcc.supervisor.supervisor import Child
from tests.unit.test_supervisor import Scene


@pytest.fixture
def scene():
    return Scene()


# Cancellation


async def test_cancel_stops_in_reverse_order_each_after_the_end_of_the_next(autojump_clock, scene):
    children = [scene.child(name, "run", cleanup_s=2) for name in "abc"]
    assert await scene.watch(*children, seconds=5)
    assert scene.seen == "+a1 +b1 +c1 -c1 -b1 -a1"
    assert (scene.times["-c1"], scene.times["-b1"], scene.times["-a1"]) == (7.0, 9.0, 11.0)
    assert [scene.line(name) for name in "abc"] == [(State.FINISHED, 0, None)] * 3


async def test_cancel_stops_nested_children_in_reverse_order(autojump_clock, scene):
    inner = scene.supervisor(scene.child("b", "run", cleanup_s=1), scene.child("c", "run", cleanup_s=1), name="inner")
    assert await scene.watch(scene.child("a", "run"), Child("inner", inner.run), scene.child("d", "run", cleanup_s=1))
    assert scene.seen == "+a1 +b1 +c1 +d1 -d1 -c1 -b1 -a1"


async def test_a_child_that_is_slow_to_end_holds_up_the_others_for_stop_s_only(autojump_clock, scene):
    children = scene.child("a", "run"), scene.child("b", "run", cleanup_s=50, stop_s=3.0)
    assert await scene.watch(*children, seconds=5)
    assert (scene.times["-a1"], scene.times["-b1"]) == (8.0, 55.0)  # but nothing is left running


@pytest.mark.parametrize(
    ("first", "seen"),
    [("slow", "+a1 -a1"), ("fail", "+a1 +b1 +c1 -a1 -c1 -b1")],
    ids=["during the first start", "during a backoff"],
)
async def test_cancel_while_children_are_not_running(autojump_clock, scene, first, seen):
    children = scene.child("a", first), scene.child("b", "run"), scene.child("c", "run")
    assert await scene.watch(*children, seconds=5, backoff=Backoff(60, 60))
    assert scene.seen == seen
    assert trio.current_time() == 5.0


async def test_an_error_at_the_stop_is_recorded_and_does_not_hide_the_cancellation(autojump_clock, scene):
    async def sore_loser(*, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cannot close")

    assert await scene.watch(scene.child("a", "run"), Child("b", sore_loser), seconds=5)
    assert scene.seen == "+a1 -a1"
    assert scene.line("b") == (State.FAILED, 0, "ValueError: cannot close")


@pytest.mark.parametrize("exit_type", [KeyboardInterrupt, SystemExit])
async def test_keyboard_interrupt_passes_after_the_others_were_stopped(autojump_clock, scene, exit_type):
    async def interrupted(*, task_status):
        task_status.started()
        await trio.sleep(1)
        raise exit_type

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene.watch(scene.child("a", "run"), scene.child("b", "run"), Child("x", interrupted))
    assert [type(error) for error in caught.value.exceptions] == [exit_type]
    assert scene.seen == "+a1 +b1 -b1 -a1"
    assert scene.line("x")[1] == 0


@pytest.mark.parametrize("exit_type", [KeyboardInterrupt, SystemExit])
async def test_keyboard_interrupt_passes_all_levels_and_stops_each_in_reverse_order(autojump_clock, scene, exit_type):
    async def interrupted(*, task_status):
        task_status.started()
        await trio.sleep(1)
        raise exit_type

    inner = scene.supervisor(
        scene.child("b", "run", cleanup_s=1), Child("x", interrupted), scene.child("c", "run"), name="inner"
    )
    with pytest.raises(BaseExceptionGroup) as caught:
        await scene.watch(scene.child("a", "run"), Child("inner", inner.run), scene.child("d", "run", cleanup_s=1))
    kept, others = caught.value.split(exit_type)
    assert kept is not None
    assert others is None
    assert scene.seen == "+a1 +b1 +c1 +d1 -c1 -b1 -d1 -a1"  # the inner's own first: they are nearest
    assert [scene.line(name)[1] for name in ("x", "inner")] == [0, 0]


@pytest.mark.parametrize("when", ["start", "stop"])
async def test_keyboard_interrupt_is_not_swallowed_at_a_start_or_a_stop(autojump_clock, scene, when):
    async def interrupted(*, task_status):
        if when == "start":
            raise KeyboardInterrupt
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene.watch(scene.child("a", "run", cleanup_s=1), Child("x", interrupted), seconds=5)
    assert caught.value.split(KeyboardInterrupt)[1] is None
    assert scene.seen == "+a1 -a1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_a_child_that_outstays_its_stop_is_shown_by_how_it_ends(autojump_clock, scene, error):
    async def sore_loser(*, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(60, shield=True):
                await trio.sleep(20)
            raise error

    async def end():
        interrupted = pytest.raises(BaseExceptionGroup) if error is KeyboardInterrupt else nullcontext()
        with interrupted:
            assert await scene.watch(scene.child("a", "run"), Child("b", sore_loser, stop_s=1.0), seconds=5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        await trio.sleep(10)
        assert scene.times["-a1"] == 6.0
        assert scene.line("b")[0] is State.RUNNING
    assert trio.current_time() == 25.0
    assert scene.line("b")[0] is (State.FAILED if error is ValueError else State.FINISHED)


# stopping()


async def test_when_stopping_exits_are_recorded_and_run_returns_when_all_have_ended(autojump_clock, scene):
    children = scene.child("a", "drain"), scene.child("b", "crash@5"), scene.child("c", "return")
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(*children, strategy=Strategy.ONE_FOR_ALL).run)
        scene.stopping = True
        await trio.sleep(20)
        assert scene.seen == "+a1 +b1 +c1 -c1 -b1"
        scene.drained.set()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks
    assert [scene.line(name) for name in "abc"] == [
        (State.FINISHED, 0, None),
        (State.FAILED, 0, "ValueError: b1 broke"),
        (State.FINISHED, 0, None),
    ]


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_what_backs_off_when_stopping_begins_is_not_begun_again(autojump_clock, scene, strategy):
    children = scene.child("a", "drain"), scene.child("b", "fail"), scene.child("c", "drain")
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(*children, strategy=strategy, backoff=Backoff(1000, 1000)).run)
        await trio.sleep(2)
        scene.stopping = True
        scene.drained.set()
    assert trio.current_time() < 3.0
    assert not {"+a2", "+b2", "+c2"} & set(scene.trace)
    assert [scene.line(name)[0] for name in "abc"] == [State.FINISHED, State.FAILED, State.FINISHED]


async def test_stopping_during_the_first_start_begins_no_further_child(autojump_clock, scene):
    children = scene.child("a", "drain"), scene.child("b", "slow"), scene.child("c", "run")
    supervisor = scene.supervisor(*children)
    async with trio.open_nursery() as nursery:

        async def tell():
            await trio.sleep(5)
            scene.stopping = True
            scene.drained.set()

        nursery.start_soon(tell)
        await nursery.start(supervisor.run)  # started: b runs, c never will
        assert trio.current_time() == 10.0
        nursery.cancel_scope.cancel()
    assert scene.seen == "+a1 +b1 -a1 -b1"


async def test_a_child_that_ends_before_its_first_start_when_stopping_is_no_error(autojump_clock, scene):
    async def overtaken(*, task_status):
        scene.stopping = True

    assert not await scene.watch(Child("a", overtaken), scene.child("b", "run"))
    assert scene.line("a") == scene.line("b") == (State.FINISHED, 0, None)
    assert not scene.trace


async def test_a_restart_that_fails_when_stopping_begins_leaves_nobody_waiting(autojump_clock, scene):
    children = scene.child("a", "drain"), scene.child("x", "fail", "refuse"), scene.child("c", "drain")
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(*children, strategy=Strategy.REST_FOR_ONE).run)
        await trio.sleep(2.5)  # the second x is starting, c waits for it
        scene.stopping = True
        scene.drained.set()
        await trio.sleep(1)
        assert not nursery.child_tasks, "the supervisor has not returned"
        nursery.cancel_scope.cancel()
    assert scene.seen == "+a1 +x1 +c1 -x1 -c1 +x2 -a1 -x2"
    assert [scene.line(name)[0] for name in "axc"] == [State.FINISHED, State.FAILED, State.FINISHED]


async def test_a_nested_supervisor_ends_with_its_children_when_stopping(autojump_clock, scene):
    inner = scene.supervisor(scene.child("b", "drain"), name="inner")
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(scene.child("a", "drain"), Child("inner", inner.run)).run)
        scene.stopping = True
        scene.drained.set()
    assert sorted(scene.trace) == ["+a1", "+b1", "-a1", "-b1"]
    assert [actor.state for actor in scene.board.actors()] == [State.FINISHED] * 3
