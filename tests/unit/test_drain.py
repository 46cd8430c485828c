"""Stages end in order, wait for their members and no longer than the grace; intake loses nothing."""

from contextlib import ExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gcc.supervisor.drain import Drain, Stage, StageReport, intake_open, take_until


async def work(drain, trace, stage_name, name, busy_s):
    """A source actor: holds work for `busy_s` after its stage has begun."""
    stage = drain.stage(stage_name)
    with stage.member(name):
        await stage.begun.wait()
        trace.append(f"{name} told at {trio.current_time():g}")
        await trio.sleep(busy_s)
    trace.append(f"{name} left at {trio.current_time():g}")


async def test_stages_begin_in_order_each_after_the_last_member_left(autojump_clock):
    drain, trace = Drain(["intake", "scrapers", "relay", "sinkers"], grace_s=60), []
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(work, drain, trace, "scrapers", "scraper", 2)
        nursery.start_soon(work, drain, trace, "intake", "scheduler", 1)
        nursery.start_soon(work, drain, trace, "sinkers", "sinker", 4)
        await wait_all_tasks_blocked()
        assert not drain.draining
        drain.request("SIGTERM")
        drain.request("too late to count")
        report = await drain.run()
    assert drain.draining
    assert drain.reason == "SIGTERM"
    assert report == drain.report
    assert report == [
        StageReport("intake", 1.0, ["scheduler"]),
        StageReport("scrapers", 2.0, ["scraper x3"]),
        StageReport("relay", 0.0, []),
        StageReport("sinkers", 4.0, ["sinker"]),
    ]
    assert trace == [
        "scheduler told at 0",
        "scheduler left at 1",
        *["scraper told at 1"] * 3,
        *["scraper left at 3"] * 3,
        "sinker told at 3",
        "sinker left at 7",
    ]


async def test_run_waits_for_the_request(autojump_clock):
    drain = Drain(["only"], grace_s=1)
    with trio.move_on_after(100) as waited:
        await drain.run()
    assert waited.cancelled_caught
    assert not drain.stage("only").begun.is_set()


async def test_after_the_grace_nothing_is_waited_for_and_every_stage_is_told(autojump_clock):
    drain, trace = Drain(["first", "second", "third"], grace_s=5), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, drain, trace, "first", "quick", 2)
        nursery.start_soon(work, drain, trace, "second", "stuck", 1000)
        nursery.start_soon(work, drain, trace, "third", "late", 1)
        await wait_all_tasks_blocked()
        drain.request("test")
        report = await drain.run()
        assert trio.current_time() == 5.0
        assert drain.stage("third").begun.is_set()
        nursery.cancel_scope.cancel()
    assert report == [
        StageReport("first", 2.0, ["quick"], []),
        StageReport("second", 3.0, ["stuck"], ["stuck"]),
        StageReport("third", 0.0, ["late"], ["late"]),
    ]


async def test_a_member_that_joins_while_the_stage_drains_is_waited_for_too(autojump_clock):
    drain, second = Drain(["only"], grace_s=60), ExitStack()
    stage = drain.stage("only")

    async def relieve():
        with stage.member("first"):
            await stage.begun.wait()
            await trio.sleep(1)
            second.enter_context(stage.member("second"))
        await trio.sleep(1)
        second.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relieve)
        await wait_all_tasks_blocked()
        drain.request("test")
        assert await drain.run() == [StageReport("only", 2.0, ["first"])]


async def test_a_stage_left_and_entered_in_one_tick_goes_on():
    stage, first, second = Stage("only"), ExitStack(), ExitStack()
    first.enter_context(stage.member("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.empty)
        await wait_all_tasks_blocked()
        first.close()
        second.enter_context(stage.member("b"))
        await wait_all_tasks_blocked()
        assert nursery.child_tasks, "empty() must still wait for b"
        second.close()


def test_members_are_counted_by_name_and_leave_on_errors():
    stage = Stage("s")
    with stage.member("a"), stage.member("b"), stage.member("a"):
        assert stage.members() == ["a x2", "b"]
    with pytest.raises(KeyError), stage.member("a"):
        raise KeyError
    assert stage.members() == []


async def test_snapshot_before_during_and_after(autojump_clock):
    drain, trace = Drain(["first", "second"], grace_s=60), []
    async with trio.open_nursery() as nursery:
        for busy_s in (2, 4):
            nursery.start_soon(work, drain, trace, "first", "scraper", busy_s)
        nursery.start_soon(drain.run)
        await wait_all_tasks_blocked()
        waiting = {"waited_s": 0.0, "waited_for": [], "state": "waiting"}
        assert drain.snapshot() == [{"name": "first"} | waiting, {"name": "second"} | waiting]
        drain.request("test")
        await trio.sleep(3)
        assert drain.snapshot() == [
            {"name": "first", "waited_s": 3.0, "waited_for": ["scraper"], "state": "draining"},
            {"name": "second"} | waiting,
        ]
    assert drain.snapshot() == [
        {"name": "first", "waited_s": 4.0, "waited_for": ["scraper x2"], "state": "drained"},
        {"name": "second", "waited_s": 0.0, "waited_for": [], "state": "drained"},
    ]


def test_stage_names_must_differ():
    with pytest.raises(ValueError, match="must differ"):
        Drain(["a", "a"], grace_s=1)


async def test_take_until_returns_what_was_taken():
    send, receive = trio.open_memory_channel[int](1)
    await send.send(7)
    assert await take_until(Stage("s"), receive.receive) == 7


async def test_take_until_is_cancelled_when_the_stage_begins(autojump_clock):
    stage, (_, receive) = Stage("s"), trio.open_memory_channel[int](0)
    async with trio.open_nursery() as nursery:

        async def begin():
            await trio.sleep(3)
            stage.begin()

        nursery.start_soon(begin)
        assert await take_until(stage, receive.receive) is None
        assert trio.current_time() == 3.0


async def test_take_until_does_not_take_once_the_stage_has_begun():
    stage, calls = Stage("s"), []

    async def take():
        calls.append(1)
        return 1

    stage.begin()
    assert await take_until(stage, take) is None
    assert not calls


async def test_errors_of_take_leave_as_themselves():
    async def take():
        await trio.lowlevel.checkpoint()
        raise KeyError("lost connection")

    with pytest.raises(KeyError, match="lost connection"):
        await take_until(Stage("s"), take)


async def test_take_until_passes_a_cancellation_from_outside(autojump_clock):
    with trio.move_on_after(2) as outside:
        await take_until(Stage("s"), trio.sleep_forever)
    assert outside.cancelled_caught


@pytest.mark.parametrize("value_first", [True, False])
@pytest.mark.parametrize("round_", range(20))
async def test_a_value_handed_over_in_the_tick_in_which_the_stage_begins_is_never_lost(value_first, round_):
    """Sent values = taken values + those still in the channel, whichever came first, in any scheduling."""
    stage, (send, receive) = Stage("s"), trio.open_memory_channel[int](1)
    taken = []

    async def source():
        taken.append(await take_until(stage, receive.receive))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(source)
        await wait_all_tasks_blocked()
        if value_first:
            send.send_nowait(1)
            stage.begin()
        else:
            stage.begin()
            send.send_nowait(1)
    # Handed to the waiting receiver, it must come out, though the stage has begun; else it is still there.
    assert taken == ([1] if value_first else [None])
    assert receive.statistics().current_buffer_used == (0 if value_first else 1)


async def test_a_value_returned_after_the_stage_began_without_a_checkpoint_is_kept():
    """The stage begins while take() runs; take() then returns without waiting: its value counts."""
    stage = Stage("s")

    async def take():
        await trio.lowlevel.checkpoint()
        stage.begin()
        return "lease"

    assert await take_until(stage, take) == "lease"


async def test_intake_open_cancels_only_its_block(autojump_clock):
    stage, trace = Stage("s"), []

    async def source():
        with intake_open(stage):
            trace.append("waits")
            await trio.sleep_forever()
        await trio.sleep(5)  # work in hand goes on
        trace.append("done")
        with intake_open(stage):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(source)
        await wait_all_tasks_blocked()
        stage.begin()
    assert trace == ["waits", "done"]
    assert trio.current_time() == 5.0


async def test_intake_open_lets_nothing_through_once_the_stage_has_begun():
    stage, trace = Stage("s"), []
    stage.begin()
    with intake_open(stage):
        await trio.lowlevel.checkpoint()
        trace.append("taken")
    assert not trace
